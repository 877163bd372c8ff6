"""Interface of experience sources, which collect the fragments that policies learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.episode_stats import EpisodeSummary, mean_of_known
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.sampling.policy import Policy
from tuneexp.training.training_ops import SampleSource
from tuneexp.trial.population.row_configs import ONE_CONFIG, RowConfigs

if TYPE_CHECKING:
    from tuneexp.envs.tensor.program import TensorProgram
    from tuneexp.trial.policy_trainer import PolicyTrainer


@dataclass(frozen=True)
class PolicySetup:
    """Arguments of a policy trainer.

    Args:
        name: of the policy.
        policy: algorithm and checkpoint of the policy.
        spec: the algorithm.
        cfg: its configuration. `n_envs` is the number of seats that the policy acts on, per seed.
        seeds: of its random streams, one per seed of the trial.
        facts: observation and action space.
        device: of the networks.
        budget_env_steps: budget that schedules advance by within a rollout; None: they are constant within it.
        prefix: of the names of its metrics.
        tensor: environment that this process steps, if it is one of tensors.
        rows: configurations of the seeds, if they differ.
    """

    name: str
    policy: PolicySpec
    spec: AlgorithmSpec
    cfg: AlgorithmConfig
    seeds: Sequence[int]
    facts: EnvFacts
    device: torch.device
    budget_env_steps: int | None = None
    prefix: str = ""
    tensor: TensorProgram | None = None
    rows: RowConfigs = ONE_CONFIG


class Part(NamedTuple):
    """Seeds of one member of a trial; a trial that is no population has one.

    Args:
        seeds: of the member.
        rows: their rows in the stack.
        alive: [S] bool over the whole stack, the rows to average over: those that have not diverged, or all of them.
    """

    seeds: Sequence[int]
    rows: slice
    alive: NDArray[np.bool_]

    @classmethod
    def of(cls, seeds: Sequence[int], rows: slice, failed: NDArray[np.bool_]) -> Part:
        """Return a part. failed: [S] bool over the whole stack."""
        own = np.zeros_like(failed)
        own[rows] = True
        return cls(seeds, rows, own & ~failed if (own & ~failed).any() else own)


class Group(SampleSource, Protocol):
    """Interface of the part of a source that one policy samples from. policy: acts in the environments."""

    policy: Policy

    def use_policy(self, policy: Policy) -> None: ...


class ExperienceSource(Protocol):
    """Source of the fragments of one or more policies, and the clock of a trial.

    Environments are one kind of source; a recorded dataset can be another. A source is used in this order:

    1. `setups()` describes the policies. The trial builds a policy trainer for each.
    2. `connect(trainers)` gives each trainer the group that its training step samples from.
    3. In each training step of the trial, `starting()` names the policies whose rollout begins, so that their schedules
       are set. Then `rollouts()` collects, and yields the policies whose rollout is complete. Each of them samples its
       fragment and learns before the next one is yielded.

    The clock, `env_steps`, counts environment steps per seed. The trial compares it with its budget.

    Attributes:
        name: of the environment, stored in checkpoints.
    """

    name: str

    @property
    def env_steps(self) -> int:
        """Clock: environment steps per seed so far."""

    @property
    def transitions(self) -> int:
        """Transitions of all seeds and policies so far."""

    def setups(self) -> list[PolicySetup]:
        """Return all policies that need a `PolicyTrainer`. Raises `UserError` if one does not fit the environment."""

    def connect(self, trainers: Mapping[str, PolicyTrainer]) -> None:
        """Give each policy the group from which its training step samples."""

    def starting(self) -> Iterable[tuple[str, int]]:
        """Return the policies whose rollout begins, each with its environment steps per seed so far."""

    def rollouts(self) -> Iterator[str]:
        """Collect, and yield each policy whose rollout is complete. It must sample before the next one is yielded."""

    def evaluate(self, episodes: int, seed: int) -> Evaluation:
        """Evaluate the deterministic policies in separate environments, `episodes` episodes per seed."""

    def metrics(self, evaluation: Evaluation, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Return metrics of sampling since the last call, of each part of the seeds."""

    def check_compatible(self, state: Mapping[str, Any]) -> None:
        """Raise `CheckpointError` if the policies in the checkpoint of a trial have other networks."""

    def use_envs_of(self, state: Mapping[str, Any]) -> None:
        """Build environments of the kind that a checkpoint has, if the configuration leaves the choice."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the source and its policy trainers, a part of the trial's checkpoint."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore source and policy trainers from the checkpoint of a trial."""

    def close(self) -> None: ...


def episode_metrics(episodes: Sequence[EpisodeSummary], part: Part) -> dict[str, Any]:
    """Return metrics of training episodes.

    Args:
        episodes: of each policy whose episodes count.
        part: the seeds.
    """
    alive = part.alive
    return {
        "train/return_mean": mean_of_known(np.stack([of.return_mean[alive] for of in episodes])),
        "train/episode_length_mean": mean_of_known(np.stack([of.length_mean[alive] for of in episodes])),
        "train/episodes": int(sum(of.new_episodes[part.rows].sum() for of in episodes)),
    }
