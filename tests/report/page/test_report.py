"""The report of stored sweeps: the page, its tables, what is left out, and refused input."""

from __future__ import annotations

import html
import json
import re
import shutil
import tarfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.report.page.sweeps import SPACE, store
from tests.report.test_confirmation import LOW, found
from tuneexp import UserError, load_sweep
from tuneexp.files.locks import locked
from tuneexp.report.page.confirm_sections import confirm_sections, confirmation_rows
from tuneexp.report.page.curves import Curve
from tuneexp.report.page.document import page_of
from tuneexp.report.page.figures import curves_figure
from tuneexp.report.page.parts import Drawing, Grid, Lines, Section, Words
from tuneexp.report.page.writing import Report, write_report
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder

LEFT = Path(__file__).parents[2] / "fixtures" / "format_2" / "left.tar.xz"
SECTIONS = [
    "Summary", "Leaderboard", "Learning curves", "Optimisation history", "Importance of hyperparameters",
    "Parallel coordinates", "Slices", "Contours", "Trials over the budget", "Rank stability", "Outcomes and seconds",
]  # fmt: skip
OF_MANY = {"Importance of hyperparameters", "Parallel coordinates", "Slices", "Contours", "Rank stability"}
OF_SEVERAL = ["Sweeps side by side", "Best trial of each sweep", "Progress of the searches"]


def titles(page: str) -> list[str]:
    return re.findall(r"<section[^>]*><h\d>(.*?)</h\d>", page)


def figures(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    store(folder)
    store(folder, "other", trials=8, searcher="random", scheduler="fifo")
    return folder


@pytest.fixture(scope="module")
def report(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """Page and facts of a report of two sweeps."""
    out = tmp_path_factory.mktemp("out") / "both.html"
    found = write_report([load_sweep(name, storage) for name in ("kept", "other")], out)
    return out.read_text(), found


def test_a_page_has_every_section_and_needs_no_network(report: tuple[str, Report]) -> None:
    page, found = report
    assert titles(page) == [*OF_SEVERAL, *SECTIONS, *SECTIONS]
    assert found.left_out == []
    assert page.count("plotly.js v") == 1
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert "default-src 'none'" in page
    assert len(figures(page)) > 2 * 8
    assert "not comparable" not in page


def test_the_tables_are_there_as_parquet_and_csv(report: tuple[str, Report]) -> None:
    folder = Path(report[1].tables)
    names = {path.stem for path in folder.iterdir()}
    assert names == {"sweeps", "trials", "reports", "seeds", "levels", "rank_stability", "times", "importances"}
    for name in names:
        table, text = pd.read_parquet(folder / f"{name}.parquet"), pd.read_csv(folder / f"{name}.csv")
        assert list(table.columns) == list(text.columns)
        assert table["sweep"].tolist() == text["sweep"].tolist()
    trials = pd.read_parquet(folder / "trials.parquet")
    assert trials.groupby("sweep").size().to_dict() == {"kept": 12, "other": 8}
    assert pd.read_parquet(folder / "importances.parquet").groupby("sweep")["importance"].sum().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("state", ["running", "interrupted"])
def test_a_sweep_that_has_not_ended_is_reported_with_its_state(tmp_path: Path, state: str) -> None:
    folder = SweepFolder(store(tmp_path, trials=4, open_trials=2))
    with locked(folder.lock_file) if state == "running" else nullcontext():
        page = load_sweep("kept", tmp_path).report(tmp_path / "now.html").read_text()
    assert {"running": "This sweep is running", "interrupted": "This sweep was interrupted"}[state] in page
    assert ("tuneexp resume kept" in page) is (state == "interrupted")
    assert titles(page) == SECTIONS


def test_a_sweep_of_another_user_is_reported_without_its_study(tmp_path: Path) -> None:
    with tarfile.open(LEFT) as archive:
        archive.extractall(tmp_path, filter="data")
    found = write_report([load_sweep("left", tmp_path)], tmp_path / "page.html")
    reasons = {line.split(": ")[1]: line for line in found.left_out}
    assert "not signed with your key" in reasons["Optimisation history"]
    assert {"Summary", "Leaderboard", "Learning curves", "Outcomes and seconds"}.isdisjoint(reasons)


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ({"trials": 1}, OF_MANY),
        ({"trials": 3, "open_trials": 3}, {"Optimisation history", *OF_MANY}),
        ({"space": {"learning_rate": {"choice": [1e-3, 2e-3, 3e-3]}}}, {"Contours"}),
    ],
    ids=["one trial", "none completed", "one categorical hyperparameter"],
)  # fmt: skip
def test_what_cannot_be_drawn_is_left_out_with_a_reason(
    tmp_path: Path, settings: dict[str, Any], left_out: set[str]
) -> None:
    store(tmp_path, **settings)
    found = write_report([load_sweep("kept", tmp_path)], tmp_path / "page.html")
    assert {line.split(": ")[1] for line in found.left_out} == left_out
    assert Path(found.page).read_text().count('class="left-out"') == len(left_out)


