"""Where the actors of a trial run: in the bundles that Tune has reserved for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


def in_bundle(index: int, takes: Mapping[str, float]) -> dict[str, Any]:
    """Options of an actor that takes so much, for the trial's bundle `index` (`trial.resource_request.bundles_of`):
    left to Ray, a runner may sit in the bundle of a learner, which then finds no room. Nothing outside of a placement
    group, or in one that somebody has made otherwise."""
    group = ray.util.get_current_placement_group()
    bundles = [] if group is None else group.bundle_specs
    if index >= len(bundles) or any(bundles[index].get(kind, 0.0) < amount for kind, amount in takes.items()):
        return {}
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)}
