"""Tables of a sweep: trials, reports, and reports by seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.stored import SPACE, store_sweep
from tuneexp import SweepResult, load_study, load_sweep
from tuneexp.files.locks import locked
from tuneexp.report.tables import frame, trial_frame, trial_rows
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.tracking.outbox import Outbox
from tuneexp.tracking.outbox_records import REPORTED, record


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    """A sweep with a completed and an interrupted trial; the second one made a report twice after a kill."""
    storage = tmp_path_factory.mktemp("runs")
    folder = store_sweep(storage)
    outbox = Outbox(folder)
    for value in (30.0, 31.0):
        metrics = {"objective": value, "objective_low": 3.0, "objective_high": 99.0, "seed/10/return_mean": value}
        outbox.append(record(REPORTED, trial=1, draw=0, step=256, metrics=metrics, tags={}))
    outbox.close()
    return load_sweep("kept", storage)


def test_the_table_of_trials_has_their_results_and_flat_hyperparameters(result: SweepResult, tmp_path: Path) -> None:
    table = result.dataframe()
    assert list(table["number"]) == [0, 1]
    assert list(table["best"]) == [True, False]
    assert table["objective"].tolist() == [20.0, 21.0]
    assert table["objective_high"].isna().tolist() == [True, False]  # of the last report, if it has two seeds
    assert table["outcome"].isna().tolist() == [False, True]
    assert {f"config/{name}" for name in SPACE} <= set(table.columns)
    assert table["config/learning_rate"].dtype == float
    table.to_parquet(tmp_path / "trials.parquet")
    table.to_csv(tmp_path / "trials.csv", index=False)
    for again in (pd.read_parquet(tmp_path / "trials.parquet"), pd.read_csv(tmp_path / "trials.csv")):
        assert list(again.columns) == list(table.columns)
        assert again["config/learning_rate"].tolist() == pytest.approx(table["config/learning_rate"].tolist())


def test_the_table_of_reports_has_one_row_for_a_report_that_was_repeated(result: SweepResult) -> None:
    table = result.curves()
    assert table[["number", "report", "env_steps", "objective"]].to_numpy().tolist() == [
        [0, 1, 128, 20.0], [1, 1, 64, 21.0], [1, 2, 256, 31.0],
    ]  # fmt: skip
    assert not [name for name in table.columns if name.startswith("seed")]


def test_reports_by_seed_are_in_long_form(result: SweepResult) -> None:
    table = result.curves(by_seed=True)
    assert table[["number", "env_steps", "seed", "return_mean"]].to_numpy().tolist() == [
        [0, 128, 0, 19.0], [0, 128, 1, 21.0], [1, 64, 0, 19.0], [1, 64, 1, 21.0], [1, 256, 10, 31.0],
    ]  # fmt: skip


def test_the_trials_of_the_pareto_front_are_the_best(result: SweepResult) -> None:
    trials = [
        replace(result.trials[0], trial_number=number, objectives={"return_mean": number, "wall_s": number})
        for number in range(3)
    ]
    table = trial_frame(trial_rows(trials, [0, 2], {}))
    assert table["best"].tolist() == [True, False, True]
    assert table["return_mean"].tolist() == [0, 1, 2]


def test_a_sweep_has_its_tables_while_it_runs(tmp_path: Path) -> None:
    folder = SweepFolder(store_sweep(tmp_path))
    with locked(folder.lock_file):
        running = load_sweep("kept", tmp_path)
    assert running.state == "running"
    assert running.dataframe()["status"].tolist() == ["ended", "running"]
    assert len(running.curves()) == 2


def test_a_list_is_text_so_that_rows_can_be_grouped_by_it(result: SweepResult) -> None:
    trial = replace(result.trials[0], config={"model": {"hidden_sizes": [8, 8]}})
    assert trial_rows([trial], [], {})[0]["config/model/hidden_sizes"] == "[8, 8]"


def test_a_column_of_numbers_and_texts_is_text(tmp_path: Path) -> None:
    rows = [{"x": 0.5, "y": 1}, {"x": "linear:0.1", "y": 2.5}, {"x": None, "y": None}, {"x": True}]
    table = frame(rows, ("number",))
    assert table["x"].tolist()[:2] == ["0.5", "linear:0.1"]
    assert table["y"].tolist()[:2] == [1.0, 2.5]
    table.to_parquet(tmp_path / "mixed.parquet")


def test_the_best_checkpoint_and_the_study_are_those_of_the_sweep(result: SweepResult) -> None:
    assert result.best_checkpoint == result.trials[0].checkpoint
    stored = load_study("kept", result.storage)
    assert [one.params for one in result.study.trials] == [one.params for one in stored.trials]
