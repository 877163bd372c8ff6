"""Rules that end a sweep: number of trials, time, an objective that is reached, stagnation. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import TypeAdapter

from tuneexp.files.json_reading import checked

# How a sweep ends. The first four are settings of the same names; the sampler may have nothing more to suggest.
TRIALS, TIME_BUDGET, UNTIL, STAGNATION, SAMPLER = "trials", "time_budget_s", "until", "stagnation", "sampler"
RULES = (TRIALS, TIME_BUDGET, UNTIL, STAGNATION)
# These also stop trials that run.
STOPPING = (TIME_BUDGET, UNTIL)


@dataclass(frozen=True)
class StopRules:
    """Settings that end a sweep; None for a rule that is not used.

    Attributes:
        trials: Number of suggestions.
        time_budget_s: Seconds that the sweep may run, the sum of all its runs.
        until: Score that a completed trial has to reach; larger is better.
        stagnation: Number of trials in a row that end without a better completed one.
    """

    trials: int | None = None
    time_budget_s: float | None = None
    until: float | None = None
    stagnation: int | None = None


@dataclass(frozen=True)
class Tally:
    """Counts of a sweep, from which the rules decide.

    Attributes:
        suggested: Number of suggestions; None if it is unknown: Tune counts the trials of earlier versions.
        elapsed_s: Seconds that the sweep has run.
        best: Best score of a completed trial; larger is better.
        since_best: Number of trials that have ended since `best` was reached.
    """

    suggested: int | None = 0
    elapsed_s: float = 0.0
    best: float | None = None
    since_best: int = 0

    def with_end(self) -> Tally:
        """Return the counts after the end of a trial."""
        return replace(self, since_best=self.since_best + (self.best is not None))

    def with_score(self, score: float) -> Tally:
        """Return the counts after the end of a completed trial that is counted already."""
        return self if self.best is not None and score <= self.best else replace(self, best=score, since_best=0)


def stops(rules: StopRules, tally: Tally) -> str | None:
    """Return the rule that ends the sweep with the trials that run; None if they may go on."""
    if rules.time_budget_s is not None and tally.elapsed_s >= rules.time_budget_s:
        return TIME_BUDGET
    if rules.until is not None and tally.best is not None and tally.best >= rules.until:
        return UNTIL
    return None


def ends(rules: StopRules, tally: Tally) -> str | None:
    """Return the rule by which no new trial starts; None if there is none."""
    if (rule := stops(rules, tally)) is not None:
        return rule
    if rules.trials is not None and tally.suggested is not None and tally.suggested >= rules.trials:
        return TRIALS
    if rules.stagnation is not None and tally.since_best >= rules.stagnation:
        return STAGNATION
    return None


@dataclass(frozen=True)
class SearchState:
    """State of a search in a snapshot.

    Attributes:
        rules: Rules that held then.
        tally: Counts.
        ended_by: One of `RULES`, or `SAMPLER`; None if the search had not ended.
    """

    rules: StopRules
    tally: Tally
    ended_by: str | None = None

    def ended_under(self, rules: StopRules) -> str | None:
        """Return how the search has ended; None if it has not.

        One that ended under other rules, as before an extension, has not ended unless the present rules end it."""
        return (self.ended_by if self.rules == rules else None) or ends(rules, self.tally)


_STATE = TypeAdapter(SearchState)


class Rules(Protocol):
    """Settings of a sweep that end it."""

    @property
    def time_budget_s(self) -> float | None: ...
    @property
    def until(self) -> float | None: ...
    @property
    def stagnation(self) -> int | None: ...


def search_state_of(stored: Any, source: str = "snapshot") -> SearchState:
    """Return the state that `asdict` of one stored. DamagedFile for anything else."""
    return checked(_STATE, stored, source)


def reason(ended: str, rules: Rules) -> str:
    """Return one line: why a sweep has ended. rules: the settings of the sweep."""
    from tuneexp.report.formatting import duration

    return {
        TRIALS: "all trials have ended",
        TIME_BUDGET: f"the time budget of {duration(rules.time_budget_s)} is used up",
        UNTIL: f"a trial has reached the objective {rules.until}",
        STAGNATION: f"{rules.stagnation} trials in a row have ended without a better one",
        SAMPLER: "the sampler has no more suggestions",
    }[ended]
