"""`python -m benchmarks.tuners.racing`: seeds of a trial, replayed on the recorded learning curves.

At an equal cost, in trainings of one seed: all seeds at once, one seed, and racing. It writes
benchmarks/results/racing.json and the tables of docs/tuners.md. `--stored` writes the tables of stored results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import one_thread

one_thread()

from benchmarks.running import RESULTS
from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.methods import Method, label_of
from benchmarks.tuners.metrics import at
from benchmarks.tuners.recorded_page import RecordedPage
from benchmarks.tuners.replay import Search, Trace, drawn_seeds
from benchmarks.tuners.searches import Searches
from tuneexp.statistics.comparison import probability_of_improvement

BUDGETS = (24, 48, 96)  # trainings of one seed
FINAL = 8
STORED = RESULTS / "racing.json"
BEGIN = "<!-- written by python -m benchmarks.tuners.racing -->"


class Way(NamedTuple):
    """A way to spend seeds: a method, and the number of seeds of a whole trial."""

    method: Method
    seeds: int

    def __str__(self) -> str:
        plural = "seed" if self.seeds == 1 else "seeds"
        return f"{label_of(self.method.sampler)} + {label_of(self.method.scheduler)}, {self.seeds} {plural}"


def scheduled(**options: Any) -> Method:
    """Return `tpe` with `asha`."""
    return Method("tpe", json.dumps({"name": "asha", **options}))


RANDOM = Way(Method("random", "fifo"), 3)
WAYS = (
    RANDOM,
    Way(Method("tpe", "asha"), FINAL),
    Way(Method("tpe", "asha"), 1),
    Way(scheduled(promote=True), FINAL),
    Way(scheduled(promote=True), 1),
    Way(scheduled(seeds={"start": 1, "standard_errors": 0.0}), FINAL),
    Way(scheduled(seeds={"start": 1, "standard_errors": 1.0}), FINAL),
)


def measured(table: CurveTable, way: Way, traces: Sequence[Trace], budget: int) -> dict[str, NDArray[np.float64]]:
    """Return what each search has found at a cost.

    Args:
        table: the configurations and their curves.
        way: what was searched with.
        traces: searches with the seeds 0, 1, 2, ...
        budget: cost in trainings of one seed.

    Returns:
        `score`, the mean of all recorded seeds of the chosen configuration, and as shares of the range of scores its
        `regret`, and by how much the objective `overstated` the mean of the seeds that the search has not drawn; [n].
    """
    spent = budget / way.seeds * table.budget_env_steps
    rows = np.array([at(trace.env_steps, trace.row, [spent], -1)[0] for trace in traces]).astype(int)
    objective = np.array([at(trace.env_steps, trace.objective, [spent], np.nan)[0] for trace in traces])
    score = np.where(rows < 0, table.scores.mean(), table.scores[rows])
    width = float(np.ptp(table.scores)) or 1.0
    unseen = np.array([_unseen(table, row, way.seeds, seed) if row >= 0 else np.nan for seed, row in enumerate(rows)])
    return {"score": score, "regret": (table.scores.max() - score) / width, "overstated": (objective - unseen) / width}


def _unseen(table: CurveTable, row: int, seeds: int, seed: int) -> float:
    return float(np.delete(table.returns[row][:, -1], drawn_seeds(table, row, seeds, seed)).mean())


def compared(table: CurveTable, repetitions: int, jobs: int) -> list[dict[str, Any]]:
    """Return a row for each way and cost."""
    rows: list[dict[str, Any]] = []
    random: dict[int, NDArray[np.float64]] = {}
    with Searches(table, jobs) as searches:
        for way in WAYS:
            search = Search(way.seeds, full_trainings=max(BUDGETS) // way.seeds)
            traces = searches.run(way.method, search, repetitions)
            for budget in BUDGETS:
                found = measured(table, way, traces, budget)
                baseline = random.setdefault(budget, found["score"])
                own = {
                    "median_regret": float(np.median(found["regret"])),
                    "mean_regret": float(found["regret"].mean()),
                    "overstated": float(np.nanmean(found["overstated"])),
                    "beats_random": probability_of_improvement(found["score"], baseline)[0],
                }
                rows.append({"table": table.name, "way": str(way), "budget": budget, **own})
            print(table.name, way, flush=True)
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tables of the page: median regret, probability of beating random search, overstatement."""
    cells = {(row["way"], row["table"], row["budget"]): row for row in rows}
    tables = list(dict.fromkeys(row["table"] for row in rows))
    ways = list(dict.fromkeys(row["way"] for row in rows))

    def page(title: str, text: Any) -> str:
        lines = [f"| {title} | {' | '.join(tables)} |", f"|{'---|' * (len(tables) + 1)}"]
        for way in ways:
            values = (" / ".join(text(cells[way, table, budget]) for budget in BUDGETS) for table in tables)
            lines.append(f"| {way} | {' | '.join(values)} |")
        return "\n".join(lines)

    return [
        page("median regret, %", lambda row: f"{100 * row['median_regret']:.1f}"),
        page("beats random", lambda row: f"{row['beats_random']:.2f}"),
        page("overstated, %", lambda row: f"{100 * row['overstated']:.1f}"),
    ]


OF_PAGE = RecordedPage("racing", __doc__, 50, compared, markdown, STORED, BEGIN)

if __name__ == "__main__":
    OF_PAGE.main()
