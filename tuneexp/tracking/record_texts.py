"""Texts of the outbox's records about a sweep and its trials: names, descriptions, source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneexp.files.remote_folders import is_uri
from tuneexp.tracking.descriptions import About, interrupted_note, sweep_note, sweep_result, trial_note
from tuneexp.tracking.naming import label_of
from tuneexp.tracking.outbox_records import RunState
from tuneexp.tracking.outcome import INTERRUPTED
from tuneexp.tracking.within import Within


@dataclass(frozen=True)
class RecordTexts:
    """Texts of records.

    Args:
        varied: Names of the varied hyperparameters.
        about: Facts of the sweep; None leaves descriptions out.
        origin: Tags of user, source and git state.
        within: Facts about a sweep within another one; None for others."""

    varied: Sequence[str] = ()
    about: About | None = None
    origin: Mapping[str, str] = field(default_factory=dict)
    within: Within | None = None

    def sweep_started(self) -> dict[str, Any]:
        note = {} if self.about is None else {"note": sweep_note(self.about, self.varied), "env": self.about.env}
        place = {} if self.within is None else {"within": True, "of_kind": self.within.kind}
        return {"origin": dict(self.origin), **place, **note}

    def sweep_ended(
        self,
        best: Mapping[str, Any] | None,
        outcomes: Mapping[str, int],
        objectives: Sequence[str] = (),
        front: Sequence[str] = (),
        summary: str = "",
    ) -> dict[str, Any]:
        """Texts of a sweep's end. front: keys of the runs of the Pareto front, if there are several objectives.

        summary: first line, instead of the best trial."""
        if self.about is None:
            return {}
        return {
            "note": sweep_note(self.about, self.varied, summary or sweep_result(best, outcomes, objectives, front)),
            "env": self.about.env,
        }

    def interrupted(self, runs: Sequence[RunState], folder: Path) -> dict[str, Any]:
        """Texts of an interrupted sweep and of each trial that was running."""
        note = {} if self.about is None else {"note": interrupted_note(self.about, self.varied)}
        return {**note, "trials": [self._of(run, folder, INTERRUPTED) for run in runs]}

    def trial_started(self, number: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Texts of a trial's start. values: its hyperparameters at the start."""
        note = {} if self.about is None else {"note": trial_note(self.about, number, values)}
        tags = {"tags": dict(self.within.tags[number])} if self.within and number in self.within.tags else {}
        return {"origin": dict(self.origin), "label": self._label(number, values), **tags, **note}

    def _label(self, number: int, values: Mapping[str, Any]) -> str:
        named = self.within.names.get(number) if self.within else None
        return named or label_of(values, self.varied)

    def trial_ended(self, run: RunState, folder: Path, outcome: str, reason: str | None) -> dict[str, Any]:
        return self._of(run, folder, outcome, reason)

    def _of(self, run: RunState, folder: Path, outcome: str, reason: str | None = None) -> dict[str, Any]:
        values = run.params[0]
        named = {"trial": run.trial, "draw": run.draw, "outcome": outcome, "label": self._label(run.trial, values)}
        if self.about is None:
            return named
        path = run.checkpoint
        lies = path if not path or is_uri(path) else str(folder / path)
        note = trial_note(self.about, run.trial, values, outcome, reason, run.last_metrics, lies)
        return {**named, "note": note}
