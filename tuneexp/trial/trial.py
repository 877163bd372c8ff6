"""A trial: one configuration trained on S seeds at once. Knows nothing of Tune."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tuneexp.addresses import source_hash
from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.preflight import check_action_space, check_trial
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.episode_stats import mean_of_known
from tuneexp.envs.seed_envs import EnvFacts, SeedEnvs
from tuneexp.errors import CheckpointError, UserError
from tuneexp.execution.evaluation import evaluate
from tuneexp.execution.learner_group import LearnerGroup
from tuneexp.execution.objective import Objective
from tuneexp.execution.policy import Policy
from tuneexp.execution.programs import TrialPrograms
from tuneexp.execution.training_ops import Training
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.denormals import flush_denormals
from tuneexp.learning.devices import CPU, device_of
from tuneexp.learning.user_functions import name_of
from tuneexp.stored import plain
from tuneexp.trial.building import (
    build_experience,
    build_learner,
    build_policy,
    build_programs_of,
    shapes_of,
    workload_of,
)
from tuneexp.trial.compatible import check_compatible, own_model_of
from tuneexp.trial.eager_start import EagerStart, first_mode, settled
from tuneexp.trial.former import NETWORK_DEFAULTS
from tuneexp.trial.learners import learner_group
from tuneexp.trial.resources import make_room
from tuneexp.trial.runners import env_settings, facts_of, group_of, local_runners, normaliser_of, remote_runners
from tuneexp.trial_config import TrialConfig


class Trial:
    """`advance()` trains to the next report. The clock is `env_steps`, per seed."""

    learners: LearnerGroup | None = None
    partial_episodes = 0  # of the last evaluation, over all seeds: stopped before their end

    def __init__(self, spec: AlgorithmSpec, config: TrialConfig) -> None:
        flush_denormals()
        self.spec, self.env_steps, self.iteration, self.train_s = spec, 0, 0, 0.0
        self.cfg: AlgorithmConfig = spec.config_class.parse(
            config.hyperparameters, spec.name, see=f"tuneexp describe {config.algorithm or spec.name}"
        )
        self.config = config = settled(config, self.cfg)
        self.objective = Objective(config.objective, config.seeds)
        check_trial(spec.name, self.cfg, config.budget_env_steps)
        self.eager_start = EagerStart(config, self.cfg)
        self._open()

    def _open(self) -> None:
        """The environments and what acts and learns in them."""
        config = self.config
        if self.cfg.num_env_runners:
            self._build(facts_of(config, self.cfg), None)
            return
        settings = {**env_settings(config), "exact": self.cfg.normalize_observation}
        envs = SeedEnvs(config.env, config.seeds, self.cfg.n_envs, **settings)
        try:
            self._build(envs.facts, envs)
        except BaseException:
            envs.close()
            raise

    def _build(self, facts: EnvFacts, envs: SeedEnvs | None) -> None:
        """envs: of the local runner, where it is the one that samples."""
        spec, config, n_seeds = self.spec, self.config, len(self.config.seeds)
        self.env_name = facts.name
        make_room(self.cfg)
        check_action_space(spec.name, spec.action_kinds, facts.action_space, facts.name)
        self.learner = build_learner(spec, self.cfg, config.seeds, facts, device_of(config.device))
        self.normaliser = normaliser_of(facts, self.cfg, n_seeds)
        self.shapes = shapes_of(spec, self.cfg, self.learner, facts)
        self.programs = self._programs(first_mode(config))
        self.learner.use_programs(self.programs.steps)
        self.experience = build_experience(self.cfg, self.shapes, self.programs.columns, n_seeds, self.normaliser)
        policy, keep_raw = self._policy(), self.shapes.keep_raw
        if envs is None:
            runners = remote_runners(spec, config, self.cfg, facts, self.shapes, self.programs.compiled)
        else:
            runners = local_runners(envs, policy, self.normaliser, self.cfg, keep_raw)
        self.group = group_of(spec, self.cfg, policy, runners, config.seeds, self.normaliser, keep_raw)
        self.group.sync_weights(self.learner.parameters)
        try:
            self.learners = learner_group(
                spec, config, self.cfg, facts, self.shapes, self.programs.columns, workload_of(self.cfg, config)
            )
        except BaseException:
            self.group.close()
            raise
        self.training = Training(
            self.group, self.learner, spec.postprocess_fn, self.cfg, self.experience, self.learners
        )

    def _programs(self, mode: CompileMode) -> TrialPrograms:
        workload = workload_of(self.cfg, self.config)
        if self.cfg.num_learners:
            workload = replace(workload, updates=0)  # which learners make
        return build_programs_of(self.spec, self.learner, self.shapes, mode, workload)

    def _policy(self) -> Policy:
        return build_policy(self.learner, self.programs, self.shapes, self.config.budget_env_steps)

    @property
    def own_model(self) -> str | None:
        """The address of the networks where they are the user's own."""
        return own_model_of(self.cfg)

    @property
    def compiled(self) -> bool:
        """Whether what learns is."""
        return self.programs.compiled if self.learners is None else self.learners.processes.compiled

    @property
    def progress(self) -> float:
        """Share of the full budget that is done: schedules span it, also in a trial that is stopped early."""
        return min(1.0, self.env_steps / self.config.budget_env_steps)

    @property
    def done(self) -> bool:
        return self.env_steps >= self.config.budget_env_steps or bool(self.learner.failed.all())

    def advance(self) -> dict[str, Any]:
        """Sample, learn and sync until the next report is due; then evaluate. Returns the metrics."""
        started, transitions_before = time.perf_counter(), self.group.transitions
        due = self.eager_start.next_report(self.env_steps)
        while True:
            started += self._end_eager_start()  # which is no training
            self._training_step()
            if self.env_steps >= due or self.done:
                break
        returns = self._evaluate()
        self.iteration += 1
        seconds = time.perf_counter() - started
        self.train_s += seconds
        # The clock counts every call of `step`, the same for all seeds; the rate leaves out those that only reset.
        return self._metrics(returns, (self.group.transitions - transitions_before) / seconds)

    def _end_eager_start(self) -> float:
        """Switch to compiled programs once the eager start is over. Returns the seconds of building them."""
        started = time.perf_counter()
        if self.eager_start.is_over(self.env_steps):
            self._build_programs("auto")
            self.eager_start.to_come = False
        return time.perf_counter() - started

    def _training_step(self) -> None:
        rollout_env_steps = self.cfg.rollout_env_steps()
        self.learner.start_rollout(self.progress, self.env_steps, rollout_env_steps)
        before = self.group.env_steps
        self.spec.training_step(self.training)
        collected = self.group.env_steps - before
        if collected != rollout_env_steps:
            raise UserError(
                f"training_step {name_of(self.spec.training_step)} collected {collected} environment "
                f"steps per seed, {type(self.cfg).__name__}.rollout_env_steps() says {rollout_env_steps}\n"
                "make them agree: budgets and schedules are counted by it"
            )
        if self.learners is not None and not self.learners.operations:
            raise UserError(
                f"training_step {name_of(self.spec.training_step)} leaves num_learners={self.cfg.num_learners} idle\n"
                "call multi_gpu_train_one_step(training.learners, ...) in it, or write num_learners=0"
            )
        self.env_steps += rollout_env_steps

    def _evaluate(self) -> np.ndarray:
        plan = self.config.evaluation
        episodes = plan.final_episodes if self.done else plan.episodes
        return self.evaluate(episodes, plan.seed).mean(axis=1)

    def evaluate(self, episodes: int, seed: int) -> np.ndarray:
        """Returns of the deterministic policy, [S, episodes], in environments of their own."""
        settings, max_steps = env_settings(self.config), self.config.evaluation.max_steps
        done = evaluate(self.group.policy, self.config.env, settings, episodes, seed, self.normaliser, max_steps)
        self.partial_episodes = int(done.partial.sum())
        return done.returns

    def _metrics(self, returns: np.ndarray, env_steps_per_s: float) -> dict[str, Any]:
        failed = self.learner.failed.numpy()
        alive = ~failed if not failed.all() else np.ones_like(failed)
        episodes = self.group.episodes.summary()
        metrics: dict[str, Any] = {
            **self._standing(returns, failed, env_steps_per_s),
            "train/return_mean": mean_of_known(episodes.return_mean[alive]),
            "train/episode_length_mean": mean_of_known(episodes.length_mean[alive]),
            "train/episodes": int(episodes.new_episodes.sum()),
            "update/learning_rate": self.learner.learning_rate,
            "update/updates": int(self.learner.n_updates),
            **self.group.metrics(),
        }
        if self.learner.device != CPU:
            metrics["cuda_graphs"] = self.programs.captured
        if self.learners is not None:
            metrics["learner_restarts"] = self.learners.processes.restarts
        if self.cfg.num_env_runners:
            metrics["env_runner_restarts"] = self.group.runners.restarts
        for name, values in self.learner.log.summary().items():
            metrics[f"update/{name}"] = mean_of_known(values.numpy()[alive])
        for index, seed in enumerate(self.config.seeds):
            metrics[f"seed/{seed}/train_return_mean"] = float(episodes.return_mean[index])
        return metrics

    def _standing(self, returns: np.ndarray, failed: np.ndarray, env_steps_per_s: float) -> dict[str, Any]:
        """How far it is and what it is judged by; returns: [S], of the evaluation; failed: [S], seeds frozen for
        good."""
        self.objective.add(returns, failed)
        seeds = self.config.seeds
        return {
            "env_steps": self.env_steps,
            "iteration": self.iteration,
            **self.objective.metrics(),
            "return_mean": self.objective.last(),
            "return_per_seed": [float(value) for value in returns],
            "partial_episodes": self.partial_episodes,
            "time/train_s": self.train_s,
            "time/env_steps_per_s": env_steps_per_s,
            "failed_seeds": [seed for seed, gone in zip(seeds, failed, strict=True) if gone],
            "compiled": self.compiled,
            "done": self.done,
            **{f"seed/{seed}/return_mean": float(value) for seed, value in zip(seeds, returns, strict=True)},
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            **self._identity(),
            "model_source": None if self.own_model is None else source_hash(self.own_model),
            "learner": self.learner.state_dict(),
            "group": self.group.state_dict(),
            "experience": None if self.experience is None else self.experience.state_dict(),
            "objective": self.objective.state_dict(),
        }

    def _identity(self) -> dict[str, Any]:
        """What this is a trial of, and how far it is."""
        return {
            "algorithm": self.spec.name,
            "env": self.env_name,
            "seeds": list(self.config.seeds),
            "env_steps": self.env_steps,
            "iteration": self.iteration,
            "train_s": self.train_s,
            "compiled": self.compiled,
            "eager_start": self.eager_start.to_come,
            "network_defaults": NETWORK_DEFAULTS,
            # A callable without an address is stored by its name alone: it loads only into a trial that has it.
            "config": {**plain(self.config.model_dump(exclude={"env"}), "config"), "env": self.env_name},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `CheckpointError` where the checkpoint is of another algorithm, environment, seeds or networks,
        or damaged."""
        try:
            self._check_compatible(state)
            self._compute_as_in(state)
            self._load_parts(state)
            self.objective.load_state_dict(state["objective"])
            self.env_steps, self.iteration = int(state["env_steps"]), int(state["iteration"])
            self.train_s = float(state["train_s"])
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error

    def _check_compatible(self, state: Mapping[str, Any]) -> None:
        check_compatible(self, state)

    def _load_parts(self, state: Mapping[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        same_episodes = self.group.load_state_dict(state["group"])
        self.group.sync_weights(self.learner.parameters)
        if self.experience is not None:
            self.experience.load_state_dict(state["experience"], same_episodes)

    def _compute_as_in(self, state: Mapping[str, Any]) -> None:
        mode = self.eager_start.goes_on_from(state, self.compiled)
        if mode is not None and not self.learners:
            self._build_programs(mode)

    def _build_programs(self, mode: CompileMode) -> None:
        """Anew, in place of those that there are."""
        self.programs = self._programs(mode)
        self.learner.use_programs(self.programs.steps)
        self.group.use_policy(self._policy())

    def close(self) -> None:
        self.group.close()
        if self.learners is not None:
            self.learners.close()
