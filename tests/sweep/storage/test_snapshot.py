"""The snapshot holds the state of a sweep in one file, which is complete at every moment."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuneexp.errors import TuneexpError, UserError
from tuneexp.files.atomic import write_atomically
from tuneexp.sweep import load_study, load_sweep, resume
from tuneexp.sweep.engine import remove_beyond_snapshot, start_over
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import NoOptions, Scheduler, SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.stopping_rules import SearchState, StopRules, Tally
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_keeper import delete_others
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder, sweep_folder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.storage.snapshot_writer import SnapshotWriter
from tuneexp.sweep.sweep_config import SweepConfig, save_config

NAMES = [pattern.replace("*", "2026-01-02_03-04-05") for pattern in snapshot.STATE_PATTERNS]


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    found = sweep_folder("s", tmp_path)
    found.path.mkdir()
    return found


def state(text: str) -> dict[str, bytes]:
    return {pattern: f"{text} {pattern}".encode() for pattern in snapshot.STATE_PATTERNS}


def stage(staging: Path, text: str, names: list[str] = NAMES) -> None:
    staging.mkdir(exist_ok=True)
    for name, content in zip(names, state(text).values(), strict=False):
        (staging / name).write_bytes(content)


def trial_record(trial_id: str, checkpoint: str | None = None) -> TrialRecord:
    return TrialRecord(trial_id, 0, "running", None, None, None, 0, 0.0, {}, checkpoint)


def test_what_is_put_back_is_exactly_what_was_committed(folder: SweepFolder) -> None:
    records = [trial_record("a")]
    snapshot.commit(folder, Snapshot(state("old"), records))
    # What Tune's background copy left behind: newer files, torn files.
    for pattern in snapshot.STATE_PATTERNS:
        (folder.path / pattern.replace("*", "2027-01-01_00-00-00")).write_text("torn")
    (folder.path / NAMES[0]).write_text("tor")
    snapshot.put_back(folder, checkpoint_storage_of(folder, None))
    found = {pattern: [path.read_bytes() for path in folder.path.glob(pattern)] for pattern in snapshot.STATE_PATTERNS}
    assert found == {pattern: [data] for pattern, data in state("old").items()}
    assert snapshot.read_records(folder) == records


def test_nothing_is_committed_before_tune_has_staged_all_four_files(tmp_path: Path) -> None:
    stage(tmp_path / "staging", "x", NAMES[:3])
    assert snapshot.staged(tmp_path / "staging") is None


def restored_trial(staging: Path) -> Any:
    return SimpleNamespace(
        trial_id="aaa",
        config={"trial_number": 0, "hyperparameters": {}},
        status="PENDING",
        run_metadata=SimpleNamespace(last_result={}),
        checkpoint=None,
        storage=SimpleNamespace(experiment_driver_staging_path=str(staging)),
        is_finished=lambda: False,
    )


def test_each_snapshot_of_a_session_is_committed_whatever_the_local_time_is(
    folder: SweepFolder, tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    stage(staging, "earlier session", [name.replace("2026", "2027") for name in NAMES])  # the clock was set back since
    scheduler = TuneScheduler(Scheduler(NoOptions(), SchedulerContext(1)))
    writer = SnapshotWriter(folder, checkpoint_storage_of(folder, None), scheduler, Limits(), resumed=True)
    trials = [restored_trial(staging)]
    writer.on_step_begin(1, trials)
    for text in ("first", "second"):
        stage(staging, text)
        for name in NAMES:
            os.utime(staging / name, (1, 1))  # a file system that counts time coarsely
        writer.get_state()  # as Tune does while it writes the last of its files
        writer.on_step_end(1, trials)
        found = snapshot.load(folder)
        assert found is not None
        assert found.state == state(text)
        assert found.search is not None
        assert found.search == SearchState(StopRules(), Tally(elapsed_s=found.search.tally.elapsed_s))


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder.path / "file"
    write_atomically(target, b"old")

    def strike(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tuneexp.files.atomic.replace", strike)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"


def test_a_damaged_snapshot_is_named_and_left_alone(folder: SweepFolder) -> None:
    folder.snapshot_file.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(TuneexpError, match="damaged"):
        snapshot.read_records(folder)
    assert folder.snapshot_file.read_bytes().startswith(b"PK")


def checkpoints(folder: SweepFolder, trial: str, *numbers: int) -> None:
    for number in numbers:
        (folder.path / trial / f"checkpoint_{number:06d}").mkdir(parents=True)


def names(folder: SweepFolder) -> list[str]:
    return sorted(str(path.relative_to(folder.path)) for path in folder.path.glob("trial_*/checkpoint_*"))


def test_what_came_after_the_snapshot_is_forgotten(folder: SweepFolder) -> None:
    checkpoints(folder, "trial_00000_aaa", 3, 4)
    checkpoints(folder, "trial_00001_bbb", 0)
    checkpoints(folder, "trial_00002_ccc", 0, 1)
    records = [trial_record("aaa", "trial_00000_aaa/checkpoint_000003"), trial_record("bbb")]
    snapshot.commit(folder, Snapshot(state("x"), records))
    remove_beyond_snapshot(folder, checkpoint_storage_of(folder, None))
    assert names(folder) == ["trial_00000_aaa/checkpoint_000003"]
    assert not (folder.path / "trial_00002_ccc").exists()


def test_only_checkpoints_before_the_latest_are_dropped(folder: SweepFolder) -> None:
    checkpoints(folder, "trial_00000_aaa", 1, 2, 3)
    newest = "trial_00000_aaa/checkpoint_000002"
    delete_others(checkpoint_storage_of(folder, None), newest, {newest})
    assert names(folder) == [f"trial_00000_aaa/checkpoint_{number:06d}" for number in (2, 3)]


def test_starting_over_keeps_what_was_requested_and_suggested(folder: SweepFolder) -> None:
    checkpoints(folder, "trial_00000_aaa", 1)
    folder.config_file.write_text("{}")
    folder.suggestions_file.write_text("x")
    start_over(checkpoint_storage_of(folder, None))
    assert sorted(path.name for path in folder.path.iterdir()) == ["suggestions.jsonl", "sweep.json"]


def test_one_process_at_a_time(folder: SweepFolder) -> None:
    with folder.lock(), pytest.raises(UserError, match=f"process {os.getpid()}"), folder.lock():
        pass
    with folder.lock():  # free again
        pass


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "-x", "x" * 129, "a b", "a\n", "é"])
def test_a_name_that_is_no_plain_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="letters, digits"):
        sweep_folder(name, tmp_path)


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def foreign(folder: SweepFolder, state: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A snapshot signed by another user, and its second copy."""
    with monkeypatch.context() as other:
        other.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
        snapshot.commit(folder, Snapshot(state, []))
    folder.second_snapshot_file.write_bytes(folder.snapshot_file.read_bytes())


