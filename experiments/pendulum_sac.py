"""Tune SAC on Pendulum around the published configuration (RL Zoo), which is the first trial. Ten minutes on two cores.

python experiments/pendulum_sac.py
python experiments/pendulum_sac.py --trials 1 --seeds 1 --env-steps 5000
tuneexp train sac Pendulum-v1 --env-steps 20000 --seeds 2 --set learning_rate=0.001
tuneexp sweep --algorithm sac --env Pendulum-v1 --space experiments/pendulum_sac.py:SPACE --env-steps 20000 \
    --seeds 2 --trials 4 --name swing
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch

SPACE = {
    "learning_rate": {"loguniform": [1e-4, 3e-3]},
    "gamma": {"complement_loguniform": [0.9, 0.999]},
    "tau": {"loguniform": [1e-3, 5e-2]},
    "buffer_size": 20_000,  # as many rows as steps: no transition is overwritten
    "initial": [{"learning_rate": 1e-3, "gamma": 0.99, "tau": 0.005}],
}


def main(
    trials: int = 4,
    seeds: int = 2,
    env_steps: int = 20_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune SAC on Pendulum. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="sac",
        env="Pendulum-v1",
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
