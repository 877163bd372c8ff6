"""A searcher for `TuneLoop` that suggests numbers, with the limits of the real one."""

from __future__ import annotations

from typing import Any

from tuneexp.sweep.search.limits import Limits
from tuneexp.testing.simulated_trial import FINISHED


class ScriptedSearcher:
    """Suggests `{"trial_number": 0}`, 1, 2 and so on. It keeps no study, so that a sweep takes milliseconds.

    limits: when to suggest."""

    metric = "objective"

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @property
    def exhausted(self) -> bool:
        """True if no further trial is suggested."""
        return self.limits.exhausted

    @property
    def stopping(self) -> bool:
        """True if trials that run are to stop, too."""
        return self.limits.stopping

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next configuration, None, or FINISHED."""
        verdict = self.limits.verdict()
        if verdict != "suggest":
            return FINISHED if verdict == "finished" else None
        self.limits.add(trial_id)
        assert self.limits.tally.suggested is not None
        return {"trial_number": self.limits.tally.suggested - 1}

    def is_open(self, trial_id: str) -> bool:
        """Return True if the trial was suggested and has not ended."""
        return trial_id in self.limits.open

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Check that the trial is open."""
        assert self.is_open(trial_id), f"a report of {trial_id}, which has ended"

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Register the end of a trial."""
        assert result is not None or error, f"{trial_id} has ended without a result"
        self.limits.end(trial_id)

    def state(self) -> list[Any]:
        """Return the state."""
        return [self.limits.state(), sorted(self.limits.open)]

    def set_state(self, state: list[Any]) -> None:
        """Continue from the result of `state`."""
        self.limits.restore(state[0], set(state[1]))
