"""Synchronous Hyperband: trials wait at a rung for the others of their bracket."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from tuneexp.sweep.search.objectives import Score
from tuneexp.sweep.search.schedulers.halving import HalvingOptions
from tuneexp.sweep.search.schedulers.rungs import Rungs
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, STOP, Scheduler, SchedulerContext


class Bracket:
    """Trials that start together, and compete at the same rung.

    levels: environment steps of its rungs.
    size: number of trials that it starts."""

    def __init__(self, levels: list[int], size: int) -> None:
        self.rungs, self.size = Rungs(levels), size
        self.started = 0
        self.index = 0  # of the open rung
        self.competing: set[str] = set()  # at the open rung; after the last rung: those that continue to the budget
        self.ended: set[str] = set()  # one that runs again was retried after it had failed
        self.late: set[str] = set()  # retried trials, which closed rungs judge one by one

    def takes_trials(self) -> bool:
        """Return True if another trial may start in this bracket: none competes at a later rung yet."""
        return self.started < self.size and self.index == 0

    def retry(self, trial_id: str) -> None:
        """Register that a trial that has ended runs again."""
        self.ended.discard(trial_id)
        self.late.add(trial_id)

    def is_open(self) -> bool:
        """Return True if a rung is open: trials stop there."""
        return self.index < len(self.rungs.levels)

    def entered(self, trial_id: str) -> bool:
        """Return True if a trial has entered the open rung."""
        return self.rungs.highest(trial_id) == self.index

    def is_complete(self, closing: bool) -> bool:
        """Return True if the open rung is complete: no trial is missing. closing: no more trials will come."""
        full = closing or self.started >= self.size
        return self.is_open() and full and all(map(self.entered, self.competing))

    def close_rung(self, reduction_factor: float) -> tuple[list[str], set[str]]:
        """Close the open rung. Returns the trials that continue, the best first, and the others."""
        number = max(1, int(self.rungs.count(self.index) / reduction_factor))
        winners = self.rungs.best(self.index, number, self.competing)
        losers = self.competing - set(winners)
        self.competing, self.index = set(winners), self.index + 1
        return winners, losers

    def state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {
            "rungs": self.rungs.state(),
            "size": self.size,
            "started": self.started,
            "index": self.index,
            "competing": sorted(self.competing),
            "ended": sorted(self.ended),
            "late": sorted(self.late),
        }

    @classmethod
    def of(cls, state: dict[str, Any]) -> Bracket:
        """Return the bracket of a stored state."""
        bracket = cls([int(level) for level, _ in state["rungs"]], state["size"])
        bracket.rungs.set_state(state["rungs"])
        bracket.started, bracket.index = state["started"], state["index"]
        bracket.competing = set(state["competing"])
        bracket.ended, bracket.late = set(state.get("ended", ())), set(state.get("late", ()))
        return bracket


class SynchronousHyperband(Scheduler):
    """Hyperband (Li et al. 2018, arXiv:1603.06560): a rung closes once all trials of its bracket are in.

    Brackets start one after the other, the one with most halvings first, and again from the first: the number of trials
    need not be known. A bracket of k halvings starts `ceil((K + 1) / (k + 1) * reduction_factor**k)` trials, where K is
    the largest k. A trial that has ended is not waited for. If no more trials come, the last bracket stays smaller."""

    Options = HalvingOptions
    pauses = True
    several_objectives = True

    def __init__(self, options: HalvingOptions, context: SchedulerContext) -> None:
        super().__init__(options, context)
        self._levels = options.levels(context)
        self._brackets: list[Bracket] = []
        self._bracket_of: dict[str, int] = {}
        self._due: list[str] = []
        self._losers: set[str] = set()
        self._closing = False
        self._cohorts, self._bounds = options.cohorts(context), options.bounds()

    def cohorts(self) -> list[dict[str, int]]:
        return self._cohorts

    def note_error(self, trial_id: str, standard_error: float | None, seeds: int) -> None:
        self._bounds.note(trial_id, standard_error, seeds)

    def add(self, trial_id: str) -> None:
        if trial_id in self._bracket_of:
            bracket = self._brackets[self._bracket_of[trial_id]]
            if trial_id in bracket.ended:
                bracket.retry(trial_id)
            return
        if not self._brackets or not self._brackets[-1].takes_trials():
            self._brackets.append(self._next_bracket())
        self._bracket_of[trial_id] = len(self._brackets) - 1
        bracket = self._brackets[-1]
        bracket.started += 1
        bracket.competing.add(trial_id)

    def _next_bracket(self) -> Bracket:
        most = len(self._levels)
        halvings = most - len(self._brackets) % (most + 1)
        size = (most + 1) / (halvings + 1) * self.options.reduction_factor**halvings
        return Bracket(self._levels[most - halvings :], math.ceil(size - 1e-9))

    def report(self, trial_id: str, env_steps: int, objective: Score) -> str:
        objective = self._bounds.upper(trial_id, objective)
        bracket = self._brackets[self._bracket_of[trial_id]]
        if trial_id in bracket.late and not self._passes(bracket, trial_id, env_steps, objective):
            return STOP
        competes = bracket.is_open() and trial_id in bracket.competing and not bracket.entered(trial_id)
        if not competes or env_steps < bracket.rungs.levels[bracket.index]:
            return CONTINUE
        bracket.rungs.record(bracket.index, trial_id, objective)
        self._close_complete(bracket)
        if trial_id not in self._due:
            return PAUSE
        self._due.remove(trial_id)
        return CONTINUE

    def _passes(self, bracket: Bracket, trial_id: str, env_steps: int, objective: Score) -> bool:
        """Judge a retried trial by the closed rungs that it has reached. Past all of them it competes again."""
        index = bracket.rungs.reached(trial_id, env_steps)
        if index is not None and index < bracket.index:
            bracket.rungs.record(index, trial_id, objective)
            number = max(1, int(bracket.rungs.count(index) / self.options.reduction_factor))
            if trial_id not in bracket.rungs.best(index, number):
                return False
        highest = bracket.rungs.highest(trial_id)
        if (-1 if highest is None else highest) >= bracket.index - 1:
            bracket.late.discard(trial_id)
            bracket.competing.add(trial_id)
        return True

    def end(self, trial_id: str, env_steps: int | None, objective: Score | None) -> None:
        if trial_id not in self._bracket_of:
            return
        self._losers.discard(trial_id)
        if trial_id in self._due:
            self._due.remove(trial_id)
        bracket = self._brackets[self._bracket_of[trial_id]]
        bracket.competing.discard(trial_id)
        bracket.late.discard(trial_id)
        bracket.ended.add(trial_id)
        self._close_complete(bracket)

    def _close_complete(self, bracket: Bracket) -> None:
        while bracket.is_complete(self._closing):
            winners, losers = bracket.close_rung(self.options.reduction_factor)
            self._due += winners
            self._losers |= losers
            if winners:
                return

    def promotion(self) -> str | None:
        return self._due[0] if self._due else None

    def promoted(self, trial_id: str) -> None:
        if trial_id in self._due:
            self._due.remove(trial_id)

    def losers(self) -> Collection[str]:
        return self._losers

    def close(self) -> None:
        self._closing = True
        for bracket in self._brackets:
            self._close_complete(bracket)

    def state(self) -> dict[str, Any]:
        return {
            "brackets": [bracket.state() for bracket in self._brackets],
            "bracket_of": self._bracket_of,
            "due": self._due,
            "losers": sorted(self._losers),
            "spreads": self._bounds.state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._brackets = [Bracket.of(stored) for stored in state["brackets"]]
        self._bracket_of = {trial_id: int(number) for trial_id, number in state["bracket_of"].items()}
        self._due, self._losers = list(state["due"]), set(state["losers"])
        self._bounds.set_state(state.get("spreads", {}))
