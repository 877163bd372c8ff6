"""Available memory, read from folders laid out like Linux's /proc and cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuneexp.data import memory
from tuneexp.data.memory import available_bytes
from tuneexp.errors import UserError


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MACHINE = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:   8000 kB\nBuffers: 1 kB\n"}
UNIFIED = {**MACHINE, "proc/self/cgroup": "0::/jobs/mine\n"}
OLD = {**MACHINE, "proc/self/cgroup": "3:cpu:/jobs/mine\n2:memory:/jobs/mine\n"}


def group(folder: str, limit: int | str, used: int, cache: int = 0) -> dict[str, str]:
    return {
        f"cgroup/{folder}memory.max": f"{limit}\n",
        f"cgroup/{folder}memory.current": f"{used}\n",
        f"cgroup/{folder}memory.stat": f"anon 5\ninactive_file {cache}\n",
    }


CASES = {
    "the machine alone": (MACHINE, 8000 * 1024),
    "no limit": ({**UNIFIED, **group("jobs/mine/", "max", 5000)}, 8000 * 1024),
    "the own group": ({**UNIFIED, **group("jobs/mine/", 70_000, 20_000)}, 50_000),
    "the group above": ({**UNIFIED, **group("jobs/mine/", "max", 1), **group("jobs/", 30_000, 20_000)}, 10_000),
    "a container's root": ({**UNIFIED, **group("", 60_000, 20_000)}, 40_000),
    "file cache can be given back": ({**UNIFIED, **group("", 60_000, 59_000, cache=30_000)}, 31_000),
    "more in use than allowed": ({**UNIFIED, **group("", 60_000, 61_000)}, 0),
    "a limit above the machine": ({**UNIFIED, **group("", 10**15, 5)}, 8000 * 1024),
    "the old hierarchy": (
        {
            **OLD,
            "cgroup/memory/jobs/mine/memory.limit_in_bytes": "90000",
            "cgroup/memory/jobs/mine/memory.usage_in_bytes": "15000",
        },
        75_000,
    ),
    "another system": ({}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_least_that_is_left_counts(case: str, tmp_path: Path) -> None:
    files, expected = CASES[case]
    write(tmp_path, files)
    assert available_bytes(tmp_path / "proc", tmp_path / "cgroup") == expected


def test_this_machine_reports_a_plausible_amount() -> None:
    available = available_bytes()
    assert available is None or 10**7 < available < 10**14


def test_where_the_system_reports_nothing_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.require("a test", 10**18, 1)


def test_what_just_fits_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 2_000_000_000)
    memory.require("a test", 2_000_000_000, 8)
    with pytest.raises(UserError, match=r"2\.01 GB .*2\.00 GB .* 250000000 rows"):
        memory.require("a test", 2_010_000_000, 8)
