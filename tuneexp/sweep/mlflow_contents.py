"""Contents of a sweep's MLflow run: constants, descriptions, source, and text artifacts."""

from __future__ import annotations

import json
from typing import Any

from tuneexp.commands import command
from tuneexp.files.yaml_writing import yaml_text
from tuneexp.sweep import warm_start
from tuneexp.sweep.confirming.candidates import trial_of
from tuneexp.sweep.confirming.folders import is_confirmation
from tuneexp.sweep.search.choice import parts
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.listed import KEY
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SETTINGS, SweepConfig
from tuneexp.tracking.callback import MLflowCallback
from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.descriptions import About
from tuneexp.tracking.origin import origin_tags, version_tags
from tuneexp.tracking.record_texts import RecordTexts
from tuneexp.tracking.within import CONFIRMATION, SWEEP, Within

# Settings that may differ between starts of the same sweep, the space, which is an artifact, and those of other logs.
_OF_A_START = ("concurrency", "address", "checkpoints", "space", "tensorboard")


def mlflow_callback(config: SweepConfig, folder: SweepFolder, space: SearchSpace) -> MLflowCallback:
    """Return the callback that writes the sweep's outbox. MLflow's experiment is the environment; the settings that all
    trials share are params of the parent run."""
    within = _within(config, folder)
    own_files = [where for where, _, _ in map(_parts, config.trial.sources) if where.endswith(".py")]
    return MLflowCallback(
        config.name if within is None else f"{folder.outermost.name}/{config.name}",
        folder.path,
        folder.storage,
        config.trial.env,
        _constants(config),
        space.names,
        _tags(config, folder),
        config.checkpoints,
        RecordTexts(space.names, _about(config, folder), origin_tags(own_files), within),
        _artifacts(config),
    )


def _within(config: SweepConfig, folder: SweepFolder) -> Within | None:
    """Return the facts about a sweep within another one, whose runs MLflow has; None for others."""
    sweep = folder.outermost
    if sweep.path == folder.path:
        return None
    names = dict(enumerate(config.space.get(KEY, ())))
    runs = mlflow_ids(sweep.path).run_ids
    numbers = {number: trial_of(name) for number, name in names.items()}
    tags = {
        number: {"confirms": f"{sweep.name}, {names[number]}", "confirms.run_id": runs.get(trial, "")}
        for number, trial in numbers.items()
        if trial is not None
    }
    return Within(CONFIRMATION if is_confirmation(folder) else SWEEP, names, tags)


def _parts(address: str) -> tuple[str, str, str]:
    return address.rpartition(":")


def _constants(config: SweepConfig) -> dict[str, Any]:
    """Return the settings that all trials share, without the space and the resources of a start."""
    values = config.flat("json")
    return {name: values[name] for name in SETTINGS if name not in _OF_A_START}


def _tags(config: SweepConfig, folder: SweepFolder) -> dict[str, Any]:
    trial, earlier = config.trial, warm_start.stored(folder)
    return {
        "algorithm": trial.algorithm,
        "concurrency": config.concurrency or "as many as fit",
        "compile": trial.compile,
        "device": trial.device,
        "warm_start": f"{len(earlier)} trials of {', '.join(config.warm_start)}" if earlier else "",
        "source_hash": trial.sources.get(trial.algorithm, ""),
        **version_tags(),
    }


def _about(config: SweepConfig, folder: SweepFolder) -> About:
    return About(
        algorithm=config.trial.algorithm,
        env=config.trial.env,
        seeds=tuple(config.trial.seeds),
        env_steps=config.trial.budget_env_steps,
        trials=config.trials,
        how=f"{parts(config.searcher)[0]} suggests configurations, {_stopping(parts(config.scheduler)[0])}",
        repeat=command("sweep", folder.experiment_file),
        resume=folder.command("resume"),
        show=folder.command("show"),
    )


def _stopping(scheduler: str) -> str:
    return "no trial is stopped early" if scheduler == "fifo" else f"{scheduler} stops trials early"


def _artifacts(config: SweepConfig) -> dict[str, str]:
    return {
        "search_space.yaml": yaml_text(config.space),
        "environment.json": json.dumps(_environment(config), indent=2),
    }


def _environment(config: SweepConfig) -> dict[str, Any]:
    from tuneexp.algorithms.preflight import check_environment

    trial = config.trial
    environment = (trial.env, trial.env_kwargs, trial.wrappers, trial.env_backend)
    return {
        "id": trial.env,
        "kwargs": trial.env_kwargs,
        "registration": trial.env_registration,
        "backend": trial.env_backend,
        "wrappers": trial.wrappers,
        "spaces": check_environment(trial.algorithm, *environment),
    }
