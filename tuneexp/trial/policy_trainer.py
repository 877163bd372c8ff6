"""Policy trainer: learner, programs, running statistics and replay buffer of one policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneexp.addresses import code_hash
from tuneexp.envs.episode_stats import mean_of_known
from tuneexp.envs.tensor.env_step import env_step
from tuneexp.envs.tensor.program import TensorProgram
from tuneexp.errors import UserError
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.devices import CPU
from tuneexp.learning.hyper import LEARNING_RATE, SharedConfig
from tuneexp.learning.user_functions import name_of
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.rollout import Rollout
from tuneexp.training.training_ops import Training
from tuneexp.trial import assembly
from tuneexp.trial.checkpoint_checks import custom_model_of
from tuneexp.trial.eager_start import first_mode
from tuneexp.trial.first_weights import start_from
from tuneexp.trial.programs import TrialPrograms, programs_for
from tuneexp.trial.recipes import learner_group
from tuneexp.trial.source import Group, Part, PolicySetup
from tuneexp.trial.trial_config import TrialConfig
from tuneexp.trial.workload import trains_while_compiling, workload_of

# Environment steps of a policy that is not trained: schedules are at their end, so it hardly explores.
END_OF_SCHEDULES = 2**30


class PolicyTrainer:
    """Everything of one policy: it acts with it and updates it.

    It has the parameters of all seeds (`learner`), the programs for acting and for gradient steps, the running
    statistics of observations and rewards (`normaliser`), the replay buffer of an off-policy algorithm (`experience`),
    and the group that its training step samples from. Several policies of a trial have one trainer each; they share
    nothing but the experience source.

    Args:
        setup: the policy, from its experience source.
        config: of the trial.

    Attributes:
        trained: False for a policy that only acts, such as a fixed opponent.
        group: of env runners, set by `use_group`.
        learners: learner processes; None with `num_learners=0`.
        training: arguments of the training step.
    """

    group: Group

    def __init__(self, setup: PolicySetup, config: TrialConfig) -> None:
        self.setup, self.config, self.spec, self.cfg = setup, config, setup.spec, setup.cfg
        self.trained, facts = setup.policy.trained, setup.facts
        self.learner = assembly.build_learner(self.spec, self.cfg, setup.seeds, facts, setup.device, setup.rows)
        self.normaliser = assembly.normaliser_of(facts, self.cfg, len(setup.seeds))
        self.shapes = assembly.shapes_of(self.spec, self.cfg, self.learner, facts, self.learner.noise)
        self._use_programs(first_mode(config))
        given = (self.learner, self.shapes, self.programs.columns, self.normaliser)
        self.experience = assembly.build_experience(*given) if self.trained else None
        if setup.policy.checkpoint is not None:
            start_from(setup, self.learner, self.normaliser)
        if not self.trained:
            self.learner.set_clock(1.0, END_OF_SCHEDULES)

    def use_group(self, group: Group) -> None:
        """Set the group that the training step samples from, and start the learner processes."""
        self.group = group
        group.sync_weights(self.learner.parameters)
        self.learners = learner_group(self)
        differing = self.learner.hyper.differing
        cfg = SharedConfig(self.cfg, differing) if differing else self.cfg
        self.training = Training(group, self.learner, self.spec.postprocess_fn, cfg, self.experience, self.learners)

    def _use_programs(self, mode: CompileMode) -> None:
        workload = workload_of(self.cfg, self.config)
        if self.cfg.num_learners:
            workload = replace(workload, updates=0)  # learner processes make the updates
        meanwhile = trains_while_compiling(self.cfg, self.config)
        self.programs: TrialPrograms = programs_for(
            self.spec, self.learner, self.shapes, mode, workload, self.setup.tensor, meanwhile
        )
        self.learner.use_programs(self.programs.steps)

    def use_environment(self, tensor: TensorProgram | None) -> None:
        """Act in another environment of the same spaces. tensor: see `PolicySetup`."""
        self.setup = replace(self.setup, tensor=tensor)
        self._use_programs(first_mode(self.config))

    def build_programs(self, mode: CompileMode) -> None:
        """Build the programs anew in another compilation mode."""
        self._use_programs(mode)
        self.group.use_policy(self.new_policy())

    def take_compiled_programs(self) -> None:
        """Replace eager programs if their compilation is over."""
        newest = self.programs.newest()
        if newest is not self.programs:
            self.programs = newest
            self.learner.use_programs(newest.steps)
            self.group.use_policy(self.new_policy())

    def new_policy(self) -> Policy:
        """Return a policy that acts with the learner's parameters."""
        budget, programs = self.setup.budget_env_steps, self.programs
        clock = None if budget is None else (self.cfg.n_envs, budget)
        rollout, tensor = programs.rollout, self.setup.tensor
        rolling = None
        if rollout is not None and tensor is not None:
            rolling = Rollout(rollout, env_step(tensor), self.setup.device)
        return assembly.build_policy(self.learner, programs.act, programs.act_program, self.shapes, clock, rolling)

    @property
    def custom_model(self) -> str | None:
        """Address of custom networks; None for built-in ones."""
        return custom_model_of(self.cfg)

    @property
    def compiled(self) -> bool:
        """True if the gradient step is compiled."""
        return self.programs.compiled if self.learners is None else self.learners.processes.compiled

    def start_rollout(self, progress: float, env_steps: int) -> None:
        """Set the schedules for the next rollout.

        Args:
            progress: share of the budget that is done.
            env_steps: environment steps per seed of this policy before the rollout.
        """
        self.learner.start_rollout(progress, env_steps, self.cfg.rollout_env_steps())

    def learn(self) -> None:
        """Run one training step of the algorithm: sample, learn and sync.

        Raises:
            UserError: learner processes exist, but the training step does not use them.
        """
        self.spec.training_step(self.training)
        if self.learners is not None and not self.learners.operations:
            raise UserError(
                f"training_step {name_of(self.spec.training_step)} leaves num_learners={self.cfg.num_learners} idle\n"
                "call multi_gpu_train_one_step(training.learners, ...) in it, or write num_learners=0"
            )

    def copy_from(self, other: PolicyTrainer) -> None:
        """Copy parameters and running statistics of another trainer."""
        for name, leaf in self.learner.parameters.items():
            leaf.copy_(other.learner.parameters[name])
        if self.normaliser is not None and other.normaliser is not None:
            self.normaliser.load_state_dict(other.normaliser.state_dict())

    def metrics(self, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Return metrics of the updates since the last call, of each part of the seeds."""
        learner, prefix = self.learner, f"{self.setup.prefix}update"
        shared: dict[str, Any] = {f"{prefix}/updates": int(learner.n_updates)}
        if learner.device != CPU:
            shared["cuda_graphs"] = self.programs.captured
        if self.learners is not None:
            shared["learner_restarts"] = self.learners.processes.restarts
        logged = {name: of.numpy() for name, of in learner.log.summary().items()}
        return [
            {
                f"{prefix}/learning_rate": learner.hyper.value_of(LEARNING_RATE, part.rows),
                **shared,
                **{f"{prefix}/{name}": mean_of_known(of[part.alive]) for name, of in logged.items()},
            }
            for part in parts
        ]

    def state_dict(self) -> dict[str, Any]:
        return {
            "model_source": None if self.custom_model is None else code_hash(self.custom_model),
            "learner": self.learner.state_dict(),
            "experience": None if self.experience is None else self.experience.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], same_episodes: bool) -> None:
        """Restore the state.

        Args:
            state: from `state_dict`.
            same_episodes: the environments continue their episodes.
        """
        self.learner.load_state_dict(state["learner"])
        self.group.sync_weights(self.learner.parameters)
        if self.experience is not None:
            self.experience.load_state_dict(state["experience"], same_episodes)

    def close(self) -> None:
        if self.learners is not None:
            self.learners.close()


def renew_copies(trainers: Mapping[str, PolicyTrainer], before: int, now: int) -> None:
    """Update policies that are copies of other policies, if due between two environment steps, and at step 0."""
    for one in trainers.values():
        copied, every = one.setup.policy.copies, one.setup.policy.copy_every_env_steps
        if copied is not None and (not now or now // every > before // every):
            one.copy_from(trainers[copied])
