"""Course of a stacked population: it trains to the next report, then it is decided who continues from whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tuneexp.nesting import flat, nested
from tuneexp.sweep.population.members import MEMBERS, TAKEOVERS
from tuneexp.sweep.search.population.generators import continued, generator_of, state_of
from tuneexp.sweep.search.population.population import Population

if TYPE_CHECKING:
    from tuneexp.trial.population.population_trial import PopulationTrial

POPULATION, GENERATOR = "population", "generator"


class Evolution:
    """Decisions about the members of a stacked population, between its reports.

    Args:
        population: It decides.
        seed: Of the decisions.
        interval_env_steps: Environment steps per seed between two decisions.
        score: Returns the score of a member's report, larger is better; None without one.

    Attributes:
        takeovers: Of each member so far: `env_steps`, `donor`, and the moving hyperparameters `before` and `after`.
        evaluated: State of each member as the last report measured it, if members were replaced since; else None.
    """

    def __init__(
        self,
        population: Population,
        seed: int,
        interval_env_steps: int,
        score: Callable[[Mapping[str, Any]], float | None],
    ) -> None:
        self.population, self._score, self._interval = population, score, interval_env_steps
        self._generator = generator_of(seed)
        self.takeovers: list[list[dict[str, Any]]] = [[] for _ in range(population.members)]
        self.evaluated: list[dict[str, Any]] | None = None

    def advance(self, trial: PopulationTrial) -> dict[str, Any]:
        """Train to the next report, and replace members if a decision is due. Returns the report."""
        before, self.evaluated = trial.env_steps, None
        report = trial.advance()
        if not report["done"] and trial.env_steps // self._interval > before // self._interval:
            self._decide(trial, report)
        for row, own in zip(report[MEMBERS], self.takeovers, strict=True):
            row[TAKEOVERS] = list(own)
        return report

    def _decide(self, trial: PopulationTrial, report: Mapping[str, Any]) -> None:
        members = trial.members
        decision = self.population.decide(
            [self._score(row) for row in report[MEMBERS]],
            [flat(member.hyperparameters) for member in members],
            self._generator,
            trial.env_steps,
        )
        if not decision.replaced:
            return
        for index in decision.replaced:
            before, after = flat(members[index].hyperparameters), decision.values[index]
            entry = {
                "env_steps": trial.env_steps,
                "donor": members[decision.donors[index]].trial_number,
                "before": {name: before[name] for name in self.population.space if name in before},
                "after": {name: after[name] for name in self.population.space if name in after},
            }
            self.takeovers[index].append(entry)
        self.evaluated = trial.member_states()
        trial.copy(decision.donors, [nested(values) for values in decision.values])

    def state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {
            GENERATOR: state_of(self._generator),
            POPULATION: self.population.state(),
            TAKEOVERS: self.takeovers,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of `state`."""
        self._generator = continued(state[GENERATOR])
        self.population.set_state(state[POPULATION])
        self.takeovers = [list(own) for own in state[TAKEOVERS]]
