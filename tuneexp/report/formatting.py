"""Formatting of numbers and texts for output."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.nesting import flat

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def number(value: Any, digits: int = 4) -> str:
    """Format a number: `0.00031234` -> `0.0003123`, `50000.0` -> `50000`, None and NaN -> `-`. Else the text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return in_one_line(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 10**9):
        return str(int(value))
    return f"{value:.{digits}g}"


# C0 and C1 controls but for the newline, marks that reorder text, and halves of surrogate pairs.
_INVISIBLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: Any) -> str:
    """`text` with its control characters escaped."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def in_one_line(text: Any) -> str:
    return visible(text).replace("\n", "\\n")


def cell(text: Any, style: str = "") -> Text:
    """Cell of a table as `Text`: rich reads [brackets] and :words: of a plain string as markup."""
    from rich.text import Text

    return Text(in_one_line(text), style=style)


def print_text(console: Console, text: str) -> None:
    """Print plain text on `console` without wrapping, so that it can be copied."""
    from rich.text import Text

    console.print(Text(visible(text)), highlight=False, soft_wrap=True)


def score(value: Any) -> str:
    """Format a return with one decimal: `187.34` -> `187.3`."""
    if not isinstance(value, int | float) or math.isnan(value):
        return "-"
    return f"{value:.1f}" if abs(value) < 1e6 else f"{value:.3g}"


def count(value: Any) -> str:
    """Format a count: `50000` -> `50,000`."""
    return f"{value:,}" if isinstance(value, int) else "-"


def duration(seconds: float | None) -> str:
    """Format a duration: `75.2` -> `1m15s`, `7300` -> `2h01m`, None -> `-`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def size(n_bytes: float) -> str:
    """Format a size in decimal units: `4021080` -> `4.0 MB`."""
    for unit in ("kB", "MB", "GB"):
        n_bytes /= 1000
        if n_bytes < 1000:
            return f"{n_bytes:.1f} {unit}" if n_bytes < 100 else f"{n_bytes:.0f} {unit}"
    return f"{n_bytes / 1000:.1f} TB"


def seeds(values: Any) -> str:
    """Format seeds: `[0, 1, 2, 3]` -> `0-3`, `[3, 5, 8]` -> `3,5,8`."""
    numbers = list(values or [])
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def course_words(hyperparameters: Mapping[str, Any], schedule: Sequence[Mapping[str, Any]] = ()) -> str:
    """Format hyperparameters, and their course by a schedule: `gamma=0.9 learning_rate=0.01 (from 500: 0.002)`.

    Args:
        hyperparameters: At the start, nested.
        schedule: Changes, each with `env_steps` per seed and `values` (flat)."""
    held = flat(hyperparameters)
    changes: dict[str, list[str]] = {}
    for change in schedule:
        for name, value in change["values"].items():
            changes.setdefault(name, []).append(f"from {change['env_steps']}: {number(value)}")
    texts = {name: f" ({', '.join(one)})" for name, one in changes.items()}
    return " ".join(f"{name}={number(held.get(name))}{texts.get(name, '')}" for name in {**held, **changes})


def short_path(path: str) -> str:
    """`path` relative to the working folder if it is inside, for commands that users copy."""
    try:
        short = os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
        return f"./{short}" if short.startswith("-") else short  # else a command takes it for an option
    except FileNotFoundError:  # the working folder was deleted
        return path
