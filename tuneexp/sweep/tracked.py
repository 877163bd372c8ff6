"""Contents of a sweep's MLflow run: constants, descriptions, source, and text artifacts."""

from __future__ import annotations

import json
from typing import Any

from tuneexp.commands import command
from tuneexp.sweep.config import SweepConfig
from tuneexp.sweep.folder import SweepFolder
from tuneexp.sweep.space import SearchSpace
from tuneexp.sweep.space.yaml import yaml_text
from tuneexp.tracking.callback import MLflowCallback
from tuneexp.tracking.notes import About
from tuneexp.tracking.origin import origin_tags, version_tags
from tuneexp.tracking.record_texts import Words


def mlflow_callback(config: SweepConfig, folder: SweepFolder, space: SearchSpace) -> MLflowCallback:
    """Writes the sweep's outbox; experiment = the problem, the constants of all trials as params of the parent run."""
    own_files = [where for where, _, _ in map(_parts, config.sources) if where.endswith(".py")]
    return MLflowCallback(
        config.name,
        folder.path,
        folder.storage,
        config.env,
        _constants(config),
        space.names,
        _tags(config),
        config.checkpoints,
        Words(space.names, _about(config, folder), origin_tags(own_files)),
        _artifacts(config),
    )


def _parts(address: str) -> tuple[str, str, str]:
    return address.rpartition(":")


def _constants(config: SweepConfig) -> dict[str, Any]:
    return {
        "algorithm": config.algorithm,
        "env": config.env,
        "env_kwargs": config.env_kwargs,
        "env_backend": config.env_backend,
        "wrappers": config.wrappers,
        "env_steps": config.env_steps,
        "seeds": config.seeds,
        "trials": config.trials,
        "scheduler": config.scheduler,
        "searcher": config.searcher,
        "searcher_seed": config.searcher_seed,
        "fixed": config.fixed,
        "evaluation": config.evaluation,
        "objective": config.objective,
    }


def _tags(config: SweepConfig) -> dict[str, Any]:
    return {
        "algorithm": config.algorithm,
        "concurrency": config.concurrency or "as many as fit",
        "compile": config.compile,
        "device": config.device,
        "source_hash": config.sources.get(config.algorithm, ""),
        **version_tags(),
    }


def _about(config: SweepConfig, folder: SweepFolder) -> About:
    return About(
        algorithm=config.algorithm,
        env=config.env,
        seeds=tuple(config.seeds),
        env_steps=config.env_steps,
        trials=config.trials,
        how=f"{config.searcher} suggests configurations, {_stopping(config.scheduler)}",
        repeat=command("sweep", folder.experiment_file),
        resume=command("resume", folder.name, storage=folder.storage),
        show=command("show", folder.name, storage=folder.storage),
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

    spaces = check_environment(config.algorithm, config.env, config.env_kwargs, config.wrappers, config.env_backend)
    return {
        "id": config.env,
        "kwargs": config.env_kwargs,
        "registration": config.env_registration,
        "backend": config.env_backend,
        "wrappers": config.wrappers,
        "spaces": spaces,
    }
