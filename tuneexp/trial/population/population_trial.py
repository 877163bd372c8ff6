"""PopulationTrial: all members of a population, trained as one stack of members x seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.spec import TrainableSpec
from tuneexp.errors import CheckpointError, UserError
from tuneexp.files.json_reading import plain
from tuneexp.learning.copied_rows import copy_rows
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.trial.branching import branch_at, generator_state
from tuneexp.trial.objective import Objective
from tuneexp.trial.one_process import STACKED, refuse_processes
from tuneexp.trial.population.members import (
    by_row,
    config_of,
    refuse_scaled_gamma,
    stacked,
    state_of_rows,
)
from tuneexp.trial.source import Part
from tuneexp.trial.trial import Trial
from tuneexp.trial.trial_config import MemberConfig, TrialConfig


class PopulationTrial(Trial):
    """Members of a population, M configurations of one algorithm, trained as rows of one stack.

    Member m with S seeds has the rows m * S to (m + 1) * S. Each member is trained as a trial of its own would be: it
    has its numbers, environments, random streams, replay buffer, statistics and objective. All have one clock, one
    program, one checkpoint.

    A report has the reports of the members as `members`. `copy` lets members continue from the state of others.

    Args:
        spec: the algorithm.
        config: of the trial; `members` has a configuration for each member, `own_numbers` the names of the numbers in
            which they may differ.

    Attributes:
        members: number and present hyperparameters of each member.
        objectives: of each member.

    Raises:
        UserError: members differ in what is one for the whole stack.
    """

    def __init__(self, spec: TrainableSpec, config: TrialConfig) -> None:
        if isinstance(spec, MultiAgentSpec):
            raise UserError("several policies can't be stacked to a population; write population=workers")
        cfgs = [config_of(spec, member) for member in config.members]
        refuse_processes(dict(cfgs[0]), *STACKED)
        refuse_scaled_gamma(cfgs[0], config.own_numbers)
        self.seeds, self.members = list(config.seeds), list(config.members)
        given = (config.objective, self.seeds, config.scores_to_reach)
        self.objectives = [Objective(*given) for _ in self.members]
        super().__init__(spec, stacked(config))

    @property
    def done(self) -> bool:
        """True at the end of the budget, or if all members diverged: there is no donor left."""
        return self.env_steps >= self.config.budget_env_steps or bool(self.failed.all())

    def rows_of(self, member: int) -> slice:
        """Return the rows of a member in the stack."""
        return slice(member * len(self.seeds), (member + 1) * len(self.seeds))

    def _metrics(self, evaluation: Evaluation, env_steps_per_s: float) -> dict[str, Any]:
        failed, returns = self.failed, np.nanmean(evaluation.returns, axis=1)
        rows = [self.rows_of(member) for member in range(len(self.members))]
        measured = self._measured(evaluation, [Part.of(self.seeds, own, failed) for own in rows])
        rate = env_steps_per_s / len(self.members)
        reports = [
            {
                "trial_number": member.trial_number,
                "hyperparameters": member.hyperparameters,
                **self._standing(objective, self.seeds, returns[own], failed[own], rate),
                **metrics,
                "partial_episodes": int(evaluation.partial[own].sum()),
            }
            for member, objective, own, metrics in zip(self.members, self.objectives, rows, measured, strict=True)
        ]
        return {**self._summary(reports), "members": reports}

    def _summary(self, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what Tune needs of the trial as a whole. Its objective is the best one of the members."""
        scores = [one["objective"] for one in reports if not np.isnan(one["objective"])]
        return {
            "objective": max(scores, default=float("nan")),
            **{name: reports[0][name] for name in ("env_steps", "iteration", "time/train_s", "compiled", "done")},
        }

    def copy(self, donors: Sequence[int], hyperparameters: Sequence[Mapping[str, Any]]) -> None:
        """Let members continue from the weights, moments, targets and statistics of others, with other numbers.

        Environments and replay buffers stay those of each member. A member that is replaced draws new random numbers:
        with those of its donor, which has the same seeds, it would repeat it.

        Args:
            donors: [M], for each member the one whose state it gets; its own index: it keeps its own.
            hyperparameters: [M], of each member from now on.

        Raises:
            UserError: members differ in what is one for the whole stack.
        """
        changed = [
            MemberConfig(trial_number=member.trial_number, hyperparameters=dict(own))
            for member, own in zip(self.members, hyperparameters, strict=True)
        ]
        self._use(changed)
        source = np.concatenate([np.arange(len(self.failed))[self.rows_of(donor)] for donor in donors])
        copy_rows(self.learner, torch.from_numpy(source))
        if self.trainer.normaliser is not None:
            self.trainer.normaliser.copy_rows(source)
        self.group.sync_weights(self.learner.parameters)
        for member, donor in enumerate(donors):
            if donor != member:
                self._reseed(member)

    def _reseed(self, member: int) -> None:
        branch = branch_at(self.members[member].trial_number, self.env_steps)
        for path, generators in (("/learner", self.learner.generators), ("/group", self.group.generators)):
            for seed, own in zip(self.seeds, generators[self.rows_of(member)], strict=True):
                own.set_state(generator_state(seed, branch, path))

    def _use(self, members: Sequence[MemberConfig]) -> None:
        cfgs = [config_of(self.spec, member) for member in members]
        self.learner.hyper.replace(by_row(cfgs, len(self.seeds)))
        self.learner.set_clock(self.progress, self.env_steps)
        self.members = list(members)

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "members": [
                {**member.model_dump(), "objective": objective.state_dict()}
                for member, objective in zip(self.members, self.objectives, strict=True)
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        members = state.get("members", [])
        numbers = [one["trial_number"] for one in members]
        if numbers != [one.trial_number for one in self.members]:
            raise CheckpointError(f"the checkpoint is of a population of the trials {numbers}, not of this one")
        super().load_state_dict(state)
        for objective, stored in zip(self.objectives, members, strict=True):
            objective.load_state_dict(stored["objective"])
        kept = ("trial_number", "hyperparameters")
        self._use([MemberConfig(**{name: one[name] for name in kept}) for one in members])

    def member_states(self) -> list[dict[str, Any]]:
        """Return each member's content of a checkpoint of its own, without environments and replay buffer."""
        state = super().state_dict()
        return [self._state_of(state, index) for index in range(len(self.members))]

    def _state_of(self, state: Mapping[str, Any], index: int) -> dict[str, Any]:
        chosen = torch.zeros(len(self.failed), dtype=torch.bool)
        chosen[self.rows_of(index)] = True
        own = {**self.members[index].model_dump(), "seeds": self.seeds, "members": [], "own_numbers": []}
        return {
            **state_of_rows(state, self.learner, chosen),
            "seeds": self.seeds,
            "config": {**state["config"], **plain(own, "config")},
            "objective": self.objectives[index].state_dict(),
        }
