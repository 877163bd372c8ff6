"""Warm start: a sampler learns from trials of earlier sweeps, from its first suggestion on.

They are in the study before the trials of the sweep, and each has the user attribute `warm_start`. They are no trials
of the sweep: they have no number, no record and no run in MLflow. `warm_start.json` in the sweep's folder holds them
for a start before the first snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from tuneexp.errors import UserError
from tuneexp.files.atomic import write_json
from tuneexp.files.json_reading import checked, read_json
from tuneexp.sweep.search.choice import parts
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace
from tuneexp.sweep.search.space.earlier_points import params_of
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder, stored_folder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of, read_config
from tuneexp.tracking.outcome import COMPLETED, PRUNED

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FILE = "warm_start.json"
# Others learn nothing from trials that they did not suggest; grid and brute_force would count them as tried.
LEARN = ("tpe", "gp")
MOST_NAMED = 12  # numbers of trials in a line


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier sweep: `source` is `sweep/number`, `params` are those of Optuna in the new space."""

    source: str
    params: dict[str, Any]
    outcome: str
    objective: float
    env_steps: int


@dataclass(frozen=True)
class WarmStart:
    """Trials that a sweep takes from earlier ones. lines: one about each of these sweeps."""

    taken: list[EarlierTrial] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Stored:
    trials: list[EarlierTrial]


_STORED = TypeAdapter(_Stored)


def lasting_names(asked: Any, storage: Path) -> list[str]:
    """Return the names of sweeps of the same storage, and absolute paths of others. UserError if there is none."""
    listed = [asked] if isinstance(asked, str | Path) else list(asked)
    folders = [stored_folder(str(one), storage) for one in listed]
    for folder in folders:
        read_config(folder)
    names = [folder.name if folder.storage == storage else str(folder.path) for folder in folders]
    return list(dict.fromkeys(names))


def gather(config: SweepConfig, space: SearchSpace, storage: Path) -> WarmStart:
    """Return the trials that the sampler of a new sweep learns from.

    Args:
        config: The new sweep.
        space: Its validated search space.
        storage: Its storage.

    Raises:
        UserError: The sampler can't learn from them, an earlier sweep is of another problem, or no trial fits.
    """
    if not config.warm_start:
        return WarmStart()
    name = parts(config.searcher)[0]
    if ":" not in name and name not in LEARN:
        raise UserError(f"{name} learns nothing from trials of another sweep; write --searcher tpe, or no --warm-start")
    if "function" in config.space:
        raise UserError("a warm start needs a search space of ranges and choices, not a define-by-run function")
    found = [_taken_from(one, config, space, storage) for one in config.warm_start]
    whole = WarmStart([trial for one in found for trial in one.taken], [line for one in found for line in one.lines])
    if not whole.taken:
        raise UserError(f"{'; '.join(whole.lines)}\nleave out --warm-start, or widen the search space")
    return whole


def _taken_from(named: str, config: SweepConfig, space: SearchSpace, storage: Path) -> WarmStart:
    folder = stored_folder(named, storage)
    _refuse_other_problem(read_config(folder), config)
    taken, left = [], Counter[str]()
    for record in sorted(snapshot.read_records(folder), key=lambda one: one.trial_number):
        if record.outcome not in (COMPLETED, PRUNED) or record.objective is None:
            left[(record.outcome or "not ended").replace("_", " ")] += 1
            continue
        try:
            taken.append(_trial(folder, record, params_of(space, record.config)))
        except InfeasiblePoint as problem:
            left[f"outside of this search ({problem})"] += 1
    return WarmStart(taken, [_line(folder.name, taken, left)])


def _trial(folder: SweepFolder, record: TrialRecord, params: dict[str, Any]) -> EarlierTrial:
    assert record.outcome is not None
    assert record.objective is not None
    source = f"{folder.name}/{record.trial_number}"
    return EarlierTrial(source, params, record.outcome, record.objective, record.env_steps)


def _line(name: str, taken: Sequence[EarlierTrial], left: Counter[str]) -> str:
    numbers = ", ".join([trial.source.rpartition("/")[2] for trial in taken][:MOST_NAMED]) or "none"
    numbers += ", ..." if len(taken) > MOST_NAMED else ""
    pruned = sum(trial.outcome == PRUNED for trial in taken)
    outside = [reason for reason in left if reason.startswith("outside")]
    counts = {reason: count for reason, count in left.items() if reason not in outside}
    if outside:  # an example for all of them
        counts[outside[0]] = sum(left[reason] for reason in outside)
    why = "; left out: " + ", ".join(f"{count} {reason}" for reason, count in counts.items()) if left else ""
    counted = f"{len(taken)} of {len(taken) + left.total()} trials"
    return f"warm start from {name}: {counted} ({numbers}{f'; {pruned} pruned' if pruned else ''}){why}"


def _refuse_other_problem(earlier: SweepConfig, config: SweepConfig) -> None:
    """Raise UserError if the objectives of two sweeps can't be compared."""
    before, now = earlier.trial, config.trial
    compared = {
        "algorithm": (before.algorithm, now.algorithm),
        "env": (before.env, now.env),
        "env_kwargs": (before.env_kwargs, now.env_kwargs),
        "wrappers": (before.wrappers, now.wrappers),
        "budget_env_steps": (before.budget_env_steps, now.budget_env_steps),
        "objective": (before.objective, now.objective),
        "objectives": (objectives_of(earlier), objectives_of(config)),
    }
    for name, (one, other) in compared.items():
        if one != other:
            shown = "" if name in ("objective", "objectives") else f": {one!r}, here {other!r}"
            raise UserError(
                f"sweep {earlier.name!r} has another {name}{shown}; its scores can't be compared with these"
            )
    if objectives_of(config).names != ("objective",) or config.constraints:
        raise UserError("a warm start needs a sweep of the default objective, without constraints")


def store(folder: SweepFolder, taken: Sequence[EarlierTrial]) -> None:
    """Write the trials into the folder of the new sweep."""
    if taken:
        write_json(folder.path / FILE, {"trials": [asdict(trial) for trial in taken]})


def stored(folder: SweepFolder) -> list[EarlierTrial]:
    """Return the trials in the folder of a sweep."""
    path = folder.path / FILE
    return checked(_STORED, read_json(path), path).trials if path.is_file() else []


def frozen(trials: Sequence[EarlierTrial], space: SearchSpace) -> list[FrozenTrial]:
    """Return the trials for `study.add_trials`."""
    from tuneexp.sweep.search.earlier_trials import frozen_trial

    return [frozen_trial(space, one.params, one.source, one.outcome, one.objective, one.env_steps) for one in trials]
