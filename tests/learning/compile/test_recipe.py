"""Recipe of programs: equal only where the same graphs would be traced, and none where that is not known."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.small import small_trial
from tuneexp.algorithms.ppo import PPO, ppo_loss
from tuneexp.learning.compile import build, recipe
from tuneexp.learning.compile.build import Built
from tuneexp.learning.compile.recipe import recipe_of
from tuneexp.trial import programs


class Recipes:
    """Recipes of the programs of small trials, which run eagerly."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch, self._found = monkeypatch, ""
        monkeypatch.setattr(programs, "built", self._built)

    def _built(self, specs: Any, mode: Any, workload: Any, meanwhile: bool) -> Built:
        self._found = recipe_of(specs)
        return build.built(specs, "off", workload, meanwhile)

    def of(self, **settings: Any) -> str | None:
        self._patch.setattr(programs, "_BUILT", OrderedDict())
        seeds = settings.pop("seeds", [3])
        small_trial(seeds, **settings).close()
        return self._found


@pytest.fixture
def recipes(fresh_programs: None, monkeypatch: pytest.MonkeyPatch) -> Recipes:
    return Recipes(monkeypatch)


def test_what_a_program_does_not_depend_on_changes_no_recipe(recipes: Recipes) -> None:
    first = recipes.of()
    assert first is not None
    for settings in ({"learning_rate": 1e-4, "gamma": 0.9}, {"n_epochs": 7}, {"n_steps": 64}, {"seeds": [5]}):
        assert recipes.of(**settings) == first, settings


def test_each_size_switch_and_constant_has_a_recipe_of_its_own(recipes: Recipes) -> None:
    changes: list[dict[str, Any]] = [
        {}, {"seeds": [3, 4]}, {"batch_size": 32}, {"model": {"hidden_sizes": [16]}}, {"n_envs": 4},
        {"model": {"hidden_sizes": [8], "activation": "relu"}}, {"clip_range_vf": 0.2},
        {"env": "Pendulum-v1"}, {"env": "MountainCarContinuous-v0"},
        {"optimizer_class": "SGD"}, {"optimizer_class": "SGD", "optimizer_kwargs": {"momentum": 0.9}},
    ]  # fmt: skip
    found = [recipes.of(**change) for change in changes]
    assert None not in found
    assert len(set(found)) == len(found)


def test_a_function_or_network_of_the_user_has_no_recipe(recipes: Recipes, monkeypatch: pytest.MonkeyPatch) -> None:
    def own_loss(nets: Any, batch: Any, cfg: Any) -> Any:
        return ppo_loss(nets, batch, cfg)

    assert recipes.of(spec=replace(PPO, loss_fn=own_loss)) is None
    assert recipe_of([nn.Linear(1, 1)]) is not None
    assert recipe_of([type("Own", (nn.Linear,), {"__module__": __name__})(1, 1)]) is None
    hooked = nn.Linear(1, 1)
    hooked.register_forward_hook(lambda *arguments: None)
    assert recipe_of([hooked]) is None


def test_a_constant_counts_with_its_values_and_a_parameter_with_its_shape() -> None:
    def with_scale(scale: float) -> nn.Linear:
        layer = nn.Linear(2, 1)
        layer.scale = torch.tensor(scale)
        return layer

    assert recipe_of([with_scale(2.0)]) == recipe_of([with_scale(2.0)]) != recipe_of([with_scale(3.0)])
    assert recipe_of([nn.Linear(2, 1)]) != recipe_of([nn.Linear(3, 1)])


def test_an_environment_of_tensors_has_a_recipe(recipes: Recipes) -> None:
    tensor, other = recipes.of(env_backend="tensor"), recipes.of()
    assert tensor is not None
    assert tensor == recipes.of(env_backend="tensor", seeds=[5]) != other


def test_another_version_of_a_source_has_another_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_of([nn.Linear(1, 1)])
    for library in (torch, recipe.np, recipe.gymnasium):
        recipe._versions.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(library, "__version__", "0.0.1")
            assert recipe_of([nn.Linear(1, 1)]) != before
    recipe._versions.cache_clear()
    assert recipe_of([nn.Linear(1, 1)]) == before
