"""`tuneexp show NAME --watch`: a sweep of another process, as its lock and its snapshot show it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Done, assert_refused
from tests.faults.stored import BUDGET, store_sweep
from tuneexp.cli import watching
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder

Cli = Callable[..., Done]
READ = threading.Semaphore(0)  # counts the refreshes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.setattr(watching, "PERIOD_S", 0.02)
    news = watching._news
    monkeypatch.setattr(watching, "_news", lambda *args: (READ.release(), news(*args))[1])
    return SweepFolder(store_sweep(tmp_path / "runs", trials=2))


@contextmanager
def running(folder: SweepFolder, *steps: Callable[[SweepFolder], None]) -> Iterator[None]:
    """Hold the sweep's lock, do each step and wait until it was read, then release the lock, as its process does."""
    held = threading.Event()

    def run() -> None:
        with folder.lock():
            held.set()
            for step in steps:
                step(folder)
                while READ.acquire(blocking=False):
                    pass  # refreshes from before the step
                assert READ.acquire(timeout=30)

    thread = threading.Thread(target=run)
    thread.start()
    assert held.wait(10)
    yield
    thread.join()


def unchanged(folder: SweepFolder) -> None:
    pass


def end_the_second_trial(folder: SweepFolder) -> None:
    found = snapshot.load(folder)
    assert found is not None
    first, second = found.records
    ended = replace(second, status="ended", outcome="pruned", objective=7.5, env_steps=BUDGET // 2)
    snapshot.commit(folder, replace(found, records=[first, ended]))


def test_trials_that_end_are_lines_and_the_leaderboard_follows(folder: SweepFolder, tuneexp: Cli) -> None:
    with running(folder, unchanged, end_the_second_trial):
        done = tuneexp("show", "kept", "--watch")
    assert done.code == 0, done.err
    lines = [line.split(":")[0] for line in done.err.splitlines()]
    assert lines[:2] == ["watching sweep kept", "trial 1 pruned"]
    assert "(2 of 2)" in done.err
    assert "kept (finished): 2 trials" in done.out


def test_a_sweep_that_is_killed_meanwhile_is_told(folder: SweepFolder, tuneexp: Cli) -> None:
    with running(folder, unchanged):
        done = tuneexp("show", "kept", "--watch")
    assert done.code == 1
    assert "kept (interrupted)" in done.out
    assert "tuneexp resume kept" in done.err
    assert "sweep kept was interrupted or killed before its end" in done.err


def test_a_sweep_that_has_stored_nothing_yet_is_awaited(folder: SweepFolder, tuneexp: Cli) -> None:
    later = folder.path / "later.json"
    folder.config_file.rename(later)

    def appear(folder: SweepFolder) -> None:
        time.sleep(1.0)
        later.rename(folder.config_file)

    with running(folder, appear, end_the_second_trial):
        done = tuneexp("show", "kept", "--watch")
    assert done.code == 0, done.err
    assert done.err.startswith("sweep kept is starting\n")


def test_what_can_not_be_watched_is_refused(folder: SweepFolder, tuneexp: Cli) -> None:
    assert_refused(tuneexp("show", "kept", "--watch", "--json"), "leave out --watch")
    assert_refused(tuneexp("show", "kep", "--watch"), "'kept'")
