"""Checkpoint storage belongs to one sweep: that sweep finds it again, others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuneexp.errors import UserError
from tuneexp.sweep import Sweep, load_config, resume
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage, checkpoint_storage_of, lasting_location
from tuneexp.sweep.storage.owner_marker import claim, read_owner, refuse_foreign
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.sweep_config import save_config

CHECKPOINT = "trial_00000_aaa/checkpoint_000003"


@pytest.fixture(params=["folder", "uri"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "far") if request.param == "folder" else (tmp_path / "far").as_uri()


def asked(storage: Path, far: str) -> Sweep:
    return Sweep(space={"gamma": {"uniform": [0.9, 0.99]}}, name="s", storage=storage, seeds=1, checkpoints=far)


def begun(storage: Path, far: str, marked: bool = True) -> tuple[Sweep, CheckpointStorage]:
    """A sweep whose snapshot names a checkpoint that exists in its storage."""
    sweep = asked(storage, far)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    store = checkpoint_storage_of(sweep.folder, sweep.config.checkpoints)
    store.make()
    if marked:
        claim(sweep.config, sweep.folder, store)
    folder = storage.parent / "far" / "s" / CHECKPOINT
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{}")
    records = [TrialRecord("aaa", 0, "running", None, None, None, 0, 0.0, {}, CHECKPOINT)]
    snapshot.commit(sweep.folder, Snapshot(dict.fromkeys(snapshot.STATE_PATTERNS, b""), records))
    return sweep, store


@pytest.mark.parametrize("marked", [True, False])
def test_a_second_sweep_of_that_name_is_refused_and_touches_nothing(tmp_path: Path, far: str, marked: bool) -> None:
    first, store = begun(tmp_path / "one", far, marked)
    second = asked(tmp_path / "two", far)
    for use in (second.check_writable, second.run):
        with pytest.raises(UserError, match="another sweep" if marked else "other programs"):
            use()
    assert (tmp_path / "far" / "s" / CHECKPOINT / "state.json").exists()
    assert not second.folder.exists()
    refuse_foreign(first.config, first.folder, store)  # its own


def test_the_place_of_a_sweep_of_an_earlier_version_is_known_by_its_checkpoints(tmp_path: Path, far: str) -> None:
    sweep, store = begun(tmp_path / "one", far, marked=False)
    refuse_foreign(sweep.config, sweep.folder, store)
    claim(sweep.config, sweep.folder, store)
    assert read_owner(store) is not None
    with pytest.raises(UserError, match="another sweep"):
        asked(tmp_path / "two", far).check_writable()


def test_a_place_that_is_not_mounted_is_refused_at_a_resume_and_not_made_anew(tmp_path: Path) -> None:
    sweep, _ = begun(tmp_path / "one", str(tmp_path / "far"))
    (tmp_path / "far").rename(tmp_path / "elsewhere")
    stored = sweep.folder.config_file.read_bytes()
    with pytest.raises(UserError, match=r"mounted.*\n.*--checkpoints"):
        resume("s", tmp_path / "one")
    with pytest.raises(UserError, match="mounted"):
        resume("s", tmp_path / "one", checkpoints=tmp_path / "wrong")
    assert sweep.folder.config_file.read_bytes() == stored
    assert not (tmp_path / "far" / "s").exists()


def test_a_folder_inside_the_storage_is_stored_relative_to_it(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    (tmp_path / "link").symlink_to(storage)
    for inside in (storage / "far", tmp_path / "link" / "far"):
        assert lasting_location(inside, storage) == "far"
        assert lasting_location(inside, tmp_path / "link") == "far"
    assert lasting_location(tmp_path / "far", storage) == str(tmp_path / "far")
    begun(storage, str(storage / "far"))
    storage.rename(tmp_path / "moved")
    config = load_config("s", tmp_path / "moved")
    other = asked(tmp_path / "other", "x").folder
    assert checkpoint_storage_of(other, "far").path == str(tmp_path / "other" / "far" / "s")
    assert config.checkpoints == "far"


def test_without_a_place_of_its_own_a_sweeps_folder_needs_no_mark(tmp_path: Path) -> None:
    sweep = asked(tmp_path / "runs", str(tmp_path / "runs"))
    store = checkpoint_storage_of(sweep.folder, sweep.config.checkpoints)
    claim(sweep.config, sweep.folder, store)
    assert read_owner(store) is None
