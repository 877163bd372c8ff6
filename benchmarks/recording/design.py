"""Configurations of a recording: a scrambled Sobol sequence in the scale of the space."""

from __future__ import annotations

from typing import Any

from scipy.stats import qmc

from benchmarks.recording.tasks import RecordedTask
from benchmarks.tuners.scales import value_at
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.dimensions import Range

SCRAMBLE_SEED = 0


def design(task: RecordedTask, configurations: int) -> list[dict[str, Any]]:
    """Return the first configurations of the sequence of a task.

    Args:
        task: its space has ranges only.
        configurations: number of them. Fewer are the beginning of the same sequence.

    Returns:
        Hyperparameters by name.
    """
    dimensions = SearchSpace.from_mapping(task.space).dimensions
    ranges = {name: dimension.values for name, dimension in dimensions.items() if isinstance(dimension.values, Range)}
    assert len(ranges) == len(dimensions), "a Sobol sequence has ranges only"
    points = qmc.Sobol(len(ranges), scramble=True, rng=SCRAMBLE_SEED).random(1 << (configurations - 1).bit_length())
    return [
        {name: value_at(values, share) for (name, values), share in zip(ranges.items(), point, strict=True)}
        for point in points[:configurations]
    ]
