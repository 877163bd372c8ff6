"""Environment of a cluster's workers, and refused addresses; tests/faults/test_cluster.py has the sweeps."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuneexp.errors import UserError
from tuneexp.ray_support.environment import SENT_TO_WORKERS, worker_environment
from tuneexp.sweep import Sweep
from tuneexp.sweep.cluster import loss_detection, nodes, ray_session
from tuneexp.sweep.cluster.address import cluster_address, refuse_unreachable
from tuneexp.sweep.cluster.ray_session import RaySession
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("10.1.2.3", "'10.1.2.3' .*--address HOST:6379, or auto"),
        ("host:port", "address"),
        ("ray://10.1.2.3:10001", "ray job submit"),
        ("127.0.0.1:1", "'127.0.0.1:1' .*refused"),
        ("127.0.0.1:99999", "'127.0.0.1:99999'"),
        ("no-such-host.invalid:6379", "'no-such-host.invalid:6379'"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_at_once(address: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refusal:
        refuse_unreachable(address)
    assert str(refusal.value).count("\n") <= 1


def test_the_address_comes_from_the_option_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_address(None) is None
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert cluster_address(None) == "head:6379"
    assert cluster_address("other:6379") == "other:6379"
    assert cluster_address("local") is None  # this machine, whatever the environment says


@pytest.mark.parametrize(
    ("address", "mode", "advice"),
    [("auto", "token", "RAY_AUTH_MODE=disabled"), ("127.0.0.1:6379", "", "RAY_AUTH_MODE=token")],
)
def test_something_else_than_ray_at_the_address_is_given_up(
    address: str, mode: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own attempt can't be interrupted and continues in its thread. mode: set by Ray if it has found a token."""
    given_up, ended = threading.Event(), threading.Event()
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setattr(ray_session, "CONNECT_LIMIT_S", 0.2)
    monkeypatch.setattr(ray_session, "_join", lambda *args, **common: given_up.wait())
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, shutdown=ended.set))
    with pytest.raises(UserError, match=f"\n.*{advice}"), RaySession(1, address, 1.0) as ray:
        ray.ready()
    given_up.set()
    assert ended.wait(10)  # connected after all, it leaves again


def test_a_submitted_job_keeps_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray refuses a driver that sends a name that its job has set."""
    for name in SENT_TO_WORKERS:
        monkeypatch.setenv(name, "1")
    job = {"runtime_env": {"env_vars": {"OMP_NUM_THREADS": "4"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert worker_environment() == {name: "1" for name in SENT_TO_WORKERS if name != "OMP_NUM_THREADS"}


def test_files_are_named_by_a_path_that_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker on another node has another working folder."""
    (tmp_path / "mine.py").write_text(
        "from gymnasium import Wrapper\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Mine(CartPoleEnv): pass\nclass Around(Wrapper): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
    clip = {"ClipReward": {"min_reward": -1, "max_reward": 1}}
    wrappers: list[Any] = ["mine.py:Around", {"mine.py:Around": None}, clip]
    sweep = Sweep(env="mine.py:Mine", wrappers=wrappers, space=space, name="s", storage=tmp_path / "runs", seeds=1)
    around = f"{tmp_path / 'mine.py'}:Around"
    assert sweep.config.trial.env == f"{tmp_path / 'mine.py'}:Mine"
    assert sweep.config.trial.wrappers == [around, {around: None}, clip]


def trial(**changes: Any) -> dict[str, Any]:
    return {"algorithm": "ppo", "env": "CartPole-v1", "seeds": [0], "hyperparameters": {}, **changes}


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStorage:
    found = CheckpointStorage(str(tmp_path), "s")
    found.make()
    found.write("mark", b"mark")
    return found


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"algorithm": "/nowhere/mine.py:Mine"}, "there is no file /nowhere/mine.py; every node needs"),
        ({"env": "/nowhere/mine.py:Env"}, "there is no file /nowhere/mine.py"),
        ({"wrappers": ["/nowhere/mine.py:Around"]}, "there is no file /nowhere/mine.py"),
        ({"hyperparameters": {"model": "/nowhere/mine.py:Net"}}, "there is no file /nowhere/mine.py"),
        ({"env": "CartPol-v1"}, "unknown environment 'CartPol-v1'"),
    ],
)
def test_a_node_reports_what_it_lacks(store: CheckpointStorage, changes: dict[str, Any], says: str) -> None:
    said = nodes.complaint(store, "mark", "n", trial(**changes), nodes.tuneexp.__version__)
    assert said is not None
    assert says in said
    assert "\n" not in said


def test_a_node_with_another_source_or_version_or_storage_reports_it(store: CheckpointStorage, tmp_path: Path) -> None:
    version = nodes.tuneexp.__version__
    (tmp_path / "mine.py").write_text("from dataclasses import replace\nfrom tuneexp import PPO\nMine = replace(PPO)\n")
    mine = trial(algorithm=f"{tmp_path / 'mine.py'}:Mine", source_hash="of the driver's")
    assert "differs" in str(nodes.complaint(store, "mark", "n", mine, version))
    assert "it has tuneexp" in str(nodes.complaint(store, "mark", "n", trial(), "0.0.1"))
    assert "no access" in str(nodes.complaint(CheckpointStorage(str(tmp_path), "t"), "mark", "n", trial(), version))
    store.write("mark", b"of another sweep")
    assert "no access" in str(nodes.complaint(store, "mark", "n", trial(), version))


def test_a_node_that_has_everything_complains_of_nothing_and_answers(store: CheckpointStorage) -> None:
    assert nodes.complaint(store, "mark", "n" * 20, trial(), nodes.tuneexp.__version__) is None
    assert store.names("mark-*") == ["mark-nnnnnnnnnnnn"]


def test_what_a_node_writes_must_be_seen_by_the_driver(store: CheckpointStorage) -> None:
    """The node has its own folder of the same name, with copies of the files: the driver can't read what it writes."""
    node = nodes.Node("n" * 20, "worker (10.0.0.2)", {"CPU": 1.0})
    assert f"{store.storage} are not visible" in str(nodes._unseen_by_driver(store, "mark", node))
    store.write("mark-nnnnnnnnnnnn", b"")
    assert nodes._unseen_by_driver(store, "mark", node) is None


def test_a_head_that_is_silent_for_long_is_lost_and_one_that_answers_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(loss_detection, "HEAD_LIMIT_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        joined = SimpleNamespace(gcs_address=address, dead_processes=list)
        monkeypatch.setattr(ray._private.worker, "_global_node", joined)
        assert loss_detection.LossDetector().reason() is None
    assert f"its head at {address} has not answered" in str(loss_detection.LossDetector().reason())
    monkeypatch.setattr(loss_detection, "HEAD_LIMIT_S", 1000.0)
    assert loss_detection.LossDetector().reason() is None


def test_a_local_ray_that_is_requested_starts_here_whatever_the_environment_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tuneexp.ray_support import start as ray_start

    folders: list[Path] = []
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setattr(ray_start, "start_local", lambda temporary, *args, **settings: folders.append(temporary.parent))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, shutdown=lambda: None))
    with RaySession(1, "local", 1.0) as started:
        started.ready()
        assert folders[0].exists()
    assert not folders[0].exists()
