"""`tuneexp train`, `evaluate` and `describe` with real, small trainings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Done, assert_refused, command
from tuneexp.algorithms.registry import ALGORITHMS

Cli = Callable[..., Done]
SMALL = ("--env-steps", "256", "--set", "n_envs=2", "--set", "n_steps=32", "--set", "batch_size=32", "--compile", "off")
FEW_EPISODES = ("--set", "evaluation/episodes=1", "--set", "evaluation/final_episodes=2")

ENVIRONMENTS = """
import gymnasium
import numpy as np


class Breaks(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    value, limit = 0.0, 20

    def __init__(self):
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps > self.limit:
            self.fail()
        return np.full(2, self.value, np.float32), 1.0, self.steps % 10 == 0, False, {}

    def fail(self):
        raise RuntimeError("the simulator lost its window")


class GivesNaN(Breaks):
    def fail(self):
        self.value = np.nan


class WithPicturesInATuple(Breaks):
    observation_space = gymnasium.spaces.Tuple((gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(2)))


class WithTextActions(Breaks):
    action_space = gymnasium.spaces.Text(5)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The JSON of one small run in a separate process."""
    folder = tmp_path_factory.mktemp("trained")
    done = command(["train", "ppo", "CartPole-v1", "--seeds", "3,5", *SMALL, *FEW_EPISODES, "--json"], folder)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1
    assert "Warning" not in done.err
    assert done.err.splitlines()[0] == "training ppo on CartPole-v1, seeds 3,5, 256 env steps per seed"
    summary: dict[str, object] = json.loads(done.out)
    return summary


def test_json_of_train_is_what_the_manual_describes(trained: dict[str, object]) -> None:
    assert set(trained) == {
        "algorithm", "env", "seeds", "env_steps", "wall_s", "env_steps_per_s", "compiled", "return_mean",
        "return_per_seed", "failed_seeds", "checkpoint",
    }  # fmt: skip
    assert (trained["algorithm"], trained["env"], trained["seeds"]) == ("ppo", "CartPole-v1", [3, 5])
    assert (trained["env_steps"], trained["compiled"], trained["failed_seeds"]) == (256, False, [])
    per_seed = trained["return_per_seed"]
    assert isinstance(per_seed, list)
    assert trained["return_mean"] == pytest.approx(sum(per_seed) / 2)


def test_speed_adds_all_seeds_up(trained: dict[str, object]) -> None:
    wall_s = trained["wall_s"]
    assert isinstance(wall_s, float)
    assert trained["env_steps_per_s"] == pytest.approx(2 * 256 / wall_s, rel=0.01)


def test_one_checkpoint_is_kept(trained: dict[str, object]) -> None:
    path = Path(str(trained["checkpoint"]))
    assert path.is_dir()
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_evaluate_prints_what_the_checkpoint_scores(tuneexp: Cli, trained: dict[str, object]) -> None:
    done = tuneexp("evaluate", str(trained["checkpoint"]), "--episodes", "2", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert set(result) == {"episodes", "return_mean", "return_std", "return_per_seed", "partial_episodes"}
    # The run's final evaluation had as many episodes on the same seed: the policy came back whole.
    assert result["return_per_seed"] == trained["return_per_seed"]
    assert "return " in tuneexp("evaluate", str(trained["checkpoint"]), "--episodes", "1").out


def test_resume_continues_to_the_new_budget(tuneexp: Cli, trained: dict[str, object]) -> None:
    checkpoint = str(trained["checkpoint"])
    before = sorted(path.read_bytes() for path in Path(checkpoint).iterdir())
    done = tuneexp("train", "--resume", checkpoint, "--env-steps", "512", "--compile", "off", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["seeds"], result["env_steps"]) == ([3, 5], 512)
    assert result["env_steps_per_s"] == pytest.approx(2 * 256 / result["wall_s"], rel=0.01)
    assert result["checkpoint"] != checkpoint
    assert sorted(path.read_bytes() for path in Path(checkpoint).iterdir()) == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--env-steps", "100"], "--env-steps 512"),
        (["--env-steps", "512", "--seeds", "1"], "[3, 5]"),
    ],
)
def test_resume_refuses_what_does_not_fit(tuneexp: Cli, trained: dict[str, object], more: list[str], says: str) -> None:
    assert_refused(tuneexp("train", "--resume", str(trained["checkpoint"]), *more), says)


def test_a_checkpoint_of_another_environment_is_refused(tuneexp: Cli, trained: dict[str, object]) -> None:
    resume = ("--resume", str(trained["checkpoint"]), "--env-steps", "512")
    assert_refused(tuneexp("train", "ppo", "Acrobot-v1", *resume), "CartPole-v1")


def test_a_checkpoint_of_another_algorithm_is_refused(tuneexp: Cli, trained: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "from tuneexp import PPO\nfrom tuneexp.algorithms.spec import replace\nOther = replace(PPO, name='other')\n"
    )
    resume = ("--resume", str(trained["checkpoint"]), "--env-steps", "512")
    assert_refused(tuneexp("train", "other.py:Other", "CartPole-v1", *resume), "ppo")


def damaged(source: str, target: Path, **changes: object) -> str:
    """A copy of a checkpoint with changed JSON."""
    target.mkdir()
    for path in Path(source).iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    state = json.loads((target / "state.json").read_text())
    (target / "state.json").write_text(json.dumps({**state, **changes}))
    return str(target)


def test_damaged_and_newer_checkpoints_are_refused(tuneexp: Cli, trained: dict[str, object], tmp_path: Path) -> None:
    whole = str(trained["checkpoint"])
    newer = damaged(whole, tmp_path / "newer", format_version=999)
    assert_refused(tuneexp("evaluate", newer), "999")
    assert_refused(tuneexp("train", "--resume", newer, "--env-steps", "512"), "999")
    cut = Path(damaged(whole, tmp_path / "cut"))
    (tensors,) = cut.glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:100])
    assert_refused(tuneexp("evaluate", str(cut)), "damaged")
    (cut / "state.json").write_text("{")
    assert_refused(tuneexp("evaluate", str(cut)), "damaged")
    empty = damaged(whole, tmp_path / "empty", config=None)
    assert_refused(tuneexp("train", "--resume", empty, "--env-steps", "512"), "damaged")
    assert_refused(tuneexp("evaluate", str(tmp_path / "nothing")), "no checkpoint")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ppoo", "CartPole-v1"], "'ppo'"),
        (["nothing.py:MyPPO", "CartPole-v1"], "nothing.py"),
        (["ppo", "CartPol-v1"], "'CartPole-v1'"),
        (["ppo", "environments.py:Brakes"], "Breaks"),
        (["ppo", "environments.py:WithPicturesInATuple"], "not supported"),
        (["ppo", "environments.py:WithTextActions"], "not supported"),
        (["ppo", "CartPole-v1", "--set", "lr=0.1"], "'learning_rate'"),
        (["ppo", "CartPole-v1", "--set", "model/activatio=relu"], "'model/activation'"),
        (["ppo", "CartPole-v1", "--set", "gamma=1.5"], "gamma"),
        (["ppo", "CartPole-v1", "--set", "n_steps=many"], "n_steps"),
        (["dqn", "CartPole-v1", "--set", "buffer_size=31"], "buffer_size=31"),
        (["ppo", "CartPole-v1", "--set", "learning_rate=__import__('os')"], "learning_rate"),
        (["ppo", "CartPole-v1", "--set", "policy_kwargs=dict(net_arch=sizes())"], "evaluated"),
        (["ppo", "CartPole-v1", "--set", "use_sde=true"], "use_sde"),
        (["ppo", "CartPole-v1", "--set", "seeds=3"], "--seeds"),
        (["ppo", "CartPole-v1", "--set", "objective/kind=bset"], "'best'"),
        (["ppo", "CartPole-v1", "--storage", "environments.py/inside"], "can't be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tuneexp: Cli, tmp_path: Path, args: list[str], says: str
) -> None:
    (tmp_path / "environments.py").write_text(ENVIRONMENTS)
    assert_refused(tuneexp("train", *args), says)
    assert not list(tmp_path.glob("**/checkpoint_*"))


@pytest.mark.parametrize(("env", "says"), [("Breaks", "lost its window"), ("GivesNaN", "NaN")])
def test_an_environment_that_fails_in_the_middle_is_the_reason(
    tuneexp: Cli, tmp_path: Path, env: str, says: str
) -> None:
    (tmp_path / "environments.py").write_text(ENVIRONMENTS)
    done = tuneexp("train", "ppo", f"environments.py:{env}", *SMALL)
    assert done.code == 1
    assert says in done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err


def test_an_interrupt_prints_the_command_that_continues(tmp_path: Path) -> None:
    args = ["train", "ppo", "CartPole-v1", "--env-steps", "10000000", "--report-every-env-steps", "512"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tuneexp", *args, "--compile", "off"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    limit = time.monotonic() + 120
    while not list(tmp_path.glob("runs/train/*/checkpoint_*/state.json")):
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # as SLURM does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopping, saving" in err
    assert "Traceback" not in err
    words = err.strip().splitlines()[-1].partition("continue with: tuneexp ")[2].split()
    assert words[:2] == ["train", "--resume"]
    assert (tmp_path / words[2] / "state.json").is_file()
    assert words[3:] == ["--env-steps", "10000000", "--storage", "runs"]


def test_describe_shows_every_hyperparameter_with_default_range_and_meaning(tuneexp: Cli) -> None:
    from tuneexp import PPO

    rows = json.loads(tuneexp("describe", "ppo", "--json").out)["hyperparameters"]
    top_level = {row["name"].partition("/")[0] for row in rows}
    assert top_level == set(PPO.config_class.model_fields)
    assert all(row["range"] and row["meaning"] and row["kind"] in ("numeric", "structural") for row in rows)
    (learning_rate,) = [row for row in rows if row["name"] == "learning_rate"]
    assert learning_rate["default"] == 3e-4
    assert "schedule" in learning_rate["range"]
    shown = tuneexp("describe", "ppo").out
    assert all(row["name"] in shown for row in rows)


def test_describe_lists_the_algorithms_and_corrects_a_typo(tuneexp: Cli) -> None:
    shown = tuneexp("describe").out
    assert all(name in shown for name in ALGORITHMS)
    assert [row["name"] for row in json.loads(tuneexp("describe", "--json").out)["algorithms"]] == sorted(ALGORITHMS)
    assert_refused(tuneexp("describe", "pppo"), "'ppo'")
    assert_refused(tuneexp("describe", "hyperbnd"), "did you mean 'hyperband'?")
    assert_refused(tuneexp("describe", "bruteforce"), "'brute_force'")
