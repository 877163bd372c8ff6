"""Sweeps with a Ray of their own on this machine, and what stays behind when they are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.cluster import cluster_of
from tests.faults.harness import END_TIMEOUT_S, ROOT

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
