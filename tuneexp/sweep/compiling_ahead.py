"""Compilation of the programs of the first trial while Ray starts and its workers import torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.registry import config_class_of
from tuneexp.sweep.cluster.ray_session import runs_elsewhere
from tuneexp.sweep.planning.probing import first_configurations
from tuneexp.sweep.planning.programs import programs_of
from tuneexp.sweep.sweep_config import SweepConfig, trial_config
from tuneexp.trial.ahead import compiles_ahead, start_compiling
from tuneexp.trial.trial_config import TrialConfig

if TYPE_CHECKING:
    import subprocess

    from tuneexp.config import Config
    from tuneexp.sweep.search.space import SearchSpace

log = logging.getLogger(__name__)


@contextmanager
def compiling_ahead(config: SweepConfig, space: SearchSpace) -> Iterator[None]:
    """Context in which the programs of the first trial are compiled in a process of their own, if that saves time.

    config: resolved, of a sweep on this machine; others are left alone."""
    process = None if runs_elsewhere(config.address) else _started(config, space)
    try:
        yield
    finally:
        if process is not None:
            process.kill()  # and with it the compiler that it started
            process.wait()


def _started(config: SweepConfig, space: SearchSpace) -> subprocess.Popen[bytes] | None:
    try:
        return _start(config, space)
    except Exception as error:  # the trials report what is wrong with them
        log.debug("nothing is compiled ahead", exc_info=error)
        return None


def _start(config: SweepConfig, space: SearchSpace) -> subprocess.Popen[bytes] | None:
    shared = _at_the_start(trial_config(config))
    config_class = config_class_of(config.trial.algorithm)
    usual = next(iter(space.corners()))
    if not compiles_ahead(TrialConfig.parse(shared, "the trial"), usual) or not _is_known(space, config_class):
        return None
    first = next(iter(first_configurations(config, space, 1)))
    trial = TrialConfig.parse({**shared, **first}, "the trial")
    cfg = config_class.parse(trial.hyperparameters, config.trial.algorithm)
    return start_compiling(trial) if compiles_ahead(trial, cfg) else None


def _at_the_start(trial: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the seeds with which a trial starts."""
    if not trial["cohorts"]:
        return trial
    return {**trial, "seeds": trial["seeds"][: trial["cohorts"][0]["seeds"]], "cohorts": []}


def _is_known(space: SearchSpace, config_class: type[Config]) -> bool:
    """Return True if the programs of the first trial are known before it is suggested."""
    return bool(space.initial_params()) or programs_of(space, config_class).combinations == 1
