"""Interface of the env runners of a group, and the local env runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from tuneexp.sampling.env_runner import EnvRunner, Sampled
from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.policy import Policy


class SampleRequest(NamedTuple):
    """Request for one fragment of one env runner.

    Args:
        n_steps: steps in each environment (T).
        noise: columns [D, S, ...] of the runner's seeds and environments.
        hyper: [S, H], numbers of the configuration.
        statistics: running statistics of the runner's seeds; None without a normaliser.
    """

    n_steps: int
    noise: Sequence[Tensor]
    hyper: Tensor
    statistics: Mapping[str, np.ndarray] | None


class ShardFragment(NamedTuple):
    """Fragment of one env runner.

    Args:
        shard: the seeds and environments of the runner.
        sampled: the fragment.
        replaced: the runner was restarted since its previous fragment.
        version: number of the `sync_weights` call that gave the weights.
    """

    shard: EnvShard
    sampled: Sampled
    replaced: bool = False
    version: int = 0


class Runners(Protocol):
    """Interface of the runners of a group. restarts: runners that were restarted so far."""

    restarts: int

    @property
    def shards(self) -> Sequence[EnvShard]: ...

    def sample(self, requests: Sequence[SampleRequest]) -> list[ShardFragment]:
        """Return one fragment of each runner, in the order of `shards`."""
        ...

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None: ...
    def use_policy(self, policy: Policy) -> None: ...
    def state_dicts(self) -> list[dict[str, Any]]: ...
    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None: ...
    def start_fresh(self, times_restored: int) -> None: ...
    def close(self) -> None: ...


class LocalRunners:
    """One env runner in the trial's own process. It shares the learner's parameters and the normaliser."""

    restarts = 0

    def __init__(self, runner: EnvRunner) -> None:
        self.runner = runner
        self.shards: Sequence[EnvShard] = [EnvShard(slice(0, runner.envs.n_seeds), slice(0, runner.envs.n_envs))]

    def sample(self, requests: Sequence[SampleRequest]) -> list[ShardFragment]:
        (request,) = requests
        return [ShardFragment(self.shards[0], self.runner.sample(request.n_steps, request.noise))]

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        self.runner.policy.set_parameters(parameters)

    def use_policy(self, policy: Policy) -> None:
        self.runner.policy = policy

    def state_dicts(self) -> list[dict[str, Any]]:
        return [self.runner.state_dict()]

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None:
        self.runner.load_state_dict(states[0])

    def start_fresh(self, times_restored: int) -> None:
        self.runner.start_fresh(times_restored)

    def close(self) -> None:
        self.runner.close()
