"""`python -m benchmarks.tuners.populations [TASK ...]`: populations and their controls, in real training.

All methods train the same first members for the same environment steps. The winner of each is trained again on fresh
seeds: with its schedule, or with its fixed configuration. Results are stored after each repetition in
benchmarks/results/populations.json, and the same command continues after a kill. It writes the tables of
docs/tuners.md. `--stored` writes the tables of stored results."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import one_thread

one_thread()

from benchmarks.recording.tasks import TASKS, RecordedTask
from benchmarks.running import RESULTS
from benchmarks.tuners.__main__ import RECORDED
from benchmarks.tuners.population_search import Setup, searched, without_one_for_all
from benchmarks.tuners.printing import grid, interval, percent
from benchmarks.tuners.reading import read_table
from benchmarks.tuners.storing import PAGE, write_page
from benchmarks.tuners.summary import mean_probability
from tuneexp.files.atomic import write_atomically
from tuneexp.statistics.comparison import paired_difference, probability_of_improvement
from tuneexp.statistics.intervals import estimate

STORED = RESULTS / "populations.json"
BEGIN = "<!-- written by python -m benchmarks.tuners.populations -->"
CHOSEN = ("ppo_CartPole-v1", "ppo_Acrobot-v1")
RANDOM, EXPLOIT = "random search", "exploit alone"
METHODS: Mapping[str, str | Mapping[str, Any]] = {
    RANDOM: "random",
    EXPLOIT: {"name": "pbt", "explore": False},
    "pbt": "pbt",
    "pb2": "pb2",
}
Found = Mapping[str, Mapping[str, Any]]  # of one repetition: method -> result of `searched`


class Results:
    """Stored repetitions of each task.

    Args:
        path: of the file.
        setup: size of the searches.

    Raises:
        SystemExit: the file has results of another size.
    """

    def __init__(self, path: Path, setup: Setup) -> None:
        self._path, settings = path, asdict(setup)
        self._stored = read(path) if path.exists() else {"setup": settings, "tasks": {}}
        if self._stored["setup"] != settings:
            raise SystemExit(f"{path} has results of {self._stored['setup']}; move it away to measure {settings}")

    def of(self, task: str) -> list[Found]:
        """Return the repetitions of a task so far."""
        found: list[Found] = self._stored["tasks"].setdefault(task, [])
        return found

    def add(self, task: str, found: Found) -> None:
        self.of(task).append(found)
        write_atomically(self._path, (json.dumps(self._stored, indent=1) + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored


def measure(
    tasks: Sequence[RecordedTask], setup: Setup, repetitions: int, results: Results,
    say: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Train what is missing, the tasks in turns.

    Args:
        tasks: what is trained.
        setup: size of the searches.
        repetitions: of each task.
        results: the file.
        say: prints a line.
    """
    for repetition in range(repetitions):
        for task in map(without_one_for_all, tasks):
            if repetition < len(results.of(task.name)):
                continue
            found = {name: searched(task, setup, method, repetition) for name, method in METHODS.items()}
            results.add(task.name, found)
            shown = ", ".join(f"{name} {np.mean(one['fresh']):.0f} ({one['cpu_s']} s)" for name, one in found.items())
            say(f"{task.name} {repetition}: {shown}")


def compared(name: str, repetitions: Sequence[Found], width: float) -> dict[str, Any]:
    """Return the comparison of the methods on a task, each number with its interval over repetitions.

    Args:
        name: of the task.
        repetitions: results.
        width: range of scores of the task.
    """
    scores = {method: _scores(repetitions, method) for method in METHODS}
    rows: dict[str, Any] = {}
    for method, own in scores.items():
        objectives = np.array([one[method]["objective"] for one in repetitions])
        rows[method] = {
            "score": estimate(own.tolist()),
            "beats_random": probability_of_improvement(own, scores[RANDOM], paired=True),
            "beats_exploit": probability_of_improvement(own, scores[EXPLOIT], paired=True),
            "from_random": paired_difference(own / width, scores[RANDOM] / width, how="mean"),
            "overstated": estimate(((objectives - own) / width).tolist()),
        }
    return {"task": name, "repetitions": len(repetitions), "methods": rows}


def _scores(repetitions: Sequence[Found], method: str) -> NDArray[np.float64]:
    """Mean return of the winner over the fresh seeds, [repetitions]."""
    return np.array([np.mean(one[method]["fresh"]) for one in repetitions])


MEASURES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("mean return on fresh seeds", "score", interval),
    ("beats random search", "beats_random", interval),
    ("beats exploit alone", "beats_exploit", interval),
    ("minus random search, % of the range", "from_random", percent),
    ("overstated, % of the range", "overstated", percent),
)


def markdown(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a table for each measure. tasks: from `compared`."""
    heads = [f"{one['task']}, {one['repetitions']} repetitions" for one in tasks]
    found = []
    for title, name, text in MEASURES:
        rows = []
        for method in METHODS:
            cells = [one["methods"][method][name] for one in tasks]
            mean = [] if name == "score" else [text(_mean(cells))]
            rows.append([method, *map(text, cells), *mean])
        found.append(grid([title, *heads, *([] if name == "score" else ["mean"])], rows))
    return found


def _mean(cells: Sequence[Sequence[float]]) -> list[float]:
    return mean_probability([{"": cell} for cell in cells])[""]


def tables(stored: Mapping[str, Any], recorded: Path = RECORDED) -> list[str]:
    """Return the tables of the page. recorded: folder of the recordings, whose range of scores is the unit."""
    done = {name: found for name, found in stored["tasks"].items() if found}
    widths = {name: float(np.ptp(read_table(recorded / f"{name}.parquet", None, False).scores)) for name in done}
    return markdown([compared(name, found, widths[name]) for name, found in done.items()])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuners.populations", description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"by default {' and '.join(CHOSEN)}")
    parser.add_argument("--repetitions", type=int, default=16, help="of each task")
    parser.add_argument("--stored", action="store_true", help="train nothing")
    asked = parser.parse_args(arguments)
    if not asked.stored:
        chosen = [TASKS[name] for name in asked.tasks or CHOSEN]
        measure(chosen, Setup(), asked.repetitions, Results(STORED, Setup()), lambda line: print(line, flush=True))
    print(write_page(PAGE, tables(read(STORED)), BEGIN))


if __name__ == "__main__":
    main()
