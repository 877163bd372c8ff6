"""Tune PPO on Pendulum, a continuous task, around the published configuration: minutes on two cores.

python experiments/pendulum_ppo.py
python experiments/pendulum_ppo.py --trials 2 --seeds 2 --env-steps 20000
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch

# A search space in Python. FIXED holds values that are the same in every trial.
SPACE = {
    "learning_rate": {"loguniform": [3e-4, 3e-3]},
    "gamma": {"complement_loguniform": [0.8, 0.99]},
    "gae_lambda": {"complement_loguniform": [0.8, 0.99]},
    "ent_coef": {"choice": [0.0, 1e-3, 1e-2]},
    "initial": [{"learning_rate": 1e-3, "gamma": 0.9, "gae_lambda": 0.95, "ent_coef": 0.0}],
}
FIXED = {"n_envs": 4, "n_steps": 1024, "batch_size": 64, "n_epochs": 10}


def main(
    trials: int = 8,
    seeds: int = 5,
    env_steps: int = 100_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune PPO on Pendulum. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env="Pendulum-v1",
        space=SPACE,
        fixed=FIXED,
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
