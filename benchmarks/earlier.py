"""Training with this code beside the code before the last steps towards speed, for the page of benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks import commits
from benchmarks.commits import Work
from benchmarks.running import Kept

# Before updates of a rollout became one program, and the first code that was measured for the page.
BEFORE, FIRST = "3b0c0b6", "c2dbd43"
ROWS: dict[tuple[str, str], Work] = {
    (BEFORE, "short"): Work("short", 1, "on"),
    (BEFORE, "in Python"): Work("short", 1, "on", ("env_backend=sync",)),
    (BEFORE, "long"): Work("long", 1, "on"),
    (BEFORE, "dqn_64"): Work("dqn_64", 1, "on"),
    (FIRST, "first"): Work("short", 1, "on"),
}
TURNS = 3


def measure(turns: int = TURNS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Return the ratios of each row. An interrupted measurement continues."""
    kept = Kept("commits", {"turns": turns, "rows": [list(key) for key in ROWS]})
    rows = []
    for commit in (BEFORE, FIRST):
        with commits.checkout_of(commit) as earlier:
            for (of, key), work in ROWS.items():
                if of == commit:
                    taken = kept.take(
                        f"{commit} {key}", lambda e=earlier, w=work: {"ratios": commits.compare(e, w, turns)}
                    )
                    words = {"key": key, "words": work.words(), "commit": commit, "date": commits.date_of(commit)}
                    rows.append({**words, **taken})
                    say(f"{work.words()}, against {commit}: {taken['ratios']}")
    kept.finished()
    return {"turns": turns, "rows": rows}
