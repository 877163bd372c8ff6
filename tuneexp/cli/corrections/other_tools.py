"""Names of Stable-Baselines3, RL Zoo, Ray Tune and Optuna, and common guesses, with the names in tuneexp."""

from __future__ import annotations

import re

COMMANDS = {
    **dict.fromkeys(("optimize", "optimise", "search", "hpo", "study"), "sweep"),
    **dict.fromkeys(("run", "learn", "fit", "start"), "train"),
    **dict.fromkeys(("enjoy", "eval", "test", "play", "predict"), "evaluate"),
    **dict.fromkeys(("sweeps", "ls", "studies", "runs"), "list"),
    **dict.fromkeys(("status", "best", "results", "leaderboard", "best-trial"), "show"),
    **dict.fromkeys(("continue", "restore", "restart"), "resume"),
    **dict.fromkeys(("mlflow", "compare", "tensorboard"), "ui"),
    "optuna-dashboard": "dashboard",
    **dict.fromkeys(("new", "create", "scaffold", "example"), "init"),
    **dict.fromkeys(("check", "diagnose", "info", "env"), "doctor"),
    **dict.fromkeys(("algorithms", "algos", "hyperparameters", "params"), "describe"),
}
"""Commands of other tools, and common guesses."""

OPTIONS = {
    **dict.fromkeys(("steps", "timesteps", "total-timesteps", "n-timesteps", "num-steps", "budget"), ("--env-steps",)),
    "n": ("--env-steps", "--episodes"),
    **dict.fromkeys(("num-samples", "samples", "n-trials", "trial", "num-trials", "max-total-trials"), ("--trials",)),
    **dict.fromkeys(("n-jobs", "jobs", "j", "max-concurrent-trials", "max-concurrent", "workers"), ("--concurrency",)),
    **dict.fromkeys(("sampler", "search-alg", "search-algorithm"), ("--searcher",)),
    **dict.fromkeys(("pruner",), ("--scheduler",)),
    **dict.fromkeys(("study-name", "study", "exp-name", "experiment-name", "sweep-name"), ("--name",)),
    **dict.fromkeys(("log-folder", "log-dir", "logdir", "save-path", "storage-path", "output", "out"), ("--storage",)),
    **dict.fromkeys(("trained-agent", "checkpoint", "i", "load", "restore"), ("--resume",)),
    **dict.fromkeys(("search-space", "param-space"), ("--space",)),
    **dict.fromkeys(("n-episodes", "n-eval-episodes", "num-episodes"), ("--episodes",)),
    **dict.fromkeys(("env-wrapper", "wrappers"), ("--wrapper",)),
    **dict.fromkeys(("ray-address",), ("--address",)),
    **dict.fromkeys(("num-seeds", "n-seeds"), ("--seeds",)),
    "tensorboard-log": ("--tensorboard",),
}
"""Option of another tool, without dashes -> options here; the first one that the command has is used."""

SETTINGS = {
    "device": "device",
    "n-eval-episodes": "evaluation/episodes",
    "eval-episodes": "evaluation/episodes",
    "eval-freq": "report_every_env_steps",
    "num-env-runners": "num_env_runners",
    "num-workers": "num_env_runners",
    "net-arch": "model/hidden_sizes",
    "hidden-sizes": "model/hidden_sizes",
}
"""Hyperparameter of another tool -> hyperparameter here, for --set."""

VALUES = {
    "--searcher": {**dict.fromkeys(("optuna", "tpesampler", "hyperopt"), "tpe"), "randomsampler": "random"},
    "--scheduler": {
        **dict.fromkeys(
            ("ashascheduler", "asynchyperbandscheduler", "successivehalvingpruner", "sha", "halving"), "asha"
        ),
        **dict.fromkeys(("none", "noppruner", "nop", "fifoscheduler"), "fifo"),
        **dict.fromkeys(("hyperbandscheduler", "hyperbandpruner", "hyperbandforbohb"), "hyperband"),
        **dict.fromkeys(("medianstoppingrule", "medianpruner"), "median"),
    },
}

# Of `OPTIONS`: they have a value, and the option here has none.
WITH_VALUE = ("tensorboard-log",)
EXPERIMENTS = ("f", "c", "file", "config", "conf", "cfg", "config-file", "conf-file", "experiment", "yaml")
TUNE_FLAGS = ("optimize", "optimize-hyperparameters")
# Options of sweep that train lacks.
OF_SWEEPS = ("--trials", "--space", "--searcher", "--scheduler")
ALGORITHM, ENV = ("algo", "algorithm", "a"), ("env", "environment", "env-id")
SETS = ("hyperparams", "params", "hyperparameters", "env-kwargs", "set")
# Not needed: always on here, or done by MLflow.
NEEDLESS = ("track", "progress", "p", "no-render", "save-freq", "wandb-project-name", "policy")
GROUPED = re.compile(r"\d{1,3}([,._' ]\d{3})+")
