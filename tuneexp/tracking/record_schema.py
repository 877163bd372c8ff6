"""Schema of the outbox's records: the fields that readers require."""

from __future__ import annotations

from typing import (
    Any,
    Literal,
    NotRequired,  # pydantic asks for this one before Python 3.12
)

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict


class _SweepStarted(TypedDict):
    kind: Literal["sweep_started"]
    sweep_id: str
    params: dict[str, Any]
    tags: NotRequired[dict[str, Any]]


class _Reconciled(TypedDict):
    kind: Literal["reconciled"]
    known: list[int]


class _SweepEnded(TypedDict):
    kind: Literal["sweep_ended"]
    step: int


class _OfTrial(TypedDict):
    trial: int
    draw: int


class _TrialStarted(_OfTrial):
    kind: Literal["trial_started"]
    params: dict[str, Any]


class _Reported(_OfTrial):
    kind: Literal["reported"]
    at_ms: int
    step: int
    metrics: dict[str, float]


class _TakenOver(_OfTrial):
    kind: Literal["taken_over"]
    at_ms: int
    step: int
    donor: int
    before: dict[str, Any]
    after: dict[str, Any]
    sets: dict[str, Any]
    metrics: dict[str, float]
    next_metrics: dict[str, float]
    tags: dict[str, str]


class _Checkpointed(_OfTrial):
    kind: Literal["checkpointed"]
    step: int
    path: str


class _TrialEnded(_OfTrial):
    kind: Literal["trial_ended"]
    outcome: str


class _Kept(TypedDict):
    step: int
    path: str
    rank: int
    last: bool
    moved: NotRequired[dict[str, Any]]


class _CheckpointsKept(_OfTrial):
    kind: Literal["checkpoints_kept"]
    sweep: str
    params: dict[str, Any]
    checkpoints: list[_Kept]


class _TrialDiscarded(_OfTrial):
    kind: Literal["trial_discarded"]


_SHAPES: dict[str, TypeAdapter[Any]] = {
    "sweep_started": TypeAdapter(_SweepStarted),
    "reconciled": TypeAdapter(_Reconciled),
    "sweep_ended": TypeAdapter(_SweepEnded),
    "trial_started": TypeAdapter(_TrialStarted),
    "reported": TypeAdapter(_Reported),
    "taken_over": TypeAdapter(_TakenOver),
    "checkpointed": TypeAdapter(_Checkpointed),
    "trial_ended": TypeAdapter(_TrialEnded),
    "checkpoints_kept": TypeAdapter(_CheckpointsKept),
    "trial_discarded": TypeAdapter(_TrialDiscarded),
}


def problem_of(record: Any) -> str | None:
    """Error in a stored record; None for a valid one. Kinds of a newer version are not checked."""
    kind = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(kind, str):
        return "no record"
    if kind not in _SHAPES:
        return None
    try:
        _SHAPES[kind].validate_python(record, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{kind}: {'/'.join(map(str, first['loc']))}: {first['msg']}"
    return None
