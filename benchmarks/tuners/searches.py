"""Repeated searches on one table, in this process or in several."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from types import TracebackType

from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.methods import Method
from benchmarks.tuners.replay import Search, Trace, replay

_tables: list[CurveTable] = []  # of this process, in a pool: a table is sent once


class Searches:
    """Runs repeated searches on a table.

    Args:
        table: the configurations and their curves.
        jobs: processes; 1: this one.
    """

    def __init__(self, table: CurveTable, jobs: int = 1) -> None:
        self._table = table
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, spawn, _receive, (table,)) if jobs > 1 else None

    def run(self, method: Method, search: Search, repetitions: int) -> list[Trace]:
        """Return the courses of the searches with the seeds 0, 1, 2, ..."""
        if self._pool is None:
            return [replay(self._table, method, search, seed) for seed in range(repetitions)]
        return list(self._pool.map(partial(_replay_here, method, search), range(repetitions)))

    def __enter__(self) -> Searches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _receive(table: CurveTable) -> None:
    _tables.append(table)


def _replay_here(method: Method, search: Search, seed: int) -> Trace:
    return replay(_tables[-1], method, search, seed)
