"""Placement of a trial's actors in the bundles that Tune has reserved for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


def in_bundle(index: int, takes: Mapping[str, float]) -> dict[str, Any]:
    """Return the options that place an actor in a bundle of the trial's placement group.

    By default Ray may place a runner in the bundle of a learner, which then has no bundle.

    Args:
        index: of the bundle, in the order of `trial.resource_request.bundles_of`.
        takes: resources of the actor.

    Returns:
        Options of an actor; none outside a placement group, or if its bundle is too small.
    """
    group = ray.util.get_current_placement_group()
    bundles = [] if group is None else group.bundle_specs
    if index >= len(bundles) or any(bundles[index].get(kind, 0.0) < amount for kind, amount in takes.items()):
        return {}
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)}
