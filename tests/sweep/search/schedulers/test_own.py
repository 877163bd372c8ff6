"""The contract runs on a user's own scheduler, and finds what is broken."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp import Scheduler
from tuneexp.testing import scheduler_contract, scheduler_facts
from tuneexp.testing.scheduler_facts import SchedulerSubject


class Threshold(Scheduler):
    """Stops trials below 50 after a third of the budget, as the one of docs/tuning.md."""

    def report(self, trial_id: str, env_steps: int, objective: float) -> str:
        late = env_steps >= self.context.budget_env_steps / 3
        return "STOP" if late and objective < 50 else "CONTINUE"


TestThreshold = scheduler_contract(Threshold, completes=False)


class Forgets(Scheduler):
    """Stops a trial below the best objective so far, which it does not store."""

    best = 0.0

    def report(self, trial_id: str, env_steps: int, objective: float) -> str:
        self.best = max(self.best, objective)
        return "STOP" if objective < self.best / 2 else "CONTINUE"


class Unstored(Scheduler):
    """Its state is no JSON."""

    def state(self) -> dict[str, Any]:
        return {"seen": {1, 2}}


def test_a_scheduler_that_loses_its_state_is_found() -> None:
    with pytest.raises(AssertionError, match="a kill after step"):
        scheduler_facts.a_kill_changes_no_decision(subject(Forgets))


def test_a_state_that_is_no_json_is_found() -> None:
    with pytest.raises(TypeError, match="JSON"):
        scheduler_facts.its_state_is_json(subject(Unstored))


def subject(cls: type[Scheduler]) -> SchedulerSubject:
    return SchedulerSubject(lambda context: cls(Scheduler.Options(), context))
