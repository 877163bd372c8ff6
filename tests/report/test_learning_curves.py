"""Learning curves per seed: rows, means, intervals and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tuneexp.report.learning_curves import (
    final_returns,
    interval,
    mean_curve,
    plot_seed_curves,
    save_seed_plot,
    seed_curves,
    stored_curves,
)
from tuneexp.tracking.outbox import Outbox

REPORTS = [
    {"env_steps": 100, "seed/0/return_mean": 1.0, "seed/1/return_mean": 3.0, "return_mean": 2.0},
    {"env_steps": 200, "seed/0/return_mean": 5.0, "seed/1/train_return_mean": 9.0},
]


def test_an_interval_holds_the_mean_and_narrows_with_more_seeds() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(10, 2, 5).tolist(), rng.normal(10, 2, 200).tolist()
    narrow, wide = interval(many), interval(few)
    assert narrow is not None
    assert wide is not None
    assert wide[0] < np.mean(few) < wide[1]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    # The normal approximation of a mean of 200 draws: 10 +- 1.96 * 2 / sqrt(200).
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 * 2 / 200**0.5, rel=0.25)


def test_the_same_seeds_give_the_same_interval_whatever_was_drawn_before() -> None:
    np.random.seed(1)
    first = interval([1.0, 2.0, 4.0, 8.0])
    np.random.seed(2)
    assert interval([1.0, 2.0, 4.0, 8.0]) == first
    assert first is not None
    assert 1.0 <= first[0] < 3.75 < first[1] <= 8.0


def test_two_seeds_are_too_few_for_an_interval() -> None:
    assert interval([1.0, 2.0]) is None
    assert interval([1.0, 2.0, float("nan")]) is None


def test_equal_seeds_have_an_interval_of_no_width() -> None:
    assert interval([500.0] * 4) == (500.0, 500.0)


def test_curves_hold_one_row_a_seed_and_step() -> None:
    assert seed_curves(REPORTS) == [
        {"env_steps": 100, "seed": 0, "return_mean": 1.0},
        {"env_steps": 200, "seed": 0, "return_mean": 5.0},
        {"env_steps": 100, "seed": 1, "return_mean": 3.0},
    ]


def test_a_report_delivered_twice_counts_once() -> None:
    assert seed_curves([*REPORTS, {"env_steps": 100, "seed/0/return_mean": 1.5}])[0]["return_mean"] == 1.5


def test_the_mean_is_over_the_seeds_that_have_a_value() -> None:
    assert mean_curve(seed_curves(REPORTS)) == ([100, 200], [2.0, 5.0])


def test_curves_come_from_what_the_sweep_stored(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for trial, value in ((3, 1.0), (4, 2.0), (3, 7.0)):
        step = 200 if value == 7.0 else 100
        metrics = {"seed/0/return_mean": value}
        outbox.append({"kind": "reported", "at_ms": 0, "trial": trial, "draw": 0, "step": step, "metrics": metrics})
    outbox.close()
    assert stored_curves(tmp_path)[4] == [{"env_steps": 100, "seed": 0, "return_mean": 2.0}]
    assert final_returns(tmp_path, 3) == {0: 7.0}
    assert final_returns(tmp_path, 99) == {}


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_figure_is_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"curves.{ending}"
    save_seed_plot({"trial 0": seed_curves(REPORTS), "trial 1": []}, path, "title")
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if ending == "png" else b"<?xml" in start


@pytest.mark.parametrize(("steps", "marker"), [([10], "o"), ([10, 20], "None")])
def test_a_trial_with_one_report_is_a_point_and_others_are_lines(steps: list[int], marker: str) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    plot_seed_curves([{"env_steps": step, "seed": 0, "return_mean": 1.0} for step in steps], axes)
    assert [line.get_marker() for line in axes.lines] == [marker, marker]
