"""Reading of a table of learning curves: one row for each configuration and seed.

Its columns are the hyperparameters, `seed`, then one column for each evaluation, named by its environment steps. A
column `cpu_s` or `seconds` after `seed` holds the duration of a full training."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.recording.storage import SETTINGS
from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.files import read_columns
from benchmarks.tuners.inferred_space import inferred_dimensions, is_index
from tuneexp.config import is_number
from tuneexp.errors import UserError, nearest
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.space_parser import Dimension

SEED = "seed"
INDEXES = ("", "Unnamed: 0", "__index_level_0__")  # pandas writes the index of a frame under these names
SECONDS = ("cpu_s", "seconds", "wall_s")  # the first one that a table has counts


class _Parts(NamedTuple):
    hyperparameters: dict[str, list[Any]]
    seeds: list[Any]
    evaluations: dict[int, list[Any]]  # by environment steps, increasing
    seconds: list[Any] | None


def read_table(path: Path, space: SearchSpace | None = None, minimize: bool = False) -> CurveTable:
    """Read a table of learning curves.

    Args:
        path: a .csv, .csv.gz or .parquet file.
        space: ranges and scales of the hyperparameters. None: those of the recording, or else inferred from the values.
        minimize: the evaluations are losses.

    Returns:
        The table.

    Raises:
        UserError: the file is no such table, with the reason in one line.
    """
    columns = read_columns(path)
    notes: list[str] = []
    try:
        parts = _parts_of(columns.values, notes)
        varied = _varied(parts, notes)
        if space is None and SETTINGS in columns.metadata:
            space = SearchSpace.from_mapping(json.loads(columns.metadata[SETTINGS])["space"])
        rows, of_row = _configurations(varied, parts.seeds)
        dimensions = inferred_dimensions(rows) if space is None else _dimensions_of(space, rows)
        returns = _returns_of(parts)
        seconds = _seconds_of(parts.seconds, of_row)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return CurveTable(
        name=path.name.partition(".")[0],
        dimensions=dimensions,
        rows=tuple(rows),
        env_steps=np.array(list(parts.evaluations)),
        returns=tuple((-returns if minimize else returns)[places] for places in of_row),
        seconds=seconds,
        notes=tuple(notes),
    )


def _parts_of(columns: Mapping[str, list[Any]], notes: list[str]) -> _Parts:
    names = [name for name in columns if name not in INDEXES]
    if SEED not in names:
        match = nearest(SEED, names)
        raise UserError(
            f"no column 'seed'{f'; rename {match!r}' if match else ' (one row per configuration and seed)'}"
        )
    before, after = names[: names.index(SEED)], names[names.index(SEED) + 1 :]
    if not before:
        raise UserError("no hyperparameters: their columns come before 'seed', and the evaluations after it")
    steps = {name: _env_steps(name) for name in after if name not in SECONDS}
    if not any(steps.values()):
        raise UserError(
            "no evaluations: their columns come after 'seed', each named by its environment steps, as in 10000"
        )
    if other := next((name for name, step in steps.items() if step is None), None):
        raise UserError(f"column {other!r} after 'seed' is not named by environment steps; move it before 'seed'")
    if 0 in steps.values():
        notes.append("the evaluation at 0 environment steps, before the training, is left out")
    seconds = next((columns[name] for name in SECONDS if name in after), None)
    return _Parts({name: columns[name] for name in before}, columns[SEED], _by_steps(steps, columns), seconds)


def _env_steps(name: str) -> int | None:
    """Return the number at the end of the name of an evaluation, as in 10000, return_1e4 or 10k; None without one."""
    found = re.search(r"(\d+(?:\.\d+)?(?:e\+?\d+)?)([km]?)$", name, re.IGNORECASE)
    if found is None or name.startswith("-"):
        return None
    number = float(found[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[found[2].lower()]
    return int(number) if number.is_integer() else None


def _by_steps(steps: Mapping[str, int | None], columns: Mapping[str, list[Any]]) -> dict[int, list[Any]]:
    evaluations: dict[int, list[Any]] = {}
    for name, step in sorted(steps.items(), key=lambda item: item[1] or 0):
        if step in evaluations:
            raise UserError(f"two evaluations at {step} environment steps")
        if step:
            evaluations[step] = columns[name]
    return evaluations


def _returns_of(parts: _Parts) -> NDArray[np.float64]:
    """Return the evaluations [file rows, E]."""
    columns = [[_number(cell) for cell in cells] for cells in parts.evaluations.values()]
    steps, returns = list(parts.evaluations), np.array(columns).T
    for number in np.flatnonzero(~np.isfinite(returns).all(axis=1)).tolist():
        row = f"row {number + 1}, seed {parts.seeds[number]}"
        missing = np.isnan(returns[number])
        first = int(np.argmax(~np.isfinite(returns[number])))
        if not missing[first]:
            cell = parts.evaluations[steps[first]][number]
            raise UserError(f"{row}: the evaluation at {steps[first]} is no finite number: {cell!r}")
        if first and missing[first:].all():
            raise UserError(f"{row}: ends at {steps[first - 1]} of {steps[-1]} environment steps; fill the evaluations")
        raise UserError(f"{row}: the evaluation at {steps[first]} is missing (NaN)")
    return returns


def _number(cell: Any) -> float:
    """Return a cell as a number: NaN if it is empty, infinite if it is no number."""
    if cell is None:
        return math.nan
    try:
        return math.inf if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        return math.inf


def _varied(parts: _Parts, notes: list[str]) -> dict[str, list[Any]]:
    """Return the hyperparameters that vary."""
    varied = {}
    for name, cells in parts.hyperparameters.items():
        if (empty := next((n for n, cell in enumerate(cells, 1) if _is_empty(cell)), None)) is not None:
            raise UserError(f"row {empty}: {name!r} is empty; each row has a value for each hyperparameter")
        if all(cell == cells[0] for cell in cells):
            notes.append(f"column {name!r} is {cells[0]!r} in all rows and is left out")
        elif is_index(cells):
            notes.append(f"column {name!r} numbers the rows and is left out")
        else:
            varied[name] = cells
    if not varied:
        raise UserError("no hyperparameter varies; a table has at least two configurations")
    return varied


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))


def _configurations(
    varied: Mapping[str, list[Any]], seeds: Sequence[Any]
) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Return the configurations, and the places of their seeds in the file."""
    places: dict[str, list[int]] = {}
    rows: list[dict[str, Any]] = []
    for place, values in enumerate(zip(*varied.values(), strict=True)):
        row = dict(zip(varied, values, strict=True))
        key = json.dumps(row, default=str)
        if key not in places:
            places[key] = []
            rows.append(row)
        if any(seeds[other] == seeds[place] for other in places[key]):
            raise UserError(f"row {place + 1}: seed {seeds[place]} of {row} is there twice")
        places[key].append(place)
    return rows, list(places.values())


def _dimensions_of(space: SearchSpace, rows: Sequence[Mapping[str, Any]]) -> tuple[Dimension, ...]:
    """Return the dimensions of a given space, which hold every configuration."""
    names = list(rows[0])
    if missing := [name for name in names if name not in space.dimensions]:
        raise UserError(f"the space has no {missing[0]!r}; it has {', '.join(space.dimensions)}")
    for name in names:
        values = space.dimensions[name].values
        outside = next((row[name] for row in rows if not values.contains(row[name])), None)
        if outside is not None:
            raise UserError(f"{name}={outside!r} is outside of {values.spell()}")
    return tuple(space.dimensions[name] for name in names)


def _seconds_of(cells: Sequence[Any] | None, of_row: Sequence[list[int]]) -> NDArray[np.float64] | None:
    """Return the mean duration of each configuration."""
    if cells is None:
        return None
    if wrong := [cell for cell in cells if not is_number(cell) or not 0 < cell < math.inf]:
        raise UserError(f"the duration of a training is above 0 s, got {wrong[0]!r}")
    return np.array([np.mean([cells[place] for place in places]) for places in of_row])
