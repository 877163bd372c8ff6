"""Synchronous population-based training."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from tuneexp.errors import UserError
from tuneexp.sweep.search.population.generators import continued, generator_of, state_of
from tuneexp.sweep.search.population.mf_pbt import MfPbtOptions, MfPopulation
from tuneexp.sweep.search.population.options import PbtOptions, PopulationOptions
from tuneexp.sweep.search.population.pb2 import Pb2Options, Pb2Population
from tuneexp.sweep.search.population.population import Population
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, Scheduler, SchedulerContext, Takeover
from tuneexp.sweep.search.searched_budget import BUDGET
from tuneexp.sweep.search.space.dimensions import Values


class Pbt(Scheduler):
    """Population-based training (Jaderberg et al. 2017, arXiv:1711.09846), algorithm 1, with synchronous decisions.

    All trials of the sweep are members. They pause at each multiple of the interval. When the last one that is left
    has arrived or ended, `Population.decide` replaces members by copies of better ones. Then all continue.

    Members continue from checkpoints of members whose immovable values are equal, since the others have another
    program. A member without an objective and without a donor is ended.
    """

    Options: ClassVar[type[PopulationOptions]] = PbtOptions
    kind: ClassVar[type[Population]] = Population
    pauses = True
    of_population = True

    def __init__(self, options: PopulationOptions, context: SchedulerContext) -> None:
        super().__init__(options, context)
        if context.trials is None:
            raise UserError("the number of trials is the size of the population; write --trials 8")
        if options.population == "stacked" and type(self) not in BUILT_IN.values():  # it may decide otherwise
            raise UserError(f"population=stacked is an option of {', '.join(BUILT_IN)} only")
        self._interval = options.interval(context.budget_env_steps)
        self._moving = moving(options.mutate, context)
        if options.explore and context.movable is not None and not self._moving:
            raise UserError(
                "a population has nothing to move: the search space has no range of a number that may change while a "
                "trial trains, such as learning_rate; add one, or write explore=false"
            )
        self._population = self.kind(self._moving, options, context.trials)
        self._generator = generator_of(context.seed)
        self._boundary = self._interval  # environment steps of the next decision
        self._added: list[str] = []  # in their order; ended ones stay
        self._ended: set[str] = set()
        self._values: dict[str, Mapping[str, Any]] = {}  # of each trial, as `configured` got them
        self._arrived: dict[str, tuple[int, float | None]] = {}  # environment steps and score
        self._takeovers: list[Takeover] = []
        self._due: list[str] = []
        self._losers: set[str] = set()
        self._closing = False

    def configured(self, trial_id: str, hyperparameters: Mapping[str, Any]) -> None:
        self._values[trial_id] = dict(hyperparameters)

    def add(self, trial_id: str) -> None:
        self._ended.discard(trial_id)
        if trial_id not in self._added:
            self._added.append(trial_id)

    def report(self, trial_id: str, env_steps: int, objective: float | None) -> str:
        if env_steps < self._boundary or self._boundary >= self.context.budget_env_steps:
            return CONTINUE
        self._arrived[trial_id] = env_steps, objective
        self._decide_if_complete()
        return PAUSE

    def end(self, trial_id: str, env_steps: int | None, objective: float | None) -> None:
        self._ended.add(trial_id)
        self._arrived.pop(trial_id, None)
        self._losers.discard(trial_id)
        self._due = [one for one in self._due if one != trial_id]
        self._takeovers = [one for one in self._takeovers if trial_id not in (one.trial_id, one.donor)]
        self._decide_if_complete()

    def _decide_if_complete(self) -> None:
        live = [trial_id for trial_id in self._added if trial_id not in self._ended]
        to_come = 0 if self._closing else (self.context.trials or 0) - len(self._added)
        if to_come <= 0 and self._arrived and all(trial_id in self._arrived for trial_id in live):
            self._decide(live)

    def _decide(self, members: Sequence[str]) -> None:
        env_steps = max(self._arrived[member][0] for member in members)
        scores = [self._arrived[member][1] for member in members]
        values = [self._values.get(member, {}) for member in members]
        groups = [self._group(one) for one in values]
        numbers = [self._added.index(member) for member in members]
        decision = self._population.decide(scores, values, self._generator, env_steps, groups, numbers)
        for index in decision.replaced:
            moved = {name: decision.values[index][name] for name in self._moving if name in decision.values[index]}
            donor = members[decision.donors[index]]
            self._takeovers.append(Takeover(members[index], donor, moved))
        replaced = {one.trial_id for one in self._takeovers}
        self._losers = {one for one, score in zip(members, scores, strict=True) if score is None} - replaced
        self._due = [member for member in members if member not in self._losers]
        self._arrived.clear()
        self._boundary = self._interval * (env_steps // self._interval + 1)

    def _group(self, values: Mapping[str, Any]) -> str:
        return json.dumps({name: values.get(name) for name in self.context.immovable}, sort_keys=True)

    def takeovers(self) -> Sequence[Takeover]:
        return self._takeovers

    def taken_over(self) -> None:
        self._takeovers = []

    def promotion(self) -> str | None:
        return self._due[0] if self._due and not self._takeovers else None

    def promoted(self, trial_id: str) -> None:
        self._due = [one for one in self._due if one != trial_id]

    def losers(self) -> Collection[str]:
        return self._losers

    def close(self) -> None:
        self._closing = True
        self._decide_if_complete()

    def state(self) -> dict[str, Any]:
        return {
            "boundary": self._boundary,
            "added": self._added,
            "ended": sorted(self._ended),
            "arrived": {trial_id: list(one) for trial_id, one in self._arrived.items()},
            "takeovers": [[one.trial_id, one.donor, dict(one.values)] for one in self._takeovers],
            "due": self._due,
            "losers": sorted(self._losers),
            "generator": state_of(self._generator),
            "population": self._population.state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._boundary = state["boundary"]
        self._added, self._ended = list(state["added"]), set(state["ended"])
        self._arrived = {trial_id: (one[0], one[1]) for trial_id, one in state["arrived"].items()}
        self._takeovers = [Takeover(*stored) for stored in state["takeovers"]]
        self._due, self._losers = list(state["due"]), set(state["losers"])
        self._generator = continued(state["generator"])
        self._population.set_state(state["population"])


class Pb2(Pbt):
    """Population-based bandits (Parker-Holder et al. 2020, arXiv:2002.02518), as `Pb2Population`."""

    Options = Pb2Options
    kind = Pb2Population


class MfPbt(Pbt):
    """Population-based training at several frequencies (Doulazmi et al. 2025, arXiv:2506.03225), as `MfPopulation`."""

    Options = MfPbtOptions
    kind = MfPopulation


BUILT_IN: Mapping[str, type[Pbt]] = {"pbt": Pbt, "pb2": Pb2, "mf_pbt": MfPbt}


def moving(asked: Sequence[str] | None, context: SchedulerContext) -> dict[str, Values]:
    """Return the hyperparameters of a population that move: name -> its dimension.

    Args:
        asked: Names in the option `mutate`; None for all that can.
        context: Facts of the sweep.

    Raises:
        UserError: A name can't move, or isn't searched; or the budget is searched.
    """
    if BUDGET in context.immovable:
        raise UserError(f"members of a population have one {BUDGET}; remove it from the search space")
    if context.movable is None:
        return {}
    for name in asked or ():
        if name in context.immovable:
            raise UserError(f"mutate={name}: {context.immovable[name]}; leave it out: it stays fixed in each member")
        if name not in context.movable:
            known = ", ".join(context.movable) or "none"
            raise UserError(f"mutate={name}: it is not searched; searched and movable: {known}")
    return {name: one for name, one in context.movable.items() if asked is None or name in asked}
