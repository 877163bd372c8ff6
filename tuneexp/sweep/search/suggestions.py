"""Log of a sweep's suggestions, one JSON line each: after a kill each is made again with its number and values."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneexp.files.json_reading import parse_json

logger = logging.getLogger(__name__)


def append_suggestion(log: Path, number: int, params: Mapping[str, Any]) -> None:
    """Append a line `{"number": 3, "params": {...}}`. Skipped if JSON would change a value."""
    line = json.dumps({"number": number, "params": dict(params)}, default=str)
    if json.loads(line)["params"] != dict(params):
        logger.debug("suggestion %d has values that JSON can't hold; a kill may change it", number)
        return
    with log.open("a") as file:
        file.write("\n" + line)  # the newline comes first, so that a line truncated by a kill damages no other


def read_suggestions(log: Path) -> dict[int, dict[str, Any]]:
    """Return suggestion number -> parameters. A truncated line is skipped."""
    points: dict[int, dict[str, Any]] = {}
    if not log.exists():
        return points
    for line in log.read_bytes().splitlines():
        try:
            entry = parse_json(line)
            points[int(entry["number"])] = dict(entry["params"])
        except (ValueError, KeyError, TypeError):
            continue
    return points