def test_trials_that_failed_before_their_first_report_are_reported(tmp_path: Path) -> None:
    folder = SweepFolder(store(tmp_path, trials=2))
    shutil.rmtree(folder.path / "outbox")
    stored = snapshot.load(folder)
    assert stored is not None
    failed = {"outcome": "error", "reason": "<no> file", "objective": None, "env_steps": 0, "objectives": {}}
    records = [replace(record, **failed) for record in stored.records]
    snapshot.commit(folder, replace(stored, records=records))
    result = load_sweep("kept", tmp_path)
    page = result.report(tmp_path / "page.html", [result]).read_text()
    assert result.state == "failed"
    assert "Every trial of this sweep failed" in page
    assert "&lt;no&gt; file" in page
    assert {"Best trial of each sweep", "Progress of the searches"} <= set(titles(page))


def test_categorical_hyperparameters_have_contours(tmp_path: Path) -> None:
    space = {"learning_rate": {"choice": [1e-3, 2e-3, 3e-3]}, "model/activation": {"choice": ["tanh", "relu"]}}
    store(tmp_path, space=space)
    assert write_report([load_sweep("kept", tmp_path)], tmp_path / "page.html").left_out == []


def test_several_objectives_have_a_pareto_front(tmp_path: Path) -> None:
    store(tmp_path, seeds=1, scheduler="fifo", objectives=["return_mean", "wall_s"], completed=1.0)
    found = write_report([load_sweep("kept", tmp_path)], tmp_path / "page.html")
    assert found.left_out == []
    assert titles(Path(found.page).read_text()) == [*SECTIONS[:3], "Pareto front", *SECTIONS[3:]]


def test_text_of_users_is_escaped() -> None:
    evil = "</script><script>alert(1)</script>"
    page = page_of(evil, evil, [(evil, [Section(evil, [Words(evil), Grid([evil], [[evil]])], left_out=evil)])])
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") == 10


def test_a_name_in_a_figure_does_not_end_its_script() -> None:
    name = "</script><!--<script>"
    drawing = Drawing(curves_figure([Curve(0, [1, 2], [1.0, 2.0], [], [])], [name]))
    (figure,) = figures(page_of("", "", [("", [Section("", [drawing])])]))
    assert html.unescape(figure["data"][0]["name"]) == name


def test_a_confirmation_is_a_section_with_its_lines_table_and_intervals() -> None:
    data = SimpleNamespace(confirmations=[found([value + 100.0 for value in LOW])])
    (made,) = confirm_sections(data)  # type: ignore[arg-type]
    lines, grid, _, drawing = made.parts
    assert isinstance(lines, Lines)
    assert "better by 100.0" in lines.text
    assert isinstance(grid, Grid)
    assert [row[0] for row in grid.rows] == ["trial 3", "defaults"]
    assert isinstance(drawing, Drawing)
    assert list(drawing.figure.data[0].x) == [202.0, 102.0]
    rows = confirmation_rows(data.confirmations)
    assert [(row["name"], row["before"], row["over_defaults"]) for row in rows] == [
        ("trial 3", 200.0, 100.0), ("defaults", None, None),
    ]  # fmt: skip


def test_input_that_is_refused(storage: Path, tmp_path: Path) -> None:
    result = load_sweep("kept", storage)
    for out, words in (
        ("page.txt", ".html"),
        (tmp_path / "none" / "page.html", "no folder"),
        (tmp_path, ".html"),
        ("a\0.html", ".html"),
    ):
        with pytest.raises(UserError, match=words):
            write_report([result], out)
    (tmp_path / "page.html").mkdir()
    (tmp_path / "tables").touch()  # a file where the folder of the tables would be
    for name in ("page.html", "tables.html", f"{'x' * 300}.html"):
        with pytest.raises(UserError, match="can't be written"):
            write_report([result], tmp_path / name)


def test_a_sweep_without_trials_is_refused(tmp_path: Path) -> None:
    folder = store(tmp_path, trials=1)
    (folder / "snapshot.zip").unlink()
    with pytest.raises(UserError, match="no trials yet"):
        write_report([load_sweep("kept", tmp_path)], tmp_path / "page.html")


def test_the_space_of_the_fixture_is_the_one_that_is_drawn(report: tuple[str, Report]) -> None:
    names = pd.read_parquet(Path(report[1].tables) / "importances.parquet")["hyperparameter"]
    assert set(names) == set(SPACE)


@pytest.mark.slow
def test_500_trials_with_100_reports_take_at_most_20_seconds(tmp_path: Path) -> None:
    store(tmp_path, trials=500, reports=100, seeds=4, more_metrics=16, completed=1.0, scheduler="fifo")
    begin = time.process_time()
    found = write_report([load_sweep("kept", tmp_path)], tmp_path / "page.html")
    assert time.process_time() - begin < 20  # measured: 9 s
    assert Path(found.page).stat().st_size < 8e6
    assert found.left_out == []
