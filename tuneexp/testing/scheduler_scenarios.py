"""Scripted trials in which things go wrong, for the contract of schedulers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuneexp.testing.simulated_trial import Failure, Report, Script

BUDGET = 900
REPORTS = 9
Scenario = Callable[[Mapping[str, Any]], Script]


def curve(number: int, steps: Sequence[int] = ()) -> list[Report]:
    """Return the reports of a trial. The final objective is a random number, and the curve rises with some noise.

    A second metric for several objectives, the seconds of training, rises with a random speed.

    steps: environment steps of the reports; by default 9 equally spaced ones."""
    draw = random.Random(number)
    final, speed = draw.uniform(0, 100), draw.uniform(0.5, 2.0)
    s_per_step = random.Random(f"seconds {number}").uniform(0.1, 1.0)

    def metrics(step: int) -> dict[str, float]:
        score = final * (step / BUDGET) ** speed + draw.gauss(0, 2)
        return {"env_steps": step, "objective": score, "time/train_s": s_per_step * step}

    return [
        Report(metrics(step), draw.uniform(1, 3))
        for step in steps or range(BUDGET // REPORTS, BUDGET + 1, BUDGET // REPORTS)
    ]


def plain(config: Mapping[str, Any]) -> Script:
    """Nothing goes wrong."""
    return curve(config["trial_number"])


def lost_workers(config: Mapping[str, Any]) -> Script:
    """Every second trial loses its worker once or twice, and is retried."""
    number = config["trial_number"]
    script: list[Report | Failure] = [*curve(number)]
    if number % 2:
        script.insert(number % REPORTS, Failure(0.7))
        script.insert((3 * number) % REPORTS, Failure(0.3))
    return script


def failures(config: Mapping[str, Any]) -> Script:
    """Two of three trials fail for good: before their first report, or after any other one."""
    number = config["trial_number"]
    reports = curve(number)
    done = number % REPORTS
    return reports if number % 3 == 2 else [*reports[:done], Failure(0.5, final=True), *reports[done:]]


def nobody_reports(config: Mapping[str, Any]) -> Script:
    """Every trial fails before its first report, as often as it is tried."""
    return [Failure(0.5 + config["trial_number"] / 10)] * 3


def without_results(config: Mapping[str, Any]) -> Script:
    """Trials run out of time or memory or diverge, the first three before any other trial has a result."""
    number = config["trial_number"]
    reports, last = curve(number), number % REPORTS
    if number in (0, 5):
        return [
            *reports[:last],
            Failure(0.5, final=True, error="trained for longer than trial_timeout_s (12 s)"),
            *reports[last:],
        ]
    if number in (1, 6):
        return [Failure(0.2), *reports[:last], Failure(0.5, final=True, error="MemoryError"), *reports[last:]]
    if number in (2, 7):
        return [Report({**one.metrics, "objective": math.nan}, one.seconds) for one in reports]
    return reports


def not_a_number(config: Mapping[str, Any]) -> Script:
    """Objectives are NaN or infinite: some now and then, of every fifth trial all."""
    number = config["trial_number"]
    draw = random.Random(f"nan {number}")
    odd = [math.nan, math.inf, -math.inf]
    return [
        Report({**one.metrics, "objective": draw.choice(odd)}, one.seconds)
        if number % 5 == 0 or draw.random() < 0.3
        else one
        for one in curve(number)
    ]


def late(config: Mapping[str, Any]) -> Script:
    """Every fourth trial is a hundred times as slow as the others."""
    number = config["trial_number"]
    slow = 100.0 if number % 4 == 0 else 1.0
    return [Report(one.metrics, one.seconds * slow) for one in curve(number)]


def joining_seeds(config: Mapping[str, Any]) -> Script:
    """More seeds join at each rung. Until they are there, reports repeat the last one; some workers are lost then."""
    number = config["trial_number"]
    found: list[Report | Failure] = []
    for place, one in enumerate(curve(number)):
        seeds = 1 + (place > 0) + (place > 2) * 3
        error = {"objective_se": 3.0 / seeds} if seeds > 1 else {}
        report = Report({**one.metrics, **error, "return_per_seed": [0.0] * seeds}, one.seconds)
        found.append(report)
        if one.metrics["env_steps"] in (100, 300):
            found += [report, *([Failure(0.4)] if number % 4 == 1 else []), report]
    return found


def missing_reports(config: Mapping[str, Any]) -> Script:
    """Reports jump over rungs; every fourth trial reports at its end only."""
    number = config["trial_number"]
    draw = random.Random(f"missing {number}")
    steps = sorted(draw.sample(range(50, BUDGET, 37), 4)) if number % 4 else []
    return curve(number, [*steps, BUDGET])


def all_equal(config: Mapping[str, Any]) -> Script:
    """All objectives are equal."""
    return [
        Report({**one.metrics, "objective": 1.0, "time/train_s": 1.0}, one.seconds)
        for one in curve(config["trial_number"])
    ]


SCENARIOS: dict[str, Scenario] = {
    one.__name__: one
    for one in (
        plain, lost_workers, failures, nobody_reports, not_a_number, late, joining_seeds, missing_reports,
        all_equal,
    )
}  # fmt: skip
