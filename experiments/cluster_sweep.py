"""Tune PPO on Acrobot, on one machine or on a Ray cluster: as many trials at a time as there are resources for.

python experiments/cluster_sweep.py --trials 4 --env-steps 20000
python experiments/cluster_sweep.py --address auto --storage /mnt/shared/runs --trials 64
python experiments/cluster_sweep.py --address auto --checkpoints s3://bucket/sweeps --trials 64 --env-runners 3
tuneexp sweep --algorithm ppo --env Acrobot-v1 --trials 64 --address auto --storage /mnt/shared/runs \
    --name acrobot
tuneexp resume acrobot --storage /mnt/shared/runs

On a cluster, start it on one of the nodes. All nodes need access to the checkpoints: use a shared folder as
--storage, or an object store as --checkpoints. A path that a node cannot access, and a trial that fits on no node,
are errors before any trial starts. See docs/scaling.md.
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch


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
    """Tune PPO on Acrobot, on this machine or on a cluster. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env="Acrobot-v1",
        fixed={"num_env_runners": env_runners},
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        scheduler=scheduler,
        searcher=searcher,
        name=name or None,  # None: a new one is made
        storage=storage,
        address=address or None,  # None: RAY_ADDRESS if it is set, else this machine
        checkpoints=checkpoints or None,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
