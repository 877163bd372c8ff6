"""Events of a running sweep, for its live table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tuneexp.sweep.storage.records import TrialRecord

logger = logging.getLogger(__name__)

Kind = Literal["started", "report", "paused", "promoted", "ended"]


@dataclass(frozen=True)
class SweepEvent:
    """A change in the state of one trial.

    Attributes:
        kind: "started" (also again after its worker was lost), "report", "paused", "promoted" (a paused trial
            continues) or "ended".
        trial_number: Number of the trial, from 0.
        trial_id: Id of the trial.
        config: Hyperparameters, varied and fixed.
        env_steps: Environment steps done, per seed.
        objective: Last objective; None before the first report.
        outcome: Outcome of an ended trial, such as "completed" or "pruned".
        reason: Reason of that outcome.
        objectives: Values of the sweep's objectives by name, without those that are not finite.
        violated: Constraints of the sweep that the last report violates.
        restored: The event happened before a resume and is repeated, so that a table is complete.
    """

    kind: Kind
    trial_number: int
    trial_id: str
    config: dict[str, Any]  # hyperparameters: varied and fixed
    env_steps: int  # per seed
    objective: float | None
    outcome: str | None = None
    reason: str | None = None
    objectives: dict[str, float] = field(default_factory=dict)
    violated: list[str] = field(default_factory=list)
    restored: bool = False

    @classmethod
    def of(cls, record: TrialRecord, kind: Kind, restored: bool = False) -> SweepEvent:
        """Return an event with what is known of the trial now."""
        values = {name: getattr(record, name) for name in _OF_RECORD}
        return cls(kind, **values, restored=restored)


_OF_RECORD = (
    "trial_number",
    "trial_id",
    "config",
    "env_steps",
    "objective",
    "outcome",
    "reason",
    "objectives",
    "violated",
)

Watcher = Callable[[SweepEvent], None]

# Tune pickles its callbacks (tuner.pkl). A watcher holds a terminal and can't be pickled, so callbacks look it up here.
_WATCHERS: dict[str, Watcher] = {}


def watch(folder: Path, watcher: Watcher | None) -> None:
    """Send the events of the sweep in `folder` to `watcher`; None stops that."""
    if watcher is None:
        _WATCHERS.pop(str(folder), None)
    else:
        _WATCHERS[str(folder)] = watcher


def tell(folder: Path, event: SweepEvent) -> None:
    """Call the watcher. A watcher that raises is removed: an error in a table must not end a sweep."""
    watcher = _WATCHERS.get(str(folder))
    if watcher is None:
        return
    try:
        watcher(event)
    except Exception:
        watch(folder, None)
        logger.exception("the view of the sweep failed; the sweep continues without it")
