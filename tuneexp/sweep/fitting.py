"""A sweep fitted to what it runs on: refused where a trial could never run, else as many trials at once as fit."""

from __future__ import annotations

from tuneexp.sweep.cluster import RayForSweep, cores, runs_elsewhere
from tuneexp.sweep.config import SweepConfig, trial_config
from tuneexp.sweep.folder import SweepFolder
from tuneexp.sweep.place import place_of
from tuneexp.sweep.resources import Resources, at_once, cpus_of, refuse_unmeetable
from tuneexp.sweep.space import SearchSpace


def largest_trial(space: SearchSpace) -> list[Resources]:
    """What the largest trial of the (validated) space asks for, as Tune will be told by the Trainable."""
    from tuneexp.trial.resources import bundles_of  # torch, which reading sweeps does without

    asked: list[list[Resources]] = [list(bundles_of(corner)) for corner in space.corners()]
    return max(asked, key=lambda bundles: sum(bundle["CPU"] for bundle in bundles))


def fitted_here(config: SweepConfig, space: SearchSpace) -> SweepConfig:
    """`config` with its number of trials at once, where this machine runs them. UserError for what it can't run."""
    if runs_elsewhere(config.address):
        return config  # known once Ray is there
    bundles = largest_trial(space)
    machine = [_this_machine(_wants_gpu(bundles))]
    refuse_unmeetable(bundles, machine, "this machine")
    return _with_concurrency(config, at_once(bundles, machine, config.trials))


def ray_for(config: SweepConfig, space: SearchSpace, snapshot_period_s: float, verbose: bool) -> RayForSweep:
    bundles = largest_trial(space)
    cpus = cpus_of(bundles, config.concurrency or 1)
    return RayForSweep(cpus, config.address, snapshot_period_s, verbose, _wants_gpu(bundles))


def _wants_gpu(bundles: list[Resources]) -> bool:
    return any(bundle.get("GPU") for bundle in bundles)


def _this_machine(with_gpus: bool) -> Resources:
    if not with_gpus:
        return {"CPU": float(cores())}
    import torch

    return {"CPU": float(cores()), "GPU": float(torch.cuda.device_count())}


def fitted_to_cluster(config: SweepConfig, folder: SweepFolder, space: SearchSpace, ray: RayForSweep) -> SweepConfig:
    """`config` with its number of trials at once, where Ray is there. UserError for a trial that no node can run, and
    for a node that can't see what a trial needs."""
    ray.ready()
    from tuneexp.sweep.nodes import alive_nodes, may_grow, refuse_blind_nodes

    nodes, bundles = alive_nodes(), largest_trial(space)
    there = [node.resources for node in nodes]
    if not may_grow():
        refuse_unmeetable(bundles, there)
    refuse_blind_nodes(nodes, place_of(folder, config.checkpoints), trial_config(config))
    return _with_concurrency(config, max(1, at_once(bundles, there, config.trials)))


def _with_concurrency(config: SweepConfig, room: int) -> SweepConfig:
    return config.model_copy(update={"concurrency": config.concurrency or room})
