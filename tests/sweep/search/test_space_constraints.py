"""A batch larger than its rollout: clipped if it is fixed, avoided if it is searched."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import optuna
import pytest
from optuna.trial import FixedTrial
from pydantic import model_validator

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.config import AtMost, Config
from tuneexp.errors import UserError
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
BATCH_CHOICES = [64, 128, 256, 512]


def ask(space: SearchSpace, count: int = 150, sampler: Any = None) -> list[tuple[dict[str, Any], optuna.Trial]]:
    study = optuna.create_study(sampler=sampler or optuna.samplers.RandomSampler(seed=1))
    pairs = []
    for number in range(count):
        trial = study.ask()
        pairs.append((space.suggest(trial), trial))
        study.tell(trial, float(number % 7))
    return pairs


def bound(mapping: dict[str, Any], **fixed: Any) -> SearchSpace:
    return SearchSpace.from_mapping(mapping).validate(PPOConfig, fixed, "ppo")


@pytest.mark.parametrize(
    "batch_size",
    [
        {"choice": BATCH_CHOICES},
        {"int": [2, 512]},
        {"int": [64, 512, 64]},
        {"logint": [16, 512]},
        {"choice": [64, {"int": [128, 512, 128]}]},
    ],
)
@pytest.mark.parametrize("sampler", [optuna.samplers.RandomSampler, optuna.samplers.TPESampler])
def test_a_searched_batch_never_exceeds_its_searched_rollout(batch_size: dict[str, Any], sampler: Any) -> None:
    space = bound({"batch_size": batch_size, "n_steps": {"choice": [16, 32, 64, 128]}, "n_envs": {"int": [1, 8]}})
    batches = set()
    for values, trial in ask(space, 60, sampler(seed=2)):
        PPOConfig.parse(values, "ppo")
        assert values["batch_size"] <= values["n_envs"] * values["n_steps"]
        assert space.suggest(FixedTrial(trial.params)) == values  # Optuna recorded what runs
        batches.add(values["batch_size"])
    assert len(batches) > 3


RANGES = [
    {"choice": BATCH_CHOICES},
    {"int": [64, 512, 64]},
    {"logint": [16, 512]},
    {"choice": [64, {"int": [128, 512]}]},
]


@pytest.mark.parametrize("batch_size", RANGES)
def test_a_model_sees_the_same_range_in_every_trial(batch_size: dict[str, Any]) -> None:
    space = bound({"batch_size": batch_size, "n_steps": {"choice": [16, 32, 64]}})
    trials = [trial for _, trial in ask(space)]
    for name in ("batch_size", "n_steps"):
        assert len({str(trial.distributions[name]) for trial in trials}) == 1
        assert {name in trial.params for trial in trials} == {True}


def test_a_suggestion_outside_of_a_constraint_becomes_the_nearest_value_that_fits() -> None:
    space = bound({"batch_size": {"choice": BATCH_CHOICES}, "n_steps": {"choice": [16, 64]}})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        values = space.suggest(trial)
        seen.add((values["n_steps"], values["batch_size"]))
        assert trial.params["batch_size"] == study.trials[trial.number].params["batch_size"] == values["batch_size"]
    assert seen == {(16, 64), (16, 128), *((64, batch) for batch in BATCH_CHOICES)}


@pytest.mark.parametrize(
    ("batch_size", "asked", "used"),
    [
        ({"choice": BATCH_CHOICES}, {"batch_size": 512}, 128),
        ({"int": [64, 512, 64]}, {"batch_size": 448}, 128),
        ({"logint": [16, 512]}, {"batch_size": 300}, 128),
        ({"choice": [64, {"int": [96, 512]}]}, {"batch_size": "int", "batch_size:int": 400}, 128),
        ({"choice": [64, {"int": [256, 512]}]}, {"batch_size": "int"}, 64),
    ],
)
def test_the_nearest_value_is_recorded(batch_size: dict[str, Any], asked: dict[str, Any], used: int) -> None:
    space = bound({"batch_size": batch_size, "n_steps": {"choice": [16, 64]}})
    study = optuna.create_study()
    study.enqueue_trial({"n_steps": 16, **asked})
    trial = study.ask()
    assert space.suggest(trial)["batch_size"] == used
    assert trial.params == study.trials[0].params
    assert used in trial.params.values()
    assert space.suggest(FixedTrial(trial.params))["batch_size"] == used


def test_names_that_earlier_versions_stored_are_read() -> None:
    space = bound({"batch_size": {"choice": BATCH_CHOICES}, "n_steps": {"choice": [16, 64]}})
    stored = {"n_steps": 16, "batch_size in [64, 128]": 128}
    assert space.current_names(stored) == {"n_steps": 16, "batch_size": 128}
    assert space.current_names({"other in [1]": 1}) == {"other in [1]": 1}


def test_a_factor_is_never_so_small_that_no_batch_fits() -> None:
    space = bound(
        {"n_steps": {"choice": [8, 16, 32, 64]}, "batch_size": {"choice": [256, 512]}, "n_envs": {"int": [1, 16]}}
    )
    pairs = [values for values, _ in ask(space)]
    assert {values["n_steps"] for values in pairs} == {16, 32, 64}
    assert all(values["n_envs"] * values["n_steps"] >= values["batch_size"] for values in pairs)


def test_a_fixed_batch_keeps_the_searched_rollout_large_enough() -> None:
    space = bound({"n_steps": {"logint": [8, 512]}}, batch_size=512, n_envs=4)
    steps = [values["n_steps"] for values, _ in ask(space)]
    assert min(steps) >= 128
    assert len(set(steps)) > 30


def test_a_constant_of_the_space_counts_unless_a_fixed_value_replaces_it() -> None:
    mapping = {"n_steps": 32, "n_envs": 2, "batch_size": {"choice": [64, 256]}}
    assert {v["batch_size"] for v, _ in ask(bound(mapping), 20)} == {64}
    wider = bound(mapping, n_envs=8)
    pairs = ask(wider, 20)
    assert {v["batch_size"] for v, _ in pairs} == {64, 256}
    assert all("n_envs" not in v for v, _ in pairs)  # the fixed value is not overwritten


@pytest.mark.parametrize(
    ("mapping", "fixed"),
    [
        ({"n_steps": {"choice": [8, 16]}}, {"batch_size": 512}),
        ({"batch_size": {"int": [300, 512]}}, {"n_steps": 32}),
        ({"batch_size": {"choice": [300, 512]}, "n_steps": 32}, {}),
    ],
)
def test_a_batch_that_no_suggestion_can_fit_is_refused(mapping: dict[str, Any], fixed: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"batch_size=\d+ .*n_envs=8 \* n_steps=\d+"):
        bound(mapping, **fixed)


def test_a_fixed_batch_larger_than_its_rollout_is_taken_as_the_rollout() -> None:
    fixed = {"batch_size": 512, "n_steps": 32}
    assert PPOConfig.parse(fixed, "ppo").minibatch_rows() == 256
    assert bound({"gamma": {"uniform": [0.9, 0.99]}}, **fixed).suggest(FixedTrial({"gamma": 0.95}))["gamma"] == 0.95


def test_an_initial_point_with_a_batch_that_does_not_fit_is_refused() -> None:
    mapping = {"batch_size": {"choice": [64, 512]}, "n_steps": {"choice": [32, 64]}}
    with pytest.raises(UserError, match="initial point 1: batch_size=512"):
        bound(mapping | {"initial": [{"batch_size": 512, "n_steps": 32}]})
    fits = bound(mapping | {"initial": [{"batch_size": 64, "n_steps": 32}]})
    assert fits.initial_params() == [{"n_steps": 32, "batch_size": 64}]


class RuledConfig(Config):
    """Two rules that share a field, and one that is no declared constraint."""

    a: int = 1
    b: int = 1
    c: int = 1
    constraints: ClassVar[tuple[AtMost, ...]] = (AtMost("a", ("b",)), AtMost("b", ("c",)))

    @model_validator(mode="after")
    def _no_thirteen(self) -> Self:
        if self.a + self.b == 13:
            raise ValueError("a + b is 13; write another b")
        return self


def test_a_chain_of_constraints_is_kept_and_an_undeclared_rule_makes_a_point_infeasible() -> None:
    space = SearchSpace.from_mapping({name: {"int": [1, 12]} for name in "abc"}).validate(RuledConfig, {}, "ruled")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    infeasible = []
    for _ in range(300):
        trial = study.ask()
        try:
            values = space.suggest(trial)
        except InfeasiblePoint:
            infeasible.append(trial.params)
        else:
            assert values["a"] <= values["b"] <= values["c"]
    assert {params["a"] + params["b"] for params in infeasible} == {13}
    with pytest.raises(InfeasiblePoint, match=r"a \+ b is 13"):
        space.suggest(FixedTrial(infeasible[0]))


def test_a_space_without_one_valid_point_is_refused_with_the_reason() -> None:
    space = SearchSpace.from_mapping({"a": {"choice": [6]}, "c": {"int": [7, 12]}, "b": 7})
    with pytest.raises(UserError, match=r"64 random points.*a \+ b is 13"):
        space.validate(RuledConfig, {}, "ruled")


def test_upper_bounds_that_wait_for_each_other_are_refused() -> None:
    space = SearchSpace.from_mapping(
        {"batch_size": {"choice": [64, 128]}, "n_steps": {"int": [8, 64], "when": {"batch_size": 64}}}
    )
    with pytest.raises(UserError, match=r"batch_size, n_steps .*cycle"):
        space.validate(PPOConfig, {}, "ppo")
