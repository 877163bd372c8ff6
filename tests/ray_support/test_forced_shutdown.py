"""Only what belongs to Ray is killed where a driver exits without a shutdown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: it would kill the Ray that other tests share.
_KILLS = """
import os, subprocess, sys
from pathlib import Path
from tests.faults.process_tree import command_line, descendants
from tests.waiting import wait_until
from tuneexp.ray_support.forced_shutdown import kill_ray
from tuneexp.ray_support.worker_origin import worker_origin

folder = Path(sys.argv[1]) / "raylet" / "worker_origin"
folder.mkdir(parents=True)
with subprocess.Popen([sys.executable, "-c", "input()", str(folder)], stdin=subprocess.PIPE) as other:
    with worker_origin(folder.parents[1], ("json",)):
        (origin,) = set(descendants(os.getpid())) - {other.pid}
        wait_until(lambda: command_line(origin) and command_line(other.pid))
        kill_ray(folder)
        assert os.WTERMSIG(os.waitpid(origin, 0)[1]) == 9
    assert other.poll() is None
    other.kill()
assert not folder.exists()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_the_origin_of_workers_is_killed_and_a_process_with_such_words_in_its_path_is_not(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _KILLS, str(tmp_path)], check=True, timeout=120)
