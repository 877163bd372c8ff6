"""Ledger of the checkpoints of a sweep: which of them stay. Pure functions, apart from files and MLflow.

A trial keeps its best checkpoints and its last one. A quota drops the worst checkpoints of the sweep, except for those
that are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

TO_GO_ON, THE_BEST, UNDELIVERED = "to go on", "the best", "not yet in MLflow"


@dataclass(frozen=True)
class KeptCheckpoint:
    """A checkpoint that stays.

    Attributes:
        path: Path or URI; in a snapshot the name in the checkpoint storage.
        env_steps: Environment steps per seed at its report.
        score: Values of the objectives of the sweep at its report, negated if they are minimized: larger is better.
            Empty if one of them is not finite.
        violates: True if the report violates a constraint.
        size_bytes: Size of its files; 0 if it is not known yet.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    path: str
    env_steps: int
    score: list[float] = field(default_factory=list)
    violates: bool = False
    size_bytes: int = 0

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sort key: larger is better. Of several objectives the first one decides, of equal scores the later one."""
        return bool(self.score), not self.violates, tuple(self.score), self.env_steps


@dataclass(frozen=True)
class Account:
    """Checkpoints of one trial, the oldest first.

    Attributes:
        kept: Its checkpoints.
        goes_on: True if the trial may continue from the last one: it runs, waits, is paused, or failed.
        is_best: True for the best trial of the sweep, and for a trial on the Pareto front.
    """

    kept: Sequence[KeptCheckpoint]
    goes_on: bool
    is_best: bool = False


@dataclass(frozen=True)
class Balance:
    """Result of a quota.

    Attributes:
        dropped: Paths of the checkpoints that go.
        size_bytes: Size of the others.
        waiting_bytes: Size of those among them that stay only until MLflow has them.
        needed: Number of the needed checkpoints by the reason.
    """

    dropped: frozenset[str]
    size_bytes: int
    waiting_bytes: int
    needed: Counter[str]


def best_of(kept: Iterable[KeptCheckpoint], number: int) -> list[KeptCheckpoint]:
    """Return the best checkpoints, the best first. Those without a score are none."""
    return sorted((one for one in kept if one.score), key=lambda one: one.rank, reverse=True)[:number]


def with_saved(kept: Sequence[KeptCheckpoint], saved: KeptCheckpoint, keep: int) -> list[KeptCheckpoint]:
    """Return the checkpoints of a trial that stay after it has saved another one: its best `keep`, and the new one.

    A new checkpoint of the same step takes the place of the old one."""
    found = [*(one for one in kept if one.env_steps != saved.env_steps and one.path != saved.path), saved]
    best = {one.path for one in best_of(found, keep)}
    return [one for one in found if one.path in best or one is saved]


def within_quota(
    accounts: Iterable[Account],
    keep: int,
    quota_bytes: int,
    undelivered: Collection[str],
    continued: Collection[str] = (),
) -> Balance:
    """Drop checkpoints, the worst of the sweep first, until the others are within the quota.

    Args:
        accounts: Of all trials.
        keep: Number of the best checkpoints of the sweep that stay in any case.
        quota_bytes: Limit of the size of all checkpoints.
        undelivered: Paths of checkpoints that MLflow is still to get.
        continued: Paths of checkpoints from which other trials than their own continue.

    Returns:
        What goes, and what is left. That may be more than the quota: needed checkpoints stay.
    """
    given = list(accounts)
    every = [one for account in given for one in account.kept]
    needed = dict.fromkeys(undelivered, UNDELIVERED)
    needed |= {one.path: THE_BEST for one in best_of(every, keep)}
    needed |= dict.fromkeys(continued, TO_GO_ON)
    for account in given:
        if account.kept and (account.goes_on or account.is_best):
            needed[account.kept[-1].path] = TO_GO_ON if account.goes_on else THE_BEST
    dropped, left = set(), sum(one.size_bytes for one in every)
    for one in sorted(every, key=lambda one: one.rank):
        if left > quota_bytes and one.path not in needed:
            dropped.add(one.path)
            left -= one.size_bytes
    stay = [one for one in every if one.path in needed]
    waiting = sum(one.size_bytes for one in stay if needed[one.path] == UNDELIVERED)
    return Balance(frozenset(dropped), left, waiting, Counter(needed[one.path] for one in stay))
