"""Learners in threads of the test process: the real ones, except for Ray and communication between processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from tuneexp.training.learner_group import Outcome, Task, perform
from tuneexp.training.learner_shards import LearnerSharding
from tuneexp.training.remote import learner_actors as remote


class ThreadedLearners:
    """`build` is called for each shard, as in `RemoteLearners`."""

    def __init__(self, build: remote.BuildLearner, sharding: LearnerSharding, n_gpus: float, first_bundle: int) -> None:
        self.restarts, self.sharding, self.first_bundle = 0, sharding, first_bundle
        built = [build(shard) for shard in sharding.shards]
        self.learners, self.compiled = [learner for learner, _ in built], all(compiled for _, compiled in built)
        self._barrier = threading.Barrier(len(built), timeout=20)
        self._parts: list[Tensor] = []

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        with ThreadPoolExecutor(len(tasks)) as pool:
            return list(pool.map(perform, self.learners, tasks))

    def all_reduce(self, tensor: Tensor) -> None:
        """In-place sum, as in `torch.distributed`."""
        self._parts.append(tensor)
        self._barrier.wait()
        total = torch.stack(self._parts).sum(0)
        if self._barrier.wait() == 0:
            self._parts = []
        self._barrier.wait()
        tensor.copy_(total)

    def close(self) -> None:
        pass


@pytest.fixture
def threaded_learners(monkeypatch: pytest.MonkeyPatch) -> list[ThreadedLearners]:
    """Trials with `num_learners` use these learners; the list collects them."""
    made: list[ThreadedLearners] = []

    def make(*args: Any) -> ThreadedLearners:
        made.append(ThreadedLearners(*args))
        return made[-1]

    monkeypatch.setattr(remote, "RemoteLearners", make)
    monkeypatch.setattr("tuneexp.trial.environments.make_room", lambda cfg: None)
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: made[-1].all_reduce(tensor))
    return made