def asked_for(folder: SweepFolder) -> None:
    config = {
        "name": folder.name, "algorithm": "ppo", "env": "CartPole-v1", "trials": 1, "seeds": [0], "env_steps": 999,
        "space": {"gamma": {"uniform": [0.9, 0.99]}}, "concurrency": 1, "created_at_s": 0.0,
    }  # fmt: skip
    save_config(folder, SweepConfig.parse(config, "the sweep"))


@pytest.mark.parametrize("signed_by", ["another user", "nobody"])
def test_a_snapshot_of_another_user_is_not_unpickled(
    signed_by: str, folder: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for(folder)
    foreign(folder, state("x") | {snapshot.SEARCHER_STATE: pickle.dumps(Runs(tmp_path / "ran"))}, monkeypatch, tmp_path)
    if signed_by == "nobody":
        with zipfile.ZipFile(folder.snapshot_file, "a") as archive:
            archive.comment = b""
    before = folder.snapshot_file.read_bytes()
    for read in (resume, load_study):
        with pytest.raises(UserError, match="--trust"):
            read("s", tmp_path)
    assert folder.snapshot_file.read_bytes() == before
    assert load_sweep("s", tmp_path).trials == []
    assert not (tmp_path / "ran").exists()


def test_trust_signs_both_copies_and_keeps_what_they_hold(
    folder: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(folder, state("x"), monkeypatch, tmp_path)
    snapshot.check_signatures(folder, trust=True)
    for path in (folder.snapshot_file, folder.second_snapshot_file):
        assert snapshot.unpack(path, to_unpickle=True).state == state("x")


def test_a_container_that_trusts_everything_needs_no_signature(
    folder: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(folder, state("x"), monkeypatch, tmp_path)
    monkeypatch.setenv("TUNEEXP_TRUST", "1")
    snapshot.check_signatures(folder)
    snapshot.put_back(folder, checkpoint_storage_of(folder, None))


def test_each_byte_of_a_snapshot_is_signed(folder: SweepFolder) -> None:
    snapshot.commit(folder, Snapshot(state("x"), []))
    data = folder.snapshot_file.read_bytes()
    assert snapshot.is_own(data)
    for index in (*range(0, len(data), 97), len(data) - 1):
        changed = bytearray(data)
        changed[index] ^= 1
        assert not snapshot.is_own(bytes(changed)), index


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "experiment_state-/../../../x.json", "x.pkl"])
def test_a_name_in_a_snapshot_is_no_path(name: str, folder: SweepFolder, tmp_path: Path) -> None:
    snapshot.commit(folder, Snapshot(state("x"), []))
    with zipfile.ZipFile(folder.snapshot_file, "a") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(TuneexpError, match="tuneexp does not write"):
        snapshot.put_back(folder, checkpoint_storage_of(folder, None))
    assert not (tmp_path.parent / "x").exists()


def test_a_lost_worker_of_a_population_is_reported_for_all_of_its_members(
    folder: SweepFolder, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = TuneScheduler(Scheduler(NoOptions(), SchedulerContext(1)))
    writer = SnapshotWriter(folder, checkpoint_storage_of(folder, None), scheduler, Limits(), resumed=False)
    members = [{"trial_number": number} for number in range(3)]
    for config in ({"trial_number": 4}, {"trial_number": 0, "members": members}):
        trial: Any = SimpleNamespace(config=config, get_error=lambda: "RuntimeError: gone")
        writer.on_trial_recover(1, [], trial)
    alone, together = caplog.messages
    assert alone == "trial 4 lost its worker and is retried from its last checkpoint: RuntimeError: gone"
    assert together.startswith("the population of trials 0-2 lost its worker and is retried")
