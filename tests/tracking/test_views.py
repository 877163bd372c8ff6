"""Saved views in a real MLflow store. tests/browser shows them in a browser."""

from __future__ import annotations

import base64
import json
import shutil
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.helpers import Server, Store, make_callback, run_trial
from tuneexp import Sweep
from tuneexp.cli import run
from tuneexp.tracking.links import all_sweeps_link, sweep_link
from tuneexp.tracking.outbox import load_position
from tuneexp.tracking.view_store import store_views
from tuneexp.tracking.views import ALL_SWEEPS, TAG_PREFIX, Goal, envelope, is_own, sweep_key, sweep_view, varying

PATIENCE_S = 240.0  # on a busy machine


def state_of(value: str) -> dict[str, Any]:
    """Content of a view's tag, as MLflow's page reads it."""
    packed = json.loads(value)["state"].removeprefix("deflate;")
    return dict(json.loads(zlib.decompress(base64.b64decode(packed))))


def axes(state: dict[str, Any]) -> list[str]:
    return [name for card in state["compareRunCharts"] if card["type"] == "PARALLEL" for name in card["selectedParams"]]


def test_what_all_trials_share_is_neither_axis_nor_column() -> None:
    points = [{"lr": 0.1, "gamma": 0.99, "model/size": 64}, {"lr": 0.2, "gamma": 0.99, "model/size": 32}]
    assert varying(points) == ["lr", "model/size"]
    state = sweep_view("1f", points)
    assert axes(state) == ["lr", "model/size"]
    assert [name for name in state["selectedColumns"] if "params" in name] == ["params.`lr`", "params.`model/size`"]


def test_a_branch_that_only_some_trials_take_varies_and_a_single_trial_shows_all_it_has() -> None:
    assert varying([{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}]) == ["momentum"]
    assert varying([{"lr": 0.1, "gamma": 0.99}]) == ["lr", "gamma"]
    assert axes(sweep_view("1f", [])) == []  # no chart without an axis


def test_chosen_objectives_are_columns_axes_and_curves_and_the_pareto_front_comes_first() -> None:
    params = {
        "objectives": json.dumps(
            [{"name": "return_mean", "direction": "max"}, {"name": "env_steps_to/9", "direction": "min"}]
        ),
        "constraints": '["wall_s<=9"]',
    }
    state = sweep_view("1f", [{"lr": 0.1}, {"lr": 0.2}], goal=Goal.of_params(params))
    assert state["selectedColumns"] == [
        "metrics.`return_mean`", "metrics.`env_steps_to/9`", "tags.`pareto_front`", "tags.`violated`",
        "tags.`outcome`", "metrics.`env_steps`", "metrics.`wall_s`", "params.`lr`",
    ]  # fmt: skip
    assert state["orderByKey"] == "tags.`pareto_front`"
    cards = {card["type"]: card for card in state["compareRunCharts"]}
    assert cards["PARALLEL"]["selectedMetrics"] == ["return_mean", "env_steps_to/9"]
    assert (cards["SCATTER"]["xaxis"]["key"], cards["SCATTER"]["yaxis"]["key"]) == ("return_mean", "env_steps_to/9")
    lines = [card["metricKey"] for card in state["compareRunCharts"] if card["type"] == "LINE"]
    assert lines == ["env_steps_to/9", "return_mean"]


def test_a_single_chosen_objective_orders_the_trials_in_its_direction() -> None:
    state = sweep_view(
        "1f", [{"lr": 0.1}], goal=Goal.of_params({"objectives": '[{"name": "wall_s", "direction": "min"}]'})
    )
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`wall_s`", True)
    assert "tags.`pareto_front`" not in state["selectedColumns"]
    assert Goal.of_params({"objectives": "null"}) == Goal()  # recorded by an earlier version


def test_a_view_that_mlflow_saved_anew_is_not_own() -> None:
    written = envelope("first", {"orderByAsc": False}, 1)
    assert is_own(written)
    by_mlflow = {**json.loads(written), "state": "deflate;eJw="}
    assert not is_own(json.dumps(by_mlflow))
    assert not is_own("deflate;of an older MLflow")


