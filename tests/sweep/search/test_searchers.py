"""The contract of searchers. To add a sampler, add a line to `SAMPLERS`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tuneexp.errors import UserError
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.choice import SAMPLERS, SamplerContext, build_sampler
from tuneexp.sweep.search.searchers import StudySearcher, export_study
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace
from tuneexp.sweep.search.suggestions import append_suggestion, read_suggestions

BUDGET = 1000
SPACE = {"learning_rate": {"loguniform": [1e-5, 1e-1]}, "gamma": {"complement_loguniform": [0.9, 0.999]}}
FINITE = {"learning_rate": {"choice": [0.0001, 0.001, 0.01, 0.1]}, "gamma": {"choice": [0.9, 0.95, 0.98, 0.99]}}
QUICK = [name for name in SAMPLERS if name != "gp"]  # gp has the same facts in its contract


def searcher(tmp_path: Path, sampler: str = "tpe", seed: int = 0, **more: Any) -> StudySearcher:
    mapping = FINITE if sampler in ("grid", "brute_force") else SPACE
    space = more.pop("space", None) or SearchSpace.of({**mapping, "initial": more.pop("points", [])})
    return StudySearcher(
        space,
        build_sampler(sampler, SamplerContext(seed, 8, space)),
        "a-study",
        BUDGET,
        tmp_path / "log.jsonl",
        space.initial_params(),
    )


def result(objective: float, env_steps: int = BUDGET) -> dict[str, Any]:
    return {"objective": objective, "env_steps": env_steps}


def play(
    found: StudySearcher, trials: range, score: Any = lambda config: config["learning_rate"]
) -> list[dict[str, Any]]:
    """Suggest and complete trials one after another. Returns the configurations."""
    configs = []
    for number in trials:
        suggestion = found.suggest(f"t{number}")
        configs.append(suggestion["hyperparameters"])
        found.on_trial_complete(f"t{number}", result(score(suggestion["hyperparameters"])))
    return configs


@pytest.mark.parametrize("sampler", QUICK)
def test_suggestions_repeat_exactly_one_at_a_time(tmp_path: Path, sampler: str) -> None:
    (tmp_path / "a").mkdir()
    first = play(searcher(tmp_path / "a", sampler), range(12))
    (tmp_path / "b").mkdir()
    assert play(searcher(tmp_path / "b", sampler), range(12)) == first
    (tmp_path / "c").mkdir()
    assert play(searcher(tmp_path / "c", sampler, seed=1), range(12)) != first


@pytest.mark.parametrize("sampler", QUICK)
def test_a_saved_and_restored_searcher_suggests_what_the_first_would_have(tmp_path: Path, sampler: str) -> None:
    first = searcher(tmp_path, sampler)
    play(first, range(6))
    first.save(str(tmp_path / "state.pkl"))
    expected = play(first, range(6, 12))
    (tmp_path / "log.jsonl").unlink()
    second = searcher(tmp_path, sampler)
    second.restore(str(tmp_path / "state.pkl"))
    assert play(second, range(6, 12)) == expected


@pytest.mark.parametrize("sampler", QUICK)
def test_a_suggestion_that_a_kill_took_back_comes_again_with_its_number_and_values(
    tmp_path: Path, sampler: str
) -> None:
    first = searcher(tmp_path, sampler)
    play(first, range(5))
    first.save(str(tmp_path / "state.pkl"))
    lost = [first.suggest("t5"), first.suggest("t6")]
    second = searcher(tmp_path, sampler)
    second.restore(str(tmp_path / "state.pkl"))
    # In parallel another trial may end first this time: the sampler alone would then suggest something else.
    again = [second.suggest("x")]
    second.on_trial_complete("x", result(99.0))
    again.append(second.suggest("y"))
    assert again == lost
    assert [suggestion["trial_number"] for suggestion in again] == [5, 6]


def test_replaying_a_suggestion_leaves_the_later_ones_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected = play(searcher(tmp_path / "whole"), range(10))
    first = searcher(tmp_path / "killed")
    play(first, range(4))
    first.save(str(tmp_path / "state.pkl"))
    play(first, range(4, 6))  # lost
    second = searcher(tmp_path / "killed")
    second.restore(str(tmp_path / "state.pkl"))
    assert play(second, range(4, 10)) == expected[4:]


def test_initial_points_come_first_and_in_order(tmp_path: Path) -> None:
    points = [{"learning_rate": 0.01, "gamma": 0.98}, {"learning_rate": 0.001, "gamma": 0.95}]
    found = searcher(tmp_path, points=points)
    suggested = [found.suggest(f"t{number}")["hyperparameters"] for number in range(3)]
    assert [config["learning_rate"] for config in suggested[:2]] == [0.01, 0.001]
    assert [config["gamma"] for config in suggested[:2]] == pytest.approx([0.98, 0.95])
    assert suggested[2] not in points


@pytest.mark.parametrize(
    ("last", "error", "state", "value", "outcome"),
    [
        (result(3.0), False, TrialState.COMPLETE, 3.0, "completed"),
        (result(3.0, 400), False, TrialState.PRUNED, 3.0, "pruned"),
        # Before there is a result the tell waits.
        (result(math.nan), False, TrialState.RUNNING, None, "diverged"),
        (result(math.nan, 400), False, TrialState.RUNNING, None, "diverged"),
        (result(math.inf), False, TrialState.RUNNING, None, "diverged"),
        (result(3.0, 400), True, TrialState.FAIL, None, "error"),
        (None, True, TrialState.FAIL, None, "error"),
        (None, False, TrialState.FAIL, None, "error"),
    ],
)
def test_optuna_gets_how_the_trial_ended(
    tmp_path: Path, last: Any, error: bool, state: TrialState, value: Any, outcome: str
) -> None:
    found = searcher(tmp_path)
    found.suggest("t")
    found.on_trial_result("t", result(1.0, 200))
    found.on_trial_complete("t", last, error=error)
    found.on_trial_complete("t", last, error=error)  # a second word about the same trial changes nothing
    (trial,) = found.study.trials
    assert trial.state == state
    assert trial.value == value
    assert trial.user_attrs["outcome"] == outcome


def test_reports_stand_at_their_environment_steps_and_once(tmp_path: Path) -> None:
    found = searcher(tmp_path)
    found.suggest("t")
    for step, objective in ((200, 1.0), (400, 2.0), (400, 2.0), (600, math.nan)):
        found.on_trial_result("t", result(objective, step))
    found.on_trial_complete("t", result(4.0, 800))
    assert found.study.trials[0].intermediate_values == {200: 1.0, 400: 2.0, 800: 4.0}


def test_an_infeasible_point_fails_in_optuna_and_another_is_requested(tmp_path: Path) -> None:
    class Picky(SearchSpace):
        def suggest(self, trial: Any) -> dict[str, Any]:
            values = super().suggest(trial)
            if trial.number in (0, 1):
                raise InfeasiblePoint("a rule")
            return values

    space = Picky(list(SearchSpace.of(SPACE).dimensions.values()))
    found = searcher(tmp_path, space=space)
    assert found.suggest("t")["trial_number"] == 2
    assert [trial.state for trial in found.study.trials] == [TrialState.FAIL, TrialState.FAIL, TrialState.RUNNING]


def test_a_space_without_a_feasible_point_is_refused_and_not_tried_forever(tmp_path: Path) -> None:
    class Impossible(SearchSpace):
        def suggest(self, trial: Any) -> dict[str, Any]:
            raise InfeasiblePoint("never")

    with pytest.raises(UserError, match="search space"):
        searcher(tmp_path, space=Impossible(list(SearchSpace.of(SPACE).dimensions.values()))).suggest("t")


def test_a_line_that_a_kill_cut_short_spoils_only_itself(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append_suggestion(log, 0, {"x": 0.1})
    with log.open("a") as file:
        file.write('\n{"number": 1, "par')
    append_suggestion(log, 2, {"x": 0.3})
    assert read_suggestions(log) == {0: {"x": 0.1}, 2: {"x": 0.3}}


def test_values_that_json_would_change_are_not_logged(tmp_path: Path) -> None:
    append_suggestion(tmp_path / "log.jsonl", 0, {"x": (1, 2)})
    assert read_suggestions(tmp_path / "log.jsonl") == {}


def test_the_study_can_be_opened_with_optunas_own_tools(tmp_path: Path) -> None:
    found = searcher(tmp_path)
    play(found, range(3))
    found.suggest("open")
    for _ in range(2):  # a second export replaces the first
        export_study(found.study, tmp_path / "optuna.journal")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "optuna.journal"))
    read = optuna.load_study(study_name="a-study", storage=optuna.storages.JournalStorage(backend))
    assert [trial.params for trial in read.trials] == [trial.params for trial in found.study.trials]
    assert [trial.state for trial in read.trials] == [trial.state for trial in found.study.trials]


def test_an_unknown_searcher_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"'tpee'.* 'tpe'"):
        choice.check("searcher", "tpee")


def test_suggestions_are_json(tmp_path: Path) -> None:
    suggestion = searcher(tmp_path).suggest("t")
    assert json.loads(json.dumps(suggestion)) == suggestion
