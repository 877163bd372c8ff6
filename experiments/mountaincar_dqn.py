"""Tune DQN on MountainCar, a task with a sparse reward: half an hour on two cores.

The first trial is the published configuration (RL Zoo), the others vary it.

python experiments/mountaincar_dqn.py
python experiments/mountaincar_dqn.py --trials 2 --seeds 2 --env-steps 30000
tuneexp train dqn MountainCar-v0 --env-steps 120000 --seeds 4 --set learning_rate=0.004 --set batch_size=128 \
    --set buffer_size=10000 --set learning_starts=1000 --set gamma=0.98 --set target_update_interval=600 \
    --set train_freq=16 --set gradient_steps=8 --set exploration_fraction=0.2 --set exploration_final_eps=0.07 \
    --set model/hidden_sizes=[256,256]
tuneexp sweep --algorithm dqn --env MountainCar-v0 --space experiments/mountaincar_dqn.py:SPACE --env-steps 120000 \
    --name mountaincar
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch

# Ranges are searched. Plain values are the same in every trial.
SPACE = {
    "learning_rate": {"loguniform": [5e-4, 1e-2]},
    "gamma": {"complement_loguniform": [0.95, 0.999]},
    "target_update_interval": {"choice": [200, 600, 2000]},
    "exploration_fraction": {"uniform": [0.1, 0.5]},
    "double": {"choice": [False, True]},
    "batch_size": 128,
    "buffer_size": 10_000,
    "learning_starts": 1000,
    "train_freq": 16,
    "gradient_steps": 8,
    "exploration_final_eps": 0.07,
    "model": {"hidden_sizes": [256, 256]},
    "initial": [
        {"learning_rate": 4e-3, "gamma": 0.98, "target_update_interval": 600, "exploration_fraction": 0.2,
         "double": False},
    ],
}  # fmt: skip


def main(
    trials: int = 8,
    seeds: int = 4,
    env_steps: int = 120_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune DQN on MountainCar. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="dqn",
        env="MountainCar-v0",
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
