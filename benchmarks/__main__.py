"""`python -m benchmarks all|learning|ppo|sweep|page --peers PYTHON`: measure, store, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

from benchmarks import learning, machine, ppo, report, sweep

say = functools.partial(print, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "part", choices=["all", "learning", "ppo", "sweep", "page"], help="page: only write the page again"
    )
    parser.add_argument("--peers", default=".venv-peers/bin/python", help="Python that has the peers installed")
    parser.add_argument("--repeats", type=int, default=ppo.REPEATS, help="runs of each PPO measurement")
    asked = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "learning": lambda: learning.measure(say),
        "ppo": lambda: ppo.measure(asked.peers, asked.repeats, say),
        "sweep": lambda: sweep.measure(asked.peers, say),
    }
    for name, measure in parts.items():
        if asked.part in (name, "all"):
            about = machine.describe(asked.peers)
            say(report.store(name, measure(), about).relative_to(report.ROOT))
    say(report.table(("what", "measured", "target", "reached"), [target.row() for target in report.targets()]))
    say(report.write_page().relative_to(report.ROOT))


if __name__ == "__main__":
    main()
