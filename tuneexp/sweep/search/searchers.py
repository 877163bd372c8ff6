"""Searchers that suggest hyperparameters: Optuna samplers behind Tune's `Searcher`."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from tuneexp.files.atomic import sync
from tuneexp.files.retries import Outage
from tuneexp.sweep.search import earlier_trials
from tuneexp.sweep.search.asking import next_feasible, settings_of
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.reports import complete_violations, report, set_standard_error, set_violations
from tuneexp.sweep.search.samplers import without_result
from tuneexp.sweep.search.samplers.tells import tell
from tuneexp.sweep.search.samplers.without_result import TAKEOVERS
from tuneexp.sweep.search.searched_budget import BUDGET
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace
from tuneexp.sweep.search.stopping_rules import SAMPLER, SearchState, StopRules, Tally, search_state_of
from tuneexp.sweep.search.suggestions import append_suggestion, read_suggestions
from tuneexp.tracking.outcome import COMPLETED, ERROR, PRUNED, outcome_of_report

logger = logging.getLogger(__name__)

_STATES = {COMPLETED: TrialState.COMPLETE, PRUNED: TrialState.PRUNED}


class StudySearcher(Searcher):
    """An Optuna study in Tune's searcher state, so that it is never ahead of Tune's snapshot.

    States: COMPLETE for a trial that used its whole budget, PRUNED for one that the scheduler stopped, FAIL for an
    error. A member of a population that has continued from another one is FAIL too: its score is not that of the values
    it was suggested with. The user attribute `takeovers` holds what it continued with.

    Any other diverged trial, and one that ran out of memory or time, is COMPLETE with the worst value so far and
    violates the constraint `outcome` (`samplers/without_result.py`). Each trial that has ended has the user attribute
    `outcome`. Suggestion numbers are the study's trial numbers and are stored in `config["trial_number"]`.

    While a trial is paused it is PRUNED in the study, with the objective of its last rung: a sampler would learn
    nothing from a running one, and TPE counts running trials as bad. A promotion makes it RUNNING again.

    Each suggestion is first appended to `log` (one JSON line). A suggestion that a kill removes from the study is
    made again with the same number and the same values.

    limits: when to suggest; by default always. objectives: what a result is worth; by default its `objective`.
    earlier: trials of other sweeps, from which the sampler learns; they come first in the study, and have no number."""

    def __init__(
        self,
        space: SearchSpace,
        sampler: optuna.samplers.BaseSampler,
        study_name: str,
        budget_env_steps: int,
        log: Path,
        initial: Sequence[Mapping[str, Any]] = (),
        limits: Limits | None = None,
        objectives: Objectives | None = None,
        earlier: Sequence[optuna.trial.FrozenTrial] = (),
    ) -> None:
        super().__init__(metric="objective", mode="max")
        self._limits, self._objectives = limits or Limits(), objectives or Objectives()
        self._paused: set[str] = set()  # PRUNED in the study for now
        self._failures: dict[str, str] = {}  # trial id -> outcome, between two calls of Tune
        self._space, self._log, self._budget = space, log, budget_env_steps
        self._initial = [dict(point) for point in initial]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # In memory: while the sweep runs, the study is stored only in the pickle of the searcher.
        self.study = optuna.create_study(
            sampler=sampler,
            study_name=study_name,
            directions=self._objectives.of_optuna,
            pruner=optuna.pruners.NopPruner(),
        )
        self.study.add_trials(earlier)
        self._trials: dict[str, optuna.Trial] = {}
        self._logged: dict[int, dict[str, Any]] | None = None
        self._unlogged: tuple[optuna.Trial, dict[str, Any]] | None = None
        self._outage = Outage(f"{log} can't be written")

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Return True: this searcher counts running trials itself."""
        self._limits.concurrency = max_concurrent
        return True

    @property
    def exhausted(self) -> bool:
        """True if no further trial is suggested."""
        return self._limits.exhausted

    @property
    def stopping(self) -> bool:
        """True if trials that run are to stop, too."""
        return self._limits.stopping

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial; None if there is no room, or while the log can't be written: Tune then retries.

        FINISHED if all trials were suggested and none can be promoted."""
        verdict = self._limits.verdict()
        if verdict == "finished":
            return Searcher.FINISHED
        if verdict == "wait" or not self._outage.due():
            return None
        self._follow_pauses()
        try:
            found = self._unlogged or self._next_feasible()
            if found is None:
                return Searcher.FINISHED if self._limits.verdict() == "finished" else None
            self._unlogged = trial, values = found
            number = trial.number - earlier_trials.count(self.study)
            append_suggestion(self._log, number, trial.params)
        except OSError as error:
            self._outage.failed(error)
            return None
        self._outage.over()
        self._unlogged = None
        self._trials[trial_id] = trial
        self._limits.add(trial_id)
        return self._config_of(trial, number, values)

    def _config_of(self, trial: optuna.Trial, number: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration of a new trial."""
        settings = settings_of(values)
        if BUDGET in settings:
            trial.set_user_attr(BUDGET, settings[BUDGET])
        return {"trial_number": number, **settings, **self._space.trial_settings(trial.params)}

    def _next_feasible(self) -> tuple[optuna.Trial, dict[str, Any]] | None:
        """Return the next valid suggestion; None if the sampler has no more."""
        found = next_feasible(
            self.study, self._space, self._point_to_try, lambda trial: self._tell(trial, TrialState.FAIL)
        )
        if found is None:
            self._limits.sampler_ended()
        return found

    def is_open(self, trial_id: str) -> bool:
        """Return True if the trial was suggested and has not ended."""
        return trial_id in self._trials

    def reopen(self, trial_id: str, number: int) -> None:
        """Set a failed trial to RUNNING. Its reports stay."""
        number_there = number + earlier_trials.count(self.study)
        of_optuna = self.study._storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number_there)
        self._set_running(of_optuna)
        self._trials[trial_id] = optuna.Trial(self.study, of_optuna)
        self._limits.open.add(trial_id)

    def _set_running(self, of_optuna: int) -> None:
        without_result.run_again(self.study, self.study._storage.get_trial(of_optuna))

    def _follow_pauses(self) -> None:
        """Set paused trials to PRUNED in the study, and promoted ones to RUNNING."""
        paused = self._limits.waiting()
        for trial_id in sorted(paused - self._paused):
            self._tell(self._trials[trial_id], TrialState.PRUNED)
        for trial_id in sorted(self._paused - paused):
            self._set_running(self._trials[trial_id]._trial_id)
        self._paused = paused

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._paused:
            self._follow_pauses()
        self._report(self._trials[trial_id], result)
        self._follow_pauses()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial = self._trials.pop(trial_id, None)
        if trial is None:  # a repeated call
            return
        self._limits.end(trial_id)
        if trial_id in self._paused:
            self._paused.discard(trial_id)
            self._set_running(trial._trial_id)
            if result is None and not error:  # Tune keeps no result of a paused trial
                self._end(trial, PRUNED)
                return
        failure = self._failures.pop(trial_id, ERROR)
        values = self._report(trial, result)
        if error or not result:
            self._end(trial, failure)
            return
        outcome = outcome_of_report(result, trial.user_attrs.get(BUDGET, self._budget))
        if outcome == COMPLETED and values is not None:
            self._note_score(values, result)
        self._end(trial, outcome, values)

    def _report(self, trial: optuna.Trial, result: Mapping[str, Any] | None) -> list[float] | None:
        """Store the values of a report in the study. Returns them; None if one is not finite."""
        values = self._objectives.values(result)
        if result and values is not None:
            report(trial, values, int(result["env_steps"]))
            set_violations(trial, self._objectives.violations(result))
            if self._objectives.names == (DEFAULT,):
                set_standard_error(trial, result)
        return values

    def _note_score(self, values: list[float], result: Mapping[str, Any]) -> None:
        score = self._objectives.score(values)
        if isinstance(score, float) and not self._objectives.violated(result):
            self._limits.completed(score)

    def replaced(self, trial_id: str, takeovers: Sequence[Mapping[str, Any]]) -> None:
        """Register that a trial has continued from others with other values. Its score teaches nothing then."""
        trial = self.study._storage.get_trial(self._trials[trial_id]._trial_id)  # paused, and so PRUNED for now
        attrs = {**trial.user_attrs, TAKEOVERS: [dict(one) for one in takeovers]}
        without_result.change(self.study, trial, user_attrs=attrs)

    def failed_as(self, trial_id: str, outcome: str) -> None:
        """Note the outcome of a trial that fails. Tune's call of `on_trial_complete`, which follows, lacks it."""
        self._failures[trial_id] = outcome

    def _end(self, trial: optuna.Trial, outcome: str, values: list[float] | None = None) -> None:
        """Tell the outcome of a trial that has ended: the only place at which a trial gets its outcome."""
        state = _STATES.get(outcome, TrialState.FAIL)
        no_value = state == TrialState.COMPLETE and values is None  # a metric that is not finite
        if no_value or TAKEOVERS in self.study._storage.get_trial(trial._trial_id).user_attrs:
            state = TrialState.FAIL
        complete_violations(trial, self._objectives.violations(None))
        stopped = without_result.end(
            self.study, trial, outcome, state, values if state == TrialState.COMPLETE else None
        )
        if self._limits.exhausted and not self._limits.open:
            stopped |= without_result.give_up(self.study)
        if stopped:
            self._limits.sampler_ended()

    def _tell(self, trial: optuna.Trial, state: TrialState) -> None:
        stopped = tell(self.study, trial, state)
        if without_result.settle(self.study) or stopped:
            self._limits.sampler_ended()

    def save(self, checkpoint_path: str) -> None:
        with open(checkpoint_path, "wb") as file:
            pickle.dump(self._state(), file)

    def restore(self, checkpoint_path: str) -> None:
        self._take(pickle.loads(Path(checkpoint_path).read_bytes()))

    def _state(self) -> dict[str, Any]:
        return {"study": self.study, "trials": self._trials, "unlogged": self._unlogged, "paused": self._paused,
                "search": asdict(self._limits.state())}  # fmt: skip

    def _take(self, state: Mapping[str, Any]) -> None:
        self.study, self._trials, self._unlogged = state["study"], state["trials"], state.get("unlogged")
        self._paused = state.get("paused", set())
        self._limits.restore(_search_state(state, self._limits.rules), set(self._trials))

    def _point_to_try(self, number: int) -> Mapping[str, Any] | None:
        """Return the values of suggestion `number` from the log, else an initial point; None for a free suggestion."""
        if self._logged is None:
            logged = read_suggestions(self._log)
            self._logged = {number: self._space.current_names(params) for number, params in logged.items()}
        initial = self._initial[number] if number < len(self._initial) else None
        point = self._logged.get(number)
        # If the sampler suggests the same values by itself, nothing is enqueued: an enqueued value draws no random
        # number, and all later suggestions would differ from those of a sweep that was not killed.
        return initial if point is None or point == self._rehearse(initial) else point

    def _rehearse(self, point: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the next suggestion of a copy of the study."""
        study = pickle.loads(pickle.dumps(self.study))
        if point is not None:
            study.enqueue_trial(dict(point))
        trial = study.ask()
        with suppress(InfeasiblePoint):
            self._space.suggest(trial)
        return dict(trial.params)


def _search_state(state: Mapping[str, Any], rules: StopRules) -> SearchState:
    if "search" in state:
        return search_state_of(state["search"])
    ended = SAMPLER if state.get("ended") else None  # of an earlier version
    return SearchState(rules, Tally(suggested=state.get("suggested")), ended)


def export_study(study: optuna.Study, path: Path) -> None:
    """Write the study atomically as an Optuna journal file, for Optuna's own tools."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    storage = JournalStorage(JournalFileBackend(str(temporary)))
    optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=storage)
    sync(temporary)  # the file marks a finished sweep: it must not be empty after a power cut
    temporary.replace(path)
    sync(path.parent)
