"""MLflow's pages after `tuneexp ui NAME`, in a real browser without a click.

The format of MLflow's saved views is not documented; these tests fail when it changes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import (
    CHROMIUM,
    DRIVER,
    axes_of,
    drawn_bars,
    drawn_lines,
    drawn_pixels,
    open_browser,
    rows_of,
    text_of,
    until,
    visit,
)
from tuneexp import Sweep
from tuneexp.sweep import SweepResult
from tuneexp.tracking.outbox import load_position
from tuneexp.tracking.views import experiment_address, sweep_key

if not (CHROMIUM and DRIVER):
    pytest.skip("no Chromium with chromedriver here (Debian: apt-get install chromium chromium-driver)",
                allow_module_level=True)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

VARIED = ("learning_rate", "n_steps", "gamma")
SPACE = {
    "learning_rate": {"loguniform": [1e-4, 1e-2]},
    "n_steps": {"choice": [16, 32]},
    "gamma": {"uniform": [0.9, 0.999]},
}
SETTINGS: dict[str, Any] = {"trials": 3, "seeds": 2, "budget_env_steps": 512, "searcher_seed": 1, "compile": "off"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sweeps(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepResult, SweepResult]:
    """Two sweeps on one environment; the second one has several objectives."""
    settings = {**SETTINGS, "storage": tmp_path_factory.mktemp("storage"), "scheduler": "fifo"}
    second = Sweep("ppo", "CartPole-v1", space=SPACE, name="second", objectives=["return_mean", "wall_s"], **settings)
    made = second.run()
    return Sweep("ppo", "CartPole-v1", space=SPACE, name="first", **settings).run(), made


@pytest.fixture(scope="module")
def printed(sweeps: tuple[SweepResult, SweepResult]) -> Iterator[list[str]]:
    """The links that `tuneexp ui first` prints while it runs: charts, table, all sweeps."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["ui", "first", "--storage", sweeps[0].storage, "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tuneexp", *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        yield [re.findall(r"http\S+", process.stdout.readline())[0] for _ in range(3)]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.fixture
def browser() -> Iterator[Any]:
    """A new browser per test: a page in the background draws no charts."""
    opened = open_browser()
    yield opened
    opened.quit()


def test_the_first_screen_shows_the_objective_and_the_varied_hyperparameters_of_all_trials(
    sweeps: tuple[SweepResult, SweepResult], printed: list[str], browser: Any
) -> None:
    visit(browser, printed[0])
    until(browser, lambda: len(rows_of(browser)) == len(sweeps[0].trials), "list of all trials")
    until(browser, lambda: sorted(axes_of(browser)) == sorted([*VARIED, "objective"]), "axis for each hyperparameter")
    until(browser, lambda: drawn_pixels(browser) > 0, "line in the parallel coordinates")
    # The objective, and the return with the two ends of its interval over seeds.
    trials = len(sweeps[0].trials)
    # MLflow draws each line as two traces.
    until(browser, lambda: drawn_lines(browser)[:2] == [2 * trials, 6 * trials], "curve of each trial")
    below = browser.execute_script(
        "return Math.max(...[...document.querySelectorAll('.js-plotly-plot')].slice(0, 3)"
        ".map(chart => chart.getBoundingClientRect().bottom)) - window.innerHeight"
    )
    assert below <= 0  # nothing to scroll
    assert browser.find_elements(
        "css selector", ".assistant-fab-label"
    )  # MLflow's button while the assistant is closed
    assert "Judges" not in text_of(browser)  # of the pages for language models


def test_the_table_holds_the_numbers_of_all_trials_the_best_on_top(
    sweeps: tuple[SweepResult, SweepResult], printed: list[str], browser: Any
) -> None:
    visit(browser, printed[1])
    columns = ["metrics.`objective`", "metrics.`objective_low`", "metrics.`objective_high`", "tags.`outcome`",
               "metrics.`env_steps`", "metrics.`wall_s`", *(f"params.`{name}`" for name in VARIED)]  # fmt: skip
    rows = until(
        browser,
        lambda: [row for row in rows_of(browser) if all(row.get(column) for column in columns)],
        "row with every column",
    )
    objectives = [float(row["metrics.`objective`"]) for row in rows]
    assert objectives == sorted((trial.objective for trial in sweeps[0].trials), reverse=True)
    rates = {float(row["params.`learning_rate`"]) for row in rows}
    assert rates == {trial.config["learning_rate"] for trial in sweeps[0].trials}


def test_a_sweep_of_several_objectives_shows_them_and_its_pareto_front_on_top(
    sweeps: tuple[SweepResult, SweepResult], printed: list[str], browser: Any
) -> None:
    position = load_position(Path(sweeps[1].storage) / "second")
    root, key = printed[0].partition("#")[0], sweep_key(position.sweep_id)
    visit(browser, experiment_address(root, position.experiment_id, key))
    until(browser, lambda: axes_of(browser)[-2:] == ["return_mean", "wall_s"], "axis for each objective")
    until(browser, lambda: "return_mean vs. wall_s" in text_of(browser), "chart of both objectives")
    visit(browser, experiment_address(root, position.experiment_id, key, charts=False))
    columns = ["metrics.`return_mean`", "metrics.`wall_s`", "tags.`pareto_front`"]
    rows = until(
        browser,
        lambda: [row for row in rows_of(browser) if all(row.get(column) for column in columns)],
        "row with every column",
    )
    front = len(sweeps[1].front)
    assert [row[columns[-1]] for row in rows] == ["true"] * front + ["false"] * (len(rows) - front)


def test_the_sweeps_run_opens_its_trials_and_the_best_one_its_checkpoint(
    sweeps: tuple[SweepResult, SweepResult], printed: list[str], browser: Any
) -> None:
    mlflow, best = sweeps[0].mlflow, sweeps[0].best
    assert best is not None
    run_id = next(trial.mlflow_run_id for trial in sweeps[0].trials if trial.trial_number == best.trial_number)
    visit(
        browser, f"{printed[0].partition('#')[0]}#/experiments/{mlflow['experiment_id']}/runs/{mlflow['parent_run_id']}"
    )
    name = f"first-trial-{best.trial_number}-step-"
    for address, shown in ((f"/runs/{run_id}", name), ("/models/m-", "tuneexp train --resume runs:/")):
        link = f"a[href*='{address}']"
        until(browser, lambda link=link: browser.find_elements("css selector", link), f"link to {address}")[0].click()
        until(browser, lambda shown=shown: shown in text_of(browser), shown)
    assert "/models/m-" in browser.current_url


def test_sweeps_of_one_problem_stand_side_by_side(
    sweeps: tuple[SweepResult, SweepResult], printed: list[str], browser: Any
) -> None:
    visit(browser, printed[2])
    until(browser, lambda: drawn_bars(browser) == 3 * len(sweeps), "bar of each sweep in each chart")
    for sweep in ("first", "second"):
        until(browser, lambda sweep=sweep: f"Group: {sweep}" in text_of(browser), f"group of {sweep}")
