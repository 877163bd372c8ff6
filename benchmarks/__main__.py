"""`python -m benchmarks PART --peers PYTHON`: measure, store, and write docs/benchmarks.md.

`python -m benchmarks learn [--only NAME ...] [--jobs N] [--again]`: train every algorithm, and write docs/learning.md.
Each measurement is stored at once, so an interrupted part continues. PART page: only write both pages again."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

from benchmarks import (
    earlier,
    gpu,
    learning,
    machine,
    pieces,
    report,
    report_training,
    runners,
    starts,
    sweep,
    training,
)
from benchmarks.work import PARTS

say = functools.partial(print, flush=True)
CHOICES = ["all", *PARTS, "commits", "replay", "images", "sweep", "starts", "runners", "gpu", "learn", "page"]


def main() -> None:
    asked = _asked()
    if asked.part == "learn":
        learning.measure(asked.only, asked.jobs, asked.again, asked.env_steps, say)
    elif asked.part == "gpu" and gpu.gpu_name() is None:
        say(gpu.NOT_HERE)
    else:
        _measure(asked)
        if asked.env_steps is None:
            say(report.table(("what", "measured", "target", "reached"), [target.row() for target in report.targets()]))
            say(report.write_page().relative_to(report.ROOT))
    if asked.part in ("learn", "page"):
        from benchmarks import learning_page

        say(learning_page.write_page().relative_to(report.ROOT))


def _measure(asked: argparse.Namespace) -> None:
    pythons = training.Pythons(asked.peers, asked.jax)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        **{part: functools.partial(training.measure, part, pythons, asked.repeats, say, asked.env_steps)
           for part in PARTS},
        "commits": lambda: earlier.measure(asked.repeats, say),
        "replay": lambda: pieces.measure_replay(say),
        "images": lambda: pieces.measure_images(say),
        "sweep": lambda: sweep.measure(asked.peers, asked.repeats, say),
        "starts": lambda: starts.measure(asked.repeats, say),
        "runners": lambda: runners.measure(asked.peers, asked.repeats, say),
    }  # fmt: skip
    if gpu.gpu_name() is not None:
        parts["gpu"] = lambda: gpu.measure(say, asked.repeats, asked.env_steps)
    alone = ("commits", "replay", "images", "starts", "gpu")
    for name, measure in parts.items():
        if asked.part in (name, "all"):
            if name not in alone and (missing := pythons.missing()):
                raise SystemExit(f"there is no {' and no '.join(missing)}; make bench-{name} makes them")
            about = machine.describe_here() if name in alone else machine.describe(pythons)
            measured = measure()
            if asked.env_steps is None:
                say(report.store(name, measured, about).relative_to(report.ROOT))
            elif name in PARTS:
                say(report_training.section(name, {"machine": about, **measured}))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", choices=CHOICES)
    parser.add_argument("--peers", default=training.Pythons().peers, help="Python that has Stable-Baselines3 and RLlib")
    parser.add_argument("--jax", default=training.Pythons().jax, help="Python that has sbx and JAX")
    parser.add_argument("--repeats", type=int, default=training.REPEATS, help="runs of each measurement")
    parser.add_argument(
        "--env-steps", type=int, help="another budget, to test a part; nothing is stored, the table is printed"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="learn: only these tasks")
    parser.add_argument("--jobs", type=int, default=2, help="learn: number of parallel tasks")
    parser.add_argument("--again", action="store_true", help="learn: measure again what is already stored")
    return parser.parse_args()


if __name__ == "__main__":
    main()
