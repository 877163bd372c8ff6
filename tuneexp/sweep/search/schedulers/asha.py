"""Asynchronous successive halving (ASHA)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from tuneexp.config import Count
from tuneexp.sweep.search.objectives import Score
from tuneexp.sweep.search.schedulers.halving import HalvingOptions
from tuneexp.sweep.search.schedulers.rungs import Rungs
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, STOP, Scheduler, SchedulerContext


class AshaOptions(HalvingOptions):
    """Options of `asha`."""

    brackets: Count = Field(
        1,
        ge=1,
        le=100,
        description="Number of brackets, each with one rung less than the one before; at most until no rung is left.",
    )
    promote: bool | None = Field(
        None,
        description="Pause trials at each rung and resume the best from their checkpoints, instead of stopping; by "
        "default with racing on seeds only.",
    )


class Asha(Scheduler):
    """Asynchronous successive halving (ASHA, Li et al. 2020, arXiv:1810.05934).

    Rungs are at `grace_env_steps * reduction_factor**k`. By default a trial stops if its objective is below the
    quantile `1 - 1 / reduction_factor` of the trials that reached the rung before it. With `promote` (algorithm 2 of
    the paper) a trial pauses at its rung, and continues once it is among the best `1 / reduction_factor` of the rung.

    Several objectives are compared by dominance (Schmucker et al. 2021, arXiv:2106.12639): better fronts first, and
    within the front that is cut an epsilon-net, so that what continues is spread over it.

    Trials are distributed over `brackets` at random, weighted as in Hyperband (Li et al. 2018, arXiv:1603.06560): a
    bracket of k halvings has the weight `reduction_factor**k / (k + 1)`."""

    Options = AshaOptions
    several_objectives = True

    def __init__(self, options: AshaOptions, context: SchedulerContext) -> None:
        super().__init__(options, context)
        levels = options.levels(context)
        self.pauses = options.seeds is not None if options.promote is None else options.promote
        self._brackets = [Rungs(levels[start:]) for start in range(min(options.brackets, len(levels) + 1))]
        self._bracket_of: dict[str, int] = {}  # if there are several
        self._drawn = 0  # brackets drawn so far: the state of the random generator
        self._settled: set[str] = set()  # ended trials
        self._gone_on: set[tuple[str, int]] = set()  # trials that went on beyond a rung, with its level
        self._closing = False
        self._cohorts, self._bounds = options.cohorts(context), options.bounds()

    def cohorts(self) -> list[dict[str, int]]:
        return self._cohorts

    def note_error(self, trial_id: str, standard_error: float | None, seeds: int) -> None:
        self._bounds.note(trial_id, standard_error, seeds)

    def add(self, trial_id: str) -> None:
        self._settled.discard(trial_id)
        if len(self._brackets) > 1 and trial_id not in self._bracket_of:
            halvings = [len(rungs.levels) for rungs in self._brackets]
            weights = [self.options.reduction_factor**k / (k + 1) for k in halvings]
            draw = random.Random(f"{self.context.seed}/{self._drawn}")
            self._bracket_of[trial_id] = draw.choices(range(len(halvings)), weights)[0]
            self._drawn += 1

    def report(self, trial_id: str, env_steps: int, objective: Score) -> str:
        rungs = self._rungs_of(trial_id)
        index = rungs.reached(trial_id, env_steps)
        if index is None:
            return CONTINUE
        if not self.pauses:
            bound = self._bounds.upper(trial_id, objective)
            is_below = rungs.is_below(index, 1 - 1 / self.options.reduction_factor, bound)
            rungs.record(index, trial_id, objective)
            return STOP if is_below else CONTINUE
        rungs.record(index, trial_id, self._bounds.upper(trial_id, objective))
        if trial_id not in self._due_in(rungs, index):
            return PAUSE
        self.promoted(trial_id)
        return CONTINUE

    def end(self, trial_id: str, env_steps: int | None, objective: Score | None) -> None:
        self._settled.add(trial_id)
        if env_steps is None or objective is None:
            return
        rungs = self._rungs_of(trial_id)
        index = rungs.reached(trial_id, env_steps)
        if index is not None:  # a report that jumped over it, up to the budget
            rungs.record(index, trial_id, objective)

    def promotion(self) -> str | None:
        if not self.pauses:
            return None
        places = [(rungs.levels[index], rungs, index) for rungs in self._brackets for index in range(len(rungs.levels))]
        for _, rungs, index in sorted(places, key=lambda place: -place[0]):
            for trial_id in self._due_in(rungs, index):
                return trial_id
        return None

    def promoted(self, trial_id: str) -> None:
        rungs = self._rungs_of(trial_id)
        index = rungs.highest(trial_id)
        if index is not None:
            self._gone_on.add((trial_id, rungs.levels[index]))

    def close(self) -> None:
        # Few trials: without this, nobody would reach the budget.
        self._closing = True

    def _due_in(self, rungs: Rungs, index: int) -> Iterator[str]:
        """Yield the trials of a rung that may continue and have not."""
        number = int(rungs.count(index) / self.options.reduction_factor)
        level = rungs.levels[index]
        for trial_id in rungs.best(index, max(1, number) if self._closing else number):
            if (trial_id, level) not in self._gone_on and trial_id not in self._settled:
                yield trial_id

    def _rungs_of(self, trial_id: str) -> Rungs:
        return self._brackets[self._bracket_of.get(trial_id, 0)]

    def state(self) -> dict[str, Any]:
        return {
            "brackets": [rungs.state() for rungs in self._brackets],
            "bracket_of": self._bracket_of,
            "drawn": self._drawn,
            "settled": sorted(self._settled) if self.pauses else [],
            "gone_on": sorted(map(list, self._gone_on)),
            "spreads": self._bounds.state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        # Earlier versions had one bracket and stored its rungs only.
        for rungs, stored in zip(self._brackets, state.get("brackets", [state.get("rungs", [])]), strict=True):
            rungs.set_state(stored)
        self._bracket_of, self._drawn = dict(state.get("bracket_of", {})), state.get("drawn", 0)
        self._settled = set(state.get("settled", ()))
        self._gone_on = {(trial_id, level) for trial_id, level in state.get("gone_on", ())}
        self._bounds.set_state(state.get("spreads", {}))
