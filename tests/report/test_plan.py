"""Texts of a sweep's plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.sweep.planning.test_estimate import PROBE
from tuneexp.report.plan import plan_line, plan_text
from tuneexp.sweep import Sweep
from tuneexp.sweep.planning.plan import SweepPlan, plan_of


def sweep(tmp_path: Path, seeds: int = 2, **changes: Any) -> Sweep:
    return Sweep(name="s", storage=tmp_path, seeds=seeds, budget_env_steps=1000, concurrency=2, **changes)


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


def test_a_population_names_what_members_must_have_in_common(tmp_path: Path) -> None:
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "n_steps": {"choice": [32, 64]}}
    of = sweep(tmp_path, trials=4, scheduler="pbt", space=space)
    assert plan_line(of.plan()).endswith("members copy only from members with equal n_steps: fix these to let all copy")
    assert "population  members copy only" in plan_text(measured(of))
    assert "members copy" not in plan_text(measured(sweep(tmp_path, trials=4, space=space)))


def test_a_race_takes_the_seconds_of_its_cohorts(tmp_path: Path) -> None:
    """Stopped trials save fewer seconds than steps if a stack costs the same with any number of seeds."""
    race = sweep(tmp_path, 8, trials=9, scheduler={"name": "asha", "seeds": {"start": 1}})
    shares = []
    for costs in ((1.0, 1.0, 1.0), (1.0, 2.0, 100.0)):
        plan = plan_of(race.resolved, race.space, [replace(PROBE, cohorts_s=costs)])
        assert plan.time is not None
        assert plan.time.best_case is not None
        shares.append(plan.time.best_case.high)
    assert shares[0] > shares[1]
    # Cohorts of one seed, two and five, in four combinations.
    assert "; 12 compiled programs at most; " in plan_line(race.plan())
    assert "programs    12 combinations of" in plan_text(plan)
    assert "seeds of a cohort" in plan_text(plan)
    assert plan.least_env_steps == plan_of(race.resolved, race.space, [PROBE]).least_env_steps


def test_a_busy_machine_is_named(tmp_path: Path) -> None:
    # 1 ms of CPU for 2 ms of the clock.
    assert "busy: they got 50 % of a core" in plan_text(measured(sweep(tmp_path, trials=3)))
