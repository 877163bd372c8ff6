"""Numbers as people read them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def number(value: Any, digits: int = 4) -> str:
    """`0.00031234` -> `0.0003123`, `50000.0` -> `50000`, None and NaN -> `-`; other values as they are."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 10**9):
        return str(int(value))
    return f"{value:.{digits}g}"


def score(value: Any) -> str:
    """A return: one decimal is enough to compare, and columns stay aligned."""
    if not isinstance(value, int | float) or math.isnan(value):
        return "-"
    return f"{value:.1f}" if abs(value) < 1e6 else f"{value:.3g}"


def count(value: Any) -> str:
    """`50000` -> `50,000`."""
    return f"{value:,}" if isinstance(value, int) else "-"


def duration(seconds: float | None) -> str:
    """`75.2` -> `1m15s`, `7300` -> `2h01m`, None -> `-`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def seeds(values: Any) -> str:
    """`[0, 1, 2, 3]` -> `0-3`, `[3, 5, 8]` -> `3,5,8`."""
    numbers = list(values or [])
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def short_path(path: str) -> str:
    """Relative to the working folder where it lies inside, for lines that people copy."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with `/`: `{"model": {"activation": "relu"}}` -> `{"model/activation": "relu"}`."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}/{key}" if prefix else str(key)
        leaves |= flat(value, path) if isinstance(value, Mapping) else {path: value}
    return leaves
