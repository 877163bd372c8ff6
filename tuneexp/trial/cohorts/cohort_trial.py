"""Trial whose seeds join in cohorts: the trial of a sweep that races on seeds.

The seeds of a stack share clock, schedules and the optimizer's step counter, so a stack never grows. A trial that gets
more seeds has several stacks instead, one for each cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.algorithms.spec import TrainableSpec
from tuneexp.errors import CheckpointError
from tuneexp.files.json_reading import plain
from tuneexp.trial.cohorts.cohort import Cohort
from tuneexp.trial.cohorts.metrics import merged_metrics
from tuneexp.trial.cohorts.states import COHORTS
from tuneexp.trial.objective import Objective
from tuneexp.trial.older_formats import NETWORK_DEFAULTS
from tuneexp.trial.one_process import RACING, refuse_processes
from tuneexp.trial.trial import Trial
from tuneexp.trial.trial_config import TrialConfig


def build_trial(spec: TrainableSpec, config: TrialConfig) -> Trial | CohortTrial:
    """Build the trial of a configuration. Raises `UserError` as `Trial` does."""
    return CohortTrial(spec, config) if config.cohorts else Trial(spec, config)


class CohortTrial:
    """One configuration of an algorithm, whose seeds join in cohorts (`TrialConfig.cohorts`).

    A cohort joins when the trial is trained beyond the environment steps of its rung. First it is trained from step 0
    to where the others are. Meanwhile the reports repeat that of the others, with `env_steps` of the rung, and
    `env_steps_spent` grows. Then all cohorts go on together, and a report is of all seeds.

    Args:
        spec: the algorithm, or several policies with their algorithms.
        config: of the trial. Its seeds are those of all cohorts.

    Attributes:
        cohorts: that have joined.
        iteration: number of reports so far, with the repeated ones.

    Raises:
        UserError: the configuration does not fit the algorithm, the environment or the available resources.
    """

    def __init__(self, spec: TrainableSpec, config: TrialConfig) -> None:
        cfg = spec.config_class.parse(config.hyperparameters, spec.name)
        refuse_processes(dict(cfg), *RACING)
        self.spec, self.config, self.iteration = spec, config, 0
        self.cohorts: list[Cohort] = []
        self._metrics: dict[str, Any] = {}  # of the last report of all cohorts
        self._join(0)

    def _join(self, env_steps: int) -> None:
        """Build the cohorts that are due. env_steps: of the others."""
        due = [one for one in self.config.cohorts if one.from_env_steps <= env_steps]
        for seeds in self._seeds_of_cohorts()[len(self.cohorts) : len(due)]:
            self.cohorts.append(self._built(seeds))

    def _seeds_of_cohorts(self) -> list[list[int]]:
        """Return the seeds of all cohorts, also of those that have not joined."""
        seeds = iter(self.config.seeds)
        return [list(islice(seeds, one.seeds)) for one in self.config.cohorts]

    def _built(self, seeds: Sequence[int]) -> Cohort:
        config = self.config.model_copy(update={"seeds": list(seeds), "cohorts": []})
        return Cohort(Trial(self.spec, config))

    @property
    def seeds(self) -> list[int]:
        """Seeds that have joined."""
        return [seed for cohort in self.cohorts for seed in cohort.seeds]

    @property
    def env_steps(self) -> int:
        """Environment steps per seed of the cohorts that are not behind."""
        return max(cohort.trial.env_steps for cohort in self.cohorts)

    @property
    def env_steps_spent(self) -> int:
        """Environment steps of all seeds together."""
        return sum(cohort.trial.env_steps * len(cohort.seeds) for cohort in self.cohorts)

    @property
    def train_s(self) -> float:
        """Seconds of training and evaluation so far, of all cohorts."""
        return sum(cohort.trial.train_s for cohort in self.cohorts)

    @property
    def partial_episodes(self) -> int:
        """Episodes of the last evaluation that were stopped before their end."""
        return sum(cohort.trial.partial_episodes for cohort in self.cohorts)

    @property
    def compiled(self) -> bool:
        """True if all programs are compiled."""
        return all(cohort.trial.compiled for cohort in self.cohorts)

    @property
    def done(self) -> bool:
        """True at the end of the budget, or if all seeds diverged."""
        return all(cohort.has_ended for cohort in self._level())

    def _level(self) -> list[Cohort]:
        """Return the cohorts that are not behind."""
        most = max(cohort.reports for cohort in self.cohorts)
        return [cohort for cohort in self.cohorts if cohort.reports == most]

    def advance(self) -> dict[str, Any]:
        """Train until the next report is due, then evaluate.

        Returns:
            Metrics of the report, by name. While a cohort is behind, those of the others' last report.
        """
        self._join(self.env_steps)
        level = self._level()
        behind = next((cohort for cohort in self.cohorts if cohort not in level), None)
        self.iteration += 1
        if behind is not None:
            self._catch_up(behind, level)
            return self._repeated()
        for cohort in self.cohorts:
            cohort.advance()
        self._metrics = self._of_all()
        return self._repeated()

    def _catch_up(self, behind: Cohort, level: Sequence[Cohort]) -> None:
        """Train seeds to the next report of the others, which may have had other ones before a resume."""
        behind.advance(max(cohort.clock[behind.reports] for cohort in level))

    def _repeated(self) -> dict[str, Any]:
        """Return the metrics of the last report of all cohorts, with what has been spent by now."""
        return {
            **self._metrics,
            "iteration": self.iteration,
            "env_steps_spent": self.env_steps_spent,
            "time/train_s": self.train_s,
        }

    def _of_all(self) -> dict[str, Any]:
        reports = self._reports()
        _, returns, failed = reports[-1]
        return {
            **merged_metrics([(len(cohort.seeds), cohort.last) for cohort in self.cohorts]),
            "env_steps": self.env_steps,
            **self.objective().metrics(),
            "return_per_seed": returns,
            "failed_seeds": [seed for seed, gone in zip(self.seeds, failed, strict=True) if gone],
            "done": self.done,
        }

    def _reports(self) -> list[tuple[int, list[float], list[bool]]]:
        """Return the reports of the seeds that are not behind: environment steps, returns and whether diverged."""
        level = self._level()
        return [
            (
                max(cohort.clock[place] for cohort in level),
                [value for cohort in level for value in cohort.returns[place]],
                [value for cohort in level for value in cohort.failed[place]],
            )
            for place in range(level[0].reports)
        ]

    def objective(self) -> Objective:
        """Return the objective of the seeds that are not behind, from all their reports."""
        seeds = [seed for cohort in self._level() for seed in cohort.seeds]
        objective = Objective(self.config.objective, seeds, self.config.scores_to_reach)
        for env_steps, returns, failed in self._reports():
            objective.add(np.array(returns), np.array(failed), env_steps)
        return objective

    def evaluate(self, episodes: int, seed: int) -> NDArray[np.float64]:
        """Evaluate the deterministic policies of the seeds that are not behind.

        Args:
            episodes: episodes per seed.
            seed: seed of the environments.

        Returns:
            Returns [S, episodes].
        """
        return np.concatenate([cohort.trial.evaluate(episodes, seed) for cohort in self._level()])

    def state_dict(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        first = self.cohorts[0].trial
        return {
            "algorithm": self.spec.name,
            "env": first.source.name,
            "seeds": list(self.config.seeds),
            "env_steps": self.env_steps,
            "iteration": self.iteration,
            "train_s": self.train_s,
            "compiled": self.compiled,
            "network_defaults": NETWORK_DEFAULTS,
            "config": {**plain(self.config.model_dump(exclude={"env"}), "config"), "env": first.source.name},
            "objective": self.objective().state_dict(),
            "metrics": self._metrics,
            COHORTS: [cohort.state_dict() for cohort in self.cohorts],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a trial.

        Args:
            state: from `state_dict`.

        Raises:
            CheckpointError: the checkpoint is damaged, or of another algorithm, environment, seeds or networks.
        """
        if COHORTS not in state:
            raise CheckpointError("all seeds of the checkpoint started together; this trial races on seeds")
        try:
            stored = state[COHORTS]
            if [one["seeds"] for one in stored] != self._seeds_of_cohorts()[: len(stored)]:
                raise CheckpointError(
                    f"the checkpoint has the cohorts of seeds {[one['seeds'] for one in stored]}, this trial has "
                    f"{self._seeds_of_cohorts()}"
                )
            for cohort in self.cohorts[len(stored) :]:
                cohort.trial.close()
            del self.cohorts[len(stored) :]
            for seeds in self._seeds_of_cohorts()[len(self.cohorts) : len(stored)]:
                self.cohorts.append(self._built(seeds))
            for cohort, one in zip(self.cohorts, stored, strict=True):
                cohort.load_state_dict(one)
            self.iteration, self._metrics = int(state["iteration"]), dict(state["metrics"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close environments."""
        for cohort in self.cohorts:
            cohort.trial.close()
