"""Stored data of one sweep, read once for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.commands import command
from tuneexp.errors import TuneexpError, UserError
from tuneexp.report.leaderboard import LeaderboardRow
from tuneexp.report.learning_curves import interval, seed_curves
from tuneexp.report.page.budget import level_rows, levels_of, rungs_of, stability_rows
from tuneexp.report.page.parts import LeftOut
from tuneexp.report.page.search import importance_rows, own_study
from tuneexp.report.page.seconds import spans_in, time_rows
from tuneexp.report.stored_leaderboard import stored_leaderboard
from tuneexp.report.tables import Rows, reports_by_step
from tuneexp.sweep.results import SweepResult
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of, read_config
from tuneexp.tracking.outbox import Outbox, Record
from tuneexp.tracking.outbox_records import reports_in

if TYPE_CHECKING:
    import optuna

    from tuneexp.sweep.confirming.confirmation import Confirmation

Interval = tuple[float, float]


@dataclass(frozen=True)
class SweepData:
    """Stored data of a sweep.

    Attributes:
        result: Its result so far.
        config: Its settings.
        records: Records of its outbox, in order.
        reports: Trial number -> metrics of its reports, with `env_steps`.
    """

    result: SweepResult
    config: SweepConfig
    records: Sequence[Record]
    reports: dict[int, Rows]

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def folder(self) -> Path:
        return Path(self.result.storage) / self.result.name

    @cached_property
    def objectives(self) -> Objectives:
        return objectives_of(self.config)

    @property
    def objective(self) -> str:
        """Name of the first objective."""
        return self.objectives.names[0]

    @cached_property
    def ranking(self) -> list[LeaderboardRow]:
        """The leaderboard."""
        return stored_leaderboard(self.result, self.config, self.confirmations)

    @cached_property
    def intervals(self) -> dict[int, Interval]:
        """Trial number -> 95 % interval over seeds of the first objective, if it is a return."""
        found = {trial: _interval_of(reports[-1], self.objective) for trial, reports in self.reports.items() if reports}
        return {trial: ends for trial, ends in found.items() if ends is not None}

    @cached_property
    def confirmations(self) -> list[Confirmation]:
        """Confirmations of the sweep, the newest last."""
        return self.result.confirmations

    @cached_property
    def times(self) -> Rows:
        """Rows of `time_rows`."""
        return time_rows(self.result.trials, spans_in(self.records))

    @cached_property
    def levels(self) -> Rows:
        """Rows of `level_rows`."""
        return level_rows(self.result.trials, levels_of(self.config), rungs_of(self.config))

    @cached_property
    def stability(self) -> Rows:
        """Rows of `stability_rows`, by the first objective."""
        levels = levels_of(self.config)
        return stability_rows(self.result.trials, self.reports, self.objective, self.objectives.directions[0], levels)

    @cached_property
    def study(self) -> optuna.Study:
        """Optuna's study without the trials of a warm start. LeftOut if it can't be read."""
        from tuneexp.sweep.stored_study import load_study

        try:
            return own_study(load_study(str(self.folder), results_only=True))
        except TuneexpError as error:
            raise LeftOut(" ".join(str(error).split())) from None

    @cached_property
    def importances(self) -> Rows:
        """Rows of `importance_rows`. LeftOut if there are none."""
        return importance_rows(self.study, self.objectives.names)


def read_sweep(result: SweepResult) -> SweepData:
    """Read the stored data of a sweep.

    Args:
        result: The sweep.

    Returns:
        Its data.

    Raises:
        UserError: It has no trials yet, or its files are damaged.
    """
    folder = SweepFolder(Path(result.storage) / result.name)
    config = read_config(folder)
    if not result.trials:
        again = command("resume", folder.name, storage=folder.storage)
        raise UserError(f"sweep {result.name!r} has no trials yet, so there is nothing to report; start them: {again}")
    records = Outbox(folder.path).read()[0]
    return SweepData(result, config, records, reports_by_step(reports_in(records)))


def _interval_of(report: dict[str, Any], objective: str) -> Interval | None:
    if objective == DEFAULT and report.get("objective_low") is not None:
        return float(report["objective_low"]), float(report["objective_high"])
    return interval([row["return_mean"] for row in seed_curves([report])]) if objective == "return_mean" else None
