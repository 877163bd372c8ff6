"""The files in cluster/ are accepted by their tools, and name the installed versions."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

CLUSTER = Path(__file__).parents[1] / "cluster"
CONSTRAINTS = dict(
    line.split("==") for line in (CLUSTER.parent / "constraints.txt").read_text().splitlines() if "==" in line
)


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((CLUSTER / name).read_text()))


def test_the_launcher_accepts_the_ssh_cluster() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = documents("ssh.yaml")
    prepared = prepare_config(config)  # with the launcher's defaults, as `ray up` does it
    validate_config(prepared)
    assert prepared["provider"]["type"] == "local"
    (machines,) = prepared["available_node_types"].values()
    assert machines["min_workers"] == machines["max_workers"] == len(config["provider"]["worker_ips"])


def test_nodes_are_started_with_what_a_sweep_cannot_send_them() -> None:
    """The node itself reads it; tuneexp/ray_support/environment.py sets it for a local Ray."""
    from tuneexp.ray_support.environment import SENT_TO_WORKERS, SWEEP_SETTINGS

    (config,) = documents("ssh.yaml")
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    starts = [*(command for command in commands if "ray start" in command), (CLUSTER / "Dockerfile").read_text()]
    assert len(starts) == 3
    assert "RAY_worker_niceness" not in SENT_TO_WORKERS
    assert all(f"RAY_worker_niceness={SWEEP_SETTINGS['RAY_worker_niceness']}" in start for start in starts)


def test_the_kubernetes_example_has_what_kuberay_needs() -> None:
    claim, cluster, job = documents("kuberay.yaml")
    assert [one["kind"] for one in (claim, cluster, job)] == ["PersistentVolumeClaim", "RayCluster", "RayJob"]
    assert {one["apiVersion"] for one in (cluster, job)} == {"ray.io/v1"}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    spec = cluster["spec"]
    (workers,) = spec["workerGroupSpecs"]
    assert workers["minReplicas"] == workers["replicas"] == workers["maxReplicas"] > 0
    for group in (spec["headGroupSpec"], workers):
        assert isinstance(group["rayStartParams"], dict)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        (mount,) = container["volumeMounts"]
        (volume,) = pod["volumes"]
        assert mount["name"] == volume["name"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert f"--storage {mount['mountPath']} " in job["spec"]["entrypoint"]
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert isinstance(yaml.safe_load(job["spec"]["runtimeEnvYAML"]), dict)


def test_the_job_is_a_sweep_that_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tuneexp.cli import run
    from tuneexp.errors import TuneexpError

    def begun(*args: Any, **kwargs: Any) -> None:
        raise TuneexpError("begun")

    monkeypatch.chdir(CLUSTER.parent)
    monkeypatch.setattr("tuneexp.sweep.Sweep.run", begun)
    words = documents("kuberay.yaml")[2]["spec"]["entrypoint"].split()
    assert words[0] == "tuneexp"
    assert run([*words[1:], "--storage", str(tmp_path)]) == 1  # begun; bad input would be 2


@pytest.mark.parametrize("file", ["ssh.yaml", "kuberay.yaml", "Dockerfile", "mlflow/compose.yaml"])
def test_versions_are_those_of_the_project(file: str) -> None:
    text = (CLUSTER / file).read_text()
    pinned = re.findall(r"\b(mlflow|psycopg2-binary)==([\d.]+)", text)
    pinned += [("ray", number) for number in re.findall(r"(?:ray\[default\]==|rayVersion: |ray:)(\d+\.\d+\.\d+)", text)]
    assert pinned
    assert all(CONSTRAINTS[name] == number for name, number in pinned), pinned


def test_the_constraints_are_what_is_installed() -> None:
    assert {name: CONSTRAINTS[name] for name in ("ray", "mlflow")} == {
        "ray": version("ray"),
        "mlflow": version("mlflow"),
    }


def test_the_mlflow_server_waits_for_its_database_and_keeps_the_password_out_of_the_file() -> None:
    (compose,) = documents("mlflow/compose.yaml")
    server, database = compose["services"]["mlflow"], compose["services"]["postgres"]
    assert server["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert "pg_isready" in database["healthcheck"]["test"][1]
    assert database["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert "${POSTGRES_PASSWORD}@postgres/" in server["environment"]["MLFLOW_BACKEND_STORE_URI"]
