"""Texts of a sweep's plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sweep.planning.test_estimate import PROBE
from tuneexp.report.plan import plan_line, plan_text
from tuneexp.sweep import Sweep
from tuneexp.sweep.planning.plan import SweepPlan, plan_of


def sweep(tmp_path: Path, **changes: Any) -> Sweep:
    return Sweep(name="s", storage=tmp_path, seeds=2, budget_env_steps=1000, concurrency=2, **changes)


def measured(of: Sweep) -> SweepPlan:
    return plan_of(of.resolved, of.space, [PROBE])


def test_the_first_line_has_the_size_the_programs_and_what_is_modelled(tmp_path: Path) -> None:
    line = plan_line(sweep(tmp_path, trials=3).plan())
    assert line.startswith("sweep s: ppo on CartPole-v1, 3 trials, seeds 0,1, 1,000 env steps per seed, 2 at a time; ")
    assert "; 3 compiled programs at most; tpe models 11 of 11" in line  # of 4 combinations
    assert "compiled" not in plan_line(sweep(tmp_path, compile="off").plan())


def test_a_sweep_without_a_limit_of_trials_has_the_cost_of_one(tmp_path: Path) -> None:
    lines = plan_text(measured(sweep(tmp_path, time_budget_s="1h"))).splitlines()
    assert "trials without limit" in lines[0]
    assert lines[1] == "env steps   2,000 a trial"
    # A trial takes 3.8 s to 59.4 s, two at a time.
    assert lines[4] == "time        at most 1h00m: 121 to 1,901 whole trials fit, more with early stopping"
    short = plan_text(measured(sweep(tmp_path, time_budget_s=1))).splitlines()
    assert "no trial would complete" in short[4]
    assert "until another rule" in plan_text(measured(sweep(tmp_path, stagnation=9)))


def test_a_busy_machine_is_named(tmp_path: Path) -> None:
    # 1 ms of CPU for 2 ms of the clock.
    assert "busy: they got 50 % of a core" in plan_text(measured(sweep(tmp_path, trials=3)))
