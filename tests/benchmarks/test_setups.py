"""All libraries of the benchmark train with the hyperparameters of one declaration."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator

import pytest

from benchmarks.report_training import SIDES as TITLES
from benchmarks.report_training import TARGETS
from benchmarks.running import HERE
from benchmarks.training import MEASURED, SIDES
from benchmarks.work import ALL_SETUPS, SETUPS, OffPolicySetup, Setup
from tuneexp.algorithms.registry import load_spec

HYPERPARAMETERS = {field.name for field in dataclasses.fields(Setup)} - {"title"}


def names_read(script: str) -> Iterator[str]:
    """Yield the attributes of a setup that a script reads."""
    for node in ast.walk(ast.parse((HERE / "peers" / script).read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if owner == "setup":
                yield node.attr


@pytest.mark.parametrize("script", ["torch_ppo.py", "jax_ppo.py", "rllib_ppo.py"])
def test_a_peer_reads_every_hyperparameter(script: str) -> None:
    assert set(names_read(script)) >= HYPERPARAMETERS


@pytest.mark.parametrize("key", ALL_SETUPS)
def test_tuneexp_trains_with_the_declared_values(key: str) -> None:
    setup = ALL_SETUPS[key]
    config = load_spec(setup.algorithm).config_class(**_of_the_algorithm(setup))
    declared = setup.learns if isinstance(setup, OffPolicySetup) else setup.hyperparameters()
    for name, value in declared.items():
        if name in type(config).model_fields:
            assert getattr(config, name) == value
    if isinstance(setup, OffPolicySetup):
        assert list(config.model.hidden_sizes) == [setup.hidden, setup.hidden]


def _of_the_algorithm(setup: Setup | OffPolicySetup) -> dict[str, object]:
    fields = load_spec(setup.algorithm).config_class.model_fields
    return {name: value for name, value in setup.hyperparameters().items() if name in fields}


@pytest.mark.parametrize("key", ALL_SETUPS)
def test_every_measured_side_is_known_and_every_target_is_measured(key: str) -> None:
    assert set(MEASURED[key]) <= set(SIDES)
    assert set(MEASURED[key]) <= set(TITLES)
    assert {side for pair in TARGETS[key] for side in pair} <= set(MEASURED[key])


def test_a_rollout_is_a_whole_number_of_minibatches_and_a_tenth_of_rollouts() -> None:
    for setup in SETUPS.values():
        rows = setup.n_steps * setup.n_envs
        assert rows % setup.batch_size == 0
        assert setup.env_steps // 10 % rows == 0
