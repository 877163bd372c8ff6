"""The same sweep on a laptop and on a Ray cluster: PPO on Acrobot, as many trials at a time as there is room for.

python experiments/cluster_sweep.py --trials 4 --env-steps 20000
python experiments/cluster_sweep.py --address auto --storage /mnt/shared/runs --trials 64
python experiments/cluster_sweep.py --address auto --checkpoints s3://bucket/sweeps --trials 64 --env-runners 3
tuneexp sweep --algorithm ppo --env Acrobot-v1 --space search_spaces/ppo.yaml --trials 64 --address auto \
    --storage /mnt/shared/runs --name acrobot
tuneexp resume acrobot --storage /mnt/shared/runs

On a cluster it is started on one of its nodes. Checkpoints need a place that all nodes see: a shared folder as
--storage, or an object store as --checkpoints. What a node can't see, and a trial that no node has room for, is told
before any trial starts. docs/scaling.md goes on from here.
"""

from __future__ import annotations

from pathlib import Path

from tuneexp import Sweep, run_script, watch

SPACE = Path(__file__).parents[1] / "search_spaces" / "ppo.yaml"


def main(
    trials: int = 16,
    seeds: int = 4,
    env_steps: int = 100_000,
    env_runners: int = 0,
    address: str = "",
    checkpoints: str = "",
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune PPO on Acrobot, here or on a cluster. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env="Acrobot-v1",
        space=SPACE,
        fixed={"num_env_runners": env_runners},
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        scheduler=scheduler,
        searcher=searcher,
        name=name or None,  # None: a new one is made
        storage=storage,
        address=address or None,  # or RAY_ADDRESS, or else this machine
        checkpoints=checkpoints or None,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
