"""Ray Tune Trainable of a stacked population: trains to the next report, then decides who continues from whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.files import checkpoint
from tuneexp.nesting import flat, nested
from tuneexp.ray_support.readable_errors import picklable_errors
from tuneexp.sweep.population.members import MEMBERS, TAKEOVERS
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.population.generators import continued, generator_of, state_of
from tuneexp.sweep.search.population.options import PbtOptions
from tuneexp.sweep.search.population.population import Population
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.tracking.member_paths import member_folder
from tuneexp.trial.trainable import AlgorithmTrainable
from tuneexp.trial.trial_config import TrialConfig

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import TrainableSpec
    from tuneexp.trial import Trial
    from tuneexp.trial.population.population_trial import PopulationTrial

DECISIONS = "decisions"


class PopulationTrainable(AlgorithmTrainable):
    """Ray Tune Trainable of all members of a population. Its config is a `TrialConfig` with `members`.

    The decision of a report is part of the checkpoint that follows it: after a kill it is repeated with the reports.
    """

    trial: PopulationTrial

    def _trial_of(self, spec: TrainableSpec, config: TrialConfig) -> Trial:
        from tuneexp.trial.population.population_trial import PopulationTrial

        asked = config.population
        options = PbtOptions.parse(asked["options"], asked["name"])
        dimensions = SearchSpace.of(asked["space"]).dimensions
        moving = options.mutate or dimensions
        space = {name: dimension.values for name, dimension in dimensions.items() if name in moving}
        self.population = Population(space, options, len(config.members))
        self.generator = generator_of(asked["seed"])
        self._objectives = Objectives.of(asked["objectives"], budget_env_steps=config.budget_env_steps)
        self.takeovers: list[list[dict[str, Any]]] = [[] for _ in config.members]
        self._interval = options.interval(config.budget_env_steps)
        return PopulationTrial(spec, config)

    def step(self) -> dict[str, Any]:
        with picklable_errors():
            before = self.trial.env_steps
            report = self.trial.advance()
            if not report["done"] and self.trial.env_steps // self._interval > before // self._interval:
                self._decide(report)
            for row, own in zip(report[MEMBERS], self.takeovers, strict=True):
                row[TAKEOVERS] = list(own)
            return report

    def _decide(self, report: dict[str, Any]) -> None:
        """Replace members, and note in their reports whom they continue from."""
        rows, members = report[MEMBERS], self.trial.members
        decision = self.population.decide(
            [self._score(row) for row in rows],
            [flat(member.hyperparameters) for member in members],
            self.generator,
            self.trial.env_steps,
        )
        if not decision.replaced:
            return
        for index in decision.replaced:
            before, after = flat(members[index].hyperparameters), decision.values[index]
            entry = {
                "env_steps": self.trial.env_steps,
                "donor": members[decision.donors[index]].trial_number,
                "before": {name: before[name] for name in self.population.space if name in before},
                "after": {name: after[name] for name in self.population.space if name in after},
            }
            self.takeovers[index].append(entry)
        self.trial.copy(decision.donors, [nested(values) for values in decision.values])

    def _score(self, row: Mapping[str, Any]) -> float | None:
        values = self._objectives.values(row)
        score = None if values is None else self._objectives.score(values)
        return score if isinstance(score, float) else None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        decisions = {
            "generator": state_of(self.generator),
            "population": self.population.state(),
            TAKEOVERS: self.takeovers,
        }
        checkpoint.write(checkpoint_dir, {**self.trial.state_dict(), DECISIONS: decisions})
        for index, state in enumerate(self.trial.member_states()):
            checkpoint.write(Path(checkpoint_dir) / member_folder(index), state)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        super().load_checkpoint(checkpoint_dir)
        decisions = checkpoint.read_header(checkpoint_dir)[DECISIONS]
        self.generator = continued(decisions["generator"])
        self.population.set_state(decisions["population"])
        self.takeovers = [list(own) for own in decisions[TAKEOVERS]]
