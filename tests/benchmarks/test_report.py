"""Tables of docs/benchmarks.md from measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, report_commands, report_training
from benchmarks.earlier import ROWS
from benchmarks.sweep import _rows
from benchmarks.training import MEASURED, summary
from benchmarks.work import PARTS

MACHINE = {"date": "2026-11-30", "cores": 2, "cpu": "cpu", "memory_gb": 24, "python": "3.11.7", "load_before": 0.1,
           "versions": {"tuneexp": "0.1.0"}}  # fmt: skip


def side(*rates: float, cpu_factor: float = 2.0) -> dict[str, Any]:
    return summary([
        {"env_steps_per_s": rate / 2, "training_env_steps_per_s": rate, "evaluation_share": 0.05, "start_s": 3.0,
         "training_env_steps_per_cpu_s": rate * cpu_factor, "return_mean": 500.0, "peak_rss_mb": 400.0}
        for rate in rates
    ])  # fmt: skip


def measured_part(part: str) -> dict[str, Any]:
    setups = {setup: {name: side(1000.0, 2000.0, 3000.0) for name in MEASURED[setup]} for setup in PARTS[part]}
    return {"machine": MACHINE, "repeats": 3, "env_steps_per_seed": {"short": 40_960}, "setups": setups}


def test_a_ratio_is_the_median_of_the_ratios_within_repeats() -> None:
    ours, peer = side(100.0, 300.0, 1000.0), side(100.0, 100.0, 1000.0)
    assert report.paired_ratio(ours, peer) == 1.0  # that of the medians is 3
    assert report.paired_ratio(side(8.0, cpu_factor=3.0), side(2.0), report_training.CPU) == 6.0


def test_the_table_has_a_row_for_each_measured_side_in_one_order() -> None:
    table = report_training.sides_table({"sbx": side(1000.0), "ours_8": side(9000.0), "ours_1": side(3000.0)})
    heads, _, *rows = table.splitlines()
    assert "S=1 to it" in heads
    assert [row.split(" | ")[0] for row in rows] == ["| tuneexp, S=1", "| tuneexp, S=8, sum of seeds", "| sbx"]
    assert rows[-1].split(" | ")[1:7] == ["500", "1,000", "2,000", "5 %", "3.00x / 3.00x", "9.00x / 9.00x"]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_a_section_and_targets(part: str) -> None:
    measured = measured_part(part)
    section = report_training.section(part, measured)
    assert all(setup.title in section for setup in PARTS[part].values())
    ratios = [target for target in report_training.targets(part, measured) if target.unit == "x"]
    assert all(target.measured == 1.0 for target in ratios)
    assert len(ratios) == sum(len(report_training.TARGETS[setup]) for setup in PARTS[part])


@pytest.mark.parametrize(("measured", "shown"), [(3.46, "3.46x"), (3.4, "3.4x"), (0.89, "0.89x")])
def test_a_missed_target_is_not_shown_as_the_measured_value(measured: float, shown: str) -> None:
    assert report.Target("runners", measured, 3.5).row() == ("runners", shown, "at least 3.5x", "**no**")


def test_sweeps_are_compared_with_the_peer_of_as_many_trials() -> None:
    names = _rows("python", Path())
    assert set(names) == set(report_commands.SWEEP_ROWS)
    rows = {name: [{"command_s": 320.0 if name == "rllib_32" else 80.0 if name == "rllib_8" else 10.0, "cpu_s": 10.0,
                    "best_return_mean": 500.0, "worker_peak_mb": 480.0}] * 3 for name in names}  # fmt: skip
    sweep = {"machine": MACHINE, "repeats": 3, "rows": rows, "beyond_training_s": 0.2}
    reached = {target.what: target.measured for target in report_commands.sweep_targets(sweep)}
    assert reached["tuneexp, 8 trials, S=1, cold caches"] == 8.0
    assert reached["tuneexp, 32 trials, S=1, warm caches"] == 32.0
    assert reached["peak memory of a trial's worker, S=1"] == 480.0
    assert "| tuneexp, 32 trials, S=1, warm caches | 10.0 s | 10.0 s | 32.0x | 1.0x |" in report_commands.sweep_section(
        sweep
    )


def test_the_page_has_the_parts_that_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "PAGE", tmp_path / "benchmarks.md")
    starts = {"repeats": 1, "rows": {name: [{"shown_s": 2.0, "command_s": 9.0, "cpu_s": 8.0}]
                                     for name in report_commands.STARTS}}  # fmt: skip
    earlier = {"turns": 3, "rows": [{"key": key, "commit": commit, "words": work.words(), "date": "2026-11-29",
                                     "ratios": [1.2, 1.5, 1.4]} for (commit, key), work in ROWS.items()]}  # fmt: skip
    for part, measured in {"tqc": measured_part("tqc"), "starts": starts, "commits": earlier}.items():
        report.store(part, {name: value for name, value in measured.items() if name != "machine"}, MACHINE)
    page = report.write_page().read_text()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings[:4] == ["## TQC, one process", "## Earlier code", "## Starts", "## GPU"]
    assert "env_backend=sync, against 3b0c0b6 | 1.40x | at least 1.4x | yes |" in page
    assert "| 2.00 s | at most 15 s | yes |" in page
