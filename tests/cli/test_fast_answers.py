"""Errors of the command line, and help, come before torch, Ray and MLflow are imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stored import store_sweep
from tuneexp.algorithms.registry import ACTION_KINDS, ALGORITHMS, config_class_of, first_line_of, load_algorithm

HEAVY = ("torch", "ray", "mlflow", "pandas", "scipy", "sqlalchemy", "matplotlib")
# Of a whole process: measured 0.3 to 0.7 s, and 3.6 s with torch and Ray.
MOST_CPU_S = 3.0

TRAIN = ["train", "ppo", "CartPole-v1"]
SWEEP = ["sweep", "--env", "CartPole-v1", "--space", "space.yaml", "--name", "new"]
WRONG = [
    (["train", "pppo", "CartPole-v1"], "'ppo'"),
    (["train", "none.py:Own", "CartPole-v1"], "no file none.py"),
    (["train", "ppo", "CartPole"], "'CartPole-v1'"),
    (["train", "ppo", "none.py:Env"], "no file none.py"),
    (["train", "td3", "CartPole-v1"], "algorithms that fit it"),
    ([*TRAIN, "--set", "learning_rat=1"], "'learning_rate'"),
    ([*TRAIN, "--set", "gamma=3"], "less than or equal to 1"),
    ([*TRAIN, "--set", "gamma=x"], "valid number"),
    ([*TRAIN, "--set", "batch_size=1.5"], "batch_size"),
    ([*TRAIN, "--set", "n_epochs=[1, 2"], "YAML"),
    ([*TRAIN, "--set", "env_kwargs/x=1"], "can't be created"),
    ([*TRAIN, "--set", "evaluation/episode=1"], "episodes"),
    ([*TRAIN, "--wrapper", "ClipActio"], "'ClipAction'"),
    ([*TRAIN, "--wrapper", 'ClipAction={"a": 1}'], "its arguments"),
    ([*TRAIN, "--env-backend", "x"], "--env-backend"),
    ([*TRAIN, "--storage", "space.yaml/x"], "can't be written"),
    ([*TRAIN, "--trails", "3"], "unknown option"),
    (["train", "dqn", "CartPole-v1", "--env-steps", "50", "--set", "learning_starts=50"], "nothing of the budget"),
    (["train", "--resume", "none"], "no checkpoint"),
    ([*SWEEP, "--algorithm", "pppo"], "'ppo'"),
    ([*SWEEP, "--algorithm", "td3", "--space", "empty.yaml"], "algorithms that fit it"),
    ([*SWEEP, "--env", "CartPole"], "'CartPole-v1'"),
    ([*SWEEP, "--space", "none.yaml"], "no file none.yaml"),
    ([*SWEEP, "--space", "bad.yaml"], "bad.yaml"),
    ([*SWEEP, "--space", "name.yaml"], "'learning_rate'"),
    ([*SWEEP, "--space", "range.yaml"], "gamma"),
    ([*SWEEP, "--set", "lr=1"], "'learning_rate'"),
    ([*SWEEP, "--set", "learning_rate=1"], "fixed"),
    ([*SWEEP, "--scheduler", "ashaa"], "'asha'"),
    ([*SWEEP, "--searcher", "tpee"], "'tpe'"),
    ([*SWEEP, "--scheduler-option", "reduction=4"], "reduction_factor, grace_env_steps"),
    ([*SWEEP, "--scheduler", "fifo", "--scheduler-option", "promote=true"], "an option of asha"),
    ([*SWEEP, "--searcher-option", "group"], "--searcher-option multivariate=true"),
    ([*SWEEP, "--scheduler-option", "reduction_factor={"], "--scheduler-option: '{'"),
    ([*SWEEP, "--searcher-option", "group"], "--searcher-option name=value"),
    ([*SWEEP, "--storage", "space.yaml/x"], "can't be written"),
    ([*SWEEP, "--wrapper", "ClipActio"], "'ClipAction'"),
    ([*SWEEP, "--name", "kept", "--storage", "runs"], "kept"),
    (["resume", "kep", "--storage", "runs"], "'kept'"),
    (["show", "kep", "--storage", "runs"], "'kept'"),
    (["show", "kept", "--storage", "runs", "--plot", "x.txt"], ".png"),
    (["report", "kep", "--storage", "runs"], "'kept'"),
    (["report", "kept", "--storage", "runs", "--out", "x.txt"], ".html"),
    (["list", "--storage", "none"], "no folder"),
    (["evaluate", "none"], "none"),
    (["watch", "none", "--video", "x.avi"], ".gif"),
    (["describe", "pppo"], "'ppo'"),
    (["ui", "--storage", "none"], "nothing is stored"),
    (["dashboard", "kep", "--storage", "runs"], "'kept'"),
    (["show", "kept", "--storage", "runs", "--watch", "--json"], "leave out --watch"),
    (["runn"], "unknown command"),
]
SPACES = {
    "space.yaml": "learning_rate: {loguniform: [1.0e-4, 1.0e-2]}",
    "empty.yaml": "gamma: {uniform: [0.9, 0.99]}",
    "bad.yaml": "gamma: {uniform: [0.9",
    "name.yaml": "learning_rat: {uniform: [0.1, 0.2]}",
    "range.yaml": "gamma: {uniform: [0.9, 1.5]}",
}

ASKED = """
import contextlib, io, json, sys, time
from tuneexp.cli import run
for args in json.loads(sys.argv[1]):
    err, out = io.StringIO(), io.StringIO()
    before = time.process_time()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        code = run(args)
    loaded = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    print(json.dumps([code, err.getvalue() + out.getvalue(), loaded, time.process_time() - before]), flush=True)
