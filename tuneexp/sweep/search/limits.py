"""Number of suggestions of a sweep, in all and at a time."""

from __future__ import annotations

from typing import Literal, Protocol


class PausingScheduler(Protocol):
    """The part of `TuneScheduler` that a searcher needs."""

    paused: dict[str, int]

    @property
    def pauses(self) -> bool:
        """True if trials may pause."""

    def promotion_due(self) -> str | None:
        """Return the paused trial that continues before a new one starts."""


class Limits:
    """Counts open trials and suggestions. A paused trial leaves room for another; Tune's own limiter counts it.

    Args:
        trials: Number of suggestions in all; None for no limit.
        concurrency: Number of trials that run at once; None for no limit.
        scheduler: Its paused trials are not counted as running, and its promotions come before suggestions.
    """

    def __init__(
        self, trials: int | None = None, concurrency: int | None = None, scheduler: PausingScheduler | None = None
    ) -> None:
        self.trials, self.concurrency, self.scheduler = trials, concurrency, scheduler
        self.suggested: int | None = 0  # None if it is unknown: Tune itself counts the trials of earlier versions
        self.open: set[str] = set()
        self.ended = False  # True if the sampler has nothing more to suggest

    @property
    def exhausted(self) -> bool:
        """True if no further trial is suggested."""
        if self.ended:
            return True
        return self.trials is not None and self.suggested is not None and self.suggested >= self.trials

    def verdict(self) -> Literal["suggest", "wait", "finished"]:
        """Return if a searcher may suggest a trial now.

        "finished" comes last: afterwards Tune keeps no worker for a trial that is promoted."""
        if self.exhausted:
            return "wait" if self.open and self.scheduler is not None and self.scheduler.pauses else "finished"
        if self.concurrency is not None and len(self.open - self.waiting()) >= self.concurrency:
            return "wait"
        return "wait" if self.scheduler is not None and self.scheduler.promotion_due() is not None else "suggest"

    def waiting(self) -> set[str]:
        """Return the open trials that are paused."""
        return set() if self.scheduler is None else self.open & self.scheduler.paused.keys()

    def add(self, trial_id: str) -> None:
        """Register a suggestion."""
        self.open.add(trial_id)
        if self.suggested is not None:
            self.suggested += 1
