"""Help texts, and messages for wrong command lines."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from tests.cli.conftest import Done, assert_refused, command
from tuneexp import cli
from tuneexp.cli.app import app
from tuneexp.errors import TuneexpError, UserError


def accept() -> NoReturn:
    raise UserError("accepted")


COMMANDS = (
    "train",
    "sweep",
    "resume",
    "list",
    "show",
    "evaluate",
    "watch",
    "export",
    "describe",
    "ui",
    "dashboard",
    "init",
    "doctor",
)
Cli = Callable[..., Done]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["sweeep"], "unknown command 'sweeep'; did you mean 'sweep'?"),
        (["xyzzy"], "known: train, tune, sweep"),
        (["sweep", "--trails", "3"], "did you mean '--trials'?\nsweep needs an environment"),
        (["train", "--seeds"], "'--seeds' requires an argument"),
        (["sweep"], "tuneexp sweep ppo CartPole-v1"),
        (["sweep", "dqn"], "tuneexp sweep dqn CartPole-v1"),
        (["sweep", "ppo", "--algorithm", "dqn", "--env", "CartPole-v1"], "'ppo' and --algorithm 'dqn'"),
        (["sweep", "ppo", "CartPole-v1", "--env", "Pendulum-v1"], "'CartPole-v1' and --env 'Pendulum-v1'"),
        (["sweep", "ppo", "CartPole-v1", "--trials", "1.5"], "'1.5' is no whole number"),
        (["sweep", "ppo", "CartPole-v1", "--env-steps", "100x"], "'100x' is no whole number"),
        (["sweep", "ppo", "CartPole-v1", "--report-every-env-steps", "1.5k3"], "'1.5k3' is no whole number"),
        (["sweep", "ppo", "CartPole-v1", "--resume"], "--name"),
        (["show"], "missing argument"),
        (["show", "first", "--plot"], "tuneexp show --help"),
        (["list", "--storage"], "tuneexp list --help"),
        (["sweep", "cartpole", "ppo"], "'CartPole-v1'"),
        (["train", "ppo", "CartPole-v1", "--env-steps", "many"], "--env-steps"),
        (["train"], "tuneexp train ppo CartPole-v1"),
        (["train", "ppo"], "tuneexp train ppo CartPole-v1"),
        (["train", "ppo", "CartPole-v1", "--env-steps", "0"], "--env-steps is at least 1, got 0"),
        (["train", "ppo", "CartPole-v1", "--env-steps", "-5"], "--env-steps is at least 1, got -5"),
        (["train", "ppo", "CartPole-v1", "--seeds", "0"], "--seeds"),
        (["train", "ppo", "CartPole-v1", "--seeds", "3,3"], "repeated"),
        (["train", "ppo", "CartPole-v1", "--compile", "offf"], "'off'"),
        (["train", "ppo", "CartPole-v1", "--set", "learning_rate"], "name=value"),
        (["show", "x", "--top", "0"], "--top is at least 1"),
        (["show", "x", "--plot", "x.txt"], ".png"),
        (["ui", "--port", "0"], "--port"),
        (["dashboard", "--port", "70000"], "--port"),
        (["dashboard", "--storage", "nothing-here"], "no sweeps in 'nothing-here'"),
        (["ui", "--storage", "nothing-here"], "nothing is stored"),
        (["evaluate", "x", "--episodes", "0"], "--episodes is at least 1"),
        (["evaluate", "x", "--seed", "-1"], "--seed is 0 or more"),
        (["export", "x", "--to", "onx"], "did you mean 'onnx'?"),
        (["export", "x"], "no sweep or training in runs"),
    ],
)
def test_a_wrong_command_line_is_answered_with_what_to_write(tuneexp: Cli, args: list[str], says: str) -> None:
    assert_refused(tuneexp(*args), says)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_by_examples_and_describes_every_option(tuneexp: Cli, name: str) -> None:
    done = tuneexp(name, "--help")
    assert done.code == 0
    assert f"tuneexp {name}" in done.out.partition("Examples")[2]
    options = typer.main.get_command(app).commands[name].params  # type: ignore[attr-defined]
    assert options
    assert all(option.help for option in options)


def test_tuneexp_alone_prints_its_help(tuneexp: Cli) -> None:
    done = tuneexp()
    assert (done.code, done.err) == (2, "")
    assert all(f" {name} " in done.out for name in COMMANDS)


def test_the_version_is_printed(tuneexp: Cli) -> None:
    assert tuneexp("--version").out.startswith("tuneexp 0.")


def test_help_starts_without_the_heavy_packages() -> None:
    program = (
        "import sys, tuneexp.cli\n"
        "try: tuneexp.cli.main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'gymnasium', 'scipy', 'matplotlib', 'numpy'}\n"
        "print('loaded', *sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "loaded"
    # A guard against a heavy import by another name, not a measurement: it takes 0.2 s, torch alone takes seconds.
    assert time.monotonic() - started < 10


def failing(error: BaseException) -> typer.Typer:
    small = typer.Typer()

    @small.callback()
    def root() -> None:
        """Callback that makes the app a group of commands."""

    @small.command()
    def work(verbose: bool = typer.Option(False, "-v")) -> None:
        raise error

    return small


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("write this instead"), 2, "tuneexp: write this instead\n"),
        (TuneexpError("no trial finished"), 1, "tuneexp: no trial finished\n"),
        (ZeroDivisionError("a\nb"), 1, "tuneexp: internal error: ZeroDivisionError: a b\nrun it again with -v"),
        (KeyboardInterrupt(), 130, ""),
        (OSError(errno.ENOSPC, "disk full"), 1, "disk full"),
    ],
)
def test_every_exception_has_an_exit_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    monkeypatch.setattr("tuneexp.cli.app.app", failing(error))
    assert cli.run(["work"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert "Traceback" not in captured.err


def test_verbose_shows_where_an_internal_error_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tuneexp.cli.app.app", failing(ZeroDivisionError("boom")))
    assert cli.run(["work", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m tuneexp --help | head -c 10; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode in (0, 1)


def test_an_option_may_come_from_the_environment() -> None:
    assert_refused(command(["ui"], TUNEEXP_STORAGE="from-the-environment"), "'from-the-environment'")


def test_logging_of_others_is_restored_after_a_command(tuneexp: Cli) -> None:
    before = list(logging.getLogger("tuneexp").handlers)
    tuneexp("ui", "--storage", "nothing-here")
    assert logging.getLogger("tuneexp").handlers == before


RL_ZOO = """None-v0: {n_timesteps: 1000, policy: MlpPolicy}
Pendulum-v1: {n_timesteps: 1000, policy: MlpPolicy}
"""


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.yaml", "- a", "no mapping, it holds a list"),
        ("x.yaml", "", "no mapping, it holds nothing"),
        ("x.yaml", "env: [1", "x.yaml, line 1: "),
        ("x.yaml", "env: a\nenv: b", "x.yaml, line 2: the key 'env' is repeated"),
        ("x.yaml", "gamma: {uniform: [0.9, 0.99]}", "sweep ppo CartPole-v1 --space x.yaml"),
        ("x.json", '{"format_version": 1, "created_at_s": 0}', "write tuneexp sweep experiment.yaml"),
        ("x.json", '{"env": "CartPole-v1", "trails": 1}', "'trials'"),
        ("x.yaml", "trials: 3", "names no environment"),
        ("x.yaml", "env: CartPole-v1\nset: {n_envs: 2}", "'fixed'"),
        ("x.yaml", "Env: CartPole-v1", "tuneexp: x.yaml, line 1: unknown setting 'Env'; did you mean 'env'?"),
        ("x.yaml", RL_ZOO, "a file of RL Zoo's; write tuneexp sweep ppo Pendulum-v1 --zoo x.yaml"),
        ("y.yaml", "env: CartPole-v1", "there is no file x.yaml; did you mean 'y.yaml'?"),
        ("x.yaml/experiment.yaml", "env: CartPole-v1", "is a folder; write tuneexp sweep x.yaml/experiment.yaml"),
    ],
)
def test_a_file_that_is_no_experiment_is_named_with_what_to_write(
    tuneexp: Cli, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert_refused(tuneexp("sweep", "x.json" if name == "x.json" else "x.yaml"), says)


def test_a_row_of_a_zoo_file_is_refused_with_all_its_unknown_names_and_a_folder_its_file(
    tuneexp: Cli, tmp_path: Path
) -> None:
    (tmp_path / "zoo").mkdir()
    row = "{n_timesteps: 1000, policy: MlpPolicy, n_stps: 3, gamme: 0.9}"
    (tmp_path / "zoo/ppo.yml").write_text(f"CartPole-v1: {row}")
    done = tuneexp("train", "ppo", "CartPole-v1", "--zoo", "zoo/ppo.yml")
    assert_refused(done, "'n_steps'")
    assert_refused(done, "'gamma'")
    assert_refused(tuneexp("train", "ppo", "CartPole-v1", "--zoo", "zoo"), "write --zoo zoo/ppo.yml")


def test_an_experiment_is_no_search_space(tuneexp: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("env: CartPole-v1\nspace: {}\n")
    assert_refused(tuneexp("sweep", "ppo", "CartPole-v1", "--space", "x.yaml"), "write tuneexp sweep x.yaml")


def test_options_take_the_place_of_those_of_an_experiment(
    tuneexp: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("tuneexp.sweep.Sweep.from_file", lambda path, **given: asked.append(given) or accept())
    (tmp_path / "x.yaml").write_text("env: CartPole-v1\n")
    tuneexp("sweep", "x.yaml")
    tuneexp("sweep", "x.yaml", "--trials", "8", "--set", "gamma=0.9", "--algorithm", "a2c", "--seeds", "2")
    monkeypatch.setenv("TUNEEXP_STORAGE", "elsewhere")
    tuneexp("sweep", "x.yaml", "Pendulum-v1")
    common = {"trust": False, "verbose": False, "resume": False}
    assert asked[0] == common
    assert asked[1] == {**common, "trials": 8, "fixed": {"gamma": 0.9}, "algorithm": "a2c", "seeds": [0, 1]}
    assert asked[2] == {**common, "env": "Pendulum-v1", "storage": "elsewhere"}
