"""Seconds of training of each trial, with a simulated clock. tests/faults/test_outcomes.py ends real trials."""

from __future__ import annotations

import json
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from tests.clocks import set_clock
from tuneexp.sweep.cluster import trial_timeout
from tuneexp.sweep.cluster.trial_timeout import TimeLimit


class Loop:
    """Tune's loop: one step a second, with one trial in each state."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.failed = 1000.0, {}
        states = {"trains": {}, "saves": {"is_saving": True}, "restores": {"is_restoring": True},
                  "waits": {"status": "PENDING"}, "is paused": {"status": "PAUSED"}}  # fmt: skip
        usual = {"status": "RUNNING", "is_saving": False, "is_restoring": False}
        self.trials = [SimpleNamespace(trial_id=name, **{**usual, **state}) for name, state in states.items()]
        set_clock(monkeypatch, trial_timeout, monotonic=lambda: self.now_s)
        monkeypatch.setattr(trial_timeout, "where", lambda trial: "my_env.py line 12")
        monkeypatch.setattr(trial_timeout, "fail_trial", self.fail)

    def get_trials(self) -> list[Any]:
        return self.trials

    def fail(self, controller: Any, trial: Any, error: Exception) -> None:
        trial.status = "ERROR"
        self.failed[trial.trial_id] = str(error)

    def run(self, limit: TimeLimit, seconds: float, step_s: float = 1.0) -> None:
        for _ in range(int(seconds / step_s)):
            limit.look(self)
            self.now_s += step_s


def test_only_a_trial_that_trains_for_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, limit = Loop(monkeypatch), TimeLimit(60.0)
    loop.run(limit, 60)
    assert not loop.failed
    loop.run(limit, 3)
    assert loop.failed == {"trains": "trained for longer than trial_timeout_s (60 s); it was at my_env.py line 12"}
    loop.run(limit, 600)
    assert list(loop.failed) == ["trains"]
    loop.trials[4].status = "RUNNING"  # promoted
    loop.run(limit, 62)
    assert list(loop.failed) == ["trains", "is paused"]


def test_the_count_goes_through_a_kill_and_ends_with_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, limit = Loop(monkeypatch), pickle.loads(pickle.dumps(TimeLimit(60.0)))
    loop.run(limit, 50)
    stored = json.loads(json.dumps(limit.state()))
    loop.now_s = 17.0  # another process, another clock
    restored = TimeLimit(60.0)
    restored.set_state(stored)
    loop.run(restored, 8)
    assert not loop.failed
    restored.forget("is paused")  # of a trial that has no count
    loop.run(restored, 6)
    assert list(loop.failed) == ["trains"]
    restored.forget("trains")
    assert restored.state() == {}


def test_a_pause_of_this_process_is_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, limit = Loop(monkeypatch), TimeLimit(60.0)
    loop.run(limit, 10)
    loop.now_s += 1000
    loop.run(limit, 49)
    assert not loop.failed
    loop.run(limit, 5)
    assert loop.failed


def test_without_a_limit_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, limit = Loop(monkeypatch), TimeLimit(None)
    loop.run(limit, 10_000)
    assert limit.state() == {}
