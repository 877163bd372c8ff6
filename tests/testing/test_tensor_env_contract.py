"""Tensor environments keep the contract, and each broken fact is found."""

from __future__ import annotations

import json

import pytest

from tests.envs.tensor import programs
from tuneexp.cli.exit_codes import run_app
from tuneexp.testing import tensor_env_contract
from tuneexp.testing.__main__ import app
from tuneexp.testing.subject import Broken
from tuneexp.testing.tensor_env_facts import FACTS, TensorEnvSubject

TestCartPole = tensor_env_contract("CartPole-v1", {"sutton_barto_reward": True})
TestPendulum = tensor_env_contract("Pendulum-v1", {"g": 9.81})
TestAcrobot = tensor_env_contract("Acrobot-v1")
TestMountainCar = tensor_env_contract("MountainCar-v0")
TestMountainCarContinuous = tensor_env_contract("MountainCarContinuous-v0")
TestMixed = tensor_env_contract(programs.Mixed)
TestParking = tensor_env_contract("experiments/tensor_environment.py:Parking")

BROKEN = {
    "Random": ["the_same_inputs_give_the_same_result"],
    "InPlace": ["the_same_inputs_give_the_same_result"],
    "Neighbours": ["an_environment_does_not_depend_on_the_others"],
    "Outside": ["observations_are_in_its_space"],
    "Endless": ["episodes_end"],
    "Counting": [],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_fact_is_found(name: str) -> None:
    subject = TensorEnvSubject(f"tests.envs.tensor.programs:{name}", {})
    found = []
    for fact in FACTS:
        try:
            fact(subject)
        except Broken:
            found.append(fact.__name__)
    assert set(BROKEN[name]) <= set(found)
    assert bool(found) == bool(BROKEN[name])


def test_the_command_checks_an_environment(capsys: pytest.CaptureFixture[str]) -> None:
    parking = ["experiments/tensor_environment.py:Parking", "--set", "env_kwargs/wind=0.01", "--only", "seed", "--json"]
    assert run_app(app, parking, "testing") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["environment"] == parking[0]
    assert [fact["holds"] for fact in result["facts"]] == [True]
    assert run_app(app, ["tests.envs.tensor.programs:Random", "--only", "same_inputs"], "testing") == 1
    assert "gave another result" in " ".join(capsys.readouterr().out.split())
    assert run_app(app, ["CartPole-v1", "--set", "learning_rate=3"], "testing") == 2
