"""Limits of a search: suggestions at a time and in all, and the rules that end a sweep."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from tuneexp.sweep.search.stopping_rules import SAMPLER, STAGNATION, SearchState, StopRules, Tally, ends, stops


class PausingScheduler(Protocol):
    """The part of `TuneScheduler` that a searcher needs."""

    paused: dict[str, int]

    @property
    def pauses(self) -> bool:
        """True if trials may pause."""

    def promotion_due(self) -> str | None:
        """Return the paused trial that continues before a new one starts."""


class Limits:
    """Counts open trials, suggestions and time. A paused trial leaves room for another; Tune's own limiter counts it.

    Args:
        rules: Rules that end the sweep.
        concurrency: Number of trials that run at once; None for no limit.
        scheduler: Its paused trials are not counted as running, and its promotions come before suggestions.
        clock: Seconds of a clock that is never set back.
    """

    def __init__(
        self,
        rules: StopRules | None = None,
        concurrency: int | None = None,
        scheduler: PausingScheduler | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rules, self.concurrency, self.scheduler = rules or StopRules(), concurrency, scheduler
        self.tally = Tally()
        self.open: set[str] = set()
        self._ended: str | None = None
        self._clock = clock
        self._counted_to_s: float | None = None  # time of the clock up to which `tally` has the seconds

    @property
    def ended_by(self) -> str | None:
        """Rule by which the search has ended; None if a trial may be suggested, now or later."""
        self._count_time()
        if self._ended is None or self.open:
            self._ended = stops(self.rules, self.tally) or self._ended or self._found()
        return self._ended

    def _found(self) -> str | None:
        rule = ends(self.rules, self.tally)
        # A trial that runs may be better than all before.
        return None if rule == STAGNATION and self.open - self.waiting() else rule

    @property
    def exhausted(self) -> bool:
        """True if no further trial is suggested."""
        return self.ended_by is not None

    @property
    def stopping(self) -> bool:
        """True if trials that run are to stop, too."""
        self._count_time()
        return bool(self.open) and stops(self.rules, self.tally) is not None

    def _count_time(self) -> None:
        now_s = self._clock()
        if self._counted_to_s is not None:
            passed_s = max(0.0, now_s - self._counted_to_s)
            self.tally = replace(self.tally, elapsed_s=self.tally.elapsed_s + passed_s)
        self._counted_to_s = now_s

    def verdict(self) -> Literal["suggest", "wait", "finished"]:
        """Return if a searcher may suggest a trial now.

        "finished" comes last: afterwards Tune keeps no worker for a trial that is promoted."""
        if self.exhausted:
            return "wait" if self.open and self.scheduler is not None and self.scheduler.pauses else "finished"
        if self.rules.stagnation is not None and ends(self.rules, self.tally) == STAGNATION:
            return "wait"  # for trials that run
        if self.concurrency is not None and len(self.open - self.waiting()) >= self.concurrency:
            return "wait"
        return "wait" if self.scheduler is not None and self.scheduler.promotion_due() is not None else "suggest"

    def waiting(self) -> set[str]:
        """Return the open trials that are paused."""
        return set() if self.scheduler is None else self.open & self.scheduler.paused.keys()

    def add(self, trial_id: str) -> None:
        """Register a suggestion."""
        self.open.add(trial_id)
        if self.tally.suggested is not None:
            self.tally = replace(self.tally, suggested=self.tally.suggested + 1)

    def end(self, trial_id: str) -> None:
        """Register the end of a trial. One that completed is also registered by `completed`."""
        if trial_id in self.open:
            self.open.discard(trial_id)
            self.tally = self.tally.with_end()

    def completed(self, score: float) -> None:
        """Register the score of a completed trial; larger is better."""
        self.tally = self.tally.with_score(score)

    def sampler_ended(self) -> None:
        """Register that the sampler has no more suggestions."""
        self._ended = self._ended or SAMPLER

    def state(self) -> SearchState:
        """Return the state. The open trials are those of the searcher."""
        self._count_time()
        return SearchState(self.rules, self.tally, self._ended)

    def restore(self, state: SearchState, open_trials: set[str]) -> None:
        """Continue from the result of `state`."""
        self.tally, self.open, self._counted_to_s = state.tally, set(open_trials), None
        self._ended = state.ended_by if state.rules == self.rules else None
