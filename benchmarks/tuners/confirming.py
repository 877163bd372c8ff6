"""`python -m benchmarks.tuners.confirming`: overstatement of `tuneexp tune`, replayed on the recorded learning curves.

A search with the defaults of `tune` ends after 64 trials. Its best three configurations are confirmed on five seeds
that it has not drawn. The seeds that are left measure by how much each score is too high. It writes
benchmarks/results/confirming.json and the tables of docs/tuners.md. `--stored` writes the tables of stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.clock import one_thread

one_thread()

from benchmarks.running import RESULTS
from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.methods import DEFAULT
from benchmarks.tuners.printing import grid, percent
from benchmarks.tuners.recorded_page import RecordedPage
from benchmarks.tuners.replay import Search, Trace, drawn_seeds
from benchmarks.tuners.searches import Searches
from tuneexp.statistics.intervals import estimate
from tuneexp.sweep.confirming.candidates import MOST
from tuneexp.sweep.confirming.comparison import confirmed, winner
from tuneexp.sweep.confirming.costs import FORMS
from tuneexp.sweep.confirming.scores import SeedScores
from tuneexp.sweep.tuning.tune import SEEDS

TRIALS = 64
CONFIRMED_ON = FORMS[-1][1]  # the fewest seeds on which `tune` confirms; the ten of a recording allow no more
STORED = RESULTS / "confirming.json"
BEGIN = "<!-- written by python -m benchmarks.tuners.confirming -->"
MEASURES = {
    "search": "the search's best score",
    "mean": "the winner's mean on the seeds of the confirmation",
    "iqm": "its interquartile mean",
    "printed": "the same, corrected for the choice: the score of `tune`",
}


def overstated(table: CurveTable, trace: Trace, seed: int) -> dict[str, float]:
    """Return by how much each score of `MEASURES` is above the mean of seeds that it has not seen.

    Args:
        table: the configurations and their curves.
        trace: the search.
        seed: of the search.

    Returns:
        Shares of the range of scores. The seeds of a configuration are drawn for it alone: no two have seeds in common.
    """
    best = sorted(trace.completed, key=lambda row: -trace.completed[row])[:MOST]
    ends = {row: np.delete(table.returns[row][:, -1], drawn_seeds(table, row, SEEDS, seed)) for row in best}
    scores = {row: SeedScores(dict(enumerate(ends[row][:CONFIRMED_ON].tolist())), []) for row in best}
    chosen = winner([confirmed(f"trial {row}", {}, found, None, None) for row, found in scores.items()])
    assert chosen is not None  # a search completes its first trial
    of_winner = ends[int(chosen.name.removeprefix("trial "))]
    unseen = of_winner[CONFIRMED_ON:].mean()
    found = {
        "search": trace.completed[best[0]] - ends[best[0]].mean(),
        "mean": of_winner[:CONFIRMED_ON].mean() - unseen,
        "iqm": chosen.score - unseen,
        "printed": chosen.corrected.value - unseen,
    }
    return {name: float(value / (np.ptp(table.scores) or 1.0)) for name, value in found.items()}


def measured(table: CurveTable, repetitions: int, jobs: int) -> list[dict[str, Any]]:
    """Return one row: the median and mean over searches of each overstatement, with their intervals."""
    with Searches(table, jobs) as searches:
        traces = searches.run(DEFAULT, Search(SEEDS, full_trainings=TRIALS, trials=TRIALS), repetitions)
    found = [overstated(table, trace, seed) for seed, trace in enumerate(traces)]
    values = {name: [one[name] for one in found] for name in MEASURES}
    row = {
        "table": table.name,
        "repetitions": repetitions,
        "trials": float(np.mean([trace.trials for trace in traces])),
        "median": {name: estimate(values[name], "median") for name in MEASURES},
        "mean": {name: estimate(values[name]) for name in MEASURES},
    }
    return [row]


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tables of the page: mean and median over searches."""
    return [
        grid(
            [f"{how} overstatement, %", *(row["table"] for row in rows)],
            [[text, *(percent(row[how][name]) for row in rows)] for name, text in MEASURES.items()],
        )
        for how in ("mean", "median")
    ]


OF_PAGE = RecordedPage("confirming", __doc__, 100, measured, markdown, STORED, BEGIN)

if __name__ == "__main__":
    OF_PAGE.main()
