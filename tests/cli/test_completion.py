"""Completion in the shell: `_TUNEEXP_COMPLETE` in the environment, as the scripts of --show-completion set it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_fast_answers import HEAVY, MOST_CPU_S
from tests.faults.stored import store_sweep

ASKED = """
import contextlib, io, json, os, sys, time
from tuneexp.cli import run
for line in json.loads(sys.argv[1]):
    os.environ.update(COMP_WORDS=f"tuneexp {line}", COMP_CWORD=str(line.count(" ") + 1))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        run([])
    print(json.dumps(out.getvalue().split()))
loaded = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
print(json.dumps([loaded, time.process_time()]))
"""
COMPLETED = {
    "sh": ["show"],
    "show ": ["first", "second"],
    "show s": ["second"],
    "report first s": ["second"],
    "dashboard f": ["first"],
    "resume --storage none ": [],
    "evaluate f": ["first"],
    "evaluate first/": ["first/0", "first/1"],
    "evaluate none/": [],
    "train --resume s": ["second"],
    "train p": ["ppo"],
    "train ppo CartP": ["CartPole-v0", "CartPole-v1"],
    "sweep s": ["sac"],
    "sweep --scheduler a": ["asha"],
    "sweep --comp": ["--compile"],
    "train ppo CartPole-v1 --compile o": ["off", "on"],
    "describe as": ["asha"],
}


def test_the_shell_completes_names_without_loading_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        store_sweep(tmp_path / "runs", name)
    monkeypatch.setenv("_TUNEEXP_COMPLETE", "complete_bash")
    program = [sys.executable, "-c", ASKED, json.dumps([*COMPLETED]), json.dumps(HEAVY)]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *answers, (loaded, cpu_s) = map(json.loads, done.stdout.splitlines())
    assert dict(zip(COMPLETED, answers, strict=True)) == COMPLETED
    assert not loaded
    assert cpu_s < MOST_CPU_S
