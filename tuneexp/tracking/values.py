"""Conversion of settings and measurements to plain values and valid MLflow names. Imports neither Ray nor MLflow."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tuneexp.files.remote_folders import is_uri, joined
from tuneexp.nesting import leaves
from tuneexp.tracking.member_paths import last_parts

_FORBIDDEN = re.compile(r"[^/\w.\- :]")
_MAX_NAME, _MAX_TAG = 250, 5000
NONE = "none"  # a setting that is no longer set


def entity_name(name: str) -> str:
    """`name` as MLflow accepts it for metrics, params and tags: other characters become `_`."""
    cleaned = posixpath.normpath(_FORBIDDEN.sub("_", name)).lstrip("/.")[:_MAX_NAME]
    return cleaned or "unnamed"


def varied_values(config: Mapping[str, Any], varied: Iterable[str]) -> dict[str, Any]:
    """Varied hyperparameters of one trial by name. Those of a branch that was not taken are absent."""
    values = dict(leaves(config))
    found = {}
    for name in varied:
        for key in (f"hyperparameters/{name}", name):
            if key in values:
                found[name] = plain(values[key])
                break
    return found


def important_first(varied: Iterable[str], points: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """Order hyperparameters by importance: the order of the search space, with those that are equal in all trials last.

    Names, columns and legends with little room use the first ones.

    Args:
        varied: Names in the order of the search space.
        points: Values of each trial by flat name (`varied_values`); fewer than two change nothing."""
    names, given = list(varied), list(points)
    # No estimate from the results: names of runs and columns would change while a sweep runs.
    same = [name for name in names if len(given) > 1 and len({repr(point.get(name)) for point in given}) == 1]
    return [*(name for name in names if name not in same), *same]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Short names of hyperparameters: `activation` for `model/activation`, unless another name ends alike."""
    given = list(names)
    leaf = {name: name.rpartition("/")[2] for name in given}
    ends = Counter(leaf.values())
    return {name: leaf[name] if ends[leaf[name]] == 1 else name for name in given}


def flat_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as MLflow params: names joined by `/`, values as text."""
    return {entity_name(name): _text(value) for name, value in leaves(values)}


def constant_params(values: Mapping[str, Any]) -> dict[str, str]:
    """`flat_params` without settings that are None, empty texts, lists and mappings. None within a group is a value."""
    given = {name: value for name, value in values.items() if value is not None}
    return {name: text for name, text in flat_params(given).items() if text not in ("", "{}", "[]")}


def changed_params(shown: Mapping[str, str], constants: Mapping[str, Any]) -> dict[str, str]:
    """Params that a run shows with another value than that of now, with the value of now. A setting that is now None
    has the value `none`.

    Args:
        shown: Texts of the params as recorded. Earlier versions recorded None as `null`.
        constants: Settings of now."""
    now = constant_params(constants)
    unset = {entity_name(name): NONE for name, value in constants.items() if value is None}
    return {name: text for name, text in {**now, **unset}.items()
            if name in shown and shown[name] != text and not (text == NONE and shown[name] == "null")}  # fmt: skip


def tag_values(tags: Mapping[str, Any]) -> dict[str, str]:
    return {entity_name(name): _text(value)[:_MAX_TAG] for name, value in tags.items()}


def plain(value: Any) -> Any:
    """`value` as JSON: numpy scalars become Python's, tuples become lists, other objects their text."""
    return json.loads(json.dumps(value, default=_plain_fallback))


def table_row(cells: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the summary for JSON: one value a cell, NaN and infinity as texts."""
    found = {}
    for name, value in cells.items():
        value = plain(value)
        if isinstance(value, float) and value - value != 0:
            value = str(value)
        found[name] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return found


def stored_path(path: str, sweep_folder: Path, checkpoints: str | None = None) -> str:
    """A checkpoint's address for the outbox: relative if it is within the sweep's folder, which may be moved.

    Args:
        path: As given by Tune, which leaves out the scheme of a URI.
        sweep_folder: Folder of the sweep.
        checkpoints: URI of the checkpoints of all sweeps."""
    if checkpoints is not None and is_uri(checkpoints):
        return joined(checkpoints, sweep_folder.name, *last_parts(path))
    full = path if is_uri(path) else Path(path).resolve()
    return str(full.relative_to(sweep_folder)) if isinstance(full, Path) and full.is_relative_to(sweep_folder) else path


def _plain_fallback(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain_fallback)
