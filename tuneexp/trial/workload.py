"""Work of the programs of a trial. Imports no torch."""

from __future__ import annotations

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.learning.compile.workload import Workload
from tuneexp.processes import cores
from tuneexp.trial.trial_config import TrialConfig

# Assumed steps of an evaluation, for the decision to compile.
LONG_EPISODE_STEPS = 500


def workload_of(cfg: AlgorithmConfig, config: TrialConfig) -> Workload:
    """Return the number of calls of the programs that a trial will make."""
    rollouts = -(-config.budget_env_steps // cfg.rollout_env_steps())
    return Workload(
        n_seeds=len(config.seeds),
        updates=rollouts * cfg.updates_per_rollout(),
        acts=rollouts * cfg.rollout_env_steps() // cfg.n_envs + config.reports * LONG_EPISODE_STEPS,
        trials=config.expected_trials,
    )


def trains_while_compiling(cfg: AlgorithmConfig, config: TrialConfig) -> bool:
    """Return True if a trial trains eagerly while its programs are compiled.

    Without a core for the compiler it waits: eager training would delay the compiler more than it gains. Runner and
    learner processes keep their first programs."""
    alone = not (cfg.num_env_runners or cfg.num_learners)
    return alone and cores() > config.concurrent_trials
