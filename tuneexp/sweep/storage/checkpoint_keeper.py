"""Keeper of a sweep's checkpoints: follows the ledger, and deletes files that nothing needs any more.

A checkpoint that the ledger drops is first left out of the next snapshot. Its files are deleted once no kept snapshot
and no undelivered record names them, so a kill at any moment leaves nothing that names a missing checkpoint."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from ray.tune.experiment import Trial

from tuneexp.report.formatting import size
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.ledger import Account, Balance, KeptCheckpoint, best_of, with_saved, within_quota
from tuneexp.sweep.storage.records import (
    TrialRecord,
    folder_name,
    front_of,
    is_member,
    kept_checkpoint,
    tune_id,
)
from tuneexp.sweep.storage.second_copy import SecondCopy
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.tracking.member_paths import of_whole
from tuneexp.tracking.outcome import FAILURES
from tuneexp.tracking.undelivered_models import undelivered_checkpoints

logger = logging.getLogger(__name__)

AFTER_ALL = "checkpoint_~"  # in the order of names, after the checkpoints of a trial that writes no more
DELIVERY_WAIT_S = 10.0  # at the end of a sweep that is beyond its quota


class Models(Protocol):
    """Receiver of the checkpoints of ended trials: `MLflowCallback`."""

    def keep(self, number: int, checkpoints: Sequence[Mapping[str, Any]]) -> None:
        """Record the checkpoints of an ended trial that are logged models from now on."""


@dataclass(frozen=True)
class Retention:
    """Retention rule of a sweep: the settings `keep` and `checkpoint_quota_bytes`."""

    keep: int = 1
    quota_bytes: int | None = None


class CheckpointKeeper:
    """Keeps the ledger of one run of a sweep. Not thread-safe."""

    def __init__(
        self,
        folder: SweepFolder,
        store: CheckpointStorage,
        rule: Retention,
        objectives: Objectives,
        models: Models | None = None,
    ) -> None:
        self._folder, self._store, self._rule, self._objectives = folder, store, rule, objectives
        self._models, self.second_copy = models, SecondCopy(folder, store)
        self._kept: dict[str, list[KeptCheckpoint]] = {}
        self._sizes: dict[str, int] = {}
        self._newest: dict[str, str] = {}  # a newer one in the folder may be incomplete
        self._untidy: set[str] = set()  # trials whose folders hold checkpoints that may be deleted
        self._held: dict[str, Collection[str]] = {}  # by trial: what stays only for the second copy or the delivery
        self._ended: set[str] = set()  # trials whose present models are recorded
        self._recorded: set[str] = set()  # trials that a record in the outbox may name
        self._balance: Balance | None = None  # the last one beyond the quota
        self._is_warned = False

    def restore(self) -> None:
        """Continue the ledger of the snapshot of which a resume has restored the trials."""
        for record in snapshot.read_records(self._folder):
            self._kept[record.trial_id] = list(record.checkpoints) or _of_earlier_version(record)
            if record.outcome is not None and record.outcome not in FAILURES:
                self._newest[record.trial_id] = f"{folder_name(record)}/{AFTER_ALL}"
            elif record.checkpoint:
                self._newest[record.trial_id] = record.checkpoint
        self._untidy = set(self._kept)
        self._recorded = set(self._kept)
        if self._rule.quota_bytes is not None:
            for path in [one.path for kept in self._kept.values() for one in kept if not one.size_bytes]:
                self._store.soon(partial(self._measure, path))

    def saved(self, trial: Trial) -> None:
        """Enter the checkpoint that a trial has just saved."""
        entry = kept_checkpoint(trial, self._objectives)
        if entry is None:
            return
        if self._rule.quota_bytes is not None:
            self._store.soon(partial(self._measure, entry.path))
        self._newest[trial.trial_id] = entry.path
        self._kept[trial.trial_id] = with_saved(self._kept.get(trial.trial_id, []), entry, self._rule.keep)
        self._untidy.add(trial.trial_id)

    def continued(self, trial_id: str) -> None:
        """A trial continues, perhaps after its end."""
        self._ended.discard(trial_id)

    def entered(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Apply the quota. Returns the records with the checkpoints that stay."""
        if self._rule.quota_bytes is not None:
            self._apply_quota(records, self._rule.quota_bytes)
        return [self._with_checkpoints(record) for record in records]

    def committed(self, now: Snapshot) -> None:
        """Record the models of trials that have ended, and delete files. Called after the snapshot was written."""
        self._delete(now)
        for record in now.records:
            if record.outcome is not None and record.trial_id not in self._ended:
                self._ended.add(record.trial_id)
                if self._models is not None:
                    self._models.keep(record.trial_number, models_of(record, self._store, self._rule.keep))
                self._recorded.add(record.trial_id)

    def wait_for_delivery(self, records: Sequence[TrialRecord]) -> None:
        """Wait until MLflow has the models of the trials, if the quota must delete some and all trials have ended."""
        deadline = time.monotonic() + DELIVERY_WAIT_S
        while self._waits_for_delivery(records) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _waits_for_delivery(self, records: Sequence[TrialRecord]) -> bool:
        if self._rule.quota_bytes is None or not all(record.outcome for record in records):
            return False
        undelivered = undelivered_checkpoints(self._folder.path)
        return bool(undelivered) and self._size_bytes() > self._rule.quota_bytes

    def _size_bytes(self) -> int:
        return sum(self._sizes.get(one.path, one.size_bytes) for kept in self._kept.values() for one in kept)

    def finish(self, last: Snapshot) -> None:
        """Write the second copy of the last snapshot, and delete what only the former copy named."""
        self.second_copy.finish(last)
        self._delete(last)
        if self._balance is not None:
            self._warn(self._balance, self._balance.size_bytes)

    def _delete(self, now: Snapshot) -> None:
        held_back = self.second_copy.needed - now.checkpoints
        held_back |= now.continued
        if self._untidy & self._recorded or self._held:
            held_back |= undelivered_checkpoints(self._folder.path) - now.checkpoints
        for trial_id in self._untidy | self._held.keys():
            if trial_id not in self._newest:
                continue
            newest = of_whole(self._newest[trial_id])
            inside = newest.partition("/")[0]
            held = frozenset(one for one in held_back if one.startswith(f"{inside}/"))
            if trial_id in self._untidy or held != self._held.get(trial_id):
                stays = {of_whole(one.path) for one in self._kept_beside(trial_id)} | held
                self._store.soon(partial(delete_others, self._store, newest, stays))
            self._held[trial_id] = held
        self._held = {trial_id: held for trial_id, held in self._held.items() if held}
        self._untidy.clear()

    def _kept_beside(self, trial_id: str) -> list[KeptCheckpoint]:
        """Return the checkpoints that stay of a trial; of a member, those of its population: they share folders."""
        if not is_member(trial_id):
            return self._kept.get(trial_id, [])
        beside = [kept for other, kept in self._kept.items() if tune_id(other) == tune_id(trial_id)]
        return [one for kept in beside for one in kept]

    def _apply_quota(self, records: Sequence[TrialRecord], quota_bytes: int) -> None:
        front = {records[index].trial_id for index in front_of(records, self._objectives)}
        for trial_id, kept in self._kept.items():
            self._kept[trial_id] = [replace(one, size_bytes=self._sizes.get(one.path, one.size_bytes)) for one in kept]
        accounts = [self._account(record, record.trial_id in front) for record in records]
        if sum(one.size_bytes for account in accounts for one in account.kept) <= quota_bytes:
            self._balance = None
            return
        undelivered = undelivered_checkpoints(self._folder.path)
        continued = [record.continues_from for record in records if record.continues_from]
        balance = within_quota(accounts, self._rule.keep, quota_bytes, undelivered, continued)
        for trial_id, kept in self._kept.items():
            stays = [one for one in kept if one.path not in balance.dropped]
            if len(stays) < len(kept):
                self._kept[trial_id] = stays
                self._untidy.add(trial_id)
                self._ended.discard(trial_id)  # its models change
        self._balance = balance
        self._warn(balance, balance.size_bytes - balance.waiting_bytes)  # MLflow may be a second late

    def _account(self, record: TrialRecord, is_best: bool) -> Account:
        goes_on = record.outcome is None or record.outcome in FAILURES
        return Account(self._kept.get(record.trial_id, []), goes_on, is_best)

    def _warn(self, balance: Balance, size_bytes: int) -> None:
        quota_bytes = self._rule.quota_bytes
        if quota_bytes is not None and size_bytes > quota_bytes and not self._is_warned:
            self._is_warned = True
            logger.warning("%s", over_quota(balance, quota_bytes))

    def _with_checkpoints(self, record: TrialRecord) -> TrialRecord:
        kept = self._kept.get(record.trial_id, [])
        last = kept[-1].path if kept else None
        return replace(record, checkpoints=list(kept), checkpoint=last)

    def _measure(self, path: str) -> None:
        self._sizes[path] = self._store.size_bytes(path)


