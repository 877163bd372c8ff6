"""Tune APPO on CartPole: 8 trials of 4 seeds each. A few minutes on two cores.

The third command trains one configuration. The last command uses env runners in processes of their own, which sample
while the learner learns (`--set num_env_runners=2`). CartPole is too fast for them to be worth their cost.

python experiments/cartpole_appo.py
python experiments/cartpole_appo.py --trials 2 --seeds 2 --env-steps 20000
tuneexp train appo CartPole-v1
tuneexp sweep --algorithm appo --env CartPole-v1 --seeds 4 --env-steps 100000 \
    --trials 8 --name cartpole-appo
tuneexp sweep --algorithm appo --env CartPole-v1 --seeds 4 --env-steps 100000 \
    --trials 8 --name cartpole-appo-runners --set num_env_runners=2 --set num_cpus_per_env_runner=0.5
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch


def main(
    trials: int = 8,
    seeds: int = 4,
    env_steps: int = 100_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune APPO on CartPole. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="appo",
        env="CartPole-v1",
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        scheduler=scheduler,
        searcher=searcher,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
