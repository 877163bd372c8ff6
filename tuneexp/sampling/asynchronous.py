"""Sampling that goes on while the learner learns: the env runner group of IMPALA and APPO."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.sampling.group import EnvRunnerGroup, Fragment, Request
from tuneexp.sampling.shards import Shard

# What of the statistics of episodes belongs to those that are under way.
UNDER_WAY = ("open_return", "open_length")


class Pipeline(Protocol):
    """Requests that runners work on (`tuneexp.sampling.remote.pipeline`). most: of each runner."""

    most: int

    @property
    def version(self) -> int: ...
    def fill(self, up_to: int, request: Callable[[Shard], Request]) -> None: ...
    def take(self) -> Fragment: ...
    def drain(self) -> Sequence[Fragment]: ...
    def clear(self) -> None: ...


class AsynchronousGroup(EnvRunnerGroup):
    """A group whose runners carry every seed and a slice of its environments, and don't wait for the learner.

    `sample` joins the fragments that are there first, as many as there are runners: they make the rows of one training
    step, whichever runners they are of. Weights reach a runner with its next request; those of a fragment may therefore
    be older than the learner's, which is the lag that V-trace corrects. Without a `pipeline` runners are asked and
    waited for, and nothing lags.

    updates_per_step: of the learner, from one `sync_weights` to the next. What is under way when the state is saved
    goes on here, and is dropped where that state is restored: its steps were counted nowhere."""

    def __init__(self, *args: Any, pipeline: Pipeline | None, updates_per_step: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.pipeline, self._updates_per_step = pipeline, updates_per_step
        self._lags: list[int] = []

    def sample(self, n_steps: int) -> SampleBatch:
        """A fragment, columns [T, S, N, ...]. Its environments come in no particular order."""
        if self.pipeline is None:
            self._lags.append(0)
            return super().sample(n_steps)

        def request(shard: Shard) -> Request:
            return self.request(n_steps, self.policy.draw_noise(n_steps, self.generators, shard.n_envs), shard)

        self.pipeline.fill(self.pipeline.most, request)
        fragments: list[Fragment] = []
        for _ in self.runners.shards:
            fragments.append(self.pipeline.take())
            # Nobody rests, nor while the learner learns; what can wait is asked for after it, with newer weights.
            self.pipeline.fill(min(1, self.pipeline.most - 1), request)
        self._lags += [(self.pipeline.version - one.version) * self._updates_per_step for one in fragments]
        return self.taken(n_steps, fragments)

    def count_episodes(self, fragments: Sequence[Fragment], batch: SampleBatch) -> None:
        self._count_each(fragments)

    def _count_each(self, fragments: Sequence[Fragment]) -> None:
        """One after the other: a runner may have given more than one."""
        for fragment in fragments:
            self.forget_lost_episodes(fragment)
            shard, batch = fragment.shard, fragment.sampled.batch
            terminated, truncated, valid = (batch[name].numpy() for name in ("terminated", "truncated", "valid"))
            score = fragment.sampled.score
            self.episodes.update(score, terminated, truncated, valid, seeds=shard.seeds, envs=shard.envs)

    def metrics(self) -> dict[str, float]:
        """The policy lag since the last call: how many updates the learner had made since it handed out the weights
        that a fragment was sampled with, when it began to learn from it."""
        lags, self._lags = self._lags, []
        if not lags:
            return super().metrics()
        of_lag = {"update/policy_lag_mean": float(np.mean(lags)), "update/policy_lag_max": float(max(lags))}
        return super().metrics() | of_lag

    def state_dict(self) -> dict[str, Any]:
        if self.pipeline is None:
            return super().state_dict()
        waiting = self.pipeline.drain()
        state, episodes = super().state_dict(), self.episodes
        # The environments are further on than what was learned from. An episode that goes on there has all its rewards.
        self.episodes = copy.deepcopy(episodes)
        self._count_each(waiting)
        further, self.episodes = self.episodes.state_dict(), episodes
        state["episodes"] |= {name: further[name] for name in UNDER_WAY}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> bool:
        if self.pipeline is not None:
            self.pipeline.clear()
        return super().load_state_dict(state)
