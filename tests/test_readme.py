"""The loss of the README and the experiments work as they are written. tests/pages runs all other code of pages."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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


def test_the_loss_of_your_own_trains() -> None:
    names: dict[str, Any] = {}
    exec(python_block("def my_loss"), names)
    algo = names["MyPPO"].build(env="CartPole-v1", seeds=[0, 1], budget_env_steps=512, n_steps=32, compile="off")
    result = algo.train()
    assert result["env_steps"] >= 51
    # Advantages that nothing normalises: PPO's own loss would be near 0 after the first rollouts.
    assert result["update/policy_loss"] < -1.0
    assert not result["failed_seeds"]


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
    options = ["--trials", "2", "--seeds", "1", "--env-steps", str(RUN.get(script, 2048)), "--name", "short"]
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


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A webhook on this machine, in WEBHOOK_URL. Returns the messages that it gets."""
    got: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/works" else 500)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/works")
        yield got
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("ray_cluster")
def test_a_message_is_sent_at_the_end_of_a_sweep(
    tmp_path: Path, webhook: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, options = short("message_at_end", tmp_path)
    assert ended(script, *options, monkeypatch=monkeypatch) == 0
    (message,) = webhook
    assert message["text"].startswith("2 of 2 trials have ended, the best objective is ")
    assert_ended_with_the_best_of_two(tmp_path, capsys)


def test_a_webhook_that_fails_is_a_line(
    webhook: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = runpy.run_path(str(ROOT / "experiments" / "message_at_end.py"))
    monkeypatch.setitem(names["send"].__globals__, "TIMEOUT_S", 0.5)
    for url in (os.environ["WEBHOOK_URL"].replace("works", "fails"), "http://127.0.0.1:1/", "no address", "x://y"):
        monkeypatch.setenv("WEBHOOK_URL", url)
        names["send"]("3 of 3")
        assert capsys.readouterr().out.startswith("the message was not sent (")
    assert webhook == [{"text": "3 of 3"}]


def test_the_custom_loss_changes_what_is_learned() -> None:
    from tuneexp import PPO
    from tuneexp.algorithms.registry import load_spec

    settings: dict[str, Any] = {"env": "CartPole-v1", "seeds": [0], "budget_env_steps": 512, "n_steps": 32}
    mine = load_spec(f"{ROOT / 'experiments' / 'custom_loss.py'}:MyPPO").build(**settings, compile="off")
    original = PPO.build(**settings, compile="off")
    assert mine.train()["update/policy_loss"] != original.train()["update/policy_loss"]
