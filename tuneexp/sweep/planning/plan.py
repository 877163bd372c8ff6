"""A sweep before its start, as data: what `tuneexp sweep --dry-run` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tuneexp.sweep.planning import estimate
from tuneexp.sweep.planning.disk import Disk, disk_of
from tuneexp.sweep.planning.early_stopping import least_env_steps
from tuneexp.sweep.planning.estimate import Interval
from tuneexp.sweep.planning.programs import Programs, programs_of
from tuneexp.sweep.scheduling import scheduler_of
from tuneexp.sweep.search.choice import modelled_line, parts
from tuneexp.sweep.sweep_config import SweepConfig, sampler_context

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace
    from tuneexp.trial.probe import Probe


@dataclass(frozen=True)
class Duration:
    """Estimated wall seconds of a sweep on this machine.

    Attributes:
        to_the_end: If no trial is stopped early; None without a limit of trials.
        best_case: If the scheduler stops as many trials as it can; equal to `to_the_end` without early stopping.
        time_budget_s: Time budget of the sweep, which may end before; None if there is none.
        trial: Of one whole trial.
        probes: Costs of the measured trials, the first ones of the sweep.
        at_once: Trials that run at the same time.
        slowdown: Wall seconds per CPU second of their training: 1, or more on a busy machine. None if other processes
            or a GPU do a part of the work.
    """

    to_the_end: Interval | None
    best_case: Interval | None
    time_budget_s: float | None
    trial: Interval
    probes: tuple[Probe, ...]
    at_once: int
    slowdown: float | None


@dataclass(frozen=True)
class SweepPlan:
    """A sweep before its start.

    Attributes:
        name: Name of the sweep.
        algorithm: Name or address of the algorithm.
        env: Environment.
        trials: Number of trials; None for no limit.
        seeds: Seeds of each trial.
        budget_env_steps: Environment steps of a trial, per seed.
        env_steps: Environment steps in all, over seeds, if all trials run to the end; None without a limit of trials.
        least_env_steps: The same if the scheduler stops as many trials as it can; None without a dry run.
        concurrency: Trials that run at the same time; None if it is known only on the cluster.
        scheduler: Name or address of the scheduler.
        sampler: One line: the hyperparameters that the sampler models.
        fixed_in_members: Searched hyperparameters in which members of a population must be equal to copy each other.
        programs: Combinations of structural values that need a program of their own.
        compiles: Programs may be compiled.
        time: Estimated time; None if nothing was measured.
        disk: Estimated disk space; None if nothing was measured.
    """

    name: str
    algorithm: str
    env: str
    trials: int | None
    seeds: tuple[int, ...]
    budget_env_steps: int
    env_steps: int | None
    least_env_steps: int | None
    concurrency: int | None
    scheduler: str
    sampler: str
    programs: Programs
    compiles: bool
    fixed_in_members: tuple[str, ...] = ()
    time: Duration | None = None
    disk: Disk | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the plan as `--json` prints it."""
        return asdict(self)


def plan_of(config: SweepConfig, space: SearchSpace, probes: Sequence[Probe] = ()) -> SweepPlan:
    """Return the plan of a sweep.

    Args:
        config: The sweep, with its concurrency if it is known.
        space: Its validated space.
        probes: Costs of some of its trials; without them the plan has neither early stopping, time nor disk.
    """
    from tuneexp.algorithms.registry import config_class_of

    trial, trials = config.trial, config.trials
    scheduler = scheduler_of(config, space)
    sizes = {one["seeds"] for one in scheduler.cohorts()}
    programs = replace(programs_of(space, config_class_of(trial.algorithm)), per_trial=max(1, len(sizes)))
    plan = SweepPlan(
        name=config.name,
        algorithm=trial.algorithm,
        env=trial.env,
        trials=trials,
        seeds=tuple(trial.seeds),
        budget_env_steps=trial.budget_env_steps,
        env_steps=trials * len(trial.seeds) * trial.budget_env_steps if trials else None,
        least_env_steps=None,
        concurrency=config.concurrency,
        scheduler=parts(config.scheduler)[0],
        sampler=modelled_line(config.searcher, sampler_context(config, space)),
        programs=programs,
        compiles=trial.compile != "off" and trial.device == "cpu",
        fixed_in_members=tuple(scheduler.context.immovable) if scheduler.of_population else (),
    )
    if not probes:
        return plan
    if trials is None:
        return replace(plan, time=_duration(config, probes, programs) if config.concurrency else None)
    size = (trials, trial.report_period, trial.budget_env_steps)
    least = least_env_steps(scheduler_of(config), *size)
    costs = [sum(of_cohort) for of_cohort in zip(*(one.cohorts_s for one in probes), strict=True)]
    share = least_env_steps(scheduler_of(config), *size, costs) / (trials * trial.budget_env_steps)
    return replace(
        plan,
        least_env_steps=least * len(trial.seeds),
        time=_duration(config, probes, programs, share) if config.concurrency else None,
        disk=disk_of(config, trials, [one.checkpoint_bytes for one in probes]),
    )


def _duration(config: SweepConfig, probes: Sequence[Probe], programs: Programs, share: float = 1.0) -> Duration:
    """Return the estimated time. share: share of the environment steps that the best case trains."""
    trials, at_once = config.trials, min(config.concurrency or 1, config.trials or math.inf)
    cohorts = scheduler_of(config).cohorts()
    trial = estimate.mean_of_trials([estimate.trial_seconds(one, config.trial, cohorts) for one in probes], trials)
    whole = best = None
    if trials is not None:
        building = estimate.program_seconds(probes, programs.combinations, trials, int(at_once))
        around = building + estimate.overhead_seconds(probes, trials, int(at_once))
        whole = estimate.sweep_seconds(trial, trials, int(at_once)) + around
        best = estimate.sweep_seconds(trial, trials, int(at_once), share) + around if share < 1 else whole
    slowdown = estimate.slowdown(probes)
    return Duration(whole, best, config.time_budget_s, trial, tuple(probes), int(at_once), slowdown)
