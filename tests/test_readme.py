"""Commands and code of README and the experiments work as they are written."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stored import store_sweep

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))


def python_block(holding: str) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if holding in block)


def ended(script: Path, *options: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of the script as a program, run in this process, which has imported everything."""
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(script), run_name="__main__")
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_the_first_script_trains_saves_and_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = python_block("PPO.build").replace("seeds=[0]", "seeds=[0], budget_env_steps=2560, n_steps=32")
    names: dict[str, Any] = {}
    exec(script, names)
    assert Path(names["path"]).is_dir()
    names["algo"].restore(names["path"])
    assert names["algo"].trial.env_steps == 2560


def test_the_loss_of_your_own_trains() -> None:
    names: dict[str, Any] = {}
    exec(python_block("def my_loss"), names)
    algo = names["MyPPO"].build(env="CartPole-v1", seeds=[0, 1], budget_env_steps=512, n_steps=32, compile="off")
    result = algo.train()
    assert result["env_steps"] >= 51
    # Advantages that nothing normalises: PPO's own loss would be near 0 after the first rollouts.
    assert result["update/policy_loss"] < -1.0
    assert not result["failed_seeds"]


def test_every_command_of_the_readme_exists() -> None:
    from tuneexp.cli.app import app

    known = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    shown = set(re.findall(r"^tuneexp (\w+)", README, re.MULTILINE))
    assert len(shown) >= 7
    assert shown <= known


def test_every_target_of_the_readme_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", README)) - {"a"} <= targets


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_experiment_explains_its_options(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(script, "--help", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "--env-steps" in said
    assert "--trials" in said


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_experiment_answers_bad_input_in_a_line(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(script, "--trials", "0", "--storage", str(tmp_path), monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "trials" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def commands_of(script: Path) -> list[list[str]]:
    """The commands in the script's docstring."""
    text = (ast.get_docstring(ast.parse(script.read_text())) or "").replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("tuneexp ")]


COMMANDS = [(script, words) for script in SCRIPTS for words in commands_of(script)]
EXTRAS = {
    "pong_ppo": "ale_py",
    "pong_impala": "ale_py",
    "halfcheetah_sac": "mujoco",
    "multi_agent_ppo": "pettingzoo",
    "self_play": "pettingzoo",
}


@pytest.mark.parametrize(("script", "words"), COMMANDS, ids=[f"{path.stem}-{words[1]}" for path, words in COMMANDS])
def test_a_command_of_an_experiment_is_accepted(
    script: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is read, checked and, for `train`, built; it stops before training."""
    pytest.importorskip(EXTRAS.get(script.stem, "torch"))
    from tuneexp.cli import run
    from tuneexp.errors import TuneexpError

    def begun(*args: Any, **kwargs: Any) -> None:
        raise TuneexpError("begun")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("tuneexp.sweep.Sweep.run", begun)
    monkeypatch.setattr("tuneexp.trial.Trial.advance", begun)
    monkeypatch.setattr("tuneexp.sweep.cluster.capacity.RaySession", begun)
    changes = ["--storage", str(tmp_path)]
    if words[1] == "resume":  # what the sweep before it would have stored
        store_sweep(tmp_path, words[2])
    else:
        changes += ["--compile", "off"]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        run([*words[1:], *changes])
    assert "tuneexp: begun" in said.getvalue()


# The others differ from these in what they train, which tests of their own do. Few steps, of which some are learned in.
RUN = {"cartpole_ppo": 2048, "pendulum_sac": 512, "custom_loss": 2048, "custom_model": 2048}


def assert_ended_with_the_best_of_two(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tuneexp.cli import run

    capsys.readouterr()
    assert run(["show", "short", "--storage", str(storage), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["trials"]) == 2
    assert shown["best"]["checkpoint"]


def short(script: str, storage: Path) -> tuple[Path, list[str]]:
    options = ["--trials", "2", "--seeds", "1", "--env-steps", str(RUN[script]), "--name", "short"]
    return ROOT / "experiments" / f"{script}.py", [*options, "--storage", str(storage)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_experiment_runs_as_a_program_from_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, options = short("custom_loss", tmp_path)
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, timeout=350, cwd=script.parent
    )
    assert done.returncode == 0, done.stderr
    assert_ended_with_the_best_of_two(tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("name", sorted(RUN.keys() - {"custom_loss"}))
def test_an_experiment_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, options = short(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert ended(script, *options, monkeypatch=monkeypatch) == 0
    assert_ended_with_the_best_of_two(tmp_path, capsys)


def test_the_custom_loss_changes_what_is_learned() -> None:
    from tuneexp import PPO
    from tuneexp.algorithms.registry import load_spec

    settings: dict[str, Any] = {"env": "CartPole-v1", "seeds": [0], "budget_env_steps": 512, "n_steps": 32}
    mine = load_spec(f"{ROOT / 'experiments' / 'custom_loss.py'}:MyPPO").build(**settings, compile="off")
    original = PPO.build(**settings, compile="off")
    assert mine.train()["update/policy_loss"] != original.train()["update/policy_loss"]
