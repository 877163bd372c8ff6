"""Experience sources: where the fragments of a trial's policies come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.sampling.policy import Policy
from tuneexp.training.training_ops import SampleSource

if TYPE_CHECKING:
    from tuneexp.trial.policy_trainer import PolicyTrainer


@dataclass(frozen=True)
class PolicySetup:
    """One policy of a source: its algorithm, its configuration and the spaces in which it acts.

    cfg: has as many `n_envs` as the policy acts in, per seed. seeds: of its random streams, one a seed of the trial.
    budget_env_steps: None where schedules stand still within a rollout. prefix: of its metrics."""

    name: str
    policy: PolicySpec
    spec: AlgorithmSpec
    cfg: AlgorithmConfig
    seeds: Sequence[int]
    facts: EnvFacts
    device: torch.device
    budget_env_steps: int | None = None
    prefix: str = ""


class Group(SampleSource, Protocol):
    """The part of a source from which one policy is trained."""

    policy: Policy

    def use_policy(self, policy: Policy) -> None: ...


class ExperienceSource(Protocol):
    """Fragments for one or more policies, and a clock. Environments are one kind of source.

    name: of the environment, stored in checkpoints."""

    name: str

    @property
    def env_steps(self) -> int:
        """The clock: environment steps per seed that were collected."""

    @property
    def transitions(self) -> int:
        """Transitions of all seeds and policies that were collected."""

    def setups(self) -> list[PolicySetup]:
        """All policies that need a `PolicyTrainer`. Raises `UserError` where one can't act here."""

    def connect(self, trainers: Mapping[str, PolicyTrainer]) -> None:
        """Give each policy the group from which its training step samples."""

    def starting(self) -> Iterable[tuple[str, int]]:
        """Policies that begin a rollout now, each with the environment steps of its own until then."""

    def rollouts(self) -> Iterator[str]:
        """Collect; yields each policy that can learn, which samples from its group before the next one is asked for."""

    def evaluate(self, episodes: int, seed: int) -> Evaluation:
        """Play `episodes` episodes a seed, in environments of their own."""

    def metrics(self, alive: NDArray[np.bool_], evaluation: Evaluation) -> dict[str, Any]:
        """Metrics of what was collected since the last call. alive: [S] bool, the seeds that count."""

    def check_compatible(self, state: Mapping[str, Any]) -> None:
        """Raises `CheckpointError` where the policies in the checkpoint `state` of a trial have other networks."""

    def state_dict(self) -> dict[str, Any]:
        """Part of a trial's checkpoint: of the source and its policy trainers."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the checkpoint `state` of a trial, at its `env_steps`."""

    def close(self) -> None: ...
