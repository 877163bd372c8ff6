"""What a person asked for, as it is stored in `sweep.json`: the truth for `resume`, `list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from tuneexp.commands import command
from tuneexp.config import Config, Count
from tuneexp.errors import StorageFault, UserError, nearest
from tuneexp.outages import advice_for
from tuneexp.stored import DamagedFile, read_json
from tuneexp.sweep import defaults
from tuneexp.sweep.folder import SweepFolder, stored_folder, sync, write_json
from tuneexp.trial_config import (
    DEVICE_HELP,
    ENV_BACKEND_HELP,
    MOVED_HELP,
    REGISTRATION_HELP,
    SOURCES_HELP,
    WRAPPERS_HELP,
    Device,
    EnvBackend,
    Hyperparameters,
    Wrapper,
    moved_applied,
    one_hash_as_sources,
)
from tuneexp.trust import lasting_moves

FORMAT_VERSION = 1


class SweepConfig(Config):
    """One sweep: many trials of one algorithm under one searcher and one scheduler."""

    format_version: int = Field(FORMAT_VERSION, description="version of this file's layout")
    name: str = Field(description="name of the sweep and of its folder")
    algorithm: str = Field(description="built-in name or address (path/file.py:NAME)")
    sources: dict[str, str] = Field(default_factory=dict, description=SOURCES_HELP)
    env: str = Field(description="environment id or module:Class")
    env_kwargs: dict[str, Any] = Field(default_factory=dict, description="arguments of the environment")
    env_registration: dict[str, Any] | None = Field(None, description=REGISTRATION_HELP)
    env_backend: EnvBackend = Field("auto", description=ENV_BACKEND_HELP)
    wrappers: list[Wrapper] = Field(default_factory=list, description=WRAPPERS_HELP)
    space: dict[str, Any] = Field(description="search space, as SearchSpace.to_mapping gives it")
    fixed: Hyperparameters = Field(default_factory=dict, description="hyperparameters that every trial shares")
    trials: Count = Field(gt=0, description="number of trials")
    seeds: list[int] = Field(min_length=1, description="training seeds of every trial")
    env_steps: Count = Field(gt=0, description="budget of a trial, environment steps per seed")
    report_every_env_steps: Count | None = Field(None, gt=0, description="environment steps per seed between reports")
    evaluation: dict[str, Any] = Field(default_factory=dict, description="evaluation settings of a trial")
    objective: dict[str, Any] = Field(
        default_factory=dict, description="how a trial's score is made of its evaluations"
    )
    compile: Literal["auto", "on", "off"] = Field("auto", description="ahead-of-time compilation of training")
    device: Device = Field("cpu", description=DEVICE_HELP)
    scheduler: str = Field(defaults.SCHEDULER, description="who stops trials early")
    searcher: str = Field(defaults.SEARCHER, description="who suggests hyperparameters")
    searcher_seed: Count = Field(
        defaults.SEARCHER_SEED, ge=0, le=2**32 - 1, description="seed of the searcher's random numbers"
    )
    concurrency: Count | None = Field(
        None, gt=0, description="trials that run at the same time; None: as many as the cluster has room for"
    )
    address: str | None = Field(None, description="Ray cluster; None starts Ray on this machine")
    checkpoints: str | None = Field(
        None,
        description="folder (one in the storage relative to it) or URI for checkpoints; None: the sweep's folder",
    )
    suggested: dict[str, list[str]] = Field(
        default_factory=dict, description="what a define-by-run space asked Optuna for, in its rehearsals"
    )
    created_at_s: float = Field(description="when the sweep was asked for, seconds since 1970")

    moved: dict[str, str] = Field(default_factory=dict, description=MOVED_HELP)

    _earlier = model_validator(mode="before")(one_hash_as_sources)
    _moved = model_validator(mode="before")(moved_applied)


def load_config(name: str, storage: str | Path = "runs") -> SweepConfig:
    """What the sweep `name` was asked to do. UserError where there is none."""
    return read_config(stored_folder(name, storage))


def relocated_config(config: SweepConfig, moved: Mapping[str, str]) -> SweepConfig:
    """`config` with new addresses for what moved, which it keeps."""
    values = {**config.model_dump(), "moved": {**config.moved, **lasting_moves(moved, config.model_dump())}}
    return SweepConfig.parse(values, f"sweep {config.name!r}")


def save_config(folder: SweepFolder, config: SweepConfig) -> None:
    """Raises StorageFault where there is no room; then nothing has changed."""
    try:
        write_json(folder.config_file, config.model_dump(mode="json"))
        sync(folder.storage)  # the name of the folder
    except OSError as error:
        raise StorageFault(
            f"{folder.config_file} can't be written: {error.strerror}\n{advice_for(error)}, then run this again"
        ) from error


def read_config(folder: SweepFolder) -> SweepConfig:
    """Raises UserError for a sweep that does not exist, is damaged, or was written by a newer version."""
    try:
        values = read_json(folder.config_file)
    except (FileNotFoundError, NotADirectoryError):
        match = nearest(folder.name, [path.parent.name for path in folder.storage.glob("*/sweep.json")])
        advice = f"did you mean {match!r}?" if match else f"see: {command('list', storage=folder.storage)}"
        raise UserError(f"there is no sweep {folder.name!r} in {folder.storage}; {advice}") from None
    version = values.get("format_version", FORMAT_VERSION) if isinstance(values, dict) else None
    if type(version) is not int:
        raise DamagedFile(folder.config_file, f"format_version is {version!r}")
    if version > FORMAT_VERSION:
        raise UserError(f"{folder.config_file} was written by a newer tuneexp; upgrade tuneexp to open it")
    # A folder that was renamed is another name for the same sweep.
    return SweepConfig.parse({**values, "name": folder.name}, str(folder.config_file))


_UNSET = object()
# What a person asks for, in the order of an experiment file. The other fields are found out when a sweep starts.
ASKED = (
    *("algorithm", "env", "env_kwargs", "env_registration", "env_backend", "wrappers"),
    *("trials", "seeds", "env_steps", "report_every_env_steps", "scheduler", "searcher", "searcher_seed"),
    *("evaluation", "objective", "compile", "device", "concurrency", "address", "checkpoints", "fixed", "space"),
)
# A resume may run on another cluster, and registers the environment's id as the start did.
_MAY_DIFFER = {"address", "env_registration"}


def refuse_other_settings(folder: SweepFolder, asked: SweepConfig) -> None:
    """UserError where the sweep in `folder` was started with other settings than `asked`."""
    before, now = read_config(folder).model_dump(mode="json"), asked.model_dump(mode="json")
    kept = [name for name in ASKED if name not in _MAY_DIFFER]
    changed = [text for name in kept for text in _differences(name, before[name], now[name])]
    if changed:
        raise UserError(
            f"sweep {asked.name!r} was started with other settings: {'; '.join(changed)}\n"
            "write the same ones to go on with it, or another --name"
        )


def _differences(name: str, before: Any, now: Any) -> list[str]:
    """`fixed/gamma: not set, now 0.9`, for each nested key."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = {**before, **now}
        return [
            text
            for key in keys
            for text in _differences(f"{name}/{key}", before.get(key, _UNSET), now.get(key, _UNSET))
        ]
    texts = ["not set" if value is _UNSET else json.dumps(value) for value in (before, now)]
    pairs = enumerate(zip(*texts, strict=False))
    alike = next((place for place, (one, other) in pairs if one != other), min(map(len, texts)))
    return [f"{name}: {_from(texts[0], alike)}, now {_from(texts[1], alike)}"]


def _from(text: str, alike: int) -> str:
    """A long text from near the place where it differs from another one."""
    start = max(0, alike - 20) if len(text) > 60 else 0
    return f"{'...' if start else ''}{text[start : start + 57]}{'...' if len(text) > start + 57 else ''}"


def trial_config(config: SweepConfig) -> dict[str, Any]:
    """What all trials share; the searcher adds `trial_number` and the searched values."""
    return {
        "algorithm": config.algorithm,
        "sources": config.sources,
        "moved": config.moved,
        "env": config.env,
        "env_kwargs": config.env_kwargs,
        "env_registration": config.env_registration,
        "env_backend": config.env_backend,
        "wrappers": config.wrappers,
        "seeds": config.seeds,
        "budget_env_steps": config.env_steps,
        "report_every_env_steps": config.report_every_env_steps,
        "hyperparameters": config.fixed,
        "evaluation": config.evaluation,
        "objective": config.objective,
        "compile": config.compile,
        "device": config.device,
        "expected_trials": -(-config.trials // (config.concurrency or config.trials)),
    }
