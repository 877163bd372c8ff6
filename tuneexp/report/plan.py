"""Texts of a sweep's plan: one line at its start, and what `tuneexp sweep --dry-run` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuneexp.report.formatting import count, duration, seeds, size

if TYPE_CHECKING:
    from tuneexp.sweep.planning.plan import Duration, SweepPlan

BUSY = 1.25  # wall seconds per CPU second above which the machine was busy with other work


def plan_line(plan: SweepPlan) -> str:
    """Return the first line of a sweep."""
    counts = [one for one in (plan.programs.combinations, plan.trials) if one is not None]
    most = min(counts) * plan.programs.per_trial if counts else None
    programs = f"{most} compiled program{'' if most == 1 else 's'} at most"
    members = [_members(plan)] if plan.fixed_in_members else []
    return "; ".join([plan_title(plan), *([programs] if plan.compiles and most else []), plan.sampler, *members])


def _members(plan: SweepPlan) -> str:
    return f"members copy only from members with equal {', '.join(plan.fixed_in_members)}: fix these to let all copy"


def plan_title(plan: SweepPlan) -> str:
    """Return the size of a sweep: trials, seeds, environment steps."""
    size = (plan.trials, plan.seeds, plan.budget_env_steps, plan.concurrency)
    return sweep_title(plan.name, plan.algorithm, plan.env, *size)


def sweep_title(
    name: str, algorithm: str, env: str, trials: int | None, of_seeds: Sequence[int], budget_env_steps: int,
    concurrency: int | None,
) -> str:  # fmt: skip
    """Return the first line of the live view: `sweep first: ppo on CartPole-v1, 8 trials, seeds 0-3, ...`."""
    number = f"{trials} trial{'s' if trials > 1 else ''}" if trials else "trials without limit"
    at_once = f"{concurrency} at a time" if concurrency else "as many at a time as fit"
    return (
        f"sweep {name}: {algorithm} on {env}, {number}, seeds {seeds(of_seeds)}, "
        f"{count(budget_env_steps)} env steps per seed, {at_once}"
    )


def plan_text(plan: SweepPlan) -> str:
    """Return the lines of a dry run."""
    stops = plan.least_env_steps is not None and plan.least_env_steps != plan.env_steps
    least = f"; {count(plan.least_env_steps)} if {plan.scheduler} stops as many trials as it can" if stops else ""
    programs = plan.programs.words() if plan.compiles else "none is compiled (compile=off)"
    lines = [
        plan_title(plan),
        f"env steps   {_env_steps(plan)}{least}",
        f"sampler     {plan.sampler}",
        f"programs    {programs}",
    ]
    if plan.fixed_in_members:
        lines.append(f"population  {_members(plan)}")
    if plan.time is not None:
        lines += _time_lines(plan, plan.time, stops)
    elif plan.concurrency is None:
        lines.append("time        depends on the number of trials at a time; add --concurrency N for an estimate")
    if plan.disk is not None:
        of = plan.disk
        running = f"; {size(of.while_running)} more while it runs" if of.while_running else ""
        lines.append(
            f"disk        about {size(of.checkpoints + of.records)}: {size(of.checkpoints)} of checkpoints, "
            f"{size(of.records)} of records{running}"
        )
    return "\n".join(lines)


def _env_steps(plan: SweepPlan) -> str:
    if plan.env_steps is None:
        return f"{count(plan.budget_env_steps * len(plan.seeds))} a trial"
    return f"{count(plan.env_steps)} in all"


def _time_lines(plan: SweepPlan, time: Duration, stops: bool) -> list[str]:
    number = len(time.probes)
    trials = f"the first {number} trials" if number > 1 else "the first trial"
    spread = " (90 % interval of the mean)" if number > 1 and number != plan.trials else ""
    lines = [
        f"time        {_time(plan, time, stops)}",
        f"            from some seconds of {trials}: a whole trial takes {duration(time.trial.low)} to "
        f"{duration(time.trial.high)}{spread}",
    ]
    if time.slowdown is not None and time.slowdown > BUSY:
        lines.append(
            f"            the machine was busy: they got {100 / time.slowdown:.0f} % of a core; alone the sweep "
            "takes less"
        )
    return lines


def _time(plan: SweepPlan, time: Duration, stops: bool) -> str:
    budget = f"at most {duration(time.time_budget_s)}" if time.time_budget_s is not None else ""
    if time.to_the_end is None or time.best_case is None:
        if time.time_budget_s is None:
            return "until another rule ends it"
        fit = [math.floor(time.time_budget_s * time.at_once / one) for one in (time.trial.high, time.trial.low)]
        if not fit[1]:
            return f"{budget}, less than a whole trial takes: no trial would complete; write a longer --time-budget"
        return f"{budget}: {count(fit[0])} to {count(fit[1])} whole trials fit, more with early stopping"
    best = f", from {duration(time.best_case.low)} if {plan.scheduler} stops as many as it can" if stops else ""
    whole = f"{duration(time.to_the_end.low)} to {duration(time.to_the_end.high)} if all trials run to the end{best}"
    return f"{budget}; {whole}" if budget else whole
