"""Several learners that do together what one does alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuneexp.learning.learner import Learner
from tuneexp.learning.seed_state import join_states, join_updates, load_state, state_of_seeds
from tuneexp.learning.update_log import Update
from tuneexp.training.epochs import Epochs, learn_epochs
from tuneexp.training.shares import Plan, require_means_over_rows, shared_epochs


@dataclass(frozen=True)
class Task:
    """One operation of one learner: where it starts from, and what it learns from."""

    state: Mapping[str, Any]
    progress: float
    env_steps: int
    epochs: Epochs


@dataclass(frozen=True)
class Outcome:
    """state: from `state_of_seeds`, after the operation; updates: what the log says of it."""

    state: Mapping[str, Any]
    updates: Sequence[Update]


def perform(learner: Learner, task: Task) -> Outcome:
    """In a learner's process. Nothing is kept from one operation to the next: one that dies takes nothing along."""
    load_state(learner, task.state)
    learner.set_clock(task.progress, task.env_steps)
    learn_epochs(learner, task.epochs)
    return Outcome(state_of_seeds(learner, slice(None)), learner.log.drain())


class LearnerProcesses(Protocol):
    """Where learners live."""

    restarts: int
    compiled: bool

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        """All at the same time. A process that died in the middle is replaced, and all tasks are done again."""

    def close(self) -> None: ...


class LearnerGroup:
    """`num_learners` learners beside the trial's own, which keeps the parameters."""

    def __init__(self, plan: Plan, processes: LearnerProcesses) -> None:
        self.plan, self.processes = plan, processes
        self.operations = 0

    def learn(self, learner: Learner, epochs: Epochs) -> None:
        """The same as `learn_epochs(learner, epochs)`, to float tolerance."""
        shares = shared_epochs(self.plan, learner, epochs)
        if self.plan.by_rows and not self.operations:
            require_means_over_rows(learner, epochs, shares)
        outcomes = self.processes.run(self._tasks(learner, shares))
        # Learners that split rows have all come to the same.
        kept = outcomes[:1] if self.plan.by_rows else outcomes
        seeds = [share.seeds for share in self.plan.shares][: len(kept)]
        join_states(learner, [outcome.state for outcome in kept], seeds)
        for update in join_updates([outcome.updates for outcome in kept]):
            learner.log.add(*update)
        learner.require_rows(epochs.enough)
        self.operations += 1

    def _tasks(self, learner: Learner, shares: Sequence[Epochs]) -> list[Task]:
        clock = learner.hyper.values
        states: dict[tuple[int, int], Mapping[str, Any]] = {}
        tasks = []
        for share, epochs in zip(self.plan.shares, shares, strict=True):
            key = (share.seeds.start, share.seeds.stop)
            states[key] = states.get(key) or state_of_seeds(learner, share.seeds)
            tasks.append(Task(states[key], clock["progress"], int(clock["env_steps"]), epochs))
        return tasks

    def close(self) -> None:
        self.processes.close()
