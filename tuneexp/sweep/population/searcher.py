"""Searcher of a stacked population: one suggestion for Tune is a point for each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from tuneexp.nesting import merged
from tuneexp.sweep.population.members import MEMBERS, TAKEOVERS, new_takeover, report_of
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.storage.records import member_id

POPULATION = "population"  # in the ids of the members: Tune's id of the trial changes if a suggestion is repeated


class PopulationSearcher(StudySearcher):
    """An Optuna study of which all trials are the members of one population.

    Tune sees one trial. Each member is a trial of the study: it is suggested, reports and ends by itself.

    Args:
        size: Number of members.
        shared: Configuration that the trial has beside the members.
        fixed: Hyperparameters that all members share.
    """

    def __init__(self, *given: Any, size: int, shared: Mapping[str, Any], fixed: Mapping[str, Any], **named: Any):
        super().__init__(*given, **named)
        self._size, self._shared, self._fixed = size, dict(shared), dict(fixed)
        self._members: list[dict[str, Any]] = []

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Return True: all members run at once."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        while len(self._members) < self._size:
            asked = super().suggest(self._id_of(len(self._members)))
            if not isinstance(asked, dict):
                return asked
            hyperparameters = merged(self._fixed, asked["hyperparameters"])
            self._members.append({"trial_number": asked["trial_number"], "hyperparameters": hyperparameters})
            if len(self._members) == self._size:
                return {**self._shared, MEMBERS: self._members, "trial_number": self._members[0]["trial_number"]}
        return Searcher.FINISHED

    @staticmethod
    def _id_of(index: int) -> str:
        return member_id(POPULATION, index)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        for index in range(len(self._members)):
            report = report_of(result, index)
            super().on_trial_result(self._id_of(index), report)
            if new_takeover(report) is not None:
                self.replaced(self._id_of(index), report[TAKEOVERS])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        for index in range(len(self._members)):
            super().on_trial_complete(self._id_of(index), report_of(result, index) or None, error)

    def failed_as(self, trial_id: str, outcome: str) -> None:
        for index in range(len(self._members)):
            super().failed_as(self._id_of(index), outcome)

    def is_open(self, trial_id: str) -> bool:
        return any(super(PopulationSearcher, self).is_open(self._id_of(index)) for index in range(len(self._members)))

    def reopen(self, trial_id: str, number: int) -> None:
        for index, member in enumerate(self._members):
            super().reopen(self._id_of(index), member["trial_number"])

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), MEMBERS: self._members}

    def _take(self, state: Mapping[str, Any]) -> None:
        super()._take(state)
        self._members = list(state[MEMBERS])