print(json.dumps(time.process_time()))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("asked")
    store_sweep(root / "runs", "kept")
    for name, text in SPACES.items():
        (root / name).write_text(text)
    return root


def answers(folder: Path, commands: list[list[str]]) -> Iterator[tuple[int, str, list[str], float]]:
    """Exit code, text, loaded heavy modules and CPU seconds of each command line, run one after another in a new
    process."""
    program = [sys.executable, "-c", ASKED, json.dumps(commands), json.dumps(HEAVY)]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *lines, total = map(json.loads, done.stdout.splitlines())
    assert total < MOST_CPU_S + 0.5 * len(commands)
    yield from map(tuple, lines)


def test_what_is_wrong_is_reported_before_torch_is_imported(folder: Path) -> None:
    asked = [args for args, _ in WRONG]
    found = []
    for (args, says), (code, text, loaded, cpu_s) in zip(WRONG, answers(folder, asked), strict=True):
        if code != 2 or says not in text or loaded or cpu_s > MOST_CPU_S:
            found.append(f"{' '.join(args)}: {code} {loaded} {cpu_s:.1f} s {text}")
    assert not found, "\n".join(found)


SCRIPT = """
import json, runpy, sys, time
sys.argv = sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    loaded = [name for name in json.loads(HEAVY) if name in sys.modules]
    print(json.dumps([end.code, loaded, time.process_time()]))
"""


@pytest.mark.parametrize("args", [["--scheduler", "ashaa"], ["--trails", "3"]])
def test_a_script_tells_before_torch_is_imported(folder: Path, args: list[str]) -> None:
    script = str(Path(__file__).parents[2] / "experiments" / "cartpole_ppo.py")
    program = SCRIPT.replace("HEAVY", repr(json.dumps(HEAVY)))
    done = subprocess.run(
        [sys.executable, "-c", program, "-", script, *args], cwd=folder, capture_output=True, text=True, timeout=120
    )
    code, loaded, cpu_s = json.loads(done.stdout)
    assert (code, loaded) == (2, []), done.stderr
    assert cpu_s < MOST_CPU_S


def test_descriptions_and_stored_sweeps_are_shown_without_torch(folder: Path) -> None:
    asked = [
        ["describe"],
        ["describe", "ppo"],
        ["describe", "asha"],
        ["list", "--storage", "runs"],
        ["show", "kept", "--storage", "runs"],
    ]
    for args, (code, text, loaded, cpu_s) in zip(asked, answers(folder, asked), strict=True):
        assert (code, loaded) == (0, []), (args, text)
        assert cpu_s < MOST_CPU_S


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_known_of_an_algorithm_without_torch_is_what_it_is(name: str) -> None:
    spec = load_algorithm(name)
    assert config_class_of(name) is spec.config_class
    assert set(ACTION_KINDS[name]) == set(spec.action_kinds)
    assert first_line_of(name).endswith(".")
