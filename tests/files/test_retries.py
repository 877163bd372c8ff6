"""Storage that fails for a while: operations are retried, no trial fails, no incomplete file remains."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.train._internal.storage import StorageContext

from tests.small import small_config
from tuneexp.cli.train import _save
from tuneexp.errors import StorageFault, UserError
from tuneexp.files.retries import PATIENCE, patience_s, retried
from tuneexp.trial.trainable import AlgorithmTrainable


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def trainable(small_disk: Path) -> Iterator[AlgorithmTrainable]:
    """A trial under Tune's conventions, whose checkpoints go to a small disk."""
    storage = StorageContext(str(small_disk), "sweep", trial_dir_name="trial_0")
    found = AlgorithmTrainable(config=small_config(seeds=[0]).model_dump())
    found.train()
    found._storage = storage  # Tune's constructor would ask for Ray
    yield found
    found.stop()


def fill(disk: Path) -> Path:
    """Leave 8 kB free: a checkpoint is started and does not fit."""
    (disk / "fill").write_bytes(bytes(shutil.disk_usage(disk).free - 8192))
    return disk / "fill"


def test_a_full_disk_is_waited_for_and_keeps_no_half_checkpoint(
    trainable: AlgorithmTrainable, small_disk: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = fill(small_disk)
    monkeypatch.setenv(PATIENCE, "0")
    with pytest.raises(StorageFault, match="No space left"):
        trainable.save()
    assert not list(small_disk.glob("sweep/trial_0/*"))
    assert not list(temporary.iterdir())
    monkeypatch.setenv(PATIENCE, "60")
    later = threading.Timer(0.6, taken.unlink)
    later.start()
    saved = trainable.save().checkpoint
    later.join()
    assert Path(saved.path).name == "checkpoint_000000"  # no number is left out
    assert not list(temporary.iterdir())
    trainable.restore(saved.path)


def test_a_place_that_is_not_mounted_is_an_outage_and_a_checkpoint_that_is_gone_is_not(
    trainable: AlgorithmTrainable, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATIENCE, "0")
    saved = trainable.save()
    shutil.rmtree(saved.checkpoint.path)
    with pytest.raises(ValueError, match="does not exist"):
        trainable.restore(saved)
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    try:
        for use in (trainable.save, lambda: trainable.restore(saved)):
            with pytest.raises(StorageFault, match="timed out"):
                use()
        assert not list(small_disk.iterdir())  # nothing is written beside it
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "none", str(small_disk)], check=True)


def test_a_training_on_a_full_disk_names_it_and_leaves_no_empty_checkpoint(
    trainable: AlgorithmTrainable, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(small_disk)
    monkeypatch.setenv(PATIENCE, "0")
    with pytest.raises(StorageFault, match="No space left"):
        _save(trainable, small_disk / "train", 64)
    assert not list(small_disk.glob("train/checkpoint_*"))


def test_only_faults_of_the_storage_are_retried() -> None:
    def broken() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        retried(broken, "nothing can be done", lambda error: isinstance(error, OSError))


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_patience_that_is_no_time_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, text)
    with pytest.raises(UserError, match=f"{PATIENCE}=300"):
        patience_s()
