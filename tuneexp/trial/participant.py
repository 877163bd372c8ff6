"""One policy of a trial of several: how it acts and, where it is trained, learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tuneexp import checkpoint
from tuneexp.addresses import source_hash
from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.multi_agent import PolicySpec
from tuneexp.algorithms.preflight import check_action_space
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.data.sample_batch import SampleBatch
from tuneexp.envs.multi_agent.envs import PolicySpaces
from tuneexp.errors import CheckpointError, UserError
from tuneexp.execution.lanes import LaneFragment
from tuneexp.execution.multi_agent import LaneRunner, PolicyGroup
from tuneexp.execution.programs import TrialPrograms
from tuneexp.execution.training_ops import Training
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.devices import CPU
from tuneexp.learning.rng_streams import policy_seed
from tuneexp.learning.user_functions import name_of
from tuneexp.trial.building import (
    build_experience,
    build_learner,
    build_policy,
    build_programs_of,
    shapes_of,
    workload_of,
)
from tuneexp.trial.compatible import own_model_of
from tuneexp.trial.eager_start import first_mode
from tuneexp.trial.runners import normaliser_of
from tuneexp.trial_config import TrialConfig

# A policy that isn't trained acts as at the end of its training: it doesn't explore as a beginner does.
LONG_AFTER = 2**30


class Participant:
    """cfg: of its algorithm, with as many `n_envs` as it has lanes. A step of one of its lanes is an environment step
    to it, so its rollouts, `learning_starts` and targets count what its own agents do."""

    def __init__(
        self,
        name: str,
        policy_spec: PolicySpec,
        spec: AlgorithmSpec,
        cfg: AlgorithmConfig,
        config: TrialConfig,
        spaces: PolicySpaces,
    ) -> None:
        self.name, self.policy_spec, self.spec, self.cfg, self.config = name, policy_spec, spec, cfg, config
        self.spaces = spaces
        if spec.asynchronous:
            raise UserError(
                f"policy {name!r}: {spec.name} samples by itself; beside other policies write ppo or dqn, say"
            )
        if getattr(cfg, "use_sde", False):
            # A fragment here is what all policies sample together, which may be a part of one's rollout.
            raise UserError(f"policy {name!r}: use_sde explores where one policy samples alone; write use_sde=false")
        check_action_space(spec.name, spec.action_kinds, spaces.action_space, f"policy {name!r} in {spaces.name}")
        seeds = [policy_seed(seed, name) for seed in config.seeds]
        self.learner = build_learner(spec, cfg, seeds, spaces.facts, CPU)
        self.normaliser = normaliser_of(spaces.facts, cfg, spaces.n_seeds)
        self.shapes = shapes_of(spec, cfg, self.learner, spaces.facts)
        self.programs = self._programs(first_mode(config))
        self.learner.use_programs(self.programs.steps)
        policy = build_policy(self.learner, self.programs, self.shapes)
        trained = policy_spec.trained
        fragment = LaneFragment(self.rollout_steps, *spaces.lead) if trained else None
        self.runner = LaneRunner(spaces, policy, seeds, self.normaliser, self.shapes.keep_raw, cfg.gamma, fragment)
        self.group = PolicyGroup(name, policy)
        columns = self.programs.columns
        self.experience = (
            build_experience(cfg, self.shapes, columns, spaces.n_seeds, self.normaliser) if trained else None
        )
        self.training = Training(self.group, self.learner, spec.postprocess_fn, cfg, self.experience)
        if policy_spec.checkpoint is not None:
            self._start_from(policy_spec.checkpoint)
        if not trained:
            self.learner.set_clock(1.0, LONG_AFTER)

    @property
    def rollout_steps(self) -> int:
        """Steps of each environment in one rollout. UserError where the algorithm's count is none of its lanes."""
        rows = self.cfg.rollout_env_steps()
        steps, rest = divmod(rows, self.cfg.n_envs)
        if rest or not steps:
            raise UserError(
                f"policy {self.name!r}: {type(self.cfg).__name__}.rollout_env_steps() is {rows}, "
                f"no multiple of n_envs={self.cfg.n_envs}; every lane takes as many steps"
            )
        return steps

    @property
    def at_rollout_start(self) -> bool:
        return self.runner.fragment is not None and self.runner.fragment.steps == 0

    def start_rollout(self, progress: float, joint_steps: int) -> None:
        """joint_steps: of each environment, before this rollout."""
        self.learner.start_rollout(progress, joint_steps * self.cfg.n_envs, self.cfg.rollout_env_steps())

    def learn(self, fragment: SampleBatch) -> None:
        """One training step of its algorithm on what was collected."""
        self.group.offer(fragment)
        self.spec.training_step(self.training)
        if self.group.unused:
            raise UserError(
                f"policy {self.name!r}: training_step {name_of(self.spec.training_step)} sampled nothing; "
                f"write synchronous_parallel_sample(training.group, {self.rollout_steps})"
            )

    def copy_from(self, other: Participant) -> None:
        """Weights and statistics of `other` as they are now."""
        for name, leaf in self.learner.parameters.items():
            leaf.copy_(other.learner.parameters[name])
        if self.normaliser is not None and other.normaliser is not None:
            self.normaliser.load_state_dict(other.normaliser.state_dict())

    def _start_from(self, folder: str) -> None:
        state = checkpoint.read(folder)
        if "policies" in state:
            which = self.policy_spec.checkpoint_policy or self.name
            if which not in state["policies"]:
                raise CheckpointError(
                    f"the checkpoint {folder} holds no policy {which!r}; write checkpoint_policy="
                    f"{' or '.join(map(repr, state['policies']))}"
                )
            parameters = state["policies"][which]["learner"]["parameters"]
            statistics = state["group"]["policies"][which]["normaliser"]
        else:
            parameters, statistics = state["learner"]["parameters"], _statistics(state)
        self._take_weights(parameters, folder)
        if self.normaliser is not None and statistics is not None:
            self.normaliser.load_state_dict(_for_seeds(statistics, self.spaces.n_seeds))

    def _take_weights(self, parameters: Mapping[str, Tensor], folder: str) -> None:
        for name, leaf in self.learner.parameters.items():
            saved = parameters.get(name)
            if saved is None or saved.shape[1:] != leaf.shape[1:] or saved.shape[0] not in (1, leaf.shape[0]):
                shown = None if saved is None else list(saved.shape)
                raise CheckpointError(
                    f"policy {self.name!r}: the checkpoint {folder} doesn't fit: {name} is {shown} there and "
                    f"{list(leaf.shape)} here; it needs the same networks, and one seed or as many as here"
                )
            leaf.copy_(saved.expand_as(leaf))

    def _programs(self, mode: CompileMode) -> TrialPrograms:
        return build_programs_of(self.spec, self.learner, self.shapes, mode, workload_of(self.cfg, self.config))

    def build_programs(self, mode: CompileMode) -> None:
        self.programs = self._programs(mode)
        self.learner.use_programs(self.programs.steps)
        self.runner.policy = self.group.policy = build_policy(self.learner, self.programs, self.shapes)

    def state_dict(self) -> dict[str, Any]:
        own_model = own_model_of(self.cfg)
        return {
            "learner": self.learner.state_dict(),
            "experience": None if self.experience is None else self.experience.state_dict(),
            "model_source": None if own_model is None else source_hash(own_model),
        }

    def load_state_dict(self, state: Mapping[str, Any], same_episodes: bool) -> None:
        self.learner.load_state_dict(state["learner"])
        if self.experience is not None:
            self.experience.load_state_dict(state["experience"], same_episodes)


def _statistics(state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of the observations, in the checkpoint of one policy."""
    found = state["group"].get("normaliser")
    return found if isinstance(found, Mapping) else None


def _for_seeds(statistics: Mapping[str, Any], n_seeds: int) -> dict[str, Any]:
    """[S or 1, ...] -> [n_seeds, ...]."""
    return {name: value.repeat(n_seeds, 0) if len(value) == 1 else value for name, value in statistics.items()}
