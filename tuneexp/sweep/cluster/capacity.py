"""Capacity check: a sweep whose trials could never run is refused; otherwise its concurrency is resolved."""

from __future__ import annotations

from collections.abc import Sequence

from tuneexp.processes import cores
from tuneexp.sweep.cluster.ray_session import RaySession, runs_elsewhere
from tuneexp.sweep.cluster.resources import Resources, cpus_of, refuse_unmeetable, trials_that_fit
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.signals import check_signals, stop_signals
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig, trial_config

MOST_AT_ONCE = 1000  # trials of a sweep whose number of trials has no limit


def trials_of(space: SearchSpace) -> list[Sequence[Resources]]:
    """Return the distinct resource requests of trials of a validated space, as the Trainable gives them to Tune."""
    from tuneexp.trial.resource_request import RESOURCE_FIELDS, bundles_of

    asked: list[Sequence[Resources]] = []
    for corner in space.corners_of(RESOURCE_FIELDS):
        bundles = bundles_of(corner)
        if bundles not in asked:
            asked.append(bundles)
    return asked


def resolved_here(config: SweepConfig, space: SearchSpace) -> SweepConfig:
    """Resolve the concurrency of a sweep on this machine. UserError for a trial that can't run on it.

    A sweep on a cluster is returned as it is: its capacity is known once Ray is connected."""
    if runs_elsewhere(config.address):
        return config  # known once Ray is there
    asked = trials_of(space)
    machine = [_this_machine(_wants_gpu(asked))]
    for bundles in asked:
        refuse_unmeetable(bundles, machine, "this machine")
    return _with_concurrency(config, _all_at_once(asked, machine, config.trials or MOST_AT_ONCE))


def ray_session_for(config: SweepConfig, space: SearchSpace, snapshot_period_s: float, verbose: bool) -> RaySession:
    asked = trials_of(space)
    # All cores: a define-by-run space may suggest a trial that its rehearsals did not show.
    cpus = max(cores(), *(cpus_of(bundles, config.concurrency or 1) for bundles in asked))
    return RaySession(cpus, config.address, snapshot_period_s, verbose, _wants_gpu(asked))


def _wants_gpu(asked: Sequence[Sequence[Resources]]) -> bool:
    return any(bundle.get("GPU") for bundles in asked for bundle in bundles)


def _all_at_once(asked: Sequence[Sequence[Resources]], nodes: Sequence[Resources], most: int) -> int:
    """Return the number of trials that the nodes can run at the same time, whichever trials they are."""
    return min(trials_that_fit(bundles, nodes, most) for bundles in asked)


def _this_machine(with_gpus: bool) -> Resources:
    if not with_gpus:
        return {"CPU": float(cores())}
    import torch

    return {"CPU": float(cores()), "GPU": float(torch.cuda.device_count())}


def resolved_on_cluster(config: SweepConfig, folder: SweepFolder, space: SearchSpace, ray: RaySession) -> SweepConfig:
    """Resolve the concurrency of a sweep on the connected cluster, after a preflight check of its nodes.

    UserError for a trial that no node can run, and for a node that fails the check."""
    ray.ready()
    with stop_signals() as stop:
        stop.renew()
    from tuneexp.sweep.cluster.nodes import Node, alive_nodes, check_nodes, may_grow

    check_signals()
    asked = trials_of(space)

    def refuse_too_large(nodes: Sequence[Node]) -> list[Resources]:
        there = [node.resources for node in nodes]
        for bundles in () if may_grow() else asked:
            refuse_unmeetable(bundles, there)
        return there

    store = checkpoint_storage_of(folder, config.checkpoints)
    nodes = alive_nodes()
    refuse_too_large(nodes)  # sooner than nodes answer
    there = refuse_too_large(check_nodes(nodes, store, trial_config(config)))
    return _with_concurrency(config, max(1, _all_at_once(asked, there, config.trials or MOST_AT_ONCE)))


def _with_concurrency(config: SweepConfig, room: int) -> SweepConfig:
    return config.model_copy(update={"concurrency": config.concurrency or room})
