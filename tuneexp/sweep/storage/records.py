"""Record of a trial in the snapshot: small, JSON, readable without Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.storage.ledger import KeptCheckpoint
from tuneexp.tracking.member_paths import last_parts
from tuneexp.tracking.outcome import COMPLETED, outcome_of, reason_of

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


@dataclass(frozen=True)
class TrialRecord:
    """Stored state of one trial. `outcome` is None until it has ended."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    trial_id: str
    trial_number: int
    status: str  # waiting, running, paused or ended; results of a stopped sweep show running as interrupted
    outcome: str | None
    reason: str | None
    objective: float | None  # None before the first report, and if every seed diverged
    env_steps: int  # per seed
    wall_s: float
    config: dict[str, Any]  # hyperparameters: varied and fixed
    checkpoint: str | None  # relative to the sweep's checkpoint storage
    objectives: dict[str, float] = field(default_factory=dict)  # value of each objective of the sweep, if finite
    violated: list[str] = field(default_factory=list)  # constraints of the sweep that the last report violates
    checkpoints: list[KeptCheckpoint] = field(default_factory=list)  # that are kept, the oldest first
    env_steps_spent: int | None = None  # of all seeds together; None in records of earlier versions
    continues_from: str | None = None  # checkpoint of another trial, until it has saved one of its own since
    # Of a member of a population, in their order: env_steps, donor (its number), before and after (values that moved).
    takeovers: list[dict[str, Any]] = field(default_factory=list)

    def spent(self, seeds: int) -> int:
        """Return the environment steps of all seeds together. seeds: number of those of a whole trial."""
        return self.env_steps * seeds if self.env_steps_spent is None else self.env_steps_spent

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def record_of(trial: Trial, objectives: Objectives, paused: bool = False) -> TrialRecord:
    """Return the record of a Tune trial as it is now. paused: by the scheduler, if it does not run."""
    result = trial.run_metadata.last_result or {}
    ended = trial.is_finished()
    outcome, reason = (outcome_of(trial, result), reason_of(trial, result)) if ended else (None, None)
    return TrialRecord(
        trial_id=trial.trial_id,
        trial_number=trial.config["trial_number"],
        status="ended" if ended else _status(trial, paused),
        outcome=outcome,
        reason=reason,
        objective=_finite(result.get("objective")),
        env_steps=int(result.get("env_steps", 0)),
        wall_s=float(result.get("time/train_s", 0.0)),
        config=shown_config(trial),
        checkpoint=None if (saved := _relative_checkpoint(trial)) is None or _is_of_other(trial, saved) else saved,
        objectives=objectives.named(result),
        violated=objectives.violated(result) if result else [],
        env_steps_spent=int(result.get("env_steps_spent", 0)),
        continues_from=saved if saved is not None and _is_of_other(trial, saved) else None,
        takeovers=list(trial.config.get("takeovers", [])),
    )


def _is_of_other(trial: Trial, checkpoint: str) -> bool:
    """Return True if a checkpoint is in the folder of another trial."""
    own = f"{_folder(trial.config['trial_number'], trial.trial_id)}/"
    return not is_member(trial.trial_id) and not checkpoint.startswith(own)


def _folder(number: int, trial_id: str) -> str:
    return f"trial_{number:05d}_{trial_id}"


def member_id(tune_id: str, index: int) -> str:
    """Return the trial id of a member of a stacked population, which is one trial of Tune."""
    return f"{tune_id}-{index}"


def is_member(trial_id: str) -> bool:
    """Return True for the id of a member of a stacked population."""
    return "-" in trial_id


def tune_id(trial_id: str) -> str:
    """Return the id of the trial of Tune: that of the population of a member."""
    return trial_id.partition("-")[0]


def folder_name(record: TrialRecord) -> str:
    """Return the name of a trial's folder in the checkpoint storage; of a member, that of its population."""
    if is_member(record.trial_id) and record.checkpoint is not None:
        return record.checkpoint.partition("/")[0]
    return _folder(record.trial_number, record.trial_id)


def kept_checkpoint(trial: Trial, objectives: Objectives) -> KeptCheckpoint | None:
    """Return the checkpoint that a Tune trial has just saved, with what its last report is worth."""
    name, result = _relative_checkpoint(trial), trial.run_metadata.last_result or {}
    if name is None:
        return None
    values = objectives.values(result)
    score = () if values is None else objectives.score(values)
    scores = [score] if isinstance(score, float) else list(score)
    return KeptCheckpoint(name, int(result.get("env_steps", 0)), scores, bool(objectives.violated(result)))


def front_of(records: Sequence[TrialRecord], objectives: Objectives) -> list[int]:
    """Return the indices of the Pareto front of the completed trials that satisfy the constraints; with one objective,
    of the best trial, and of equal ones of the first."""
    completed = {
        index: one.objectives
        for index, one in enumerate(records)
        if one.outcome == COMPLETED and one.objective is not None and not one.violated
    }
    return objectives.front(completed)


def shown_config(trial: Trial) -> dict[str, Any]:
    """Return the hyperparameters of a Tune trial, with its budget if that is one of them."""
    budget = {"budget_env_steps": trial.config["budget_env_steps"]} if trial.config.get("searched_budget") else {}
    return {**trial.config["hyperparameters"], **budget}


def _status(trial: Trial, paused: bool) -> str:
    if trial.status == "RUNNING":
        return "running"
    return "paused" if paused else "waiting"


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _relative_checkpoint(trial: Trial) -> str | None:
    """Return `trial_.../checkpoint_...` of Tune's path, whose spelling depends on the file system."""
    return None if trial.checkpoint is None else "/".join(last_parts(trial.checkpoint.path))
