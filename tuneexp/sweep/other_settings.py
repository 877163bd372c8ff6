"""Refusal of settings that differ from those of the stored sweep, with the differences."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.sweep.search.stopping_rules import RULES
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import ASKED, SweepConfig, read_config

_UNSET = object()
# A resume may run on another cluster. It registers the environment's id as the start did.
_MAY_DIFFER = {"address", "env_registration"}


def refuse_other_settings(folder: SweepFolder, asked: SweepConfig) -> None:
    """Raise UserError if the sweep in `folder` was started with other settings than `asked`.

    The same are those of now, and those that an extension of the sweep has replaced."""
    stored = read_config(folder)
    before, now = stored.flat("json"), asked.flat("json")
    kept = [name for name in ASKED if name not in _MAY_DIFFER and now[name] not in stored.replaced.get(name, ())]
    changed = {name: texts for name in kept if (texts := _differences(name, before[name], now[name]))}
    if changed:
        longer = command("extend", asked.name, "--trials", "N", storage=folder.storage)
        remedy = f"; to run it further: {longer}" if set(changed) <= set(RULES) else ""
        raise UserError(
            f"sweep {asked.name!r} was started with other settings: {'; '.join(chain(*changed.values()))}\n"
            f"write the same settings to continue it, or another --name{remedy}"
        )


def _differences(name: str, before: Any, now: Any) -> list[str]:
    """Return a text such as `fixed/gamma: not set, now 0.9` for each nested key that differs."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = {**before, **now}
        return [
            text
            for key in keys
            for text in _differences(f"{name}/{key}", before.get(key, _UNSET), now.get(key, _UNSET))
        ]
    texts = ["not set" if value is _UNSET else json.dumps(value) for value in (before, now)]
    pairs = enumerate(zip(*texts, strict=False))
    alike = next((index for index, (one, other) in pairs if one != other), min(map(len, texts)))
    return [f"{name}: {_from(texts[0], alike)}, now {_from(texts[1], alike)}"]


def _from(text: str, alike: int) -> str:
    """Return a part of a long text, near the first character that differs."""
    start = max(0, alike - 20) if len(text) > 60 else 0
    return f"{'...' if start else ''}{text[start : start + 57]}{'...' if len(text) > start + 57 else ''}"
