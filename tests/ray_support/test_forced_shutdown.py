"""Only what belongs to Ray is killed where a driver exits without a shutdown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.process_tree import descendants
from tuneexp.ray_support.forced_shutdown import kill_ray
from tuneexp.ray_support.worker_origin import worker_origin


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_the_origin_of_workers_is_killed_and_a_process_with_such_words_in_its_path_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "raylet" / "worker_origin"
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()", str(folder)], stdin=subprocess.PIPE) as other:
        earlier = set(descendants(os.getpid()))
        with worker_origin(tmp_path, ("json",)):
            (origin,) = set(descendants(os.getpid())) - earlier
            kill_ray(folder)
            assert os.WTERMSIG(os.waitpid(origin, 0)[1]) == 9
        assert other.poll() is None
        other.kill()
    assert not folder.exists()
