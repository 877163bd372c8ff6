"""Search spaces: parsing, suggestions and recorded values."""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.errors import UserError
from tuneexp.sweep.search.space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
PPO_YAML = Path(__file__).parents[3] / "search_spaces" / "ppo.yaml"
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "search_spaces.md"
EVERY_KIND: dict[str, Any] = {
    "vf_coef": {"uniform": [0.2, 1.0]},
    "learning_rate": {"loguniform": [1e-5, 1e-2]},
    "gamma": {"complement_loguniform": [0.9, 0.9999]},
    "clip_range": {"quniform": [0.1, 0.4, 0.1]},
    "n_epochs": {"int": [1, 20]},
    "n_steps": {"logint": [32, 512]},
    "normalize_advantage": {"choice": [True, False]},
    "max_grad_norm": {"choice": [None, 0.5, {"loguniform": [1.0, 10.0]}]},
    "model": {"activation": {"choice": ["tanh", "relu"]}, "hidden_sizes": {"choice": [[64, 64], [256, 256]]}},
    "n_envs": 4,
}


def study(seed: int = 0) -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))


def suggestions(space: SearchSpace, count: int = 100) -> list[tuple[dict[str, Any], optuna.Trial]]:
    asked = study()
    trials = [asked.ask() for _ in range(count)]
    return [(space.suggest(trial), trial) for trial in trials]


def bound(mapping: dict[str, Any], **fixed: Any) -> SearchSpace:
    return SearchSpace.from_mapping(mapping).validate(PPOConfig, fixed, "ppo")


def test_each_kind_stays_in_its_range_and_has_its_type() -> None:
    values = [space for space, _ in suggestions(bound(EVERY_KIND))]
    assert all(0.2 <= v["vf_coef"] <= 1 and 1e-5 <= v["learning_rate"] <= 1e-2 for v in values)
    assert all(0.9 <= v["gamma"] <= 0.9999 for v in values)
    assert {v["clip_range"] for v in values} == {0.1, 0.2, 0.3, 0.4}  # exactly: no 0.30000000000000004
    assert {type(v[name]) for v in values for name in ("n_epochs", "n_steps", "n_envs")} == {int}
    assert {v["n_epochs"] for v in values} == set(range(1, 21))
    assert all(32 <= v["n_steps"] <= 512 for v in values)
    assert {v["normalize_advantage"] for v in values} == {True, False}
    assert {v["model"]["activation"] for v in values} == {"tanh", "relu"}
    assert {tuple(v["model"]["hidden_sizes"]) for v in values} == {(64, 64), (256, 256)}
    assert {v["n_envs"] for v in values} == {4}


def test_log_kinds_are_spread_evenly_over_magnitudes() -> None:
    values = [space for space, _ in suggestions(bound(EVERY_KIND), 600)]
    middle = {
        "learning_rate": (lambda v: v["learning_rate"], math.sqrt(1e-5 * 1e-2)),
        "1 - gamma": (lambda v: 1 - v["gamma"], math.sqrt(1e-4 * 0.1)),
        "n_steps": (lambda v: v["n_steps"], math.sqrt(32 * 512)),
    }
    for name, (get, half) in middle.items():
        below = sum(get(v) < half for v in values) / len(values)
        assert 0.44 < below < 0.56, name  # 3 standard deviations of 600 fair draws


def test_a_branch_of_a_choice_is_a_range_of_its_own() -> None:
    norms = [v["max_grad_norm"] for v, _ in suggestions(bound(EVERY_KIND))]
    assert {None, 0.5} < set(norms)
    inside = [norm for norm in norms if norm not in (None, 0.5)]
    assert len(set(inside)) > 20
    assert all(1 <= norm <= 10 for norm in inside)


def test_what_optuna_recorded_suggests_the_same_again() -> None:
    space = bound(EVERY_KIND)
    for values, trial in suggestions(space):
        assert space.suggest(FixedTrial(trial.params)) == values


def test_optuna_records_the_complement_under_a_name_that_shows_it() -> None:
    values, trial = suggestions(bound({"gamma": {"complement_loguniform": [0.9, 0.999]}}), 1)[0]
    assert list(trial.params) == ["1-gamma"]
    assert trial.params["1-gamma"] == pytest.approx(1 - values["gamma"], rel=1e-9)


def test_a_complement_has_no_float_noise() -> None:
    space = bound({"gamma": {"complement_loguniform": [0.9, 0.9999]}, "initial": [{"gamma": 0.9}]})
    assert space.initial_params() == [{"1-gamma": 0.1}]  # 1 - 0.9 in binary is 0.09999999999999998
    assert space.suggest(FixedTrial({"1-gamma": 0.1})) == {"gamma": 0.9}


def test_what_optuna_records_survives_json() -> None:
    for _, trial in suggestions(bound(EVERY_KIND)):
        assert json.loads(json.dumps(trial.params)) == trial.params


def test_a_condition_searches_a_value_only_in_its_branch() -> None:
    mapping = {
        "vf_coef": {"uniform": [0.1, 0.4], "when": {"clip_range_vf": None}},  # written before what it needs
        "clip_range_vf": {"choice": [None, 0.2], "when": {"model/shared": True}},
        "model": {"shared": {"choice": [True, False]}},
    }
    seen = set()
    for values, trial in suggestions(bound(mapping)):
        shared = values["model"]["shared"]
        assert ("clip_range_vf" in values) == shared == ("clip_range_vf" in trial.params)
        # A condition on what is not searched in this branch does not hold, not even by its default.
        assert ("vf_coef" in values) == (shared and values["clip_range_vf"] is None)
        seen.add(tuple(values))
    assert len(seen) == 3


