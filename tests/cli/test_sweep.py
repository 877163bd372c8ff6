"""`tuneexp sweep`, `resume`, `list`, `show` and `ui` with a real, small sweep in a separate process."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Done, assert_refused, command, forked
from tuneexp.sweep import Sweep, load_config, load_sweep
from tuneexp.sweep.experiment.writing import asked_values

Cli = Callable[..., Done]
SPACE = """
learning_rate: {loguniform: [1.0e-4, 1.0e-2]}
model:
  activation: {choice: [tanh, relu]}
"""
FIXED = ("--set", "n_envs=2", "--set", "n_steps=32", "--set", "batch_size=32", "--compile", "off")
SMALL = ("--trials", "2", "--seeds", "2", "--env-steps", "128", *FIXED)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "space.yaml").write_text(SPACE)
    return folder


@pytest.fixture(scope="module")
def first(storage: Path) -> dict[str, Any]:
    """The JSON of a sweep named `first` in `storage`/runs."""
    args = ["sweep", "--env", "CartPole-v1", "--space", "space.yaml", "--name", "first", "--scheduler", "fifo", *SMALL]
    done = command([*args, "--json"], storage)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1, done.out
    lines = done.err.splitlines()
    assert lines[0].startswith("sweep first: ppo on CartPole-v1, 2 trials, seeds 0,1, 128 env steps per seed")
    assert lines[0].endswith("tpe models 2 of 2")
    # One line a trial, and nothing of Ray, MLflow or Optuna.
    assert len(lines) == 3, done.err
    assert all(
        re.match(r"trial \d completed: objective [\d.]+, env steps 128, learning_rate=", line) for line in lines[1:]
    )
    result: dict[str, Any] = json.loads(done.out)
    return result


def test_json_of_a_sweep_is_what_the_manual_describes(first: dict[str, Any], storage: Path) -> None:
    assert (first["name"], first["storage"]) == ("first", str(storage / "runs"))
    assert {"trial_id", "objective", "config", "checkpoint"} <= set(first["best"])
    assert Path(first["best"]["checkpoint"]).is_dir()
    assert len(first["trials"]) == 2
    for trial in first["trials"]:
        assert {"trial_id", "outcome", "objective", "env_steps", "config", "mlflow_run_id"} <= set(trial)
        assert (trial["outcome"], trial["env_steps"], trial["config"]["n_envs"]) == ("completed", 128, 2)
        assert re.fullmatch("[0-9a-f]{32}", trial["mlflow_run_id"])
    assert set(first["mlflow"]) == {"tracking_uri", "experiment_id", "parent_run_id", "link"}
    assert first["best"]["objective"] == max(trial["objective"] for trial in first["trials"])


def test_the_folder_holds_the_file_that_repeats_the_sweep(first: dict[str, Any], storage: Path) -> None:
    again = Sweep.from_file(storage / "runs" / "first" / "experiment.yaml", storage=storage / "runs")
    before = load_config("first", storage / "runs")
    assert asked_values(again.config) == asked_values(before)


def test_show_prints_the_leaderboard_and_the_best(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    done = tuneexp("show", "first", "--storage", str(storage / "runs"))
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].strip() == "first (finished): 2 trials"
    assert lines[1].split() == ["trial", "objective", "env", "steps", "outcome", "learning_rate", "activation"]
    assert lines[2].split()[0] == str(first["best"]["trial_number"])
    assert f"best        trial {first['best']['trial_number']}" in done.out
    assert re.search(r"per seed    0: [\d.]+, 1: [\d.]+", done.out)


def test_the_retrain_command_names_the_exact_configuration_and_fresh_seeds(
    first: dict[str, Any], storage: Path, tuneexp: Cli
) -> None:
    out = tuneexp("show", "first", "--storage", str(storage / "runs")).out
    words = shlex.split(next(line for line in out.splitlines() if line.startswith("retrain")))[2:]
    done = tuneexp(*words, "--env-steps", "64", "--compile", "off", "--json")  # the last --env-steps counts
    assert done.code == 0, done.err
    trained = json.loads(done.out)
    assert not set(trained["seeds"]) & {0, 1}
    stored = json.loads((Path(trained["checkpoint"]) / "state.json").read_text())["config"]["hyperparameters"]
    assert stored == first["best"]["config"]


def test_json_of_show_and_resume_is_that_of_the_sweep(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    runs = ("--storage", str(storage / "runs"), "--json")
    assert json.loads(tuneexp("show", "first", *runs).out) == first
    assert json.loads(tuneexp("show", str(storage / "runs" / "first"), "--json").out) == first
    assert json.loads(tuneexp("resume", "first", *runs).out) == first


def test_resume_of_a_finished_sweep_reports_it_and_how_to_train_more(
    first: dict[str, Any], storage: Path, tuneexp: Cli
) -> None:
    done = tuneexp("resume", str(storage / "runs" / "first"))
    assert done.code == 0
    assert "first is finished, nothing is left to train" in done.err.splitlines()[0]
    assert f"tuneexp extend first --trials N --storage {storage}/runs" in done.err
    assert f"show        tuneexp show first --plot curves.png --storage {storage}/runs" in done.out
    assert f"evaluate    tuneexp evaluate first --storage {storage}/runs" in done.out


def test_sweep_with_resume_continues_with_the_same_settings_only(
    first: dict[str, Any], storage: Path, tuneexp: Cli
) -> None:
    args = ["sweep", "--env", "CartPole-v1", "--space", str(storage / "space.yaml"), "--name", "first", *SMALL]
    args += ["--scheduler", "fifo", "--storage", str(storage / "runs"), "--resume", "--json"]
    assert json.loads(tuneexp(*args).out) == first
    assert_refused(tuneexp(*args, "--trials", "3", "--set", "gamma=0.9"), "trials: 2, now 3")
    assert load_sweep("first", storage / "runs").as_json() == first


def test_show_draws_the_seeds(first: dict[str, Any], storage: Path, tuneexp: Cli, tmp_path: Path) -> None:
    runs = ("--storage", str(storage / "runs"))
    done = tuneexp("show", "first", *runs, "--plot", str(tmp_path / "curves.png"))
    assert done.code == 0, done.err
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert tuneexp("show", "first", *runs, "--plot", str(tmp_path / "no" / "folder.png")).code == 2


def test_list_shows_the_sweep(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    done = tuneexp("list", "--storage", str(storage / "runs"))
    assert done.out.splitlines()[1].split()[:5] == ["first", "finished", "ppo", "CartPole-v1", "2/2"]
    (row,) = json.loads(tuneexp("list", "--storage", str(storage / "runs"), "--json").out)["sweeps"]
    assert row["best"] == first["best"]["objective"]


def test_a_misspelt_sweep_is_answered_with_the_nearest(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    assert_refused(tuneexp("show", "frist", "--storage", str(storage / "runs")), "'first'")


def test_list_of_an_empty_storage_prints_how_to_start(tuneexp: Cli) -> None:
    done = tuneexp("list")
    assert (done.code, done.out) == (0, "")
    assert "tuneexp sweep --help" in done.err


def test_best_checkpoint_of_a_sweep_can_be_evaluated(first: dict[str, Any], tuneexp: Cli) -> None:
    done = tuneexp("evaluate", first["best"]["checkpoint"], "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["return_mean"] == pytest.approx(first["best"]["objective"])


def test_a_name_that_exists_is_refused_with_both_commands(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in (storage / "runs").rglob("*") if path.is_file())
    args = ("--env", "CartPole-v1", "--space", str(storage / "space.yaml"), "--storage", str(storage / "runs"))
    done = tuneexp("sweep", "--name", "first", *args)
    assert_refused(done, "tuneexp resume first")
    assert "tuneexp sweep --name first-2" in done.err
    after = sorted((path, path.stat().st_mtime_ns) for path in (storage / "runs").rglob("*") if path.is_file())
    assert before == after


SPACES = {
    "upside down": ("gamma: {uniform: [0.99, 0.9]}", "lower bound"),
    "log range at 0": ("learning_rate: {loguniform: [0, 1]}", "log range"),
    "outside the bounds": ("gamma: {uniform: [0.9, 1.5]}", "gamma"),
    "no mapping": ("- gamma", "no mapping"),
    "duplicate key": ("gamma: {uniform: [0.9, 0.99]}\ngamma: {uniform: [0.8, 0.9]}", "repeated"),
    "Python tag": ("gamma: !!python/object/apply:os.getcwd []", "tag"),
    "unknown hyperparameter": ("gama: {uniform: [0.9, 0.99]}", "'gamma'"),
    "unknown kind": ("gamma: {unifrm: [0.9, 0.99]}", "'uniform'"),
}


@pytest.mark.parametrize("name", SPACES)
def test_a_wrong_space_is_refused_before_any_trial(tuneexp: Cli, tmp_path: Path, name: str) -> None:
    text, says = SPACES[name]
    (tmp_path / "wrong.yaml").write_text(text)
    assert_refused(tuneexp("sweep", "--env", "CartPole-v1", "--space", "wrong.yaml", "--name", "bad"), says)
    assert not (tmp_path / "runs" / "bad").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--algorithm", "poo"], "'ppo'"),
        (["--env", "CartPol-v1"], "'CartPole-v1'"),
        (["--scheduler", "asah"], "'asha'"),
        (["--searcher", "tpee"], "'tpe'"),
        (["--space", "nothing.yaml"], "nothing.yaml"),
        (["--trials", "0"], "--trials"),
        (["--trials", "-2"], "--trials"),
        (["--env-steps", "0"], "--env-steps"),
        (["--seeds", "0"], "--seeds"),
        (["--seeds", "-1"], "--seeds"),
        (["--concurrency", "0"], "--concurrency"),
        (["--storage", "space.yaml/inside"], "can't be written"),
        (["--set", "learning_rate=0.1"], "'learning_rate' is fixed"),
        (["--set", "lr=0.1"], "'learning_rate'"),
        (["--set", "gamma=1.5"], "gamma"),
        (["--algorithm", "dqn", "--set", "buffer_size=31"], "buffer_size=31"),
        (["--name", "../escape"], "sweep name"),
        (["--address", "127.0.0.1:1"], "'127.0.0.1:1'"),
        (["--address", "ray://127.0.0.1:99999"], "tuneexp sweep --address auto"),
        (["--address", "10.1.2.3"], "--address HOST:6379"),
        (["--address", "no-such-host.invalid:6379"], "'no-such-host.invalid:6379'"),
        (["--checkpoints", "s4://bucket"], "s3://bucket/folder"),
    ],
)
def test_a_wrong_sweep_is_refused_before_any_trial(tuneexp: Cli, tmp_path: Path, more: list[str], says: str) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    args = ("--env", "CartPole-v1", "--space", "space.yaml", "--name", "bad")
    assert_refused(tuneexp("sweep", *args, *more), says)
    assert not list(tmp_path.glob("runs/*/sweep.json"))


@pytest.mark.parametrize("args", [["show", "nothing"], ["resume", "nothing"], ["show", "../up"]])
def test_a_sweep_that_does_not_exist_leaves_no_folder(tuneexp: Cli, tmp_path: Path, args: list[str]) -> None:
    assert_refused(tuneexp(*args), args[1])
    assert not list(tmp_path.glob("**/*"))


def start(args: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tuneexp", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_sweep_in_which_no_trial_finishes_failed(storage: Path) -> None:
    (storage / "broken.py").write_text(
        "import gymnasium\n\n\nclass Broken(gymnasium.Wrapper):\n"
        "    def __init__(self):\n        super().__init__(gymnasium.make('CartPole-v1'))\n\n"
        "    def step(self, action):\n        raise RuntimeError('the simulator lost its window')\n"
    )
    args = ["sweep", "--env", "broken.py:Broken", "--space", "space.yaml", "--name", "broken", *SMALL, "--json"]
    done = forked(args, storage)
    assert done.code == 1, done.err
    assert {trial["outcome"] for trial in json.loads(done.out)["trials"]} == {"error"}
    assert json.loads(done.out)["best"] is None
    assert "the simulator lost its window" in done.err
    assert json.loads(done.out)["state"] == "failed"
    *_, reason, advice = [line for line in done.err.splitlines() if not line.startswith("what Ray")]
    assert "no trial ran" in reason
    assert "the simulator lost its window" in reason
    assert "tuneexp resume broken --storage" in advice
    assert "Traceback" not in done.err
    broken = (storage / "broken.py").read_text()
    (storage / "broken.py").write_text(
        broken.replace("raise RuntimeError('the simulator lost its window')", "return self.env.step(action)")
    )
    again = forked(["resume", "broken", "--json"], storage)
    assert again.code == 0, again.err
    assert json.loads(again.out)["state"] == "finished"
    assert {trial["outcome"] for trial in json.loads(again.out)["trials"]} <= {"completed", "pruned"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_ui_refuses_a_port_that_is_taken(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refused(tuneexp("ui", "--storage", str(storage / "runs"), "--port", str(port)), f"--port {port + 1}")


def test_ui_names_the_server_that_holds_the_runs(tuneexp: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://u:geheim@127.0.0.1:9")
    done = tuneexp("ui")
    assert done.code == 0, done.err
    assert done.out.strip() == "http://127.0.0.1:9/#/experiments?workflowType=machine_learning"
    assert "geheim" not in done.err


def test_ui_of_a_sweep_that_does_not_exist_names_the_nearest(
    first: dict[str, Any], storage: Path, tuneexp: Cli
) -> None:
    assert_refused(tuneexp("ui", "frist", "--storage", str(storage / "runs")), "'first'")


def test_show_holds_the_link_that_ui_opens(first: dict[str, Any], storage: Path, tuneexp: Cli) -> None:
    link = json.loads(tuneexp("show", "first", "--json", "--storage", str(storage / "runs")).out)["mlflow"]["link"]
    assert link.startswith(f"http://127.0.0.1:5000/#/experiments/{first['mlflow']['experiment_id']}/runs?")
    assert "workflowType=machine_learning" in link
    out = tuneexp("show", "first", "--storage", str(storage / "runs")).out
    assert link in out
    assert f"tuneexp ui first --storage {storage / 'runs'}" in out


@contextmanager
def sighup_ignored() -> Iterator[None]:
    """Processes that start in this context ignore SIGHUP, as under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_store_that_can_never_take_runs_is_refused_before_anything_starts(
    tuneexp: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    done = tuneexp("sweep", "--env", "CartPole-v1", "--space", "space.yaml", "--name", "first", *SMALL)
    assert_refused(done, "MLFLOW_TRACKING_URI=./mlruns")
    assert not (tmp_path / "runs" / "first" / "sweep.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ui_serves_the_runs_on_this_machine_only_and_ends_with_its_command(
    first: dict[str, Any], storage: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    moved = tmp_path / "My Drive ä%20#?"
    shutil.copytree(storage / "runs", moved)
    port = free_port()
    (tmp_path / "random.py").write_text("raise SystemExit('imported from the working folder')")
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": ""}
    with sighup_ignored():
        process = start(["ui", "--storage", str(moved), "--port", str(port)], tmp_path, **proxy)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    assert f"http://127.0.0.1:{port}" in lines[1]
    query = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/get?run_id={first['mlflow']['parent_run_id']}"
    )
    with urllib.request.urlopen(query, timeout=30) as answer:
        run = json.load(answer)["run"]["info"]
    assert run["run_name"] == "first"
    table = f"http://127.0.0.1:{port}/get-artifact?path=trials.csv&run_id={run['run_id']}"
    with urllib.request.urlopen(table, timeout=30) as answer:
        assert answer.readline().startswith(b"trial_number,")
    assert str(moved.resolve()) in urllib.parse.unquote(run["artifact_uri"])
    assert {path.name for path in tmp_path.iterdir()} == {moved.name, "random.py"}
    process.send_signal(signal.SIGHUP)  # its terminal is closed
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(sign)
    assert process.wait(timeout=30) == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
