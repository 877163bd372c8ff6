"""File `schedule.yaml`: hyperparameters of the winner of a population by environment steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tuneexp
from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.files.atomic import write_atomically
from tuneexp.files.yaml_writing import yaml_text
from tuneexp.nesting import flat, nested
from tuneexp.sweep.member_training import segments_of
from tuneexp.sweep.results import SweepResult, TrialResult, load_sweep
from tuneexp.sweep.search.population.lineage import Segment
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig, read_config
from tuneexp.trial.trial_config import TrialConfig, changed_settings, settings_in

_ALWAYS = ("algorithm", "env", "budget_env_steps", "compile")


def export_schedule(address: str, output: str | Path | None = None, storage: str | Path = "runs") -> dict[str, Any]:
    """Write the schedule of a member of a population as `schedule.yaml`.

    Args:
        address: Name of a sweep, for its best trial; or NAME/3, for trial 3.
        output: The file, which is replaced; None: `schedule.yaml`.
        storage: Folder that holds the sweep's folder.

    Returns:
        `path`, `trial` (its number) and `segments` (`env_steps`, `member` and `values` of each).

    Raises:
        UserError: There is no such trial, or its sweep trained no population.
    """
    name, _, number = str(address).rpartition("/") if str(address).rpartition("/")[2].isdecimal() else (address, "", "")
    result = load_sweep(str(name), storage)
    trial = _trial_of(result, number)
    config = read_config(SweepFolder(Path(result.storage) / result.name))
    if not any(one.takeovers for one in result.trials):
        raise UserError(
            f"no trial of sweep {result.name} has continued from another one, so there is no schedule; "
            f"its configuration: {command('show', result.name, storage=storage)}"
        )
    segments = segments_of(result, trial.trial_number)
    path = Path(output or "schedule.yaml").absolute()
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"--output {str(path)!r} can't be written: name a file in a folder that exists")
    write_atomically(path, schedule_yaml(result, trial, config, segments).encode())
    shown = [{"env_steps": one.env_steps, "member": one.member, "values": dict(one.values)} for one in segments]
    return {"path": str(path), "trial": trial.trial_number, "segments": shown}


def schedule_yaml(result: SweepResult, trial: TrialResult, config: SweepConfig, segments: list[Segment]) -> str:
    """Return the text of the file: all settings of the training, then `schedule`."""
    hyperparameters = nested({**flat(trial.config), **segments[0].values})
    settings = config.trial.model_copy(update={"hyperparameters": hyperparameters})
    changed = changed_settings(settings_in(TrialConfig.model_fields), settings.model_dump(mode="json"), _ALWAYS)
    changed.pop("seeds", None)
    registration = {} if settings.env_registration is None else {"env_registration": settings.env_registration}
    schedule = [{"env_steps": one.env_steps, "member": one.member, "values": dict(one.values)} for one in segments[1:]]
    values = {**changed, **registration, "tuned_on": list(config.trial.seeds), "schedule": schedule}
    lines = [
        f"# Hyperparameters of trial {trial.trial_number} of sweep {result.name} by environment steps per seed.",
        f"# Trained by members {', '.join(str(one.member) for one in segments)}, one after another.",
        f"# Written by tuneexp {tuneexp.__version__}. On 10 fresh seeds: "
        "tuneexp train --schedule schedule.yaml --seeds 10",
    ]
    return "\n".join(lines) + "\n" + yaml_text(values)


def _trial_of(result: SweepResult, number: str) -> TrialResult:
    if not number:
        if result.best is None:
            raise UserError(f"sweep {result.name} has no completed trial yet; write {result.name}/NUMBER")
        return result.best
    for trial in result.trials:
        if trial.trial_number == int(number):
            return trial
    raise UserError(f"sweep {result.name} has no trial {number}; it has {len(result.trials)}, from 0")
