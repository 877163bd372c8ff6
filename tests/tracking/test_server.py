"""A real tracking server that dies and restarts, and one that never answers."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path
from statistics import median

import pytest

from tests.tracking.helpers import Server, Store, make_callback, make_trial, report, run_trial, wait_until_delivered
from tuneexp.tracking import delivery_process
from tuneexp.tracking.delivery_process import drain_now, undelivered
from tuneexp.tracking.within import Champion, Closing

CHECKPOINT = Path(__file__).parents[1] / "fixtures" / "format_2" / "sac_episodes"
PATIENCE_S = 90.0
SLACK_S = 15.0  # above a limit in time: other processes share the machine


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_that_stops_in_the_middle_gets_everything_once_it_is_back(tmp_path: Path, server: Server) -> None:
    server.start()
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "state.safetensors").write_bytes(b"weights")
    callback = make_callback(tmp_path)
    callback.start()
    run_trial(callback, 1, 500, 1000)
    interrupted = make_trial(2)
    callback.on_trial_start(0, [], interrupted)
    report(callback, interrupted, 100, 200)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)

    server.stop()
    spent_s = []
    for steps in range(300, 1001, 100):
        start = time.perf_counter()
        report(callback, interrupted, steps)
        spent_s.append(time.perf_counter() - start)
    callback.on_trial_complete(0, [], interrupted)
    run_trial(callback, 3, 500, 1000)
    assert median(spent_s) < 0.1  # a dead server is not waited for
    time.sleep(1.5)  # it tries meanwhile, in vain
    left = undelivered(tmp_path / "first")
    assert left is not None
    assert left.records > 10
    assert str(server.port) in left.reason

    server.start()
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    assert callback.finish([{"trial": 1}], 1, str(checkpoint), PATIENCE_S) is None
    store = Store(server.uri)
    runs = store.trials()
    assert {number: store.steps(run) for number, run in runs.items()} == {
        1: [500, 1000],
        2: list(range(100, 1001, 100)),
        3: [500, 1000],
    }
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    (parent,) = store.parents()
    (model,) = store.client.search_logged_models([parent.info.experiment_id])
    assert model.artifact_location.startswith("mlflow-artifacts:/")  # the server keeps it, not this machine's folder
    assert list((tmp_path / "server" / "artifacts").rglob("state.safetensors"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_killed_at_random_while_it_answers_neither_loses_nor_doubles(
    tmp_path: Path, server: Server, chance: random.Random
) -> None:
    server.start()
    callback = make_callback(tmp_path)
    callback.start()
    for number in range(1, 41):
        run_trial(callback, number, 250, 500, 750, 1000)
        if number == 1:
            assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    time.sleep(chance.uniform(0.1, 0.5))  # dozens of runs are being created now
    server.stop()
    server.start()
    assert callback.finish([], 5, None, PATIENCE_S) is None
    store = Store(server.uri)
    runs = store.trials()
    assert set(runs) == set(range(1, 41))
    assert all(store.steps(runs[number]) == [250, 500, 750, 1000] for number in range(1, 41, 5))
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.parents()) == 1


def test_without_a_server_the_sweep_ends_in_time_and_prints_how_to_deliver(tmp_path: Path, server: Server) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    (process,) = delivery_process._running.values()
    assert process.ready.wait(PATIENCE_S)  # the limit counts from when MLflow is loaded
    start = time.monotonic()
    left = callback.finish([{"trial": 1}], 1, None, timeout_s=4.0)
    assert time.monotonic() - start < 4.0 + SLACK_S
    assert left is not None
    assert left.records == 6  # the sweep, the trial's start, two reports, its end, the summary
    assert f"tuneexp resume first --storage {tmp_path}" in str(left)
    assert len(str(left).splitlines()) == 2  # the reason, and the command to write


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_a_dead_server_missed_is_delivered_later_by_another_process_also_beside_a_dead_proxy(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    champion = Champion(name="first", about="Winners.", description="204 (190 to 210)", tags={}, files="")
    closing = Closing(champion=champion)
    assert callback.finish([{"trial": 1}], 1, str(CHECKPOINT), timeout_s=0.5, closing=closing) is not None
    server.start()
    with monkeypatch.context() as settings:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            settings.setenv(name, "http://127.0.0.1:9")
        settings.setenv("no_proxy", "example.org")
        assert drain_now(tmp_path / "first", PATIENCE_S) is None
    store = Store(server.uri)
    assert store.steps(store.trials()[1]) == [500, 1000]
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    version = store.client.get_model_version_by_alias("first", "champion")
    assert version.description == "204 (190 to 210)"
    with monkeypatch.context() as settings:
        settings.setattr(delivery_process, "finish_delivery", pytest.fail)  # nothing left: no process, no MLflow
        assert drain_now(tmp_path / "first", PATIENCE_S) is None


def test_a_server_that_accepts_and_never_answers_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        callback = make_callback(tmp_path)
        start = time.monotonic()
        run_trial(callback, 1, 500, 1000)
        assert time.monotonic() - start < SLACK_S  # a request would wait for two minutes
        (process,) = delivery_process._running.values()
        assert process.ready.wait(PATIENCE_S)
        start = time.monotonic()
        left = callback.finish([], None, None, timeout_s=3.0)
        assert time.monotonic() - start < 3.0 + SLACK_S
    assert left is not None


@pytest.mark.parametrize(
    "uri",
    ["http://me:geheim@127.0.0.1:1", "http://geheim@127.0.0.1:1?token=geheim", "mysql://127.0.0.1/x?passwd=geheim"],
)
def test_passwords_in_the_address_are_neither_stored_nor_shown(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500)
    left = callback.finish([], None, None, timeout_s=2.0)
    assert left is not None
    assert left.reason
    assert "geheim" not in str(left)
    assert "geheim" not in callback.ids().tracking_uri
    for path in (tmp_path / "first" / "outbox").iterdir():
        assert "geheim" not in path.read_text(), path.name


@pytest.mark.slow
def test_another_store_at_a_resume_gets_the_whole_sweep(
    tmp_path: Path, store: Store, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    assert callback.finish([], 1, None, PATIENCE_S) is None
    other = Store(f"sqlite:///{tmp_path}/other.db")
    Path(other.uri.removeprefix("sqlite:///")).write_bytes(fresh_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other.uri)
    resumed = make_callback(tmp_path)
    run_trial(resumed, 2, 500, 1000)
    assert resumed.finish([], 1, None, PATIENCE_S) is None
    assert {number: other.steps(run) for number, run in other.trials().items()} == {1: [500, 1000], 2: [500, 1000]}
    assert set(store.trials()) == {1}


@pytest.mark.slow
def test_a_store_that_lost_its_database_gets_the_whole_sweep_again(
    tmp_path: Path, store: Store, fresh_database: Path
) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    assert callback.finish([], 1, None, PATIENCE_S) is None
    path = tmp_path / "mlflow.db"
    path.unlink()
    path.write_bytes(fresh_database.read_bytes())
    resumed = make_callback(tmp_path)
    run_trial(resumed, 2, 500)
    assert resumed.finish([], 1, None, PATIENCE_S) is None
    other = Store(f"{store.uri}?fresh")  # MLflow caches one engine per address; this one opens the new file
    assert set(other.trials()) == {1, 2}
