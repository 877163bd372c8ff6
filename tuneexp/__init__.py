"""tuneexp: tune reinforcement-learning algorithms; several seeds in every trial.

Public packages are `tuneexp`, `tuneexp.algorithms`, `tuneexp.rl` and `tuneexp.testing`; docs/api.md lists their names
(`tuneexp.PUBLIC`). Everything else may move or change without notice."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public package -> module that defines the names -> names. Loaded on first use: `import tuneexp` itself stays free of
# torch, Ray and MLflow.
PUBLIC: dict[str, dict[str, tuple[str, ...]]] = {
    "tuneexp": {
        "tuneexp.algorithms.spec": ("AlgorithmSpec",),
        "tuneexp.algorithms.a2c": ("A2C", "A2CConfig"),
        "tuneexp.algorithms.appo": ("APPO", "APPOConfig"),
        "tuneexp.algorithms.ddpg": ("DDPG", "DDPGConfig"),
        "tuneexp.algorithms.dqn": ("DQN", "DQNConfig"),
        "tuneexp.algorithms.impala": ("IMPALA", "IMPALAConfig"),
        "tuneexp.algorithms.ppo": ("PPO", "PPOConfig"),
        "tuneexp.algorithms.qrdqn": ("QRDQN", "QRDQNConfig"),
        "tuneexp.algorithms.sac": ("SAC", "SACConfig"),
        "tuneexp.algorithms.td3": ("TD3", "TD3Config"),
        "tuneexp.algorithms.tqc": ("TQC", "TQCConfig"),
        "tuneexp.algorithms.multi_agent": ("MultiAgentSpec",),
        "tuneexp.algorithms.policy_spec": ("PolicySpec",),
        "tuneexp.algorithms.base_config": ("AlgorithmConfig",),
        "tuneexp.algorithms.configs.rollouts": ("RolloutConfig",),
        "tuneexp.algorithms.configs.off_policy": ("OffPolicyConfig",),
        "tuneexp.config": ("numeric", "structural"),
        "tuneexp.learning.nets": ("Nets",),
        "tuneexp.learning.hyper": ("CfgView",),
        "tuneexp.rl.noise": ("Noise",),
        "tuneexp.envs.tensor.tensor_env": ("TensorEnv",),
        "tuneexp.learning.target": ("TargetUpdate",),
        "tuneexp.data.sample_batch": ("SampleBatch", "concat_samples"),
        "tuneexp.data.multi_agent_batch": ("MultiAgentBatch",),
        "tuneexp.sampling.group": ("EnvRunnerGroup",),
        "tuneexp.training.training_ops": (
            "Training",
            "synchronous_parallel_sample",
            "asynchronous_sample",
            "postprocess",
            "train_one_step",
            "multi_gpu_train_one_step",
            "on_policy_step",
            "asynchronous_step",
        ),
        "tuneexp.training.replay_ops": ("replay_updates", "off_policy_step"),
        "tuneexp.sweep.search.schedulers.scheduler": ("Scheduler", "SchedulerContext"),
        "tuneexp.sweep": (
            "Confirmation",
            "SearchSpace",
            "Sweep",
            "SweepEvent",
            "SweepInterrupted",
            "SweepPlan",
            "SweepResult",
            "TrialResult",
            "confirm",
            "extend",
            "list_sweeps",
            "load_study",
            "load_sweep",
            "resume",
            "tune",
        ),
        "tuneexp.sweep.rl_zoo": ("rl_zoo_row",),
        "tuneexp.cli.script": ("run_script", "watch"),
        "tuneexp.report.training_result": ("pretty_print",),
        "tuneexp.sweep.from_address": ("load_policy", "evaluate", "trial_from_checkpoint"),
        "tuneexp.sweep.exporting": ("export",),
        "tuneexp.sweep.watching.watch": ("watch_policy",),
        "tuneexp.sweep.stored_addresses": ("stored_checkpoint", "StoredCheckpoint"),
        "tuneexp.sampling.loaded_policy": ("LoadedPolicy",),
        "tuneexp.errors": ("TuneexpError", "UserError", "CheckpointError"),
    },
    "tuneexp.algorithms": {
        "tuneexp.algorithms.ppo": ("ppo_loss",),
        "tuneexp.algorithms.a2c": ("a2c_loss",),
        "tuneexp.algorithms.impala": ("impala_loss",),
        "tuneexp.algorithms.appo": ("appo_loss",),
        "tuneexp.algorithms.dqn": ("dqn_loss", "chosen"),
        "tuneexp.algorithms.qrdqn": ("qrdqn_loss",),
        "tuneexp.algorithms.sac": ("sac_loss",),
        "tuneexp.algorithms.td3": ("td3_loss",),
        "tuneexp.algorithms.ddpg": ("ddpg_loss",),
        "tuneexp.algorithms.tqc": ("tqc_loss",),
        "tuneexp.algorithms.rollouts": ("advantages", "policy_and_value"),
        "tuneexp.algorithms.vtrace_actor_critic": ("vtrace_columns",),
        "tuneexp.training.replay_ops": ("transitions",),
        "tuneexp.algorithms.off_policy": ("weighted_mean",),
        "tuneexp.learning.optimizers": ("optimizer_of",),
    },
    "tuneexp.rl": {
        "tuneexp.rl.returns": ("gae", "discounted_returns", "n_step", "NStep", "n_step_transitions", "td_target"),
        "tuneexp.rl.v_trace": ("VTrace", "vtrace"),
        "tuneexp.rl.losses": (
            "mean_over",
            "variance_over",
            "normalize",
            "clipped_surrogate",
            "policy_gradient",
            "value_loss",
            "approx_kl",
            "clip_fraction",
            "explained_variance",
        ),
        "tuneexp.rl.distributional": (
            "atoms_between",
            "project",
            "quantile_midpoints",
            "quantile_huber",
            "without_largest",
        ),
        "tuneexp.rl.exploration": ("linear_epsilon", "epsilon_greedy", "uniform_choice", "ornstein_uhlenbeck"),
        "tuneexp.rl.distributions": (
            "ActionHead",
            "Categorical",
            "DiagGaussian",
            "Distribution",
            "MultiCategorical",
            "action_head",
        ),
        "tuneexp.rl.squashed": ("SquashedGaussian",),
        "tuneexp.rl.schedules": ("Schedule", "parse_schedule"),
    },
    "tuneexp.testing": {
        "tuneexp.testing.suite": ("contract",),
        "tuneexp.testing.schedulers": ("scheduler_contract",),
        "tuneexp.testing.samplers": ("sampler_contract",),
        "tuneexp.testing.tensor_envs": ("tensor_env_contract",),
    },
}
_MODULES = {
    package: {name: module for module, names in modules.items() for name in names}
    for package, modules in PUBLIC.items()
}


def load_public(package: str, name: str) -> Any:
    """Import the public `name` of `package`. Raises AttributeError if there is none."""
    if name not in _MODULES[package]:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[package][name]), name)


def names_of(package: str) -> list[str]:
    """Return the public names of `package`, in the order of docs/api.md."""
    return list(_MODULES[package])


__all__ = ["__version__", *_MODULES["tuneexp"]]


def __getattr__(name: str) -> Any:
    return load_public("tuneexp", name)


def __dir__() -> list[str]:
    return __all__
