"""Asynchronous env runner group, as IMPALA and APPO use it: runners sample while the learner learns."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.group import EnvRunnerGroup
from tuneexp.sampling.runners import SampleRequest, ShardFragment

if TYPE_CHECKING:
    from tuneexp.sampling.remote.pipeline import RequestPipeline  # Ray is imported only if it is used

# State of episodes that have not ended.
OPEN_EPISODES = ("open_return", "open_length")


class AsynchronousGroup(EnvRunnerGroup):
    """Group of env runners that do not wait for the learner.

    Each runner has every seed and a part of its environments. `sample` joins the first fragments that are finished, as
    many as there are runners; several may be of the same runner. A runner gets new weights with its next request, so a
    fragment may be sampled with older weights than the learner's. V-trace corrects this policy lag. The group of a
    trial without remote runners has no `pipeline`: it samples synchronously, and its lag is 0.

    Requests that are pending when the state is saved continue here. They are dropped when that state is restored: their
    steps were never counted.

    Args:
        args: as of `EnvRunnerGroup`.
        pipeline: pending requests of remote runners; None: one local runner.
        updates_per_step: gradient updates from one `sync_weights` to the next.
        settings: as of `EnvRunnerGroup`.
    """

    def __init__(self, *args: Any, pipeline: RequestPipeline | None, updates_per_step: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.pipeline, self._updates_per_step = pipeline, updates_per_step
        self._lags: list[int] = []

    def sample(self, n_steps: int) -> SampleBatch:
        """Return a fragment, columns [T, S, N, ...]. The order of its environments is arbitrary.

        Args:
            n_steps: steps in each environment (T).
        """
        if self.pipeline is None:
            self._lags.append(0)
            return super().sample(n_steps)

        def request(shard: EnvShard) -> SampleRequest:
            return self.request(n_steps, self.policy.draw_noise(n_steps, self.generators, shard.n_envs), shard)

        self.pipeline.fill(self.pipeline.most, request)
        fragments: list[ShardFragment] = []
        for _ in self.runners.shards:
            fragments.append(self.pipeline.take())
            # No runner is idle, even while the learner learns. Further requests follow the update, with newer weights.
            self.pipeline.fill(min(1, self.pipeline.most - 1), request)
        self._lags += [(self.pipeline.version - one.version) * self._updates_per_step for one in fragments]
        return self._merged(n_steps, fragments)

    def count_episodes(self, fragments: Sequence[ShardFragment], batch: SampleBatch) -> None:
        self._count_each(fragments)

    def _count_each(self, fragments: Sequence[ShardFragment]) -> None:
        """Count fragment by fragment: several may be of the same runner."""
        for fragment in fragments:
            self.forget_lost_episodes(fragment)
            shard, batch = fragment.shard, fragment.sampled.batch
            terminated, truncated, valid = (batch[name].numpy() for name in ("terminated", "truncated", "valid"))
            score = fragment.sampled.score
            self.episodes.update(score, terminated, truncated, valid, seeds=shard.seeds, envs=shard.envs)

    def metrics(self) -> dict[str, float]:
        """Return mean and maximum policy lag since the last call.

        The lag of a fragment is the number of updates between the weights that sampled it and the weights that it is
        first learned with."""
        lags, self._lags = self._lags, []
        if not lags:
            return {}
        return {"update/policy_lag_mean": float(np.mean(lags)), "update/policy_lag_max": float(max(lags))}

    def state_dict(self) -> dict[str, Any]:
        if self.pipeline is None:
            return super().state_dict()
        waiting = self.pipeline.drain()
        state, episodes = super().state_dict(), self.episodes
        # The environments are ahead of the fragments that were learned from: open episodes include pending fragments.
        self.episodes = copy.deepcopy(episodes)
        self._count_each(waiting)
        further, self.episodes = self.episodes.state_dict(), episodes
        state["episodes"] |= {name: further[name] for name in OPEN_EPISODES}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> bool:
        if self.pipeline is not None:
            self.pipeline.clear()
        return super().load_state_dict(state)
