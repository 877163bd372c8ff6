"""What a sweep tells its watcher (the live table) while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepEvent:
    """One thing that happened to one trial.

    `restored`: it happened before a resume and is told again, so that a table is complete."""

    kind: Literal["started", "report", "ended"]
    trial_number: int
    trial_id: str
    config: dict[str, Any]  # hyperparameters: varied and fixed
    env_steps: int  # per seed
    objective: float | None
    outcome: str | None = None
    reason: str | None = None
    restored: bool = False


Watcher = Callable[[SweepEvent], None]

# Tune pickles its callbacks (tuner.pkl); a watcher holds a terminal and can't be pickled, so callbacks find it here.
_WATCHERS: dict[str, Watcher] = {}


def watch(folder: Path, watcher: Watcher | None) -> None:
    """Send the events of the sweep in `folder` to `watcher`; None ends it."""
    if watcher is None:
        _WATCHERS.pop(str(folder), None)
    else:
        _WATCHERS[str(folder)] = watcher


def tell(folder: Path, event: SweepEvent) -> None:
    """Tell the watcher. One that raises is told no more: a broken table must not end a sweep."""
    watcher = _WATCHERS.get(str(folder))
    if watcher is None:
        return
    try:
        watcher(event)
    except Exception:
        watch(folder, None)
        logger.exception("the view of the sweep failed; the sweep goes on without it")
