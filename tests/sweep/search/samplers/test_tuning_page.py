"""docs/tuning.md: each cell of its first table is compared with what the sampler does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tuneexp.sweep.search.choice import SAMPLERS, SamplerContext, build_sampler
from tuneexp.sweep.search.samplers.modelled import modelled
from tuneexp.sweep.search.samplers.without_result import end
from tuneexp.sweep.search.space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
PAGE = Path(__file__).parents[4] / "docs" / "tuning.md"
INFINITE = SearchSpace.of(
    {
        "a": {"uniform": [0, 1]},
        "b": {"uniform": [0, 1]},
        "kind": {"choice": ["x", "y", "z"]},
        "ent": {"choice": [0.0, {"uniform": [0.1, 1.0]}]},
    }
)
FINITE = SearchSpace.of(
    {"a": {"int": [0, 9]}, "kind": {"choice": ["x", "y", "z"]}, "ent": {"choice": [0, {"int": [1, 2]}]}}
)
BRANCH = "ent (range)"


def table() -> dict[str, dict[str, str]]:
    section = PAGE.read_text().split("### What learns from what")[1].split("\n##")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and "|---|" not in line]
    header, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


TABLE = table()


def asked_for(row: str) -> dict[str, Any]:
    name, *options = [word for word in row.replace("`", "").split() if word != "with"]
    return {"name": name, **dict.fromkeys(options, True)}


def space_of(row: str) -> SearchSpace:
    return FINITE if asked_for(row)["name"] in ("grid", "brute_force") else INFINITE


def sampler_of(row: str, **more: Any) -> optuna.samplers.BaseSampler:
    return build_sampler({**asked_for(row), **more}, SamplerContext(0, 20, space_of(row)))


def after(row: str, tell: Any, directions: tuple[str, ...] = ("maximize",), **more: Any) -> list[dict[str, Any]]:
    """Suggestions of a sweep of 40 trials; of a Gaussian process, which is slow, 8. tell: (study, trial), ends a trial.

    Two sweeps that differ in their results have equal suggestions as long as the sampler does not use them."""
    study = optuna.create_study(directions=list(directions), sampler=sampler_of(row, **more))
    found = []
    for _ in range(8 if row == "`gp`" else 40):
        trial = study.ask()
        space_of(row).suggest(trial)
        found.append(trial.params)
        tell(study, trial)
    return found


def score(trial: optuna.Trial) -> float:
    return float(trial.params["a"])


def cells(column: str) -> list[tuple[str, str]]:
    return [(row, TABLE[row][column]) for row in TABLE]


def test_the_table_has_all_samplers() -> None:
    assert {asked_for(row)["name"] for row in TABLE} == set(SAMPLERS)


@pytest.mark.parametrize("row", TABLE)
def test_categorical_and_conditional(row: str) -> None:
    parts = modelled("it", sampler_of(row), space_of(row))
    words = {"joint": "modelled", "alone": "one at a time", "spread": "spread", "listed": "listed", "random": "random"}
    how = {name: word for part, word in words.items() for name in getattr(parts, part)}
    assert how["kind"] == TABLE[row]["categorical"]
    assert how[BRANCH] == TABLE[row]["conditional"]


def completing(sign: float) -> Any:
    return lambda study, trial: study.tell(trial, sign * score(trial))


@pytest.mark.parametrize(("row", "cell"), cells("pruned"))
def test_pruned(row: str, cell: str) -> None:
    def pruning(sign: float) -> Any:
        def end(study: optuna.Study, trial: optuna.Trial) -> None:
            if trial.number == 0:
                study.tell(trial, 0.5)
                return
            trial.report(sign * score(trial), 100)
            study.tell(trial, state=TrialState.PRUNED)

        return end

    learns = after(row, pruning(1.0)) != after(row, pruning(-1.0))
    assert learns == (cell == "learns")
    if cell == "`carry_pruned`":
        assert after(row, pruning(1.0), carry_pruned=True) != after(row, pruning(-1.0), carry_pruned=True)


@pytest.mark.parametrize(("row", "cell"), cells("several objectives"))
def test_several_objectives(row: str, cell: str) -> None:
    def both(sign: float) -> Any:
        return lambda study, trial: study.tell(trial, [score(trial), sign * float(trial.params["kind"] == "x")])

    if cell == "refused":
        with pytest.raises(ValueError, match="multi-objective"):
            after(row, both(1.0), ("maximize", "maximize"))
        return
    suggested = [after(row, both(sign), ("maximize", "maximize")) for sign in (1.0, -1.0)]
    assert (suggested[0] != suggested[1]) == (cell == "learns")


@pytest.mark.filterwarnings("ignore:Constraints have been set")
@pytest.mark.parametrize(("row", "cell"), cells("constraints"))
def test_constraints(row: str, cell: str) -> None:
    def constrained(sign: float) -> Any:
        def end(study: optuna.Study, trial: optuna.Trial) -> None:
            trial.set_constraint("seconds", sign * (score(trial) / (9 if space_of(row) is FINITE else 1) - 0.5))
            study.tell(trial, score(trial))

        return end

    assert (after(row, constrained(1.0)) != after(row, constrained(-1.0))) == (cell == "learns")


def without_result(kind: str, outcome: str) -> Any:
    """Every second trial ends with `outcome`. Of kind "b" these trials have other values of `a`."""

    def end_one(study: optuna.Study, trial: optuna.Trial) -> None:
        failed = trial.number % 2 == 1
        if failed and kind == "b":
            trial.storage.set_trial_param(trial._trial_id, "a", 1 - trial.params["a"], trial.distributions["a"])
        state = TrialState.FAIL if failed else TrialState.COMPLETE
        end(study, trial, outcome if failed else "completed", state, None if failed else [score(trial)])

    return end_one


@pytest.mark.parametrize(("row", "cell"), cells("no result"))
def test_no_result(row: str, cell: str) -> None:
    if cell == "counts as tried":
        study = optuna.create_study(sampler=sampler_of(row))
        points = set()
        for _ in range(20):
            trial = study.ask()
            FINITE.suggest(trial)
            points.add(str(trial.params))
            end(study, trial, "diverged", TrialState.FAIL)
        assert len(points) == 20
        return
    more = {"population_size": 10} if cell == "no offspring" else {}
    learns = after(row, without_result("a", "timeout"), **more) != after(row, without_result("b", "timeout"), **more)
    assert learns == (cell == "learns")
    if cell == "no offspring":  # but they count in the population
        assert after(row, without_result("a", "timeout"), **more) != after(row, without_result("a", "error"), **more)


@pytest.mark.parametrize("row", [row for row, cell in cells("no result") if cell != "counts as tried"])
def test_no_sampler_learns_from_an_error(row: str) -> None:
    assert after(row, without_result("a", "error")) == after(row, without_result("b", "error"))


@pytest.mark.parametrize("row", [row for row in TABLE if TABLE[row]["pruned"] in ("learns", "`carry_pruned`")])
def test_those_that_learn_learn_from_completed_trials(row: str) -> None:
    assert after(row, completing(1.0)) != after(row, completing(-1.0))
