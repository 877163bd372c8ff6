"""Trial: one configuration trained on S seeds at once. It is independent of Ray Tune."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.preflight import check_trial
from tuneexp.algorithms.spec import TrainableSpec
from tuneexp.envs.registration import register_again
from tuneexp.errors import CheckpointError
from tuneexp.files.json_reading import plain
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.denormals import flush_denormals
from tuneexp.learning.kept_memory import keep_freed_memory
from tuneexp.learning.learner import Learner
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.trial.checkpoint_checks import check_same_run
from tuneexp.trial.eager_start import EagerStart, resolved
from tuneexp.trial.environments import Environments
from tuneexp.trial.objective import Objective
from tuneexp.trial.older_formats import NETWORK_DEFAULTS
from tuneexp.trial.policy_trainer import PolicyTrainer
from tuneexp.trial.shared_environments import SharedEnvironments
from tuneexp.trial.source import ExperienceSource, Part
from tuneexp.trial.trial_config import TrialConfig

Floats = NDArray[np.float64]


class Trial:
    """One configuration of an algorithm, trained on S seeds at once.

    A trial has three parts:

    - The experience source collects fragments for one policy or several, and has the clock, `env_steps`: environment
      steps per seed. Budget, schedules and reports are measured by it.
    - A policy trainer per policy learns from these fragments: it has the learner, the programs, the running statistics
      and the replay buffer. A trial of one policy has one trainer, `trainer`.
    - The objective turns the evaluations so far into one number, which the sweep maximizes.

    `training_step()` collects one fragment and updates each policy whose rollout is complete. `advance()` repeats it
    until the next report is due, evaluates the deterministic policies and returns the metrics of the report. It is what
    Ray Tune calls one iteration.

    Args:
        spec: the algorithm, or several policies with their algorithms.
        config: environment, seeds, budget, hyperparameters and evaluation.

    Attributes:
        source: experience source.
        trainers: policy trainers by the name of their policy.
        trained: those of `trainers` whose policies are updated.
        objective: evaluations so far.
        iteration: number of reports so far.
        train_s: seconds of training and evaluation so far.
        partial_episodes: episodes of the last evaluation, of all seeds, that were stopped before their end.

    Raises:
        UserError: the configuration does not fit the algorithm, the environment or the available resources.
    """

    partial_episodes = 0

    def __init__(self, spec: TrainableSpec, config: TrialConfig) -> None:
        flush_denormals()
        keep_freed_memory()
        register_again(config.env, config.env_registration)
        self.spec, self.iteration, self.train_s = spec, 0, 0.0
        self.cfg: Any = spec.config_class.parse(
            config.hyperparameters, spec.name, see=f"tuneexp describe {config.algorithm or spec.name}"
        )
        self.config = config = resolved(config, self.cfg)
        self.objective = Objective(config.objective, config.seeds, config.scores_to_reach)
        check_trial(spec.name, self.cfg, config.budget_env_steps)
        self.eager_start = EagerStart(config, self.cfg)
        kind: Callable[..., ExperienceSource] = SharedEnvironments if isinstance(spec, MultiAgentSpec) else Environments
        self.source = kind(spec, config, self.cfg)
        try:
            self.trainers = {setup.name: PolicyTrainer(setup, config) for setup in self.source.setups()}
            self.trained = {name: one for name, one in self.trainers.items() if one.trained}
            self.source.connect(self.trainers)
        except BaseException:
            self.source.close()
            raise
        self._renew_copies(0)

    @property
    def trainer(self) -> PolicyTrainer:
        """The policy trainer of a trial of one policy. Raises ValueError if there are several."""
        (only,) = self.trainers.values()
        return only

    @property
    def learner(self) -> Learner:
        """Learner of a trial of one policy."""
        return self.trainer.learner

    @property
    def group(self) -> Any:
        """`EnvRunnerGroup` of a trial of one policy."""
        return self.trainer.group

    @property
    def env_steps(self) -> int:
        """Environment steps per seed so far."""
        return self.source.env_steps

    @property
    def compiled(self) -> bool:
        """True if all programs are compiled."""
        return all(one.compiled for one in self.trainers.values())

    @property
    def compiling(self) -> bool:
        """True if eager programs are to be replaced by compiled ones."""
        return any(one.programs.pending for one in self.trainers.values())

    @property
    def failed(self) -> NDArray[np.bool_]:
        """[S] bool, the seeds of which a policy diverged."""
        return np.any([one.learner.failed.numpy() for one in self.trained.values()], axis=0)

    @property
    def progress(self) -> float:
        """Share of the budget that is done. Schedules span the full budget, even if a scheduler stops the trial."""
        return min(1.0, self.env_steps / self.config.budget_env_steps)

    @property
    def done(self) -> bool:
        """True at the end of the budget, or if all seeds diverged."""
        return self.env_steps >= self.config.budget_env_steps or bool(self.failed.all())

    def advance(self, due: int | None = None) -> dict[str, Any]:
        """Train until the next report is due, or to `due` environment steps per seed, then evaluate.

        Returns:
            Metrics of the report, by name.
        """
        started, transitions_before = time.perf_counter(), self.source.transitions
        due = due or self.eager_start.next_report(self.env_steps)
        while True:
            started += self._use_compiled()  # compilation is not training time
            self.training_step()
            if self.env_steps >= due or self.done:
                break
        settings = self.config.evaluation
        evaluation = self._evaluated(settings.final_episodes if self.done else settings.episodes, settings.seed)
        self.iteration += 1
        seconds = time.perf_counter() - started
        self.train_s += seconds
        # The clock counts every call of `step`, the same for all seeds. The rate excludes steps that only reset.
        return self._metrics(evaluation, (self.source.transitions - transitions_before) / seconds)

    def _use_compiled(self) -> float:
        """Build programs at the end of the eager start, and replace eager ones whose compilation is over.

        Returns the seconds that it took."""
        started = time.perf_counter()
        if self.eager_start.is_over(self.env_steps):
            self._build_programs("auto")
            self.eager_start.pending = False
        for one in self.trainers.values():
            one.take_compiled_programs()
        return time.perf_counter() - started

    def training_step(self) -> None:
        """Collect once and run the training step of each policy whose rollout is complete."""
        before = self.env_steps
        for name, env_steps in self.source.starting():
            self.trainers[name].start_rollout(self.progress, env_steps)
        for name in self.source.rollouts():
            self.trainers[name].learn()
        self._renew_copies(before)

    def _renew_copies(self, before: int) -> None:
        """Update policies that are copies of other policies, if due since `before` environment steps, and at step 0."""
        for one in self.trainers.values():
            copied, every = one.setup.policy.copies, one.setup.policy.copy_every_env_steps
            if copied is not None and (not self.env_steps or self.env_steps // every > before // every):
                one.copy_from(self.trainers[copied])

    def evaluate(self, episodes: int, seed: int) -> np.ndarray:
        """Evaluate the deterministic policies in separate environments.

        Args:
            episodes: episodes per seed.
            seed: seed of the environments.

        Returns:
            Returns [S, episodes]. With several policies, the mean over those of the objective; NaN in an episode in
            which none of them has an agent.
        """
        return self._evaluated(episodes, seed).returns

    def _evaluated(self, episodes: int, seed: int) -> Evaluation:
        evaluation = self.source.evaluate(episodes, seed)
        self.partial_episodes = int(evaluation.partial.sum())
        return evaluation

    def _metrics(self, evaluation: Evaluation, env_steps_per_s: float) -> dict[str, Any]:
        failed = self.failed
        standing = self._standing(
            self.objective, self.config.seeds, np.nanmean(evaluation.returns, axis=1), failed, env_steps_per_s
        )
        (measured,) = self._measured(evaluation, [Part.of(self.config.seeds, slice(None), failed)])
        return {**standing, **measured}

    def _measured(self, evaluation: Evaluation, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Return metrics of sampling and of the updates since the last report, of each part of the seeds."""
        sources = [self.source.metrics(evaluation, parts), *(one.metrics(parts) for one in self.trained.values())]
        sizes = {
            "parameters": sum(one.learner.parameter_count for one in self.trained.values()),
            "update/updates": sum(int(one.learner.n_updates) for one in self.trained.values()),
        }
        merged: list[dict[str, Any]] = [{} for _ in parts]
        for of_parts in sources:
            merged = [{**before, **more} for before, more in zip(merged, of_parts, strict=True)]
        return [{**metrics, **sizes} for metrics in merged]

    def _standing(
        self, objective: Objective, seeds: Sequence[int], returns: Floats, failed: NDArray[np.bool_],
        env_steps_per_s: float,
    ) -> dict[str, Any]:  # fmt: skip
        """Return metrics of progress and objective. returns: [S], of the evaluation; failed: [S] bool, diverged."""
        objective.add(returns, failed, self.env_steps)
        return {
            "env_steps": self.env_steps,
            "env_steps_spent": self.env_steps * len(seeds),
            "iteration": self.iteration,
            **objective.metrics(),
            "return_per_seed": [float(value) for value in returns],
            "partial_episodes": self.partial_episodes,
            "time/train_s": self.train_s,
            "time/env_steps_per_s": env_steps_per_s,
            "failed_seeds": [seed for seed, gone in zip(seeds, failed, strict=True) if gone],
            "compiled": self.compiled,
            "done": self.done,
            **{f"seed/{seed}/return_mean": float(value) for seed, value in zip(seeds, returns, strict=True)},
            **{f"seed/{seed}/failed": 1 for seed, gone in zip(seeds, failed, strict=True) if gone},
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {
            "algorithm": self.spec.name,
            "env": self.source.name,
            "seeds": list(self.config.seeds),
            "env_steps": self.env_steps,
            "iteration": self.iteration,
            "train_s": self.train_s,
            "compiled": self.compiled,
            "eager_start": self.eager_start.pending or self.compiling,
            "network_defaults": NETWORK_DEFAULTS,
            # A callable without an address is stored by its name: the checkpoint loads only into a trial that has it.
            "config": {**plain(self.config.model_dump(exclude={"env"}), "config"), "env": self.source.name},
            **self.source.state_dict(),
            "objective": self.objective.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a trial.

        Args:
            state: from `state_dict`.

        Raises:
            CheckpointError: the checkpoint is damaged, or of another algorithm, environment, seeds or networks.
        """
        try:
            check_same_run(self, state)
            self.source.check_compatible(state)
            self.source.use_envs_of(state)
            self._compute_as_in(state)
            self.source.load_state_dict(state)
            self.objective.load_state_dict(state["objective"])
            self.iteration, self.train_s = int(state["iteration"]), float(state["train_s"])
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error

    def _compute_as_in(self, state: Mapping[str, Any]) -> None:
        mode = self.eager_start.mode_after_restore(state, self.compiled, self.compiling)
        if mode is not None and not any(one.learners for one in self.trainers.values()):
            self._build_programs(mode)

    def _build_programs(self, mode: CompileMode) -> None:
        for one in self.trainers.values():
            one.build_programs(mode)

    def close(self) -> None:
        """Close environments and end the processes of runners and learners."""
        self.source.close()
        for one in self.trainers.values():
            one.close()
