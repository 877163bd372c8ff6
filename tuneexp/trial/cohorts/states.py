"""The policies in a checkpoint of cohorts, as those of one stack of seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

COHORTS = "cohorts"
# Parts of a checkpoint that hold something of each seed, and that acting needs.
_STACKED = ("parameters", "failed", "normaliser")


def stacked(state: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of cohorts as one of a single stack, with the policies of all seeds that are not behind.

    Another checkpoint is returned as it is. What acting does not need is that of the first cohort: it is no state that
    a trial could continue from.

    Args:
        state: of a checkpoint.
    """
    if COHORTS not in state:
        return state
    most = max(len(one["returns"]) for one in state[COHORTS])
    level = [one for one in state[COHORTS] if len(one["returns"]) == most]
    seeds = [seed for one in level for seed in one["seeds"]]
    config = {**state["config"], "seeds": seeds, COHORTS: []}
    merged = _merge([one["trial"] for one in level])
    return {**merged, "seeds": seeds, "config": config, "objective": state["objective"]}


def _merge(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge trees of equal keys: values below a name of `_STACKED` along the axis of the seeds."""
    first = parts[0]
    return {name: _joined([part[name] for part in parts], name in _STACKED) for name in first}


def _joined(values: Sequence[Any], stacks: bool) -> Any:
    first = values[0]
    if isinstance(first, Mapping):
        return {name: _joined([value[name] for value in values], stacks or name in _STACKED) for name in first}
    if not stacks or first is None:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(list(values))
    return np.concatenate(values) if isinstance(first, np.ndarray) else [one for value in values for one in value]
