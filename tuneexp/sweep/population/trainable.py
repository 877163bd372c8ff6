"""Ray Tune Trainable of a stacked population."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.files import checkpoint
from tuneexp.ray_support.readable_errors import picklable_errors
from tuneexp.sweep.population.evolution import Evolution
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.schedulers.pbt import BUILT_IN
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
    The checkpoint of each member is of the state that the report measured.
    """

    trial: PopulationTrial

    def _trial_of(self, spec: TrainableSpec, config: TrialConfig) -> Trial:
        from tuneexp.trial.population.population_trial import PopulationTrial

        asked = config.population
        scheduler = BUILT_IN[asked["name"]]
        options = scheduler.Options.parse(asked["options"], asked["name"])
        dimensions = SearchSpace.of(asked["space"]).dimensions
        moving = options.mutate or dimensions
        space = {name: dimension.values for name, dimension in dimensions.items() if name in moving}
        population = scheduler.kind(space, options, len(config.members))
        self._objectives = Objectives.of(asked["objectives"], budget_env_steps=config.budget_env_steps)
        interval = options.interval(config.budget_env_steps)
        self.evolution = Evolution(population, asked["seed"], interval, self._score)
        return PopulationTrial(spec, config)

    def step(self) -> dict[str, Any]:
        with picklable_errors():
            return self.evolution.advance(self.trial)

    def _score(self, row: Mapping[str, Any]) -> float | None:
        values = self._objectives.values(row)
        score = None if values is None else self._objectives.score(values)
        return score if isinstance(score, float) else None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        checkpoint.write(checkpoint_dir, {**self.trial.state_dict(), DECISIONS: self.evolution.state()})
        for index, state in enumerate(self.evolution.evaluated or self.trial.member_states()):
            checkpoint.write(Path(checkpoint_dir) / member_folder(index), state)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        super().load_checkpoint(checkpoint_dir)
        self.evolution.set_state(checkpoint.read_header(checkpoint_dir)[DECISIONS])
