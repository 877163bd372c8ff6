"""The second copy of the snapshot survives a power cut, with every checkpoint that it names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from tuneexp.files import checkpoint
from tuneexp.sweep.engine import remove_beyond_snapshot
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.storage import checkpoint_storage as places
from tuneexp.sweep.storage import second_copy, snapshot
from tuneexp.sweep.storage.checkpoint_keeper import CheckpointKeeper, Retention
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage, checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder, sweep_folder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.second_copy import SecondCopy
from tuneexp.sweep.storage.snapshot import Snapshot

TRIAL = "trial_00000_aaa"


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    found = sweep_folder("s", tmp_path)
    found.path.mkdir()
    found.suggestions_file.write_text("{}")
    return found


def made(folder: SweepFolder, number: int) -> Snapshot:
    """A snapshot of a trial that has just written its checkpoint `number`."""
    name = f"{TRIAL}/checkpoint_{number:06d}"
    checkpoint.write(folder.path / name, {"env_steps": number})
    state = {pattern: str(number).encode() for pattern in snapshot.STATE_PATTERNS}
    return Snapshot(state, [TrialRecord("aaa", 0, "running", None, None, None, 0, 0.0, {}, name)])


def keeper_of(folder: SweepFolder) -> CheckpointKeeper:
    return CheckpointKeeper(folder, checkpoint_storage_of(folder, None), Retention(), Objectives())


def commit(folder: SweepFolder, keeper: CheckpointKeeper, found: Snapshot) -> None:
    snapshot.commit(folder, found)
    keeper.restore()
    keeper.committed(found)


def numbers(folder: SweepFolder) -> list[int]:
    return sorted(int(path.name[-6:]) for path in folder.path.glob("trial_*/checkpoint_*"))


def test_a_checkpoint_stays_while_either_copy_names_it(folder: SweepFolder) -> None:
    keeper = keeper_of(folder)
    for number in (1, 2, 3, 4):
        commit(folder, keeper, last := made(folder, number))
        keeper.second_copy.offer(last)  # the first is copied, the others come too soon
    assert numbers(folder) == [1, 4]
    keeper.second_copy._wait()
    assert second_copy.checkpoints_of_copy(folder) == {f"{TRIAL}/checkpoint_000001"}
    keeper.finish(last)
    assert numbers(folder) == [4]
    assert folder.second_snapshot_file.read_bytes() == folder.snapshot_file.read_bytes()


def test_a_resume_keeps_the_checkpoints_of_both_and_no_other(folder: SweepFolder) -> None:
    copy = SecondCopy(folder, checkpoint_storage_of(folder, None))
    copy.finish(made(folder, 1))
    made(folder, 2)
    snapshot.commit(folder, made(folder, 3))
    made(folder, 4)
    remove_beyond_snapshot(folder, checkpoint_storage_of(folder, None))
    assert numbers(folder) == [1, 3]
    commit(folder, keeper_of(folder), made(folder, 5))  # of the session after the resume
    assert numbers(folder) == [1, 5]


def empty_snapshot(folder: SweepFolder) -> None:
    folder.snapshot_file.write_bytes(b"")


def half_a_snapshot(folder: SweepFolder) -> None:
    folder.snapshot_file.write_bytes(folder.snapshot_file.read_bytes()[:200])


def no_snapshot(folder: SweepFolder) -> None:
    folder.snapshot_file.unlink()


def zeros_in_the_snapshot(folder: SweepFolder) -> None:
    data = folder.snapshot_file.read_bytes()
    folder.snapshot_file.write_bytes(data.replace(b"env", b"\0\0\0").replace(b"aaa", b"\0\0\0"))


def empty_tensors(folder: SweepFolder) -> None:
    (folder.path / TRIAL / "checkpoint_000002" / checkpoint.TENSOR_FILE).write_bytes(b"")


def zeros_in_a_checkpoint(folder: SweepFolder) -> None:
    path = folder.path / TRIAL / "checkpoint_000002" / checkpoint.STATE_FILE
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [empty_snapshot, half_a_snapshot, no_snapshot, zeros_in_the_snapshot, empty_tensors, zeros_in_a_checkpoint],
)
def test_a_resume_after_a_power_cut_continues_from_the_second_copy(
    folder: SweepFolder, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    store, keeper = checkpoint_storage_of(folder, None), keeper_of(folder)
    keeper.second_copy.finish(first := made(folder, 1))
    commit(folder, keeper, made(folder, 2))
    with caplog.at_level(logging.WARNING):
        second_copy.recover(folder, store)
        assert not caplog.messages  # nothing is damaged
        damage(folder)  # type: ignore[operator]
        second_copy.recover(folder, store)
    assert "second copy" in caplog.text
    assert snapshot.load(folder) == first
    assert store.all_whole(first.checkpoints)


def test_a_checkpoint_that_a_person_deleted_does_not_set_the_sweep_back(folder: SweepFolder) -> None:
    keeper = keeper_of(folder)
    keeper.second_copy.finish(made(folder, 1))
    commit(folder, keeper, last := made(folder, 2))
    for number in (1, 2):
        checkpoint_storage_of(folder, None).remove(f"{TRIAL}/checkpoint_{number:06d}")
    second_copy.recover(folder, checkpoint_storage_of(folder, None))
    assert snapshot.load(folder) == last


def test_what_a_copy_names_reaches_the_disk_before_it(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(handle: int) -> None:
        fsync(handle)
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), folder.path))

    copy, last = SecondCopy(folder, checkpoint_storage_of(folder, None)), made(folder, 7)
    monkeypatch.setattr(os, "fsync", noting)
    copy.finish(last)
    name = f"{TRIAL}/checkpoint_000007"
    files = [f"{name}/{checkpoint.STATE_FILE}", f"{name}/{checkpoint.TENSOR_FILE}"]
    *before, the_copy, its_name = synced
    assert (Path(the_copy).name.split(".")[1:4], its_name) == (["snapshot", "second", "zip"], ".")
    assert set(before) == {*files, name, TRIAL, ".", folder.suggestions_file.name}


def test_only_local_things_are_synced(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    away = SubTreeFileSystem(str(folder.storage), LocalFileSystem())  # not a local one, as far as its type goes
    monkeypatch.setattr(places, "_opened", lambda storage: (away, ""))
    monkeypatch.setattr(places, "sync_folder", lambda path: pytest.fail(f"{path} was synced"))
    store = CheckpointStorage("s3://bucket", folder.name)
    copy = SecondCopy(folder, store)
    copy.finish(last := made(folder, 1))
    assert copy.needed == last.checkpoints
    assert store.all_whole(["trial_00000_aaa/never_seen"])


def test_a_full_disk_is_reported_once_and_ends_nothing(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = SecondCopy(folder, checkpoint_storage_of(folder, None))
    copy.finish(first := made(folder, 1))
    monkeypatch.setattr(second_copy, "write_atomically", no_room)
    for number in (2, 3):
        copy.finish(made(folder, number))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert copy.needed == first.checkpoints


def no_room(*args: object) -> None:
    raise OSError(28, "No space left on device")
