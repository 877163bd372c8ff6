"""Text of users and errors is printed literally: control characters are escaped, [brackets] are no markup."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from tests.cli.conftest import Done
from tests.faults.stored import store_sweep
from tuneexp.cli.terminal import terminal
from tuneexp.report.formatting import visible
from tuneexp.report.leaderboard import TrialState, leaderboard_rows, render_leaderboard, sweep_table
from tuneexp.report.live import LiveView, LogView, SweepProgress
from tuneexp.sweep import load_config, load_sweep
from tuneexp.sweep.events import SweepEvent
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.sweep_config import save_config

Cli = Callable[..., Done]
NASTY = "\x1b[31m[v2][/x]:boom:\x9b\u202e"
SHOWN = r"\x1b[31m[v2][/x]:boom:\x9b\u202e"


def rendered(renderable: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=300).print(renderable)
    return out.getvalue()


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert visible("a\x1b[2J\x00\r\t\udcffé☃\nb") == "a\\x1b[2J\\x00\\r\\t\\udcffé☃\nb"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A stored sweep with control characters and markup in its environment, reasons and values."""
    folder = SweepFolder(store_sweep(tmp_path / "runs"))
    config = load_config("kept", tmp_path / "runs")
    trial = config.trial.model_copy(update={"env": NASTY, "algorithm": NASTY})
    save_config(folder, config.model_copy(update={"trial": trial}))
    found = snapshot.load(folder)
    assert found is not None
    best, other = found.records
    best.config["model"]["activation"] = NASTY
    snapshot.commit(folder, Snapshot(found.state, [best, replace(other, outcome=NASTY, reason=NASTY)]))
    return tmp_path / "runs"


def test_list_and_show_print_it_as_text_and_json_keeps_it(runs: Path, tuneexp: Cli) -> None:
    listed, shown = tuneexp("list"), tuneexp("show", "kept")
    assert (listed.code, shown.code) == (0, 0), listed.err + shown.err
    for line in ("kept  interrupted", SHOWN):
        assert line in listed.out
    assert f"trial 1 {SHOWN}: {SHOWN}" in shown.out
    assert f"activation={SHOWN}" in shown.out
    assert "\x1b" not in listed.out + shown.out + shown.err
    assert json.loads(tuneexp("show", "kept", "--json").out)["trials"] == load_sweep("kept", runs).as_json()["trials"]
    assert json.loads(tuneexp("list", "--json").out)["sweeps"][0]["env"] == NASTY


def test_tables_and_lines_of_a_running_sweep_show_it_as_text() -> None:
    event: Any = SweepEvent("ended", 0, "id0", {NASTY: NASTY}, 10, 1.0, NASTY, NASTY, False)
    out = io.StringIO()
    with LogView(Console(file=out, width=300), SweepProgress(2, 10), NASTY) as view:
        view.on_event(event)
    assert out.getvalue().count(SHOWN) >= 4
    progress = SweepProgress(2, 10)
    progress.take(event)
    picture = rendered(LiveView(Console(file=io.StringIO(), width=300), progress, NASTY).picture())
    trials = [TrialState(0, {NASTY: NASTY}, outcome=NASTY)]
    table = rendered(render_leaderboard(leaderboard_rows(trials, [NASTY])))
    sweeps = rendered(sweep_table([{"name": NASTY, "state": "unreadable", "reason": NASTY}]))
    for text in (out.getvalue(), picture, table, sweeps):
        assert SHOWN in text
        assert "\x1b" not in text


def test_notes_and_log_lines_and_errors_show_it_as_text(tuneexp: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as screen:
        screen.note(NASTY)
        screen.show_text(NASTY)
        logging.getLogger("tuneexp.x").warning("%s", NASTY)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [SHOWN]
    assert captured.err.splitlines() == [SHOWN, SHOWN]
    refused = tuneexp("evaluate", NASTY)
    assert refused.err.startswith(f"tuneexp: '{SHOWN}' is no checkpoint")
    assert "\x1b" not in refused.err
