"""Result of a confirmation, read from its folder without Ray and MLflow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneexp.report.tables import Rows, stored_reports
from tuneexp.statistics.intervals import Estimate
from tuneexp.sweep.confirming.candidates import DEFAULTS, RANDOM_SEARCH, trial_of
from tuneexp.sweep.confirming.comparison import WORSE, Confirmed, TuningScore, Winner, as_json, confirmed, winner
from tuneexp.sweep.confirming.folders import BEST_FILE, CHECKLIST_FILE, confirmations, random_search_of
from tuneexp.sweep.confirming.scores import SeedScores, scores_of, worst_return
from tuneexp.sweep.results import SweepResult, TrialResult, result_of
from tuneexp.sweep.search.space.listed import KEY, SCHEDULES
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig, read_config


@dataclass(frozen=True)
class Confirmation:
    """Result of a confirmation; `as_json()` is what `--json` prints.

    Attributes:
        sweep: Name of the sweep.
        storage: Folder that holds the sweep's folder.
        name: Name of the confirmation: `confirm`, `confirm-2`, ...
        folder: Its folder.
        state: As of a sweep: "finished", "failed", "running" or "interrupted".
        sweep_state: State of the sweep.
        seeds: Unseen seeds, each configuration trained on all of them.
        tuning_seeds: Seeds of the sweep's trials.
        aggregate: Aggregate over seeds of the sweep's objective: "mean", ...
        budget_env_steps: Environment steps of each training, per seed.
        configurations: Results: the best of the sweep, the best first, then the defaults and the random search.
        winner: The best configuration of the sweep; None before there is one.
        best_file: Recommended configuration, for `tuneexp train --config`; None before the end.
        checklist_file: Facts for the appendix of a paper; None before the end.
        mlflow: As of a sweep.
    """

    sweep: str
    storage: str
    name: str
    folder: str
    state: str
    sweep_state: str
    seeds: list[int]
    tuning_seeds: list[int]
    aggregate: str
    budget_env_steps: int
    configurations: list[Confirmed]
    winner: Winner | None
    best_file: str | None
    checklist_file: str | None
    mlflow: dict[str, Any]

    def named(self, name: str) -> Confirmed | None:
        """Return the result of a configuration by its name."""
        return next((one for one in self.configurations if one.name == name), None)

    @property
    def recommended(self) -> Confirmed | None:
        """The winner, or the defaults if they are better; None before there is a winner."""
        if self.winner is None:
            return None
        return self.named(DEFAULTS if self.winner.verdict == WORSE else self.winner.name)

    @property
    def recommended_score(self) -> Estimate | None:
        """Score of the recommended configuration; of the winner the corrected one."""
        chosen, winner = self.recommended, self.winner
        if chosen is None or winner is None:
            return None
        return winner.corrected if chosen.name == winner.name else chosen.score

    @property
    def seen_seeds(self) -> list[int]:
        """Seeds of the confirmation that tuning used, too."""
        return sorted({*self.seeds} & {*self.tuning_seeds})

    def as_json(self) -> dict[str, Any]:
        return {name: as_json(value) for name, value in vars(self).items()}


def confirmation_of(folder: SweepFolder, result: SweepResult | None = None) -> Confirmation:
    """Return the present result of a confirmation.

    Args:
        folder: Its folder, with the files of a sweep.
        result: Its trials, if they are read already."""
    config, sweep = read_config(folder), folder.outermost
    result = result or result_of(config, folder)
    tuning_config = read_config(sweep)
    tuning = result_of(tuning_config, sweep)
    files = [sweep.path / BEST_FILE, folder.path / CHECKLIST_FILE]
    found = _configurations(config, folder, result, _tuning_scores(config, tuning_config, tuning, sweep))
    return Confirmation(
        sweep=sweep.name,
        storage=str(sweep.storage),
        name=folder.name,
        folder=str(folder.path),
        state=result.state,
        sweep_state=tuning.state,
        seeds=list(config.trial.seeds),
        tuning_seeds=list(tuning_config.trial.seeds),
        aggregate=config.trial.objective.aggregate,
        budget_env_steps=config.trial.budget_env_steps,
        configurations=found,
        winner=winner(found),
        best_file=str(files[0]) if files[0].is_file() else None,
        checklist_file=str(files[1]) if files[1].is_file() else None,
        mlflow=result.mlflow,
    )


def confirmations_of(sweep: SweepFolder) -> list[Confirmation]:
    """Return the confirmations of a sweep that have trained something, the newest last."""
    return [confirmation_of(one) for one in confirmations(sweep) if one.exists()]


def listed(config: SweepConfig) -> dict[str, dict[str, Any]]:
    """Return the configurations of a confirmation by name."""
    found: dict[str, dict[str, Any]] = config.space[KEY]
    return found


def schedules(config: SweepConfig) -> dict[str, list[dict[str, Any]]]:
    """Return the schedules of the configurations of a confirmation that have one, by name."""
    found: dict[str, list[dict[str, Any]]] = config.space.get(SCHEDULES, {})
    return found


def _configurations(
    config: SweepConfig, folder: SweepFolder, result: SweepResult, tuning: Mapping[str, TuningScore]
) -> list[Confirmed]:
    names, by_number = list(listed(config)), {one.trial_number: one for one in result.trials}
    reports = stored_reports(folder.path)
    worst = worst_return([report for found in reports.values() for report in found])
    scores = {
        name: _scores(config, by_number.get(number), reports.get(number, ()), worst)
        for number, name in enumerate(names)
    }
    return [
        confirmed(
            name,
            listed(config)[name],
            scores[name],
            tuning.get(name),
            scores.get(DEFAULTS),
            schedule=schedules(config).get(name, []),
            **_facts(by_number.get(number)),
        )
        for number, name in enumerate(names)
    ]


def _scores(
    config: SweepConfig, trial: TrialResult | None, reports: Sequence[Mapping[str, Any]], worst: float
) -> SeedScores | None:
    """Return the scores of a configuration whose training has ended; None if it failed."""
    if trial is None or trial.outcome not in ("completed", "diverged") or math.isnan(worst):
        return None
    return scores_of(reports, config.trial.seeds, config.trial.objective, worst)


def _facts(trial: TrialResult | None) -> dict[str, Any]:
    if trial is None:
        return {"outcome": None, "reason": None}
    return {"outcome": trial.outcome, "reason": trial.reason, "wall_s": trial.wall_s}


def _tuning_scores(
    config: SweepConfig, tuning_config: SweepConfig, tuning: SweepResult, sweep: SweepFolder
) -> dict[str, TuningScore]:
    of_trials, reports = {one.trial_number: one for one in tuning.trials}, stored_reports(sweep.path)
    found = {
        name: _tuning_score(tuning_config, of_trials[number], reports)
        for name in listed(config)
        if (number := trial_of(name)) is not None and number in of_trials
    }
    random = random_search_of(sweep)
    if RANDOM_SEARCH in listed(config) and random.exists():
        random_config = read_config(random)
        if (best := result_of(random_config, random).best) is not None:
            found[RANDOM_SEARCH] = _tuning_score(random_config, best, stored_reports(random.path))
    return {name: score for name, score in found.items() if not math.isnan(score.objective)}


def _tuning_score(config: SweepConfig, trial: TrialResult, by_trial: Mapping[int, Rows]) -> TuningScore:
    reports = by_trial.get(trial.trial_number, [])
    per_seed = scores_of(reports, config.trial.seeds, config.trial.objective, worst_return(reports))
    objective = math.nan if trial.objective is None else trial.objective
    scores = () if per_seed is None else tuple(per_seed.scores.values())
    return TuningScore(objective, config.trial.objective.aggregate, scores)
