"""The script in docs/slurm.md runs in bash, and its command is a valid tuneexp command."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import gymnasium
import pytest
import typer

from tests.waiting import wait_until
from tuneexp.algorithms.registry import ALGORITHMS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "slurm.md").read_text()
(SCRIPT,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


def test_the_command_of_the_script_is_known() -> None:
    from tuneexp.cli.app import app

    command = re.search(r"^tuneexp (.*?) &$", SCRIPT.replace("\\\n", " "), re.MULTILINE)
    assert command is not None
    name, *options = shlex.split(command[1])
    group = typer.main.get_command(app)
    parsed = group.commands[name].make_context(name, options).params  # type: ignore[attr-defined]
    assert (parsed["resume"], parsed["name"]) == (True, "first"), "queued again, it finds the sweep by its name"
    assert parsed["algorithm"] in ALGORITHMS
    assert parsed["env"] in gymnasium.registry


TOOLS = {
    "tuneexp": 'trap "exit 143" TERM; touch started; while [ ! -e done ]; do sleep 0.02; done; exit 3',
    "scontrol": 'echo "$@" > requeued',
}


@pytest.mark.parametrize(("ends_by_signal", "code"), [(True, 143), (False, 3)])
def test_the_script_queues_the_job_again_where_its_time_is_over_and_nowhere_else(
    tmp_path: Path, ends_by_signal: bool, code: int
) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text(f'PATH="{tmp_path}:$PATH"\n')
    for name, body in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(SCRIPT)
    job = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env={**os.environ, "SLURM_JOB_ID": "17"})
    wait_until((tmp_path / "started").exists)
    if ends_by_signal:
        job.send_signal(signal.SIGTERM)
    else:
        (tmp_path / "done").touch()
    assert job.wait(timeout=20) == code
    requeued = tmp_path / "requeued"
    assert (requeued.read_text().strip() if requeued.exists() else None) == ("requeue 17" if code == 143 else None)