def tags_of(store: Store) -> dict[str, str]:
    (experiment,) = (one for one in store.client.search_experiments() if one.name == "CartPole-v1")
    return dict(store.client.get_experiment(experiment.experiment_id).tags)


@pytest.mark.timeout(600)
def test_a_sweep_has_its_view_while_it_runs_and_persons_views_stay(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    callback.start()
    run_trial(callback, 1, 500, 1000)
    assert callback.interrupt(PATIENCE_S) is None
    position = load_position(tmp_path / "first")
    own = f"{TAG_PREFIX}{sweep_key(position.sweep_id)}"
    shown = state_of(tags_of(store)[own])
    assert position.sweep_id in shown["searchFilter"]
    assert "params.`learning_rate`" in shown["selectedColumns"]
    # Two seeds report; the sections of their metrics are closed.
    closed = [section["name"] for section in shown["compareRunSections"] if not section["display"]]
    assert {"seed/0", "seed/1", "time"} <= set(closed)
    assert json.loads(tags_of(store)[own])["name"] == "first"
    assert sweep_key(position.sweep_id) in str(sweep_link(tmp_path / "first"))
    assert ALL_SWEEPS in str(all_sweeps_link(tmp_path / "first"))
    (tmp_path / "moved").mkdir()
    for kept in ("first", "mlflow.db"):
        (shutil.copytree if kept == "first" else shutil.copy)(tmp_path / kept, tmp_path / "moved" / kept)
    assert sweep_link(tmp_path / "moved" / "first") == sweep_link(tmp_path / "first")

    changed = json.dumps({**json.loads(tags_of(store)[own]), "state": "deflate;of a person", "tuneexp": None})
    for key in (own, f"{TAG_PREFIX}a-persons-own"):
        store.client.set_experiment_tag(position.experiment_id, key, changed)
    store.client.delete_experiment_tag(position.experiment_id, f"{TAG_PREFIX}{ALL_SWEEPS}")
    told: list[str] = []
    store_views(tmp_path / "first", told.append)  # what `tuneexp ui` does
    tags = tags_of(store)
    assert tags[own] == tags[f"{TAG_PREFIX}a-persons-own"] == changed
    assert state_of(tags[f"{TAG_PREFIX}{ALL_SWEEPS}"])["groupBy"]["groupByKeys"][0]["groupByData"] == "tuneexp.sweep"
    assert told == []


class _NoTags(BaseHTTPRequestHandler):
    """Passes all calls on to `target`, except those that set tags of experiments, which it refuses."""

    target = ""
    refused = 0

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if "set-experiment-tag" in self.path:
            type(self).refused += TAG_PREFIX.encode() in (body or b"")  # a description is refused, too
            self._answer(403, b"Permission denied")
            return
        kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
        request = urllib.request.Request(f"{self.target}{self.path}", body, kind, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self._answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def without_right(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A real tracking server that refuses this user's tags of experiments."""
    server.start()
    _NoTags.target, _NoTags.refused = server.uri, 0
    gate = ThreadingHTTPServer(("127.0.0.1", 0), _NoTags)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gate.server_port}")
    yield Store(server.uri)
    gate.shutdown()
    gate.server_close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_the_right_to_set_tags_that_is_reported_once_the_sweep_continues_and_ui_prints_the_plain_link(
    tmp_path: Path, without_right: Store, ray_cluster: None, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
    sweep = Sweep("ppo", "CartPole-v1", space=space, name="first", storage=tmp_path, trials=2, seeds=1,
                  budget_env_steps=256, fixed={"n_steps": 16}, compile="off", scheduler="fifo")  # fmt: skip
    result = sweep.run()
    assert [trial.outcome for trial in result.trials] == ["completed", "completed"]
    assert set(without_right.trials()) == {0, 1}
    assert len([record for record in caplog.records if "saved view" in record.getMessage()]) == 1
    assert _NoTags.refused == 1
    capsys.readouterr()
    assert run(["ui", "first", "--storage", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("all runs of its problem  http://127.0.0.1:")
    assert "viewStateShareKey" not in printed.out  # MLflow would say that this view is not there
    assert printed.err.count("saved view") == 1
