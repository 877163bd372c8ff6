"""Kill and restore of a `TuneLoop`: what Tune's snapshot and our callback hold survives, everything else is lost."""

from __future__ import annotations

import json
import pickle
import tempfile
from pathlib import Path

from tuneexp.testing.tune_loop import TuneLoop


def snapshot(loop: TuneLoop) -> bytes:
    """Return the state that a snapshot holds after a step of `loop`."""
    for trial in loop.marked.values():
        loop.stored[trial.trial_id] = pickle.dumps(trial)
    loop.marked.clear()
    search = loop.search_alg
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "searcher.pkl")
        search.searcher.save(str(path))
        searcher = path.read_bytes()
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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "searcher.pkl")
        path.write_bytes(searcher)
        loop.search_alg.searcher.restore(str(path))
    loop.scheduler.set_state(json.loads(state))
    restored = [pickle.loads(trial) for trial in trials]
    for trial in sorted(restored, key=lambda one: one.run_metadata.last_result_time, reverse=True):
        trial.is_saving, trial.future = False, 0
        if not trial.is_finished():
            trial.status = "PENDING"
        loop.add_trial(trial)
    return loop
