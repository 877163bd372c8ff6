"""A sweep fitted to what it runs on: refused where a trial could never run, else as many trials at once as fit."""

from __future__ import annotations

from collections.abc import Sequence

from tuneexp.sweep.cluster import RayForSweep, cores, runs_elsewhere
from tuneexp.sweep.config import SweepConfig, trial_config
from tuneexp.sweep.folder import SweepFolder
from tuneexp.sweep.place import place_of
from tuneexp.sweep.resources import Resources, at_once, cpus_of, refuse_unmeetable
from tuneexp.sweep.space import SearchSpace
from tuneexp.sweep.stopping import check_signals, stop_signals


def trials_of(space: SearchSpace) -> list[Sequence[Resources]]:
    """What trials of the (validated) space may ask for, each once, as Tune will be told by the Trainable."""
    from tuneexp.trial.resources import RESOURCE_FIELDS, bundles_of

    asked: list[Sequence[Resources]] = []
    for corner in space.corners_of(RESOURCE_FIELDS):
        bundles = bundles_of(corner)
        if bundles not in asked:
            asked.append(bundles)
    return asked


def fitted_here(config: SweepConfig, space: SearchSpace) -> SweepConfig:
    """`config` with its number of trials at once, where this machine runs them. UserError for what it can't run."""
    if runs_elsewhere(config.address):
        return config  # known once Ray is there
    asked = trials_of(space)
    machine = [_this_machine(_wants_gpu(asked))]
    for bundles in asked:
        refuse_unmeetable(bundles, machine, "this machine")
    return _with_concurrency(config, _all_at_once(asked, machine, config.trials))


def ray_for(config: SweepConfig, space: SearchSpace, snapshot_period_s: float, verbose: bool) -> RayForSweep:
    asked = trials_of(space)
    # All cores, as a function of the user's own may suggest a trial that was not foreseen.
    cpus = max(cores(), *(cpus_of(bundles, config.concurrency or 1) for bundles in asked))
    return RayForSweep(cpus, config.address, snapshot_period_s, verbose, _wants_gpu(asked))


def _wants_gpu(asked: Sequence[Sequence[Resources]]) -> bool:
    return any(bundle.get("GPU") for bundles in asked for bundle in bundles)


def _all_at_once(asked: Sequence[Sequence[Resources]], nodes: Sequence[Resources], most: int) -> int:
    """How many trials the nodes can run at the same time, whichever they are."""
    return min(at_once(bundles, nodes, most) for bundles in asked)


def _this_machine(with_gpus: bool) -> Resources:
    if not with_gpus:
        return {"CPU": float(cores())}
    import torch

    return {"CPU": float(cores()), "GPU": float(torch.cuda.device_count())}


def fitted_to_cluster(config: SweepConfig, folder: SweepFolder, space: SearchSpace, ray: RayForSweep) -> SweepConfig:
    """`config` with its number of trials at once, where Ray is there. UserError for a trial that no node can run, and
    for a node that can't see what a trial needs."""
    ray.ready()
    with stop_signals() as stop:
        stop.renew()
    from tuneexp.sweep.nodes import Node, alive_nodes, may_grow, refuse_blind_nodes

    check_signals()
    asked = trials_of(space)

    def refuse_too_large(nodes: Sequence[Node]) -> list[Resources]:
        there = [node.resources for node in nodes]
        for bundles in () if may_grow() else asked:
            refuse_unmeetable(bundles, there)
        return there

    nodes = alive_nodes()
    refuse_too_large(nodes)  # sooner than nodes answer
    there = refuse_too_large(refuse_blind_nodes(nodes, place_of(folder, config.checkpoints), trial_config(config)))
    return _with_concurrency(config, max(1, _all_at_once(asked, there, config.trials)))


def _with_concurrency(config: SweepConfig, room: int) -> SweepConfig:
    return config.model_copy(update={"concurrency": config.concurrency or room})
