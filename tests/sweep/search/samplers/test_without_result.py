"""Diverged trials, and those that ran out of memory or time, in Optuna's study: the worst value so far, marked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.samplers.carrying import completed
from tuneexp.sweep.search.samplers.without_result import set_failed
from tuneexp.sweep.search.samplers.worst import worst_values
from tuneexp.sweep.search.searchers import StudySearcher, export_study
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import StopRules

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = SearchSpace.of({"x": {"uniform": [0.0, 1.0]}, "y": {"uniform": [0.0, 1.0]}})
BUDGET = 1000


def searcher(folder: Path, sampler: Any = "tpe", trials: int | None = None) -> StudySearcher:
    made = build_sampler(sampler, SamplerContext(0, 20, SPACE))
    return StudySearcher(SPACE, made, "study", BUDGET, folder / "log.jsonl", limits=Limits(StopRules(trials)))


def end(found: StudySearcher, number: int, how: float | str, env_steps: int = BUDGET) -> None:
    """Suggest a trial and end it. how: its objective, or the outcome of its failure."""
    suggested = found.suggest(f"t{number}")
    assert isinstance(suggested, dict)
    end_open(found, number, how, env_steps)


def end_open(found: StudySearcher, number: int, how: float | str, env_steps: int = BUDGET) -> None:
    if isinstance(how, str):
        found.failed_as(f"t{number}", how)
        found.on_trial_complete(f"t{number}", error=True)
    else:
        found.on_trial_complete(f"t{number}", {"objective": how, "env_steps": env_steps})


def told(found: StudySearcher) -> list[tuple[str, float | None]]:
    return [(trial.state.name, trial.value) for trial in found.study.get_trials(deepcopy=False)]


def test_the_worst_values_are_those_of_each_objective() -> None:
    results = [[3.0, 10.0], [1.0, math.nan], [math.inf, 30.0]]
    assert worst_values(results, [True, False]) == [1.0, 30.0]
    assert worst_values(results, [False, True]) == [3.0, 10.0]
    assert worst_values([[1.0, math.nan]], [True, True]) is None
    assert worst_values([], [True]) is None


def test_a_trial_without_a_result_has_the_worst_value_so_far_and_violates_a_constraint(tmp_path: Path) -> None:
    found = searcher(tmp_path)
    for number, how in enumerate([5.0, math.nan, "out_of_memory", "timeout", "error"]):
        end(found, number, how)
    assert told(found) == [("COMPLETE", 5.0)] * 4 + [("FAIL", None)]
    end(found, 5, 2.0)
    end(found, 6, 1.0, 400)
    assert told(found) == [("COMPLETE", 5.0), *[("COMPLETE", 1.0)] * 3, ("FAIL", None), ("COMPLETE", 2.0),
                           ("PRUNED", 1.0)]  # fmt: skip
    trials = found.study.trials
    assert [trial.user_attrs["outcome"] for trial in trials] == [
        "completed", "diverged", "out_of_memory", "timeout", "error", "completed", "pruned",
    ]  # fmt: skip
    assert [trial.constraints.get("outcome") for trial in trials] == [-1.0, 1.0, 1.0, 1.0, None, -1.0, -1.0]


def test_before_there_is_a_result_the_tell_waits_also_through_a_kill(tmp_path: Path) -> None:
    found = searcher(tmp_path)
    for number, how in enumerate(["timeout", math.nan, "error"]):
        end(found, number, how)
    assert told(found) == [("RUNNING", None), ("RUNNING", None), ("FAIL", None)]
    found.save(str(tmp_path / "state"))
    restored = searcher(tmp_path)
    restored.restore(str(tmp_path / "state"))
    end(restored, 3, 7.0)
    assert told(restored) == [("COMPLETE", 7.0), ("COMPLETE", 7.0), ("FAIL", None), ("COMPLETE", 7.0)]
    assert restored.study.best_trial.number == 3


def test_a_sweep_without_any_result_ends_with_failed_trials_and_an_extended_one_tells_them_later(
    tmp_path: Path,
) -> None:
    found = searcher(tmp_path, trials=2)
    for number in range(2):
        end(found, number, math.nan)
    assert told(found) == [("FAIL", None)] * 2
    found.save(str(tmp_path / "state"))
    extended = searcher(tmp_path, trials=3)
    extended.restore(str(tmp_path / "state"))
    end(extended, 2, 4.0)
    assert told(extended) == [("COMPLETE", 4.0)] * 3


def test_a_told_value_is_no_result(tmp_path: Path) -> None:
    """Neither for Optuna's best trial, nor in the exported file, nor for importances after `set_failed`."""
    found = searcher(tmp_path)
    end(found, 0, 3.0, 400)  # pruned
    end(found, 1, "timeout")
    assert told(found)[1] == ("COMPLETE", 3.0)
    with pytest.raises(ValueError, match="No trials are completed"):
        found.study.best_trial  # noqa: B018
    for number in range(2, 12):
        end(found, number, math.nan if number % 3 == 0 else float(number))
    assert found.study.best_trial.number == 11
    export_study(found.study, tmp_path / "journal")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    read = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))
    assert read.best_trial.number == 11
    set_failed(found.study)
    completed_now = [one.number for one in found.study.get_trials(states=(TrialState.COMPLETE,))]
    assert completed_now == [2, 4, 5, 7, 8, 10, 11]


