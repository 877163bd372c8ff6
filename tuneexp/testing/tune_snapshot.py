"""Kill and restore of a `TuneLoop`: what Tune's snapshot and our callback hold survives, everything else is lost."""

from __future__ import annotations

import functools
import json
import pickle
import tempfile
from pathlib import Path
from typing import Any

from tuneexp.testing.scripted_searcher import ScriptedSearcher
from tuneexp.testing.tune_loop import TuneLoop


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder of this process."""
    return tempfile.TemporaryDirectory(prefix="tuneexp-tune-loop-")


def _searcher_file() -> Path:
    return Path(_folder().name, "searcher.pkl")


def _saved(searcher: Any) -> Any:
    if isinstance(searcher, ScriptedSearcher):  # without a file: thousands of snapshots take seconds then
        return searcher.state()
    searcher.save(str(_searcher_file()))
    return _searcher_file().read_bytes()


def _restore(searcher: Any, state: Any) -> None:
    if isinstance(searcher, ScriptedSearcher):
        searcher.set_state(state)
        return
    _searcher_file().write_bytes(state)
    searcher.restore(str(_searcher_file()))


def snapshot(loop: TuneLoop) -> bytes:
    """Return the state that a snapshot holds after a step of `loop`."""
    for trial in loop.marked.values():
        loop.stored[trial.trial_id] = pickle.dumps(trial)
    loop.marked.clear()
    search = loop.search_alg
    searcher = _saved(search.searcher)
    state = json.dumps(loop.scheduler.state(), allow_nan=False)
    return pickle.dumps(
        (
            list(loop.stored.values()),
            loop.cached_decisions,
            (search.counter, search.finished, searcher),
            state,
            (loop.clock.now_s, loop.clock.due_times()),
        )
    )


def restore(loop: TuneLoop, stored: bytes) -> TuneLoop:
    """Continue from a snapshot, in a new loop with a new scheduler and a new searcher.

    As Tune does: the states first, then `on_trial_add` for every trial, ended ones too; all unfinished trials are
    pending. Running trials report when they would have reported without the kill.

    Returns:
        `loop`.
    """
    trials, loop.cached_decisions, search, state, clock = pickle.loads(stored)
    loop.clock.now_s, loop.due_s = clock
    loop.search_alg.counter, loop.search_alg.finished, searcher = search
    _restore(loop.search_alg.searcher, searcher)
    loop.scheduler.set_state(json.loads(state))
    restored = [pickle.loads(trial) for trial in trials]
    for trial in sorted(restored, key=lambda one: one.run_metadata.last_result_time, reverse=True):
        trial.is_saving, trial.future = False, 0
        if not trial.is_finished():
            trial.status = "PENDING"
        loop.add_trial(trial)
    return loop
