"""Sweeps with a local Ray, and the processes and files that are left after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.cluster import cluster_of
from tests.faults.harness import END_TIMEOUT_S, ROOT, START_TIMEOUT_S, Sweep, assert_whole
from tests.faults.process_tree import descendants, kill_tree
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]


def test_sweeps_of_one_script_listen_on_the_loopback_interface_and_leave_a_cluster_in_reach(tmp_path: Path) -> None:
    with cluster_of(1) as cluster:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        environment |= {"RAY_TMPDIR": cluster.temporary, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
        script = [sys.executable, "-m", "tests.faults.sweeps_in_one_script", tmp_path / "runs", tmp_path / "found.json"]
        subprocess.run(script, check=True, env=environment, cwd=ROOT, timeout=END_TIMEOUT_S)
    several, plain, elsewhere = json.loads((tmp_path / "found.json").read_text())
    assert several["outcomes"] == plain["outcomes"] == elsewhere["outcomes"] == ["completed"]
    names = {name for name, _ in several["listening"]}
    assert {"gcs_server", "raylet", "ray::AlgorithmT", "ray::RunnerActo", "ray::LearnerAct"} <= names
    for sweep in (several, plain):
        assert {address for _, address in sweep["listening"]} == {"127.0.0.1"}
    assert several["left"] == plain["left"] == elsewhere["left"] == []
    assert not (tmp_path / ".ray").exists()  # where Ray would store a token


def test_a_lost_ray_ends_the_sweep_with_the_way_to_go_on(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs", trials=2)
    for victim in ("raylet", "gcs_server"):
        process = sweep.start()
        sweep.wait_for(process, 2)
        said_before = len(sweep.log())
        os.kill(the_process(process.pid, victim), signal.SIGKILL)
        assert process.wait(timeout=60) == 1
        said = sweep.log()[said_before:]
        assert f"({victim}) was ended by signal 9" in said
        assert f"tuneexp resume s --storage {sweep.storage}" in said
        parents, children, _ = sweep.mlflow_runs()
        assert "RUNNING" not in {run.info.status for run in (*parents, *children)}
    assert_whole(sweep, sweep.finish())


@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_training_reports_that_its_ray_is_lost(tmp_path: Path, victim: str) -> None:
    """Ray then ends the process without a message."""
    told = tmp_path / "told.log"
    settings = ["--set", "num_env_runners=1", "--set", "n_envs=2", "--set", "n_steps=32", "--compile", "off"]
    arguments = ["train", "ppo", "CartPole-v1", "--seeds", "1", "--env-steps", "100000000", *settings]
    with (
        told.open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tuneexp", *arguments], stderr=log, stdout=log, cwd=tmp_path, start_new_session=True
        ) as process,
    ):
        try:
            wait_until(lambda: "ray::RunnerActo" in names_below(process.pid), START_TIMEOUT_S)
            os.kill(the_process(process.pid, victim), signal.SIGKILL)
            wait_until(lambda: f"({victim}) was ended by signal 9" in told.read_text(), START_TIMEOUT_S)
        finally:
            kill_tree(process.pid)


def names_below(pid: int) -> list[str]:
    found = []
    for member in descendants(pid):
        with suppress(OSError):
            found.append(Path(f"/proc/{member}/comm").read_text().strip())
    return found


def the_process(driver: int, name: str) -> int:
    (found,) = [pid for pid in descendants(driver) if Path(f"/proc/{pid}/comm").read_text().strip() == name]
    return found
