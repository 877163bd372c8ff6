"""Settings and measurements as plain values, and under names that MLflow accepts. No Ray, no MLflow."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneexp.remote_folders import is_uri, joined

_FORBIDDEN = re.compile(r"[^/\w.\- :]")
_MAX_NAME, _MAX_TAG = 250, 5000


def entity_name(name: str) -> str:
    """`name` as MLflow accepts it for metrics, params and tags: other characters become `_`."""
    cleaned = posixpath.normpath(_FORBIDDEN.sub("_", name)).lstrip("/.")[:_MAX_NAME]
    return cleaned or "unnamed"


def leaves(values: Mapping[str, Any], skip: Collection[str] = (), prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by their `/`-joined names, without those under a name in `skip`."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in skip:
            continue
        if isinstance(value, Mapping) and value:
            yield from leaves(value, skip, f"{name}/")
        else:
            yield name, value


def varied_values(config: Mapping[str, Any], varied: Iterable[str]) -> dict[str, Any]:
    """The searched values of one trial by name; those of a branch that was not taken are absent."""
    values = dict(leaves(config))
    found = {}
    for name in varied:
        for key in (f"hyperparameters/{name}", name):
            if key in values:
                found[name] = plain(values[key])
                break
    return found


def important_first(varied: Iterable[str], points: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """The varied hyperparameters, those that matter most first: in the order of the search space, and those that have
    the same value in every point last. Names, columns and legends with little room take the first ones.

    points: the values of the trials by flat name (`varied_values`); fewer than two say nothing."""
    names, given = list(varied), list(points)
    # No estimate from the results: names of runs and columns would change while a sweep runs.
    same = [name for name in names if len(given) > 1 and len({repr(point.get(name)) for point in given}) == 1]
    return [*(name for name in names if name not in same), *same]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Short names of hyperparameters: `model/activation` is `activation` where no other
    name ends like it."""
    given = list(names)
    leaf = {name: name.rpartition("/")[2] for name in given}
    ends = Counter(leaf.values())
    return {name: leaf[name] if ends[leaf[name]] == 1 else name for name in given}


def flat_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as MLflow params: names joined by `/`, values as text."""
    return {entity_name(name): _text(value) for name, value in leaves(values)}


def constant_params(values: Mapping[str, Any]) -> dict[str, str]:
    """`flat_params` without those that hold nothing: an empty list or mapping says that there are none."""
    return {name: text for name, text in flat_params(values).items() if text not in ("", "{}", "[]")}


def tag_values(tags: Mapping[str, Any]) -> dict[str, str]:
    return {entity_name(name): _text(value)[:_MAX_TAG] for name, value in tags.items()}


def plain(value: Any) -> Any:
    """`value` as JSON gives it back: numpy scalars become Python's, tuples lists, anything else its text."""
    return json.loads(json.dumps(value, default=_plain_fallback))


def table_row(cells: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the summary as JSON can hold it: one value a cell, NaN and infinity as texts."""
    found = {}
    for name, value in cells.items():
        value = plain(value)
        if isinstance(value, float) and value - value != 0:
            value = str(value)
        found[name] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return found


def stored_path(path: str, sweep_folder: Path, checkpoints: str | None = None) -> str:
    """A checkpoint's address as the outbox keeps it: relative to the sweep's folder where it lies there, since that
    folder may be moved. `checkpoints`: the URI of all sweeps' checkpoints, of which Tune tells only the path."""
    if checkpoints is not None and is_uri(checkpoints):
        return joined(checkpoints, sweep_folder.name, *Path(path).parts[-2:])
    full = path if is_uri(path) else Path(path).resolve()
    return str(full.relative_to(sweep_folder)) if isinstance(full, Path) and full.is_relative_to(sweep_folder) else path


def _plain_fallback(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain_fallback)
