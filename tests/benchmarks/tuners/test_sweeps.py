"""Real sweeps: their commands are accepted, and the tables are of the stored rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.recording.tasks import TASKS
from benchmarks.tuners import sweeps
from tests.pages.command_lines import accept


@pytest.mark.parametrize("way", sweeps.WAYS)
@pytest.mark.parametrize("task", sweeps.SEARCHED)
def test_the_command_of_a_way_is_accepted(task: str, way: str, tmp_path: Path) -> None:
    program, *words = sweeps.command(TASKS[task], sweeps.WAYS[way], 3, tmp_path)
    assert program == "tuneexp"
    accept(words)
    assert words[words.index("--seeds") + 1].split(",")[:3] == ["30", "31", "32"]
    assert not set(map(str, sweeps.FRESH_SEEDS)) & set(words[words.index("--seeds") + 1].split(","))


def test_the_table_compares_with_random_search_of_the_same_task() -> None:
    costs = {"env_steps": 2_000_000, "cpu_s": 100.0, "wall_s": 60.0}
    scores = dict(zip(sweeps.WAYS, ([1.0, 1.0], [1.0, 2.0], [0.0, 0.0]), strict=True))
    rows = [
        {"task": task, "way": way, "repetition": repetition, "objective": score + 5.0, "score": score, **costs}
        for task, sign in (("a", 1), ("b", -1))
        for way, found in scores.items()
        for repetition, score in enumerate(sign * one for one in found)
    ]
    first, second = sweeps.markdown(rows)
    assert [line.split(" | ")[2].split(" ")[0] for line in first.splitlines()[2:]] == ["", "0.75", "0.00"]
    assert [line.split(" | ")[2].split(" ")[0] for line in second.splitlines()[2:]] == ["", "0.25", "1.00"]
    assert first.splitlines()[3].endswith("| 5.0 | 2.00 | 100 |")
