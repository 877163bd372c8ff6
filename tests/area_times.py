"""Wall and CPU seconds of each test folder, printed at the end of a run. docs/testing.md has those of the full suite.

CPU seconds are those of this process and of child processes that it has waited for. Ray's processes are counted when
Ray stops. Processes that a test kills together with their parent are not counted."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

_Times = tuple[float, float]
_SPENT: defaultdict[str, list[_Times]] = defaultdict(list)


def _now() -> _Times:
    """Wall and CPU seconds from a fixed origin."""
    return time.perf_counter(), sum(os.times()[:4])


def area_of(nodeid: str) -> str:
    """`envs` for `tests/envs/test_x.py::test_y`, `tests` for files that are in no folder."""
    folder = PurePosixPath(nodeid.partition("::")[0]).parent
    return folder.parts[1] if len(folder.parts) > 1 else "tests"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[Any]:
    before = _now()
    try:
        return (yield)
    finally:
        wall, cpu = (after - start for after, start in zip(_now(), before, strict=True))
        _SPENT[area_of(item.nodeid)].append((wall, cpu))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if sum(map(len, _SPENT.values())) < 100:
        return
    terminalreporter.section("seconds by folder")
    for area, times in sorted(_SPENT.items(), key=lambda entry: -sum(wall for wall, _ in entry[1])):
        wall, cpu = (sum(column) for column in zip(*times, strict=True))
        terminalreporter.write_line(f"{area:<12} {len(times):>5} tests {wall:>7.0f} s {cpu:>7.0f} CPU s")