def test_pruned_trials_are_not_carried_by_the_curves_of_trials_without_a_result(tmp_path: Path) -> None:
    found = searcher(tmp_path)
    for number, how in enumerate([10.0, 20.0, "timeout", math.nan, "timeout"]):
        found.suggest(f"t{number}")
        for env_steps in (200, 400):
            found.on_trial_result(f"t{number}", {"objective": env_steps / 100, "env_steps": env_steps})
        end_open(found, number, how)
    found.suggest("t5")
    end_open(found, 5, 3.0, 400)

    def carried(trials: list[FrozenTrial]) -> dict[int, float | None]:
        return {number: one.value for number, one in completed(trials, found.study.direction).items()}

    ended = [trial for trial in found.study.trials if trial.state.is_finished()]
    assert carried(ended) == carried([ended[0], ended[1], ended[5]])
    assert list(carried(ended)) == [5]


@pytest.mark.parametrize("sampler", ["gp", {"name": "gp", "carry_pruned": True}], ids=["gp", "gp carries"])
def test_a_gaussian_process_takes_studies_in_which_only_some_trials_had_the_constraint(
    tmp_path: Path, sampler: Any
) -> None:
    """Optuna refuses trials with different numbers of constraints."""
    found = searcher(tmp_path, {"n_startup_trials": 2, **(sampler if isinstance(sampler, dict) else {"name": sampler})})
    for number, (how, env_steps) in enumerate([(1.0, BUDGET), (2.0, 400), (3.0, BUDGET)]):
        end(found, number, how, env_steps)
    end(found, 3, "timeout")
    end(found, 4, 2.5, 400)
    end(found, 5, 0.5)
    assert isinstance(found.suggest("t6"), dict)


def test_a_trial_that_is_tried_again_has_neither_value_nor_outcome(tmp_path: Path) -> None:
    found = searcher(tmp_path)
    end(found, 0, 5.0)
    end(found, 1, "timeout")
    found.reopen("t1", 1)
    (_, again) = found.study.trials
    assert (again.state, again.values, again.user_attrs, again.constraints) == (TrialState.RUNNING, None, {}, {})
    end_open(found, 1, 9.0)
    assert told(found) == [("COMPLETE", 5.0), ("COMPLETE", 9.0)]
    assert found.study.best_trial.number == 1


@pytest.mark.parametrize("how", [math.nan, "timeout"])
def test_a_member_that_took_over_other_values_teaches_nothing_about_its_first_ones(
    tmp_path: Path, how: float | str
) -> None:
    found = searcher(tmp_path)
    end(found, 0, 1.0)
    found.suggest("t1")
    found.on_trial_result("t1", {"objective": 5.0, "env_steps": 100})
    found.replaced("t1", [{"env_steps": 100, "donor": 0, "before": {"x": 0.1}, "after": {"x": 0.2}}])
    end_open(found, 1, how)
    end(found, 2, math.nan)
    assert told(found) == [("COMPLETE", 1.0), ("FAIL", None), ("COMPLETE", 1.0)]
    first, replaced, diverged = found.study.trials
    assert replaced.user_attrs["outcome"] == ("diverged" if how != "timeout" else how)
    assert "constraints:outcome" not in replaced.system_attrs
    assert diverged.system_attrs["constraints:outcome"] > 0 > first.system_attrs["constraints:outcome"]