def over_quota(balance: Balance, quota_bytes: int) -> str:
    """Return the warning about checkpoints that are needed and take more room than the quota."""
    reasons = ", ".join(f"{number} {reason}" for reason, number in balance.needed.most_common())
    return (
        f"the checkpoints that are needed take {size(balance.size_bytes)} ({reasons}), more than --checkpoint-quota "
        f"{size(quota_bytes)}; the others are deleted"
    )


def models_of(record: TrialRecord, store: CheckpointStorage, keep: int) -> list[dict[str, Any]]:
    """Return the checkpoints of an ended trial as `Models.keep` takes them."""
    ranks = {one.path: rank for rank, one in enumerate(best_of(record.checkpoints, keep), 1)}
    return [
        {"step": one.env_steps, "path": store.path_of(one.path), "rank": ranks.get(one.path, 0),
         "last": one.env_steps == record.env_steps}
        for one in record.checkpoints
    ]  # fmt: skip


def ended_models(folder: SweepFolder, store: CheckpointStorage, keep: int) -> dict[int, list[dict[str, Any]]]:
    """Return `models_of` each trial that has ended, by its number, from the last snapshot."""
    records = snapshot.read_records(folder)
    return {one.trial_number: models_of(one, store, keep) for one in records if one.outcome is not None}


def delete_others(store: CheckpointStorage, newest: str, stays: Collection[str]) -> None:
    """Delete the checkpoints of a trial up to its newest one, except for those that stay.

    A newer one, which may be incomplete, stays. If the storage does not answer, all stay until the next call."""
    try:
        found = store.names("checkpoint_*", newest.rpartition("/")[0])
    except OSError as error:
        logger.debug("old checkpoints stay: %s", error)
        return
    for checkpoint in found:
        if checkpoint <= newest and checkpoint not in stays:
            store.remove(checkpoint)


def _of_earlier_version(record: TrialRecord) -> list[KeptCheckpoint]:
    return [KeptCheckpoint(record.checkpoint, record.env_steps)] if record.checkpoint else []
