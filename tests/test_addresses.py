"""Addresses of the user's files: files that end the program, and addresses that are valid in another working folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, tuneexp  # noqa: F401
from tuneexp import PPO, UserError
from tuneexp.addresses import lasting_address, relocated
from tuneexp.algorithms.registry import load_spec
from tuneexp.envs.env_factory import describe_env
from tuneexp.models.heads import build_custom
from tuneexp.sweep import SearchSpace
from tuneexp.trial.from_checkpoint import evaluate_checkpoint

ENDS = {
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "argparse": "import argparse\nargparse.ArgumentParser().parse_args(['--no-such-option'])",
    "its own": "class Stop(BaseException): pass\nraise Stop('enough')",
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_a_file_that_ends_the_program_at_import_is_bad_input(
    program: str,
    tmp_path: Path,
    tuneexp: Callable[..., Done],  # noqa: F811
) -> None:
    (tmp_path / "ends.py").write_text(program)
    for words in (
        ["train", "ppo", "ends.py:Env"],
        ["train", "ends.py:MyPPO", "CartPole-v1"],
        ["train", "ppo", "CartPole-v1", "--wrapper", "ends.py:Wrapper"],
        ["train", "ppo", "CartPole-v1", "--set", "model=ends.py:Net"],
        ["sweep", "--name", "s", "--env", "CartPole-v1", "--space", "ends.py:space"],
        ["describe", "ends.py:MyPPO"],
    ):
        done = tuneexp(*words)
        assert done.code == 2, words
        assert "ends.py" in done.err, words
        assert "ended the program" in done.err or "enough" in done.err, words


CALLS = """
import sys
import gymnasium
def env(): sys.exit(0)
def wrapper(env): sys.exit(0)
def net(observation_space, action_space): sys.exit(0)
def space(trial): sys.exit(0)
class Steps(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)
    def reset(self, **kwargs): return 0, {}
    def step(self, action): sys.exit(0)
"""


def test_code_that_ends_the_program_when_it_is_called_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "calls.py"
    file.write_text(CALLS)
    observation, action = describe_env("CartPole-v1")
    for call in (
        lambda: describe_env(f"{file}:env"),
        lambda: describe_env("CartPole-v1", wrappers=[f"{file}:wrapper"]),
        lambda: build_custom(f"{file}:net", observation, action, {}),
        lambda: SearchSpace.of(f"{file}:space").validate(load_spec("ppo").config_class),
    ):
        with pytest.raises(UserError, match="ended"):
            call()


def test_an_environment_that_ends_the_program_in_a_step_fails_its_trial(
    tmp_path: Path,
    tuneexp: Callable[..., Done],  # noqa: F811
) -> None:
    (tmp_path / "calls.py").write_text(CALLS)
    done = tuneexp("train", "ppo", "calls.py:Steps", "--env-steps", "64", "--set", "n_steps=8", "--compile", "off")
    assert done.code == 1
    assert "step raised SystemExit" in done.err


OWN = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from torch import nn
class Env(CartPoleEnv): pass
class Wrapper(gymnasium.Wrapper): pass
class Net(nn.Module):
    def __init__(self, observation_space, action_space):
        super().__init__()
        self.policy, self.v = nn.Linear(4, 2), nn.Linear(4, 1)
    def value(self, obs): return self.v(obs).squeeze(-1)
"""


def test_a_checkpoint_of_relative_addresses_loads_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    (home / "mine.py").write_text(OWN)
    (elsewhere / "mine.py").write_text("raise AssertionError('the file of another folder')")
    monkeypatch.chdir(home)
    algo = PPO.build(
        env="mine.py:Env", wrappers=["mine.py:Wrapper", {"mine.py:Wrapper": None}], model="mine.py:Net",
        budget_env_steps=64, compile="off", n_steps=8, n_envs=2, batch_size=16,
    )  # fmt: skip
    path = Path(algo.save("saved").checkpoint.path).resolve()
    algo.stop()
    config = json.loads((path / "state.json").read_text())["config"]
    assert config["env"] == f"{home}/mine.py:Env"
    assert config["wrappers"] == [f"{home}/mine.py:Wrapper", {f"{home}/mine.py:Wrapper": None}]
    assert config["hyperparameters"]["model"] == f"{home}/mine.py:Net"
    monkeypatch.chdir(elsewhere)
    assert evaluate_checkpoint(path, episodes=1)["episodes"] == 1


def test_a_move_into_a_folder_inside_is_made_once() -> None:
    moved = {"/mine": "/mine/envs"}
    once = relocated({"/mine/one.py:Env": ["/mine/one.py:Env"], "other": "/mines/one.py:Env"}, moved)
    assert once == {"/mine/envs/one.py:Env": ["/mine/envs/one.py:Env"], "other": "/mines/one.py:Env"}
    assert relocated(once, moved) == once


def test_a_module_of_the_working_folder_is_kept_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lone_module_here.py").touch()
    monkeypatch.chdir(tmp_path)
    assert lasting_address("lone_module_here:Env", "environment") == f"{tmp_path}/lone_module_here.py:Env"
    assert lasting_address("gymnasium:Env", "environment") == "gymnasium:Env"
    assert lasting_address("json.decoder:JSONDecoder", "environment") == "json.decoder:JSONDecoder"


def test_a_file_that_moved_is_given_by_its_new_place(
    tmp_path: Path,
    tuneexp: Callable[..., Done],  # noqa: F811
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.py").write_text(OWN)
    own = {"env": "old/mine.py:Env", "wrappers": ["old/mine.py:Wrapper"], "model": "old/mine.py:Net"}
    algo = PPO.build(**own, budget_env_steps=64, compile="off", n_steps=8, n_envs=2, batch_size=16)
    path = algo.save("saved").checkpoint.path
    algo.stop()
    (tmp_path / "old").rename(tmp_path / "new")
    missing = tuneexp("evaluate", path, "--episodes", "1")
    assert missing.code == 2
    assert f"--moved {tmp_path}/old/mine.py=NEW" in missing.err
    on = ("train", "--resume", path, "--env-steps", "128", "--compile", "off", "--json")
    missing = tuneexp(*on)
    assert missing.code == 2
    assert "has changed" not in missing.err
    assert f"--moved {tmp_path}/old/mine.py=NEW" in missing.err
    goes_on = tuneexp(*on, "--moved", "other=new")
    assert goes_on.code == 2
    assert "no address in other; it has: " in goes_on.err
    goes_on = tuneexp(*on, "--moved", "old=new")
    assert goes_on.code == 0, goes_on.err
    assert tuneexp("evaluate", json.loads(goes_on.out)["checkpoint"], "--episodes", "1").code == 0
    assert tuneexp("train", "ppo", "CartPole-v1", "--moved", "a=b").code == 2
    for moved in (f"{tmp_path}/old/mine.py=new/mine.py", f"{tmp_path}/old=new"):
        assert tuneexp("evaluate", path, "--episodes", "1", "--moved", moved).code == 0
    other = tuneexp("evaluate", path, "--moved", "/elsewhere.py=new/mine.py")
    assert other.code == 2
    assert "old/mine.py:Env" in other.err
    assert tuneexp("evaluate", path, "--moved", "new/mine.py").code == 2
