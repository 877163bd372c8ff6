"""Seeds of a trial that started together, and their reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuneexp.trial.trial import Trial


@dataclass
class Cohort:
    """Seeds of a trial that started together.

    Attributes:
        trial: of these seeds alone.
        returns: their evaluations, [reports][seeds].
        failed: whether each seed had diverged then, [reports][seeds].
        clock: environment steps per seed then, [reports].
        last: metrics of its last report.
    """

    trial: Trial
    returns: list[list[float]] = field(default_factory=list)
    failed: list[list[bool]] = field(default_factory=list)
    clock: list[int] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        return self.trial.config.seeds

    @property
    def reports(self) -> int:
        return len(self.returns)

    @property
    def has_ended(self) -> bool:
        """True if it is trained no further: at the end of the budget, or all of its seeds diverged."""
        return self.trial.done

    def advance(self, due: int | None = None) -> None:
        """Train to the next report, or to `due` environment steps per seed.

        Seeds that have all diverged repeat their last one."""
        if self.has_ended and self.returns:
            self._add(self.returns[-1], self.failed[-1])
            return
        self.last = self.trial.advance(due)
        returns = [float(value) for value in self.last["return_per_seed"]]
        self._add(returns, [seed in self.last["failed_seeds"] for seed in self.seeds])

    def _add(self, returns: list[float], failed: list[bool]) -> None:
        self.returns.append(returns)
        self.failed.append(failed)
        self.clock.append(self.trial.env_steps)

    def state_dict(self) -> dict[str, Any]:
        return {
            "seeds": list(self.seeds),
            "returns": self.returns,
            "failed": self.failed,
            "clock": self.clock,
            "last": self.last,
            "trial": self.trial.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.returns = [[float(value) for value in row] for row in state["returns"]]
        self.failed = [[bool(value) for value in row] for row in state["failed"]]
        self.clock = [int(value) for value in state["clock"]]
        self.last = dict(state["last"])
        self.trial.load_state_dict(state["trial"])
