"""Processes of the package import nothing from the working folder, except what an address names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = "import sys; from tuneexp.cli import main; sys.exit(main())"  # what the installed command runs
MY_ENV = """
import gymnasium, random, tuneexp
def my_env():
    assert "MINE" not in vars(random) and "MINE" not in vars(tuneexp)
    return gymnasium.make("CartPole-v1")
"""
SWEEP = """sweep --algorithm ppo --env my_envs:my_env --space space.yaml --trials 1 --seeds 1 --env-steps 128
 --compile off --set n_steps=32 --set n_envs=2 --set batch_size=32
 --set evaluation={"episodes":1,"final_episodes":1} --name s --json"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with files that have the names of Python modules."""
    (tmp_path / "random.py").write_text("MINE = 1\nraise RuntimeError('imported from the working folder')")
    (tmp_path / "my_envs.py").write_text(MY_ENV)
    (tmp_path / "space.yaml").write_text("gamma: {uniform: [0.9, 0.99]}")
    return tmp_path


@pytest.mark.slow
def test_no_worker_of_a_sweep_imports_from_the_working_folder_but_for_addresses(folder: Path) -> None:
    (folder / "tuneexp").mkdir()
    (folder / "tuneexp" / "__init__.py").write_text("MINE = 1\nraise RuntimeError('another version')")
    command = [sys.executable, "-P", "-c", COMMAND, *SWEEP.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    (trial,) = json.loads(done.stdout)["trials"]
    assert trial["outcome"] == "completed", trial["reason"]


def test_the_package_run_as_a_module_imports_nothing_from_the_working_folder(folder: Path) -> None:
    command = [sys.executable, "-m", "tuneexp", "train", "ppo", "no_such_module:Env"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert "no_such_module" in done.stderr
    assert "Traceback" not in done.stderr
