"""The contract of algorithms detects and names defects, as a test class and as a command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

from tuneexp.algorithms.dqn import DQN
from tuneexp.algorithms.spec import replace
from tuneexp.cli.exit_codes import run_app
from tuneexp.errors import UserError
from tuneexp.learning.learner import Learner
from tuneexp.testing import contract, learning_facts, saving_facts, seed_facts
from tuneexp.testing.__main__ import app
from tuneexp.testing.probes import CutShort, RewardOneStepLater
from tuneexp.testing.subject import Broken
from tuneexp.testing.suite import facts_for, subject_of
from tuneexp.training.replay_ops import transitions

HYPERPARAMETERS: dict[str, Any] = {
    "n_envs": 8, "learning_rate": 5e-3, "learning_starts": 128, "batch_size": 64, "buffer_size": 1000, "train_freq": 1,
    "gradient_steps": 2, "target_update_interval": 96, "model": {"hidden_sizes": [16]},
}  # fmt: skip
CALLS = iter(range(10**9))


def never_terminates(nets: Any, fragment: Mapping[str, Tensor], cfg: Any) -> Mapping[str, Tensor]:
    columns = transitions(nets, fragment, cfg)
    return {**columns, "discount": columns["discount"].clamp(min=cfg.gamma)}


def cut_is_the_end(nets: Any, fragment: Mapping[str, Tensor], cfg: Any) -> Mapping[str, Tensor]:
    columns = transitions(nets, fragment, cfg)
    return {**columns, "discount": columns["discount"].masked_fill(fragment["truncated"], 0.0)}


def forgetful(nets: Any, fragment: Mapping[str, Tensor], cfg: Any) -> Mapping[str, Tensor]:
    """Function that depends on the number of its calls, so results can't be repeated."""
    columns = transitions(nets, fragment, cfg)
    return {**columns, "reward": columns["reward"] + 0.01 * next(CALLS)}


ENDLESS = replace(DQN, name="endless", postprocess_fn=never_terminates)
SHORT = replace(DQN, name="short", postprocess_fn=cut_is_the_end)
FORGETFUL = replace(DQN, name="forgetful", postprocess_fn=forgetful)


def test_a_termination_that_is_bootstrapped_is_found() -> None:
    with pytest.raises(Broken, match="values"):
        learning_facts.solves(subject_of(ENDLESS, HYPERPARAMETERS), RewardOneStepLater)


def test_a_cut_that_is_taken_for_the_end_is_found() -> None:
    with pytest.raises(Broken, match="values"):
        learning_facts.solves(subject_of(SHORT, HYPERPARAMETERS), CutShort)


def test_what_does_not_repeat_is_found() -> None:
    with pytest.raises(Broken, match="another result"):
        seed_facts.same_seeds_same_result(subject_of(FORGETFUL, HYPERPARAMETERS))


def test_target_networks_that_a_checkpoint_loses_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Learner.load_state_dict

    def caught_up(learner: Learner, state: Mapping[str, Any]) -> None:
        load(learner, {**state, "target": state["parameters"]})

    monkeypatch.setattr(Learner, "load_state_dict", caught_up)
    with pytest.raises(Broken, match="ends elsewhere"):
        saving_facts.goes_on_bit_for_bit(subject_of(DQN, HYPERPARAMETERS))


def test_a_contract_is_a_class_with_a_test_for_each_fact() -> None:
    made = contract(f"{__file__}:ENDLESS", HYPERPARAMETERS)
    names = {name for name in vars(made) if name.startswith("test_")}
    assert names == {f"test_{name}" for name in facts_for(made.subject)}  # type: ignore[attr-defined]
    assert {"test_it_solves_cut_short", "test_8_seeds_at_once_are_single_runs"} <= names
    assert not [name for name in names if "continuous" in name], "it acts in discrete spaces"
    made().test_its_name_leads_to_it_and_back()


@pytest.mark.parametrize(
    ("algorithm", "settings", "said"),
    [("pqo", {}, "ppo"), ("dqn", {"lr": 1.0}, "learning_rate"), (replace(DQN, name="nowhere"), {}, "no address")],
)
def test_what_does_not_exist_is_reported_at_once(algorithm: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        contract(algorithm, settings)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    settings = [f"{name}={json.dumps(value)}" for name, value in HYPERPARAMETERS.items() if name != "model"]
    code = run_app(app, [*arguments, *(part for setting in settings for part in ("--set", setting))], "testing")
    return code, capsys.readouterr().out


def test_the_command_ends_with_0_where_all_holds_and_shows_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = run(capsys, "dqn", "--only", "field")
    assert code == 0
    assert "every field is described" in shown
    assert " NO " not in shown


def test_the_command_ends_with_1_where_a_fact_is_broken_and_names_which(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = run(capsys, f"{__file__}:ENDLESS", "--only", "one_step_later", "--json")
    result = json.loads(shown)
    assert code == 1
    assert result["broken"] == 1
    assert "values are off" in result["facts"][0]["why"]


@pytest.mark.parametrize(
    "arguments", [["dqn", "--only", "no such fact"], ["nothing"], ["dqn", "--set", "evaluation=1"]]
)
def test_the_command_ends_with_2_on_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *arguments)[0] == 2
