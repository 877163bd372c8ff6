"""Tune APPO on CartPole, whose runners go on collecting while the learner learns: a few minutes on two cores.

The third line trains one configuration, the first command of many an RL library. CartPole itself is so quick that
runners in processes of their own don't pay; the last line shows how they are asked for, `--set num_env_runners=2`.

python experiments/cartpole_appo.py
python experiments/cartpole_appo.py --trials 2 --seeds 2 --env-steps 20000
tuneexp train appo CartPole-v1
tuneexp sweep --algorithm appo --env CartPole-v1 --space search_spaces/appo.yaml --seeds 4 --env-steps 100000 \
    --trials 8 --name cartpole-appo
tuneexp sweep --algorithm appo --env CartPole-v1 --space search_spaces/appo.yaml --seeds 4 --env-steps 100000 \
    --trials 8 --name cartpole-appo-runners --set num_env_runners=2 --set num_cpus_per_env_runner=0.5
"""

from __future__ import annotations

from pathlib import Path

from tuneexp import Sweep, run_script, watch

SPACE = Path(__file__).parents[1] / "search_spaces" / "appo.yaml"


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
        space=SPACE,
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
