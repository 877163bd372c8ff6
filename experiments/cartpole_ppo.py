"""Tune PPO on CartPole: 8 trials of 4 seeds each, weak trials are stopped early. A minute or two on two cores.

python experiments/cartpole_ppo.py
python experiments/cartpole_ppo.py --trials 32 --env-steps 100000 --name long
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch


def main(
    trials: int = 8,
    seeds: int = 4,
    env_steps: int = 50_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune PPO on CartPole. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
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
