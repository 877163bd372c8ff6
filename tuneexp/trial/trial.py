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
from tuneexp.learning.arithmetic import set_up_arithmetic
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.kept_memory import keep_freed_memory
from tuneexp.learning.learner import Learner
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.trial.branching import branched
from tuneexp.trial.checkpoint_checks import check_same_run
from tuneexp.trial.eager_start import EagerStart, resolved
from tuneexp.trial.environments import Environments
from tuneexp.trial.objective import Objective
from tuneexp.trial.older_formats import NETWORK_DEFAULTS
from tuneexp.trial.policy_trainer import PolicyTrainer, renew_copies
from tuneexp.trial.schedule import changes_due, in_force
from tuneexp.trial.seed_metrics import joined, seed_metrics
from tuneexp.trial.shared_environments import SharedEnvironments
from tuneexp.trial.source import ExperienceSource, Part
from tuneexp.trial.trial_config import TrialConfig

Floats = NDArray[np.float64]


class Trial:
    """One configuration of an algorithm, trained on S seeds at once.

    A trial has three parts:

    - The experience source collects fragments for one policy or several, and has the clock of budget, schedules and
      reports: `env_steps`, environment steps per seed.
    - A policy trainer per policy has the learner, the programs, the running statistics and the replay buffer.
    - The objective turns the evaluations so far into one number, which the sweep maximizes.

    `training_step()` collects one fragment and updates each policy whose rollout is complete. `advance()`, an iteration
    of Ray Tune, repeats it to the next report, evaluates the deterministic policies and returns the metrics.

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
    _changes = 0  # of its schedule, so far

    def __init__(self, spec: TrainableSpec, config: TrialConfig) -> None:
        set_up_arithmetic()
        keep_freed_memory()
        register_again(config.env, config.env_registration)
        self.spec, self.iteration, self.train_s = spec, 0, 0.0
        self.objective = Objective(config.objective, config.seeds, config.scores_to_reach)
        self._build(config)

    def _build(self, config: TrialConfig) -> None:
        spec = self.spec
        self.cfg: Any = spec.config_class.parse(
            config.hyperparameters, spec.name, see=f"tuneexp describe {config.algorithm or spec.name}"
        )
        self.config = config = resolved(config, self.cfg)
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
        renew_copies(self.trainers, 0, self.env_steps)

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
        """True at the end of the budget, or if all seeds diverged; a member of a population may be replaced then."""
        is_over = not self.config.of_population and bool(self.failed.all())
        return self.env_steps >= self.config.budget_env_steps or is_over

    def advance(self, due: int | None = None) -> dict[str, Any]:
        """Train until the next report is due, or to `due` environment steps per seed, then evaluate.

        Returns: metrics of the report, by name.
        """
        started, transitions_before = time.perf_counter(), self.source.transitions
        due = due or self.eager_start.next_report(self.env_steps)
        while True:
            transitions_before -= self._follow_schedule()
            started += self._use_compiled()  # compilation is not training time
            self.training_step()
            if self.env_steps >= due or self.done:
                break
        settings = self.config.evaluation
        evaluation = self._evaluated(settings.final_episodes if self.done else settings.episodes, settings.seed)
        self.iteration += 1
        seconds = time.perf_counter() - started
        self.train_s += seconds
        # The clock counts every call of `step`; the rate excludes steps that only reset.
        return self._metrics(evaluation, (self.source.transitions - transitions_before) / seconds)

    def _follow_schedule(self) -> int:
        """Rebuild the trial if values of its schedule change now. Returns transitions that are not counted any more."""
        due = changes_due(self.config, self.env_steps)
        if due == self._changes:
            return 0
        self._changes, state, transitions = due, self.state_dict(), self.source.transitions
        self.close()
        self._build(in_force(self.config, due))
        self.load_state_dict(state)
        return transitions

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
        renew_copies(self.trainers, before, self.env_steps)

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
        return joined(sources, [one.learner for one in self.trained.values()])

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
            "partial_episodes": self.partial_episodes,
            "time/train_s": self.train_s,
            "time/env_steps_per_s": env_steps_per_s,
            "compiled": self.compiled,
            "done": self.done,
            **seed_metrics(seeds, returns, failed),
        }

    def state_dict(self) -> dict[str, Any]:
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
        """Restore a trial. From a checkpoint of another trial of its sweep it continues with its own random numbers.

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
            state = branched(state, self.config.seeds, self.config.trial_number)
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
