"""Data-parallel learner group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuneexp.learning.learner import Learner
from tuneexp.learning.seed_state import join_states, join_updates, load_state, state_of_seeds
from tuneexp.learning.update_log import Update
from tuneexp.training.epochs import Epochs, learn_epochs
from tuneexp.training.learner_shards import LearnerSharding, epochs_of_shards, require_means_over_rows


@dataclass(frozen=True)
class Task:
    """Operation of one learner.

    Args:
        state: parameters and moments of its seeds at the start, from `state_of_seeds`.
        progress: share of the budget that is done, for schedules.
        env_steps: environment steps per seed, for schedules.
        epochs: minibatches to learn from.
    """

    state: Mapping[str, Any]
    progress: float
    env_steps: int
    epochs: Epochs


@dataclass(frozen=True)
class Outcome:
    """Result of a `Task`.

    Args:
        state: from `state_of_seeds`, after the operation.
        updates: metrics of its updates.
    """

    state: Mapping[str, Any]
    updates: Sequence[Update]


def perform(learner: Learner, task: Task) -> Outcome:
    """Perform a task in a learner's process. It is stateless: nothing is kept from one operation to the next."""
    load_state(learner, task.state)
    learner.set_clock(task.progress, task.env_steps)
    learn_epochs(learner, task.epochs)
    return Outcome(state_of_seeds(learner, slice(None)), learner.log.drain())


class LearnerProcesses(Protocol):
    """Interface of the learner processes. restarts: so far; compiled: their gradient steps are compiled."""

    restarts: int
    compiled: bool

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Run one task per process, in parallel. If a process dies, it is replaced and all tasks are repeated."""

    def close(self) -> None: ...


class LearnerGroup:
    """Learner processes beside the trial's own learner, which holds the parameters.

    Args:
        sharding: division of the work.
        processes: one learner per shard.
    """

    def __init__(self, sharding: LearnerSharding, processes: LearnerProcesses) -> None:
        self.sharding, self.processes = sharding, processes
        self.operations = 0

    def learn(self, learner: Learner, epochs: Epochs) -> None:
        """Update `learner` on `epochs`, with the result of `learn_epochs` to float tolerance.

        Raises:
            UserError: rows are divided, and the loss is not a mean over rows.
        """
        parts = epochs_of_shards(self.sharding, learner, epochs)
        if self.sharding.by_rows and not self.operations:
            require_means_over_rows(learner, epochs, parts)
        outcomes = self.processes.run(self._tasks(learner, parts))
        # Learners of divided rows all have the same parameters.
        kept = outcomes[:1] if self.sharding.by_rows else outcomes
        seeds = [shard.seeds for shard in self.sharding.shards][: len(kept)]
        join_states(learner, [outcome.state for outcome in kept], seeds)
        for update in join_updates([outcome.updates for outcome in kept]):
            learner.log.add(*update)
        learner.require_rows(epochs.enough)
        self.operations += 1

    def _tasks(self, learner: Learner, parts: Sequence[Epochs]) -> list[Task]:
        clock = learner.hyper.values
        states: dict[tuple[int, int], Mapping[str, Any]] = {}
        tasks = []
        for shard, epochs in zip(self.sharding.shards, parts, strict=True):
            key = (shard.seeds.start, shard.seeds.stop)
            states[key] = states.get(key) or state_of_seeds(learner, shard.seeds)
            tasks.append(Task(states[key], clock["progress"], int(clock["env_steps"]), epochs))
        return tasks

    def close(self) -> None:
        self.processes.close()
