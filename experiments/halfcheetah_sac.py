"""Tune SAC on MuJoCo's HalfCheetah. Needs the extra `mujoco`: pip install -e '.[mujoco]'.

The first trial is the published configuration (RL Zoo): a million steps with one update each. At 100 updates a
second, a trial takes about 3 hours on one core; this is an estimate, not a measurement. The second command is a short
run.

python experiments/halfcheetah_sac.py
python experiments/halfcheetah_sac.py --trials 1 --seeds 1 --env-steps 50000
tuneexp train sac HalfCheetah-v5 --env-steps 1000000 --seeds 1 --set learning_starts=10000
tuneexp sweep --algorithm sac --env HalfCheetah-v5 --space experiments/halfcheetah_sac.py:SPACE --seeds 1 \
    --env-steps 1000000 --trials 4 --name cheetah
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch

SPACE = {
    "learning_rate": {"loguniform": [1e-4, 1e-3]},
    "gamma": {"complement_loguniform": [0.97, 0.997]},
    "tau": {"loguniform": [2e-3, 2e-2]},
    "learning_starts": 10_000,
    "initial": [{"learning_rate": 3e-4, "gamma": 0.99, "tau": 0.005}],
}


def main(
    trials: int = 4,
    seeds: int = 1,
    env_steps: int = 1_000_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune SAC on HalfCheetah. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="sac",
        env="HalfCheetah-v5",
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
