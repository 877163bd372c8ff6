"""Writer of `experiment.yaml` in a sweep's folder, which `tuneexp sweep FILE` repeats."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tuneexp
from tuneexp.errors import StorageFault
from tuneexp.files.atomic import write_atomically
from tuneexp.files.remote_folders import is_uri
from tuneexp.files.retries import advice_for
from tuneexp.files.yaml_writing import yaml_text
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import ASKED, SweepConfig
from tuneexp.trial.trial_config import changed_settings

# Written even if they are the defaults, since those of another version may differ.
_ALWAYS = {"algorithm", "env", "space", "trials", "seeds", "budget_env_steps", "scheduler", "searcher", "searcher_seed"}


def write_experiment(folder: SweepFolder, config: SweepConfig, callbacks: Sequence[Any] = ()) -> None:
    """Write the file. StorageFault if the disk is full. callbacks: named in a comment, since YAML can't hold them."""
    text = experiment_text(config, [type(one).__name__ for one in callbacks])
    try:
        write_atomically(folder.experiment_file, text.encode())
    except OSError as error:
        raise StorageFault(
            f"{folder.experiment_file} can't be written: {error.strerror}\n{advice_for(error)}, then run this again"
        ) from error


def experiment_text(config: SweepConfig, callbacks: Sequence[str] = ()) -> str:
    """Return the settings as YAML, without name and storage: a repetition is another sweep."""
    return f"{_header(config, callbacks)}\n{yaml_text(_readable(asked_values(config)))}"


def asked_values(config: SweepConfig) -> dict[str, Any]:
    """Return the settings that differ from their defaults as plain JSON, in the order of `ASKED`."""
    fields = SweepConfig.flat_fields()
    return changed_settings({name: fields[name] for name in ASKED}, config.flat("json"), _ALWAYS)


def _readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with N for seeds 0 to N-1, and paths relative to the sweep's folder."""
    readable = dict(values)
    if readable["seeds"] == list(range(len(readable["seeds"]))):
        readable["seeds"] = len(readable["seeds"])
    if (location := readable.get("checkpoints")) and not is_uri(location) and not Path(location).is_absolute():
        readable["checkpoints"] = str(Path("..", location))
    return readable


def _header(config: SweepConfig, callbacks: Sequence[str]) -> str:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(config.created_at_s))
    lines = [
        f"# Sweep {config.name}, started {started} with tuneexp {tuneexp.__version__}.",
        "# This repeats it under a new name: tuneexp sweep experiment.yaml",
    ]
    if callbacks:
        lines.append(f"# Not in this file: its callbacks ({', '.join(callbacks)}), which only a script can pass.")
    return "\n".join(lines)
