"""Ctrl-C ends a command at once, at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.stored import store_checkpoint

# CPU seconds from the signal to the words: torch's library, which nothing interrupts while it is loaded, takes 0.2 s.
MOST_CPU_S = 1.0


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def interrupted(args: list[str], after: str | None, folder: Path) -> tuple[int, str, float]:
    """Interrupt `tuneexp ARGS` when its standard error contains `after`; None: while torch is imported.

    Returns the exit code, standard error and the CPU seconds until the exit."""
    command = [sys.executable, "-m", "tuneexp", *args]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stderr is not None
    text = ""
    if after is None:
        while process.poll() is None and "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.01)
    else:
        text = next((line for line in process.stderr if after in line), "")
    before, used = cpu_s(process.pid), -1.0
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if used < 0 and "stopping" in line:
            used = cpu_s(process.pid) - before
        text += line
    guard.cancel()
    return process.wait(), text, used


def test_while_the_commands_are_imported_it_ends_without_a_traceback() -> None:
    program = (
        "import sys, tuneexp.cli\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "tuneexp.cli.main(['describe'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "tuneexp: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "after", "says"),
    [
        (["train", "ppo", "CartPole-v1", "--env-steps", "10000000", "--compile", "off"], "training ppo", "saving"),
        (["evaluate", "checkpoint", "--episodes", "1000000"], None, "stopping ..."),
    ],
    ids=["train", "evaluate"],
)
def test_a_command_tells_at_once_that_it_stops(tmp_path: Path, args: list[str], after: str | None, says: str) -> None:
    store_checkpoint(tmp_path / "checkpoint")
    code, text, used = interrupted(args, after, tmp_path)
    assert code == 130, text
    assert says in text
    assert "Traceback" not in text
    assert 0 <= used < MOST_CPU_S
