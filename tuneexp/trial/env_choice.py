"""Backend of the environments that `env_backend: auto` chooses for a trial."""

from __future__ import annotations

from dataclasses import replace

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.envs.backend_names import EnvBackend
from tuneexp.envs.env_factory import resolve
from tuneexp.errors import UserError
from tuneexp.learning.compile.compilation import CannotCompile, compiler
from tuneexp.learning.devices import CPU, device_of
from tuneexp.trial.trial_config import TrialConfig
from tuneexp.trial.workload import workload_of


def chosen_backend(config: TrialConfig, cfg: AlgorithmConfig) -> EnvBackend:
    """Return the backend of a trial: `tensor` instead of `auto` where it is faster.

    That is a registered id with a tensor program, stepped in this process by compiled programs. The choice depends on
    the configuration and on a C++ compiler only, not on the cache of programs or the number of seeds: it decides which
    random numbers an environment gets.

    Args:
        config: of the trial.
        cfg: hyperparameters.
    """
    elsewhere = cfg.num_env_runners or cfg.num_learners
    if config.env_backend != "auto" or elsewhere or device_of(config.device) != CPU or not _will_compile(config, cfg):
        return config.env_backend
    try:
        factory = resolve(config.env, config.env_kwargs, config.wrappers, backend="tensor")
        factory.make_tensor()
    except UserError:  # no tensor program, or not with these arguments
        return "auto"
    return "tensor"


def _will_compile(config: TrialConfig, cfg: AlgorithmConfig) -> bool:
    if config.compile == "on":
        return True
    if config.compile == "off" or not replace(workload_of(cfg, config), n_seeds=1).repays_compiling():
        return False
    try:
        compiler()
    except CannotCompile:
        return False
    return True
