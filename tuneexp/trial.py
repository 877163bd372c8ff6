"""A trial: one configuration trained on S seeds at once. Knows nothing of Tune."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import CheckpointError
from tuneexp.execution.env_runner import EnvRunner
from tuneexp.execution.evaluation import evaluate
from tuneexp.execution.group import EnvRunnerGroup
from tuneexp.execution.objective import Objective
from tuneexp.execution.policy import Noise, Policy
from tuneexp.execution.programs import TrialPrograms, programs_for
from tuneexp.learning.compilation import CompileMode, Workload
from tuneexp.learning.hyper import view_at
from tuneexp.learning.learner import Learner, UpdateStats
from tuneexp.rl.distributions import action_head
from tuneexp.trial_config import TrialConfig

# What an evaluation may take, for the decision whether compiling pays.
LONG_EPISODE_STEPS = 500


class Trial:
    """`advance()` trains to the next report. The clock is `env_steps`, per seed."""

    def __init__(self, spec: AlgorithmSpec, config: TrialConfig) -> None:
        self.spec, self.config = spec, config
        self.cfg: AlgorithmConfig = spec.config_class.parse(
            config.hyperparameters, spec.name, see=f"tuneexp describe {spec.name}"
        )
        self.env_steps, self.iteration, self.train_s = 0, 0, 0.0
        self.objective = Objective(config.objective, config.seeds)
        envs = SeedEnvs(config.env, config.seeds, self.cfg.n_envs, config.env_kwargs)
        try:
            self._build(envs)
        except BaseException:
            envs.close()
            raise

    def _build(self, envs: SeedEnvs) -> None:
        spec, config = self.spec, self.config
        self.env_name = envs.name
        self.learner = Learner(
            lambda cfg: spec.build_model(envs.observation_space, envs.action_space, cfg),
            spec.loss_fn,
            spec.optimizer_fn,
            self.cfg,
            config.seeds,
        )
        self.normaliser = _normaliser(envs, self.cfg)
        self.programs = self._programs(envs, config.compile)
        self.learner.use_program(self.programs.step, self.programs.step_program)
        self.group = EnvRunnerGroup(EnvRunner(envs, self._policy(envs), self.normaliser))

    def _programs(self, envs: SeedEnvs, mode: CompileMode) -> TrialPrograms:
        rollouts = -(-self.config.budget_env_steps // self.cfg.rollout_env_steps())
        evaluations = -(-self.config.budget_env_steps // self.config.report_period)
        workload = Workload(
            n_seeds=len(self.config.seeds),
            updates=rollouts * self.cfg.updates_per_rollout(),
            acts=rollouts * self.cfg.rollout_env_steps() // self.cfg.n_envs + evaluations * LONG_EPISODE_STEPS,
            trials=self.config.expected_trials,
        )
        spec, noise = self.spec, _noise(envs)
        return programs_for(
            self.learner, spec.act_fn, spec.postprocess_fn, envs.observation_space, noise,
            self.cfg.n_envs, self.cfg.minibatch_rows(), mode, workload,
        )  # fmt: skip

    def _policy(self, envs: SeedEnvs) -> Policy:
        hyper, parameters = self.learner.hyper, self.learner.parameters
        return Policy(self.programs.act, self.programs.act_program, hyper, parameters, _noise(envs), self.cfg.n_envs)

    @property
    def progress(self) -> float:
        """Share of the full budget that is done: schedules span it, also in a trial that is stopped early."""
        return min(1.0, self.env_steps / self.config.budget_env_steps)

    @property
    def done(self) -> bool:
        return self.env_steps >= self.config.budget_env_steps or bool(self.learner.failed.all())

    def advance(self) -> dict[str, Any]:
        """Sample, learn and sync until the next report is due; then evaluate. Returns the metrics."""
        runner = self.group.local_runner
        started, transitions_before = time.perf_counter(), runner.transitions
        period = self.config.report_period
        due = min((self.env_steps // period + 1) * period, self.config.budget_env_steps)
        while True:
            stats = self._training_step()
            if self.env_steps >= due or self.done:
                break
        returns = self._evaluate()
        self.iteration += 1
        seconds = time.perf_counter() - started
        self.train_s += seconds
        # The clock counts every call of `step`, the same for all seeds; the rate leaves out those that only reset.
        return self._metrics(stats, returns, (runner.transitions - transitions_before) / seconds)

    def _training_step(self) -> UpdateStats:
        self.learner.start_rollout(self.progress)
        view = view_at(self.cfg, self.progress)
        stats = self.spec.training_step(self.group, self.learner, self.spec.postprocess_fn, self.cfg, view)
        self.env_steps += self.cfg.rollout_env_steps()
        return stats

    def _evaluate(self) -> np.ndarray:
        plan = self.config.evaluation
        episodes = plan.final_episodes if self.done else plan.episodes
        return self.evaluate(episodes, plan.seed).mean(axis=1)

    def evaluate(self, episodes: int, seed: int) -> np.ndarray:
        """Returns of the deterministic policy, [S, episodes], in environments of their own."""
        config = self.config
        return evaluate(self.group.local_runner.policy, config.env, config.env_kwargs, episodes, seed, self.normaliser)

    def _metrics(self, stats: UpdateStats, returns: np.ndarray, env_steps_per_s: float) -> dict[str, Any]:
        failed = self.learner.failed.numpy()
        alive = ~failed if not failed.all() else np.ones_like(failed)
        episodes = self.group.local_runner.episodes.summary()
        self.objective.add(returns, failed)
        seeds = self.config.seeds
        metrics: dict[str, Any] = {
            "env_steps": self.env_steps,
            "iteration": self.iteration,
            "objective": self.objective.value(),
            "return_mean": self.objective.last(),
            "return_per_seed": [float(value) for value in returns],
            "train/return_mean": _mean(episodes.return_mean[alive]),
            "train/episode_length_mean": _mean(episodes.length_mean[alive]),
            "train/episodes": int(episodes.new_episodes.sum()),
            "time/train_s": self.train_s,
            "time/env_steps_per_s": env_steps_per_s,
            "failed_seeds": [seed for seed, gone in zip(seeds, failed, strict=True) if gone],
            "compiled": self.programs.compiled,
            "done": self.done,
            "learn/learning_rate": self.learner.learning_rate,
            "learn/updates": int(self.learner.n_updates),
        }
        for name, values in stats.statistics.items():
            metrics[f"learn/{name}"] = _mean(values.numpy()[alive])
        for index, seed in enumerate(seeds):
            metrics[f"seed/{seed}/return_mean"] = float(returns[index])
            metrics[f"seed/{seed}/train_return_mean"] = float(episodes.return_mean[index])
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {
            "algorithm": self.spec.name,
            "env": self.env_name,
            "seeds": list(self.config.seeds),
            "env_steps": self.env_steps,
            "iteration": self.iteration,
            "train_s": self.train_s,
            "compiled": self.programs.compiled,
            # A callable without an address is stored by its name alone: it loads only into a trial that has it.
            "config": {**self.config.model_dump(mode="json", exclude={"env"}), "env": self.env_name},
            "learner": self.learner.state_dict(),
            "group": self.group.state_dict(),
            "objective": self.objective.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `CheckpointError` where the checkpoint is of another algorithm, environment, seeds or networks,
        or damaged."""
        try:
            check_compatible(self, state)
            self._compute_as_in(state)
            self.learner.load_state_dict(state["learner"])
            self.group.load_state_dict(state["group"])
            self.objective.load_state_dict(state["objective"])
            self.env_steps, self.iteration = int(state["env_steps"]), int(state["iteration"])
            self.train_s = float(state["train_s"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error

    def _compute_as_in(self, state: Mapping[str, Any]) -> None:
        """Compiled and eager arithmetic differ in the last digits: a trial that goes on within its budget keeps
        to its own, whatever the cache holds by now."""
        same_budget = state["config"]["budget_env_steps"] == self.config.budget_env_steps
        if self.config.compile != "auto" or not same_budget or state["compiled"] == self.programs.compiled:
            return
        runner = self.group.local_runner
        self.programs = self._programs(runner.envs, "on" if state["compiled"] else "off")
        self.learner.use_program(self.programs.step, self.programs.step_program)
        runner.policy = self._policy(runner.envs)

    def close(self) -> None:
        self.group.close()


def check_compatible(trial: Trial, state: Mapping[str, Any]) -> None:
    """Numbers may differ (population-based training changes them), what shapes the stored state may not."""
    if state["algorithm"] != trial.spec.name:
        raise CheckpointError(
            f"the checkpoint is of algorithm {state['algorithm']!r}, this trial is of {trial.spec.name!r}; "
            f"load it with --algorithm {state['algorithm']}"
        )
    if list(state["seeds"]) != list(trial.config.seeds):
        raise CheckpointError(
            f"the checkpoint holds seeds {state['seeds']}, this trial has {trial.config.seeds}; "
            f"name the same: seeds={state['seeds']}"
        )
    if state["env"] != trial.env_name:
        raise CheckpointError(f"the checkpoint is of environment {state['env']}, this trial is of {trial.env_name}")
    saved = trial.spec.config_class.parse(state["config"]["hyperparameters"], "the checkpoint")
    fixed = trial.learner.model_reads | {"n_envs", "normalize_observation", "normalize_reward"}
    for name in sorted(fixed):
        if getattr(saved, name) != getattr(trial.cfg, name):
            raise CheckpointError(
                f"the checkpoint was made with {name}={getattr(saved, name)!r}, this trial has "
                f"{getattr(trial.cfg, name)!r}; only what shapes no network and no environment may change"
            )
    shapes = [{name: tuple(value.shape) for name, value in parameters.items()}
              for parameters in (state["learner"]["parameters"], trial.learner.parameters)]  # fmt: skip
    if shapes[0] != shapes[1]:
        name = next(name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise CheckpointError(
            f"the checkpoint was made for other shapes: {name} is {shapes[0].get(name)} there, "
            f"{shapes[1].get(name)} here"
        )


def _noise(envs: SeedEnvs) -> Noise:
    kind, shape = action_head(envs.action_space).noise
    return Noise(kind, tuple(shape))


def _normaliser(envs: SeedEnvs, cfg: AlgorithmConfig) -> RunningNormaliser | None:
    if not (cfg.normalize_observation or cfg.normalize_reward):
        return None
    return RunningNormaliser(
        envs.n_seeds, envs.n_envs, envs.observation_space, cfg.gamma, cfg.normalize_observation, cfg.normalize_reward
    )


def _mean(values: np.ndarray) -> float:
    """NaN where there is nothing to average: no episode has ended yet."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
