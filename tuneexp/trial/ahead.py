"""Compilation of the programs of a trial in a process of its own, before the trial starts.

The process builds the trial as its worker will, so that the cache has the programs when the worker needs them. A
note in the cache lists them: with it, the next sweep of the same kind starts no process. A lock beside the note is held
meanwhile: workers wait for it instead of tracing the same programs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.registry import config_class_of
from tuneexp.files.atomic import write_atomically
from tuneexp.files.locks import LockError, is_held, locked
from tuneexp.learning.compile.cache import cache_folder, cache_used, is_cached, processor, source_hash
from tuneexp.learning.compile.turn import end_with_parent
from tuneexp.processes import SAFE_PATH, cores, python_command, uncollected_imports
from tuneexp.ray_support.environment import WORKER_SETTINGS
from tuneexp.trial.trial_config import TrialConfig
from tuneexp.trial.workload import trains_while_compiling, workload_of

POLL_S = 0.2
LONGEST_WAIT_S = 600.0  # an environment may keep the other process from going on


def compiles_ahead(config: TrialConfig, cfg: Any) -> bool:
    """Return True if compiling the programs of a trial beforehand saves time. cfg: its hyperparameters."""
    if not isinstance(cfg, AlgorithmConfig) or cfg.num_env_runners or cfg.num_learners or config.device != "cpu":
        return False
    wanted = config.compile == "on" or (config.compile == "auto" and workload_of(cfg, config).repays_compiling())
    return wanted and not _is_noted(_note(config, cfg))


def start_compiling(config: TrialConfig) -> subprocess.Popen[bytes]:
    """Start the process. It ends with this thread."""
    asked = {"config": config.model_dump(), "path": sys.path}
    process = subprocess.Popen(
        python_command("from tuneexp.trial.ahead import main; main()"),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**WORKER_SETTINGS, **os.environ, **SAFE_PATH},
    )  # fmt: skip
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps(asked, default=str).encode())
    return process


def wait_for_compilation(config: TrialConfig, cfg: Any) -> None:
    """Wait while the programs of a trial are compiled ahead, unless it trains eagerly meanwhile.

    cfg: its hyperparameters."""
    if not compiles_ahead(config, cfg) or trains_while_compiling(cfg, config):
        return
    lock, deadline_s = _lock(_note(config, cfg)), time.monotonic() + LONGEST_WAIT_S
    with suppress(LockError):
        while is_held(lock) and time.monotonic() < deadline_s:
            time.sleep(POLL_S)


def main() -> None:
    """Read a trial from standard input, and build it."""
    end_with_parent()
    asked = json.loads(sys.stdin.buffer.read())
    sys.path.extend(one for one in asked["path"] if one not in sys.path)
    # As many trials as cores: the process waits for the compiler.
    config = TrialConfig.parse({**asked["config"], "concurrent_trials": cores()}, "the trial")
    note = _note(config, config_class_of(config.algorithm).parse(config.hyperparameters, config.algorithm))
    with cache_used(), locked(_lock(note)):
        keys = _keys_of_programs(config)
        if all(keys):
            write_atomically(note, json.dumps(keys).encode())


def _keys_of_programs(config: TrialConfig) -> list[str]:
    with uncollected_imports():
        import torch

        from tuneexp.algorithms.registry import load_spec
        from tuneexp.trial import Trial

    torch.set_num_threads(1)
    trial = Trial(load_spec(config.algorithm), config)
    keys = [program.key for one in trial.trainers.values() for program in one.programs.all()]
    trial.close()
    return keys


def _lock(note: Path) -> Path:
    return note.with_suffix(".lock")


def _note(config: TrialConfig, cfg: AlgorithmConfig) -> Path:
    """Return the file that lists the programs of the trials of a kind."""
    seeds = config.cohorts[0].seeds if config.cohorts else len(config.seeds)  # of the start
    made_of: Mapping[str, Any] = {
        "trial": config.model_dump(include={"algorithm", "sources", "env", "env_kwargs", "wrappers", "env_backend"}),
        "seeds": seeds,
        "hyperparameters": cfg.of_programs(),
        "optimizer": [cfg.optimizer_class, cfg.optimizer_kwargs],
        "versions": [source_hash(), version("torch"), processor()],
    }
    return cache_folder() / f"ahead-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]}.json"


def _is_noted(note: Path) -> bool:
    try:
        keys = json.loads(note.read_text())
    except (OSError, ValueError):
        return False
    return all(is_cached(str(key)) for key in keys)