def test_a_condition_may_name_what_is_fixed_or_left_at_its_default() -> None:
    mapping = {
        "vf_coef": {"uniform": [0.1, 0.9], "when": {"model/activation": ["tanh", "elu"]}},
        "ent_coef": {"uniform": [0.0, 0.1]},
    }
    assert all("vf_coef" in values for values, _ in suggestions(bound(mapping), 5))
    assert not any("vf_coef" in values for values, _ in suggestions(bound(mapping, model={"activation": "relu"}), 5))


def test_names_are_of_what_varies() -> None:
    space = bound(EVERY_KIND)
    assert "n_envs" not in space.names
    assert space.names[-2:] == ["model/activation", "model/hidden_sizes"]


def test_a_space_comes_back_from_json_as_it_was() -> None:
    point = {"vf_coef": 0.5, "gamma": 0.98}
    space = SearchSpace.from_mapping(
        {
            "vf_coef": {"quniform": [0.1, 0.9, 0.1], "when": {"normalize_advantage": True}},
            "gamma": {"complement_loguniform": [0.9, 0.999]},
            "n_epochs": 3,
            "initial": [point],
        }
    )
    stored = json.loads(json.dumps(space.to_mapping()))
    again = SearchSpace.from_mapping(stored)
    assert again == space
    assert again.to_mapping() == stored
    first, second = (s.validate(PPOConfig, {}, "ppo") for s in (space, again))
    assert [v for v, _ in suggestions(first, 10)] == [v for v, _ in suggestions(second, 10)]


def test_a_suggestion_can_be_changed_without_changing_the_space() -> None:
    space = bound(EVERY_KIND)
    for values, _ in suggestions(space, 20):
        values["model"]["hidden_sizes"].append(1)
        values["n_envs"] = 1
    assert {len(v["model"]["hidden_sizes"]) for v, _ in suggestions(space, 20)} == {2}


def test_initial_points_are_what_enqueued_trials_get() -> None:
    initial = [
        {"gamma": 0.98, "max_grad_norm": None, "clip_range": 0.3, "model": {"hidden_sizes": [256, 256]}},
        {"gamma": 0.9, "max_grad_norm": 2.5, "clip_range": 0.1, "model/hidden_sizes": [64, 64]},
    ]
    kept = ("gamma", "max_grad_norm", "clip_range")
    mapping = {name: EVERY_KIND[name] for name in kept}
    space = bound(mapping | {"model": {"hidden_sizes": EVERY_KIND["model"]["hidden_sizes"]}, "initial": initial})
    asked = study()
    for params in space.initial_params():
        asked.enqueue_trial(params)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of a value outside of its range
        first, second = (space.suggest(trial) for trial in (asked.ask(), asked.ask()))
    assert first == initial[0]
    assert second == {**{k: initial[1][k] for k in kept}, "model": {"hidden_sizes": [64, 64]}}


def test_the_shipped_space_starts_from_the_published_cartpole_configuration() -> None:
    space = SearchSpace.load(PPO_YAML).validate(PPOConfig, {"n_epochs": 10}, "ppo")
    asked = study()
    asked.enqueue_trial(space.initial_params()[0])
    values = space.suggest(asked.ask())
    published = {"n_steps": 32, "batch_size": 256, "gamma": 0.98, "gae_lambda": 0.8, "learning_rate": 1e-3}
    assert values.items() >= {**published, "clip_range": 0.2, "ent_coef": 0.0}.items()
    assert PPOConfig.parse(values, "ppo").n_envs == 8


@pytest.mark.parametrize("n_envs", [1, 2, 8, 64])
def test_every_suggestion_of_the_shipped_space_is_valid_for_any_number_of_environments(n_envs: int) -> None:
    space = SearchSpace.load(PPO_YAML).validate(PPOConfig, {"n_envs": n_envs}, "ppo")
    for values, _ in suggestions(space, 50):
        PPOConfig.parse(values | {"n_envs": n_envs}, "ppo")


def test_an_initial_point_that_fixed_values_leave_no_room_for_is_left_out_aloud(caplog: Any) -> None:
    space = SearchSpace.load(PPO_YAML).validate(PPOConfig, {"n_envs": 2}, "ppo")
    assert space.initial_params() == []
    assert "initial point 1 is left out, since it contradicts the fixed values" in caplog.text
    assert len(space.validate(PPOConfig, {"n_envs": 16}, "ppo").initial_params()) == 1


def test_every_space_in_the_documentation_is_one(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        (tmp_path / "space.yaml").write_text(block)
        space = SearchSpace.load(tmp_path / "space.yaml").validate(PPOConfig, {}, "ppo")
        for values, _ in suggestions(space, 5):
            PPOConfig.parse(values, "ppo")


def test_a_space_is_of_anything_that_describes_one() -> None:
    space = SearchSpace.load(PPO_YAML)
    assert SearchSpace.of(PPO_YAML) == SearchSpace.of(str(PPO_YAML)) == SearchSpace.of(space.to_mapping()) == space
    assert SearchSpace.of(space) is space
    with pytest.raises(UserError, match="YAML"):
        SearchSpace.of(3)
