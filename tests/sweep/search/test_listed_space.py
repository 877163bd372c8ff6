"""Search spaces that are lists of configurations."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.errors import UserError
from tuneexp.sweep import SearchSpace
from tuneexp.sweep.search.choice import SamplerContext, build_sampler, most_trials
from tuneexp.sweep.search.searched_budget import largest_budget, with_budget
from tuneexp.sweep.search.space.listed import ListedSpace, check_sampler

LISTED = {
    "configurations": {
        "small": {"n_envs": 4, "model": {"hidden_sizes": [8]}},
        "large": {"n_envs": 16, "model/hidden_sizes": [64, 64], "gamma": 0.9},
        "defaults": {},
    }
}


def space(**changes: Any) -> SearchSpace:
    return SearchSpace.of({**LISTED, **changes}).validate(PPOConfig)


def test_the_grid_tries_each_configuration_once() -> None:
    found = space()
    sampler = build_sampler("grid", SamplerContext(0, 8, found))
    assert most_trials("grid", SamplerContext(0, 8, found)) == 3
    study = optuna.create_study(sampler=sampler)
    suggested = [found.suggest(study.ask()) for _ in range(3)]
    assert sorted(str(one) for one in suggested) == sorted(
        str(one)
        for one in (
            {"n_envs": 4, "model": {"hidden_sizes": [8]}},
            {"n_envs": 16, "model": {"hidden_sizes": [64, 64]}, "gamma": 0.9},
            {},
        )
    )
    assert sampler.is_exhausted(study)  # type: ignore[attr-defined]


def test_a_list_is_stored_as_it_is_read() -> None:
    found = space()
    assert SearchSpace.of(found.to_mapping()) == found
    assert found.names == ["n_envs", "model/hidden_sizes", "gamma"]
    assert [one.n_envs for one in found.corners()] == [4, 16, PPOConfig().n_envs]
    assert ListedSpace({"one": {"gamma": 0.9}}).names == ["gamma"]


@pytest.mark.parametrize(
    ("mapping", "word"),
    [
        ({"configurations": {}}, "named mappings"),
        ({"configurations": [{"gamma": 0.9}]}, "named mappings"),
        ({"configurations": {"a": 3}}, "named mappings"),
        ({**LISTED, "gamma": {"uniform": [0.9, 0.99]}}, "'gamma'"),
        ({"configurations": {"a": {"gama": 0.9}}}, "'a'.*gamma"),
        ({"configurations": {"a": {"gamma": 2.0}}}, "'a'.*gamma"),
        ({**LISTED, "schedules": {"tiny": []}}, "by the name of a configuration: small, large, defaults"),
        ({**LISTED, "schedules": {"small": [{"env_steps": 5, "values": {"n_steps": 8}}]}}, "'small'.*n_steps shapes"),
    ],
)
def test_a_wrong_list_is_refused_with_the_name_of_the_configuration(mapping: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        SearchSpace.of(mapping).validate(PPOConfig)


def test_a_list_takes_no_value_that_is_fixed_and_no_sampler_that_repeats() -> None:
    with pytest.raises(UserError, match="fixed"):
        SearchSpace.of(LISTED).validate(PPOConfig, {"gamma": 0.95})
    for sampler in ("tpe", "random", "gp"):
        with pytest.raises(UserError, match="grid"):
            check_sampler(space(), sampler)
    check_sampler(space(), "grid")
    check_sampler(SearchSpace.of({"gamma": {"uniform": [0.9, 0.99]}}), "tpe")


def test_a_configuration_may_have_a_budget_of_its_own() -> None:
    listed = SearchSpace.of({"configurations": {"short": {"budget_env_steps": 500}, "long": {"budget_env_steps": 900}}})
    assert largest_budget(listed, 50_000) == 900
    assert [one.budget_env_steps for one in listed.validate(with_budget(PPOConfig, listed)).corners()] == [500, 900]


def test_a_configuration_may_have_a_schedule() -> None:
    changes = [{"env_steps": 100, "values": {"gamma": 0.8}}]
    found = space(schedules={"large": changes})
    assert SearchSpace.of(found.to_mapping()) == found
    settings = {name: found.trial_settings({"configuration": name}) for name in LISTED["configurations"]}
    assert settings == {"small": {}, "large": {"schedule": changes}, "defaults": {}}
