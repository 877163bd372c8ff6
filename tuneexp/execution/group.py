"""The env runner group: one local runner. Remote runners join here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.execution.env_runner import EnvRunner
from tuneexp.execution.policy import Policy


class EnvRunnerGroup:
    """What training operations sample from; they never see a single runner."""

    def __init__(self, local_runner: EnvRunner) -> None:
        self.local_runner = local_runner

    @property
    def policy(self) -> Policy:
        return self.local_runner.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self.local_runner.policy = policy

    @property
    def episodes(self) -> EpisodeTracker:
        return self.local_runner.episodes

    @property
    def env_steps(self) -> int:
        """Steps of the environments, per seed."""
        return self.local_runner.env_steps

    @property
    def transitions(self) -> int:
        """Steps of all seeds that were more than a reset."""
        return self.local_runner.transitions

    def sample(self, n_steps: int) -> SampleBatch:
        """A fragment, columns [T, S, N, ...], of `n_steps` steps in every environment."""
        return self.local_runner.sample(n_steps)

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        """The local runner shares the learner's storage: it takes the reference and copies nothing."""
        self.local_runner.policy.set_parameters(parameters)

    def state_dict(self) -> dict[str, Any]:
        return self.local_runner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.local_runner.load_state_dict(state)

    def close(self) -> None:
        self.local_runner.envs.close()
