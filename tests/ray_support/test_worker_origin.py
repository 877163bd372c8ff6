"""Workers that are forked from a process that has imported what they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.process_tree import descendants, is_alive
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.ray_support.forked_worker_facts"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_a_forked_worker_is_a_worker_as_ray_starts_it(found: dict[str, Any]) -> None:
    one, other = found["forked"]
    assert one["parent"] == other["parent"] == found["origin"]
    assert one["leads_its_group"]
    assert one["folder"] == os.getcwd()
    assert not set(one["drawn"]) & set(other["drawn"])
    assert one["first_to_be_killed"] == "1000"


def test_a_worker_with_an_environment_of_its_own_is_started_as_usual(found: dict[str, Any]) -> None:
    assert found["with_environment"]["parent"] != found["origin"]
    assert found["with_environment"]["variable"] == "yes"


def test_workers_start_as_usual_once_the_origin_has_ended(found: dict[str, Any]) -> None:
    assert found["without_origin"]["parent"] != found["origin"]
    assert found["without_origin"]["first_to_be_killed"] == "1000"
    assert not found["left"]


def test_the_origin_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import pathlib\nfrom tuneexp.ray_support.worker_origin import worker_origin\n"
        f"with worker_origin(pathlib.Path({str(tmp_path)!r}), ('json',)): print('started', flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (origin,) = descendants(process.pid)
        process.kill()
    wait_until(lambda: not is_alive(origin))
