"""Sweeps on a cluster of real nodes: trials on all nodes, a killed node, and refused starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import cluster_of, node, raylet_of
from tests.faults.harness import END_TIMEOUT_S, REPORTS, ROOT, START_TIMEOUT_S, Sweep, assert_whole
from tests.faults.process_tree import command_line, descendants, kill_tree
from tuneexp.ray_support.environment import SENT_TO_WORKERS, SWEEP_SETTINGS
from tuneexp.tracking.outbox_records import current_reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]

HEAD_CPUS = NODE_CPUS = 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(HEAD_CPUS) as found:
        yield found


def sweep_on(cluster: Any, folder: Path, *options: str) -> Sweep:
    # Random values don't depend on which trial ends first.
    options = ("--address", cluster.address, "--searcher", "random", *options)
    return Sweep(folder / "runs", trials=3, concurrency=2, options=options)


def trials_on(added: Any) -> dict[int, dict[str, str]]:
    """Workers of trials on a node: process id -> environment. Ray names a worker after its actor."""
    found = {}
    for pid in descendants(raylet_of(added)):
        with suppress(OSError):
            if "AlgorithmTrainable" in command_line(pid):
                entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
                found[pid] = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return found


def wait_for_trials_on(added: Any, process: subprocess.Popen[str], sweep: Sweep) -> dict[int, dict[str, str]]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (found := trials_on(added)):
        assert process.poll() is None, sweep.log_tail()
        assert time.monotonic() < deadline, sweep.log_tail()
        time.sleep(0.05)
    return found


def wait_for_reports_of_both(process: subprocess.Popen[str], sweep: Sweep) -> None:
    """Wait until two concurrent trials have a checkpoint each."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while [record["status"] for record in sweep.records() if record["checkpoint"]].count("running") < 2:
        assert process.poll() is None, sweep.log_tail()
        assert time.monotonic() < deadline, sweep.log_tail()
        time.sleep(0.01)


def findings(result: dict[str, Any]) -> list[Any]:
    return [[trial[key] for key in ("config", "objective", "env_steps", "outcome")] for trial in result["trials"]]


def steps_of(sweep: Sweep) -> dict[int, list[int]]:
    """Trial -> the env steps of its reports, in the order of delivery to MLflow."""
    return {trial: [report["step"] for report in reports] for trial, reports in current_reports(sweep.folder).items()}


@pytest.fixture(scope="module")
def undisturbed(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, dict[str, Any]]:
    """A completed sweep on two nodes."""
    sweep = sweep_on(cluster, tmp_path_factory.mktemp("undisturbed"))
    added = cluster.add_node(**node(NODE_CPUS))
    try:
        process = sweep.start()
        workers = {**wait_for_trials_on(added, process, sweep), **wait_for_trials_on(cluster.head_node, process, sweep)}
        output, _ = process.communicate(timeout=END_TIMEOUT_S)
    finally:
        cluster.remove_node(added)
    assert process.returncode == 0, sweep.log_tail()
    # The nodes were started without these: the driver has sent them.
    for environment in workers.values():
        assert {name: environment.get(name) for name in SENT_TO_WORKERS} == {
            name: SWEEP_SETTINGS.get(name) for name in SENT_TO_WORKERS
        }
    return sweep, json.loads(output)


def test_a_sweep_runs_on_all_nodes_and_every_store_is_whole(undisturbed: tuple[Sweep, dict[str, Any]]) -> None:
    sweep, result = undisturbed
    assert_whole(sweep, result)
    assert {trial["outcome"] for trial in result["trials"]} == {"completed"}
    assert {len(steps) for steps in steps_of(sweep).values()} == {REPORTS}


def test_trials_of_a_node_that_dies_go_on_elsewhere(
    cluster: Any, tmp_path: Path, undisturbed: tuple[Sweep, dict[str, Any]]
) -> None:
    added = cluster.add_node(**node(NODE_CPUS))
    sweep = sweep_on(cluster, tmp_path)
    process = sweep.start()
    wait_for_reports_of_both(process, sweep)
    assert trials_on(added)
    assert kill_tree(raylet_of(added)) >= 2, "a raylet and its worker"
    output, _ = process.communicate(timeout=END_TIMEOUT_S)
    cluster.worker_nodes.discard(added)
    assert process.returncode == 0, sweep.log_tail()
    result = json.loads(output)
    assert "lost its worker and is retried" in sweep.log()
    progress = sweep.tune_progress()
    (lost,) = [trial for trial in progress if trial["num_failures"]]
    assert lost["last_result"]["iterations_since_restore"] < REPORTS  # not from its beginning
    assert {trial["last_result"]["training_iteration"] for trial in progress} == {REPORTS}
    assert_whole(sweep, result)
    # As if nothing had happened: the same scores, and each report once.
    assert findings(result) == findings(undisturbed[1])
    assert steps_of(sweep) == steps_of(undisturbed[0])


def test_a_node_that_cannot_see_the_storage_is_named_before_any_trial(cluster: Any, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent / "blind"), str(ROOT)])
    added = cluster.add_node(**node(NODE_CPUS, PYTHONPATH=path, TUNEEXP_TEST_BLIND=str(tmp_path / "runs")))
    try:
        sweep = sweep_on(cluster, tmp_path)
        process = sweep.start()
        assert process.wait(timeout=120) == 2, sweep.log_tail()
    finally:
        cluster.remove_node(added)
    *_, said = sweep.log().strip().splitlines()
    assert said.startswith("tuneexp: node ")
    assert f"no access to {sweep.storage}" in said
    assert "--storage" in said
    assert not [path.name for path in sweep.folder.iterdir() if path.name != ".lock"]


def test_trials_that_no_cluster_could_run_are_refused_with_the_numbers(cluster: Any, tmp_path: Path) -> None:
    sweep = sweep_on(cluster, tmp_path, "--set", "num_env_runners=4")
    assert sweep.start().wait(timeout=120) == 2, sweep.log_tail()
    assert f"this trial needs 5 CPUs, the cluster has {HEAD_CPUS}" in sweep.log()
    assert not (sweep.folder / "sweep.json").exists()


def test_a_driver_s_own_node_that_runs_another_python_is_named_before_any_trial(tmp_path: Path) -> None:
    with cluster_of(1, PYTHONPATH=str(Path(__file__).parent / "foreign")) as foreign:
        sweep = sweep_on(foreign, tmp_path)
        assert sweep.start().wait(timeout=120) == 2, sweep.log_tail()
    *_, said = sweep.log().strip().splitlines()
    assert "a Python without tuneexp" in said
    assert sys.executable in said
    assert not (sweep.folder / "sweep.json").exists()
