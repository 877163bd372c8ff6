"""Checkpoint storage in a folder and under a URI, with equal results."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.files.remote_folders import joined, local_copy
from tuneexp.sweep.engine import remove_beyond_snapshot
from tuneexp.sweep.storage import checkpoint_storage as places
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage, checkpoint_storage_of
from tuneexp.sweep.storage.folder import sweep_folder
from tuneexp.sweep.storage.records import TrialRecord


@pytest.fixture(params=["folder", "uri"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStorage:
    storage = str(tmp_path / "far") if request.param == "folder" else (tmp_path / "far").as_uri()
    found = CheckpointStorage(storage, "s")
    found.check_writable()
    found.make()
    return found


def test_what_is_written_is_listed_read_and_removed(store: CheckpointStorage) -> None:
    for name in ("state-2.json", "state-1.json", "other"):
        store.write(name, name.encode())
    assert store.names("state-*.json") == ["state-1.json", "state-2.json"]
    assert store.read("other") == b"other"
    store.write("other", b"new")
    assert store.read("other") == b"new"
    store.remove("other")
    store.remove("other")  # gone already
    assert store.names("*") == ["state-1.json", "state-2.json"]
    with pytest.raises(OSError):
        store.read("other")
    assert store.names("*", "no-such-folder") == []


def test_what_came_after_the_snapshot_is_forgotten_there(store: CheckpointStorage, tmp_path: Path) -> None:
    for trial, number in (("trial_00000_aaa", 3), ("trial_00000_aaa", 4), ("trial_00001_bbb", 0)):
        (tmp_path / "far" / "s" / trial / f"checkpoint_{number:06d}").mkdir(parents=True)
    folder = sweep_folder("s", tmp_path / "runs")
    folder.path.mkdir(parents=True)
    state = {pattern: pattern.encode() for pattern in snapshot.STATE_PATTERNS}
    store.write(snapshot.STATE_PATTERNS[0].replace("*", "2"), b"torn, and newer")
    records = [TrialRecord("aaa", 0, "running", None, None, None, 0, 0.0, {}, "trial_00000_aaa/checkpoint_000003")]
    snapshot.commit(folder, snapshot.Snapshot(state, records))
    snapshot.put_back(folder, store)
    remove_beyond_snapshot(folder, store)
    assert store.names("trial_*") == ["trial_00000_aaa"]
    assert store.names("checkpoint_*", "trial_00000_aaa") == ["trial_00000_aaa/checkpoint_000003"]
    for pattern, data in state.items():
        (name,) = store.names(pattern)
        assert store.read(name) == data


def test_a_checkpoint_is_read_through_its_uri(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "one", {"steps": 7})
    assert checkpoint.read((tmp_path / "one").as_uri())["steps"] == 7
    with local_copy((tmp_path / "one").as_uri()) as copy:
        assert copy != tmp_path / "one"
    assert not copy.exists()
    with pytest.raises(UserError, match="can't be read"):
        checkpoint.read((tmp_path / "none").as_uri())


def test_the_options_of_a_uri_stay_at_its_end() -> None:
    assert joined("s3://bucket/a/?region=eu-1", "b", "c") == "s3://bucket/a/b/c?region=eu-1"
    assert joined("/data/what?", "b") == "/data/what?/b"


def test_without_a_uri_of_its_own_the_place_is_the_sweeps_folder(tmp_path: Path) -> None:
    folder = sweep_folder("s", tmp_path)
    assert checkpoint_storage_of(folder, None).path == str(folder.path)
    assert checkpoint_storage_of(folder, "s3://bucket/x").path_of("trial/c") == "s3://bucket/x/s/trial/c"


def test_a_uri_reaches_the_folder_of_its_quoted_name_or_is_refused(tmp_path: Path) -> None:
    store = CheckpointStorage((tmp_path / "My Drive ä%20#?").as_uri(), "s")
    store.check_writable()
    store.write("one", b"1")
    assert (tmp_path / "My Drive ä%20#?" / "s" / "one").read_bytes() == b"1"
    with pytest.raises(UserError, match="%23"):  # pyarrow would write to the folder "a"
        CheckpointStorage(f"file://{tmp_path}/a#b", "s").check_writable()
    assert [path.name for path in tmp_path.iterdir()] == ["My Drive ä%20#?"]


def test_an_object_store_that_does_not_answer_is_reported_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ANSWER_LIMIT_S", 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        server = f"127.0.0.1:{mute.getsockname()[1]}"
        uri = f"s3://bucket/x?scheme=http&endpoint_override={server}&region=us-east-1"
        with pytest.raises(UserError, match=r"1 s\n.*credentials"):
            CheckpointStorage(uri, "s").check_writable()


def test_a_folder_that_cannot_be_written_is_refused_by_its_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--checkpoints"):
        CheckpointStorage(str(tmp_path / "file"), "s").check_writable()
    with pytest.raises(UserError, match="s3://bucket/folder"):
        CheckpointStorage("s4://bucket", "s").check_writable()
