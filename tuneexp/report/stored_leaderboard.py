"""Leaderboard of a stored sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuneexp.errors import UserError
from tuneexp.report.leaderboard import LeaderboardRow, TrialState, leaderboard_rows

if TYPE_CHECKING:
    from tuneexp.sweep import Confirmation, SweepConfig, SweepResult


def stored_leaderboard(
    result: SweepResult, config: SweepConfig, confirmations: Sequence[Confirmation] = ()
) -> list[LeaderboardRow]:
    """Return the rows of the leaderboard. A trial that was confirmed several times has its latest score."""
    from tuneexp.sweep.sweep_config import objectives_of

    scores = {one.trial_number: one.score.value for found in confirmations for one in found.configurations if one.score}
    states = [TrialState.of(trial, scores.get(trial.trial_number)) for trial in result.trials]
    return leaderboard_rows(states, varied_names(config), objectives_of(config))


def varied_names(config: SweepConfig) -> list[str] | None:
    """Return the hyperparameters that the search space varies; None for a define-by-run space."""
    from tuneexp.sweep import SearchSpace

    if "function" in config.space:  # define-by-run: the user's file is not imported here
        return None
    try:
        return SearchSpace.of(config.space).names or None
    except UserError:  # damaged: the rest can still be shown
        return None
