"""Job of `tuneexp train --config FILE`: a configuration file, such as the `best.yaml` of a confirmed sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneexp.algorithms.registry import config_class_of
from tuneexp.cli.training import Job, job_settings
from tuneexp.errors import UserError, unknown_name
from tuneexp.files.yaml_reading import load_yaml_mapping
from tuneexp.nesting import flat, merged
from tuneexp.security.trust import addresses_in, remember, require_files, require_trusted
from tuneexp.trial.schedule import check_schedule
from tuneexp.trial.trial_config import TrialConfig, settings_in

_REGISTRATION = "env_registration"
_SCHEDULE, _TUNED_ON = "schedule", "tuned_on"  # the second one is in files of `export --to schedule` only
_OF_SWEEPS = {"space", "trials", "scheduler", "searcher", "fixed"}


def job_of_file(
    path: Path,
    algorithm: str | None,
    env: str | None,
    seeds: list[int] | None,
    env_steps: int | None,
    hyperparameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    trust: bool = False,
    values: Mapping[str, Any] | None = None,
) -> Job:
    """Return the job of a configuration file, overridden by options. values: its content, if it was read before.

    Raises:
        UserError: The file can't be read, is no configuration, or names code that is not trusted. Addresses in options
            are trusted.
    """
    values = _read(path) if values is None else values
    own = {"algorithm": algorithm, "env": env, "seeds": seeds, "budget_env_steps": env_steps}
    asked = {**values, **{name: value for name, value in own.items() if value is not None}}
    if missing := [name for name in ("algorithm", "env") if name not in asked]:
        raise UserError(f"{path} names no {missing[0]}; add a line  {missing[0]}: ...")
    if env is not None:
        asked.pop(_REGISTRATION, None)
    if not isinstance(schedule := asked.pop(_SCHEDULE, []), list):
        raise UserError(f"{path} holds no schedule; write one: tuneexp export NAME --to schedule")
    asked["hyperparameters"] = merged(asked.get("hyperparameters") or {}, hyperparameters)
    config = TrialConfig.parse({**merged(asked, settings)}, str(path))
    in_options = addresses_in({"algorithm": algorithm, "env": env, "hyperparameters": hyperparameters, **settings})
    remember(in_options)
    named = addresses_in(config.model_dump())
    require_trusted(named, f"the configuration {path}", ("train", "--config", path), trust)
    require_files(named, str(path))
    check_schedule(schedule, config_class_of(config.algorithm), config.algorithm, str(path), flat(hyperparameters))
    return Job(
        algorithm=config.algorithm,
        env=config.env,
        seeds=list(config.seeds),
        budget_env_steps=config.budget_env_steps,
        hyperparameters=config.hyperparameters,
        settings={**job_settings({**asked, **settings}), **_registration(config), **_scheduled(schedule)},
    )


def job_of_schedule(
    path: Path | None,
    seeds_text: str | None,
    algorithm: str | None,
    env: str | None,
    seeds: list[int] | None,
    env_steps: int | None,
    hyperparameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    trust: bool = False,
) -> Job:
    """Return the job of a file of `tuneexp export --to schedule`, overridden by options. Errors as of `job_of_file`.

    seeds_text: the option `--seeds`; a number N is N seeds that the sweep was not tuned on."""
    assert path is not None
    values = _read_mapping(path, "a schedule is written by: tuneexp export NAME --to schedule")
    tuned_on = values.pop(_TUNED_ON, values.get("seeds", []))
    if not isinstance(values.get(_SCHEDULE), list) or not isinstance(tuned_on, list):
        raise UserError(f"{path} holds no schedule; write one: tuneexp export NAME --to schedule")
    if algorithm is not None and algorithm != values.get("algorithm"):
        raise UserError(f"{path} is a schedule of {values.get('algorithm')}, not of {algorithm}; leave out {algorithm}")
    if seeds is None or (seeds_text is not None and "," not in seeds_text):
        first = max([-1, *tuned_on]) + 1
        seeds = list(range(first, first + len(seeds or [0])))
    return job_of_file(path, algorithm, env, seeds, env_steps, hyperparameters, settings, trust, values)


def _read(path: Path) -> dict[str, Any]:
    values = _read_mapping(path, "a configuration file is, for example, the best.yaml of a confirmed sweep")
    if _TUNED_ON in values:
        raise UserError(f"{path} is a schedule; write: tuneexp train --schedule {path}")
    return values


def _read_mapping(path: Path, example: str) -> dict[str, Any]:
    values = load_yaml_mapping(path, example)
    known = (*settings_in(TrialConfig.model_fields), _REGISTRATION, _SCHEDULE, _TUNED_ON)
    for name in values:
        if name not in known:
            if name in _OF_SWEEPS:
                raise UserError(f"{path} holds settings of a sweep ({name}); write: tuneexp sweep {path}")
            raise UserError(f"{path}: {unknown_name('setting', name, known)}")
    return values


def _scheduled(schedule: list[Any]) -> dict[str, Any]:
    return {_SCHEDULE: schedule} if schedule else {}


def _registration(config: TrialConfig) -> dict[str, Any]:
    return {} if config.env_registration is None else {_REGISTRATION: config.env_registration}
