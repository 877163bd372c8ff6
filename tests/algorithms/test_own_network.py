"""Custom networks by class or address, in every setting that takes a network."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from tests.algorithms.networks import Headless, Parts, Wide
from tests.small import same, small_config, small_trial
from tuneexp.algorithms.ppo import PPO, PPOConfig
from tuneexp.algorithms.registry import load_spec
from tuneexp.cli.app import app
from tuneexp.errors import UserError
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.trial.from_checkpoint import trial_from_checkpoint
from tuneexp.trial.trainable import build_trainable

FILE = Path(__file__).with_name("networks.py")
WIDE = "tests.algorithms.networks:Wide"


# The class, its arguments, the environment, and what makes a small trial of it.
ON_POLICY, REPLAY = {"n_steps": 8}, {"learning_starts": 16, "buffer_size": 100, "batch_size": 8}
CASES: dict[str, tuple[type, dict[str, Any], str, dict[str, Any]]] = {
    "ppo": (Wide, {"width": 5}, "CartPole-v1", {**ON_POLICY, "batch_size": 8}),
    "a2c": (Wide, {"width": 5}, "Pendulum-v1", ON_POLICY),
    "impala": (Wide, {"width": 5}, "CartPole-v1", ON_POLICY),
    "appo": (Wide, {"width": 5}, "CartPole-v1", {**ON_POLICY, "batch_size": 8}),
    "dqn": (Wide, {"width": 5}, "CartPole-v1", REPLAY),
    "sac": (Parts, {"spread": True}, "Pendulum-v1", REPLAY),
    "tqc": (Parts, {"spread": True, "n_quantiles": 5}, "Pendulum-v1", {**REPLAY, "n_quantiles": 5}),
    "td3": (Parts, {"spread": False}, "Pendulum-v1", REPLAY),
    "ddpg": (Parts, {"spread": False, "n_critics": 1}, "Pendulum-v1", REPLAY),
}


@pytest.mark.parametrize("algorithm", CASES)
def test_a_class_trains_and_its_address_is_what_is_stored(algorithm: str, tmp_path: Path) -> None:
    network, kwargs, env, settings = CASES[algorithm]
    settings = {**settings, "model": network, "model_kwargs": kwargs, "n_envs": 2, "compile": "off"}
    budget = {"budget_env_steps": 64, "report_every_env_steps": 64}
    algo = build_trainable(load_spec(algorithm), env, [0, 1], {**settings, **budget})
    parameters = algo.trial.learner.parameters
    assert {tuple(leaf.shape[:2]) for name, leaf in parameters.items() if "trunk" in name} <= {(2, 5)}
    before = {name: leaf.clone() for name, leaf in parameters.items()}
    algo.train()
    unused = {"net.value_layer.weight", "net.value_layer.bias"} if algorithm == "dqn" else set()
    assert {name for name, leaf in parameters.items() if torch.equal(leaf, before[name])} == unused
    algo.save(str(tmp_path))
    again = trial_from_checkpoint(tmp_path)
    assert again.trainer.custom_model == f"tests.algorithms.networks:{network.__name__}"
    assert same(dict(again.learner.parameters), dict(parameters))
    again.close()
    algo.stop()


def test_the_network_of_a_file_learns_from_the_command_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [
        "train", "ppo", "CartPole-v1", "--env-steps", "512", "--compile", "off", "--storage", str(tmp_path), "--json",
        "--set", f"model={FILE}:Wide", "--set", "model_kwargs/width=6", "--set", "n_steps=32",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    checkpoint = json.loads(done.output.splitlines()[-1])["checkpoint"]
    trial = trial_from_checkpoint(checkpoint)
    assert trial.trainer.custom_model == f"{FILE}:Wide"
    assert trial.learner.parameters["net.trunk.0.weight"].shape == (1, 6, 4)
    trial.close()


def test_a_relative_path_is_stored_as_one_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILE.parent)
    config = small_config(model="networks.py:Wide")
    assert config.hyperparameters["model"] == f"{FILE}:Wide"


def test_a_class_without_an_address_is_refused_with_what_to_write() -> None:
    class Local(Wide):
        pass

    with pytest.raises(UserError, match=r"(?s)model .*Local.* no address"):
        small_trial(model=Local)


def test_missing_heads_are_named_with_their_shapes() -> None:
    with pytest.raises(UserError, match=r"(?s)Headless .*'values' as 'value'.*policy\(obs\) -> \[B, 2\]"):
        small_trial(model=Headless)


@pytest.mark.parametrize(
    ("hyperparameters", "told"),
    [
        ({"model": "wide"}, "'wide' .*module:NAME"),
        ({"model": f"{FILE}:Wiede"}, "networks.py:Wide"),
        ({"model": "tests/no_such.py:Net"}, "no file"),
        ({"model": WIDE, "model_kwargs": {"height": 3}}, "'height'"),
        ({"model_kwargs": {"width": 3}}, "model_kwargs .width."),
        ({"model": 3}, "ppo: model: "),
    ],
)  # fmt: skip
def test_what_names_no_network_is_reported(hyperparameters: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        small_trial(**{"model": {}, **hyperparameters})


def test_a_space_varies_the_arguments_and_the_network_itself() -> None:
    space = SearchSpace.from_mapping({"model_kwargs/width": {"choice": [4, 8]}, "gamma": {"uniform": [0.9, 0.99]}})
    space.validate(PPOConfig, {"model": WIDE, "model_kwargs": {"depth": 1}}, "ppo")
    either = SearchSpace.from_mapping({"model": {"choice": [WIDE, f"{FILE}:Wide"]}})
    either.validate(PPOConfig, {}, "ppo")
    with pytest.raises(UserError, match=r"'model' is fixed.*'model/activation'"):
        SearchSpace.from_mapping({"model/activation": {"choice": ["relu", "tanh"]}}).validate(
            PPOConfig, {"model": WIDE}, "ppo"
        )


def test_a_changed_source_is_reported_and_a_moved_file_is_the_same_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (tmp_path / name for name in ("first.py", "second.py"))
    shutil.copy(FILE, first)
    second.write_text(FILE.read_text() + "\n# edited\n")
    trial = small_trial(model=f"{first}:Wide", model_kwargs={})
    state = trial.state_dict()
    with caplog.at_level(logging.WARNING):
        small_trial(model=f"{first}:Wide").load_state_dict(state)
        assert not caplog.records
        small_trial(model=f"{second}:Wide").load_state_dict(state)
    assert "second.py:Wide has changed" in caplog.text
    trial.close()


class Negated(Wide):
    """Same shapes and same code outside of the network, but another policy."""

    def policy(self, obs: Tensor) -> Tensor:
        return -super().policy(obs)


def test_a_class_that_took_the_place_of_another_does_not_get_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are kept for the next trial of an actor, and a notebook often defines a class again."""
    first, again = small_trial(model=WIDE), small_trial(model=WIDE)
    assert first.trainer.programs is again.trainer.programs
    monkeypatch.setattr("tests.algorithms.networks.Wide", Negated)
    other = small_trial(model=WIDE)
    assert other.trainer.programs is not first.trainer.programs


def test_the_configuration_can_be_written_and_read_again() -> None:
    config = PPOConfig.parse({"model": Wide, "model_kwargs": {"width": 3}}, PPO.name)
    assert PPOConfig.parse(config.model_dump(mode="json"), PPO.name) == config
