"""`python -m benchmarks.tuners.sweeps`: real sweeps that check what the replays have found.

Random search, the defaults, and racing on seeds search in a recorded task, as `tuneexp sweep` runs them, with about the
same number of environment steps. The configuration that a sweep chose is trained again on ten seeds that no sweep has
used. Sweeps are stored one by one, so an interrupted measurement continues. `--stored` writes the tables of
stored results. It writes benchmarks/results/sweeps.json and tables of docs/tuners.md."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import one_thread

one_thread()

from benchmarks.recording.tasks import TASKS, RecordedTask
from benchmarks.recording.training import train
from benchmarks.running import RESULTS, Kept, ours
from benchmarks.tuners.storing import PAGE, write_page
from tuneexp.statistics.comparison import probability_of_improvement
from tuneexp.statistics.intervals import Estimate, estimate

SEARCHED = ("ppo_CartPole-v1", "ppo_Acrobot-v1")
FRESH_SEEDS = tuple(range(1000, 1010))
STORED = RESULTS / "sweeps.json"
BEGIN = "<!-- written by python -m benchmarks.tuners.sweeps -->"
RANDOM = "random + fifo, 3 seeds"


class Way(NamedTuple):
    """A sweep: its options on the command line. `trials`: so many that all take about the same environment steps."""

    trials: int
    seeds: int
    options: tuple[str, ...] = ()


WAYS = {
    RANDOM: Way(16, 3, ("--searcher", "random", "--scheduler", "fifo")),
    "tpe + asha (defaults), 3 seeds": Way(34, 3),
    "tpe + asha, racing from 1 to 8 seeds": Way(22, 8, ("--scheduler-option", "seeds/start=1")),
}


def command(task: RecordedTask, way: Way, repetition: int, folder: Path) -> list[str]:
    """Return the words of the sweep's command. It stores everything in `folder`."""
    space = folder / "space.json"
    space.write_text(json.dumps(task.space))
    return [
        "tuneexp", "sweep", task.algorithm, task.env, "--space", str(space), "--env-steps", str(task.env_steps),
        "--report-every-env-steps", str(task.env_steps // task.evaluations), "--trials", str(way.trials),
        "--seeds", _seeds(way.seeds, repetition), "--searcher-seed", str(repetition), "--concurrency", "2",
        *_fixed(task), *way.options, "--name", "bench", "--storage", str(folder / "runs"), "--json",
    ]  # fmt: skip


def swept(task: RecordedTask, way: Way, repetition: int) -> dict[str, Any]:
    """Run a sweep, then train its best configuration on fresh seeds.

    Returns:
        `env_steps` and `cpu_s` of the whole sweep, `wall_s` of its command, the `objective` of its best trial, and its
        `score`, the mean return on the fresh seeds.
    """
    with tempfile.TemporaryDirectory(prefix="tuneexp-bench-") as folder:
        result = ours(*command(task, way, repetition, Path(folder)), worker_name="Trainable")
    best = result["best"]
    point = {name: best["config"][name] for name in task.space}
    fresh = train(replace(task, seeds=FRESH_SEEDS), point, "on")
    return {
        "env_steps": sum(trial["env_steps_spent"] for trial in result["trials"]),
        "cpu_s": result["cpu_s"],
        "wall_s": result["command_s"],
        "objective": best["objective"],
        "score": float(fresh.returns[:, -1].mean()),
        "point": point,
    }


def _seeds(number: int, repetition: int) -> str:
    first = 10 * repetition
    return ",".join(map(str, range(first, first + number)))


def _fixed(task: RecordedTask) -> Iterator[str]:
    settings = {**task.fixed, "evaluation/episodes": task.episodes, "evaluation/final_episodes": task.episodes}
    for name, value in settings.items():
        yield from ("--set", f"{name}={json.dumps(value)}")


def measure(tasks: Sequence[str], repetitions: int, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Return a row for each sweep. The ways take turns."""
    kept = Kept("sweeps", {"ways": WAYS, "fresh_seeds": FRESH_SEEDS})
    rows = []
    for repetition in range(repetitions):
        for task in tasks:
            for name, way in WAYS.items():
                found = kept.take(f"{task}, {name}, {repetition}", partial(swept, TASKS[task], way, repetition))
                rows.append({"task": task, "way": name, "repetition": repetition, **found})
                say(f"{task}, {name}, {repetition}: {found['score']:.1f}, {found['cpu_s']:.0f} CPU s")
    kept.finished()
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of each task."""
    return [
        _table(task, [row for row in rows if row["task"] == task]) for task in dict.fromkeys(r["task"] for r in rows)
    ]


def _table(task: str, rows: Sequence[Mapping[str, Any]]) -> str:
    random = _column(rows, RANDOM, "score")
    lines = [
        f"| {task}, {len(random)} sweeps each | winner on fresh seeds | beats random search | overstated | "
        "million env steps | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        score, objective = _column(rows, way, "score"), _column(rows, way, "objective")
        beats = "" if way == RANDOM else _text(probability_of_improvement(score, random), ".2f")
        lines.append(
            f"| {way} | {_text(estimate(score.tolist()), '.1f')} | {beats} | {(objective - score).mean():.1f} | "
            f"{_column(rows, way, 'env_steps').mean() / 1e6:.2f} | {_column(rows, way, 'cpu_s').mean():.0f} |"
        )
    return "\n".join(lines)


def _column(rows: Sequence[Mapping[str, Any]], way: str, name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows if row["way"] == way], dtype=np.float64)


def _text(one: Estimate, form: str) -> str:
    return f"{one.value:{form}} ({one.low:{form}} to {one.high:{form}})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuners.sweeps", description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=SEARCHED)
    parser.add_argument("--repetitions", type=int, default=6, help="sweeps of each way")
    parser.add_argument("--stored", action="store_true", help="run nothing")
    asked = parser.parse_args(arguments)
    if not asked.stored:
        STORED.write_text(json.dumps(measure(asked.tasks, asked.repetitions), indent=1) + "\n")
    print(write_page(PAGE, markdown(json.loads(STORED.read_text())), BEGIN))


if __name__ == "__main__":
    main()
