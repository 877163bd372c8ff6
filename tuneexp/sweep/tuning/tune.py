"""`tune`: plan, sweep and confirm within a given time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.commands import command
from tuneexp.config import seconds_of
from tuneexp.errors import UserError
from tuneexp.processes import cores
from tuneexp.report.formatting import count, duration
from tuneexp.sweep import defaults
from tuneexp.sweep.confirming.confirm import one_ray, run_stages, to_continue
from tuneexp.sweep.confirming.confirmation import Confirmation, confirmation_of
from tuneexp.sweep.confirming.costs import Costs
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.resuming import Running
from tuneexp.sweep.search.choice import POPULATIONS, parts
from tuneexp.sweep.search.stopping_rules import RULES
from tuneexp.sweep.sweep import Sweep
from tuneexp.sweep.tuning.shares import SHORTEST_S, Shares, shares

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import AlgorithmSpec

SEEDS = 3  # of each trial


@dataclass(frozen=True)
class Tuning:
    """A sweep with a time, and the confirmation that follows.

    Attributes:
        sweep: The sweep, ready to start.
        shares: Division of the time.
        seconds: The whole time.
    """

    sweep: Sweep
    shares: Shares
    seconds: float

    def plan(self) -> list[str]:
        """Return what it will do, as lines."""
        config, part = self.sweep.config, self.shares
        trial = config.trial
        search = f"{parts(config.searcher)[0]} suggests, {parts(config.scheduler)[0]} stops weak trials"
        size = f"{len(trial.seeds)} seeds x {count(part.budget_env_steps)} environment steps a trial"
        best = f"the best {part.top}" if part.top > 1 else "the best one"
        return [
            f"tune {config.name}: {trial.algorithm} on {trial.env} for {duration(self.seconds)}",
            f"1. sweep, {duration(part.sweep_s)}: {search}; {size}, time for about {part.trials} whole ones",
            f"2. confirm, about {duration(part.confirmation_s)}: {best} and the defaults, on {part.seeds} unseen seeds",
        ]


def tune(
    algorithm: str | AlgorithmSpec = defaults.ALGORITHM,
    env: str | Callable[..., Any] = defaults.ENV,
    time: float | str = "30m",
    *,
    name: str | None = None,
    storage: str | Path = defaults.STORAGE,
    budget_env_steps: int | None = None,
    on_event: Watcher | None = None,
    verbose: bool = False,
    **settings: Any,
) -> Confirmation:
    """Tune an algorithm within a given time: plan, sweep, and confirm the best configurations on unseen seeds.

    After a kill, `resume` of the sweep continues, with its confirmation.

    Args:
        algorithm: Name, address or specification of the algorithm.
        env: Environment: a gymnasium id, an address or a callable.
        time: The whole time, in seconds or as a text such as "30m"; five minutes or more.
        name: Name of the sweep and of its folder.
        storage: Folder of sweeps, checkpoints and the MLflow store.
        budget_env_steps: Budget of a training, environment steps per seed; by default 50,000, or less in a short time.
        on_event: Function that is called with each `SweepEvent`.
        verbose: Show the output of Ray, MLflow and Optuna.
        settings: Other arguments of `Sweep`, such as `space`, `fixed`, `seeds`, `scheduler`.

    Returns:
        The confirmation.

    Raises:
        UserError: A setting is wrong, or the time is too short.
        SweepInterrupted: A signal ended it; its state is saved.
    """
    asked = {**settings, "name": name, "storage": storage, "verbose": verbose, "algorithm": algorithm, "env": env}
    tuning = plan_tuning(time, budget_env_steps, asked)
    running = Running(verbose=verbose)
    with one_ray(tuning.sweep.config, running):
        tuning.sweep.run(on_event)
        folder = to_continue(tuning.sweep.folder)
        assert folder is not None  # it has trials, else an error was raised
        run_stages(folder, running, on_event)
    return confirmation_of(folder)


def plan_tuning(asked_time: float | str, budget_env_steps: int | None, asked: Mapping[str, Any]) -> Tuning:
    """Measure the first configurations for some seconds, and divide the time.

    Args:
        asked_time: The whole time.
        budget_env_steps: Budget of a training; None for the default or less.
        asked: Other arguments of `Sweep`.

    Raises:
        UserError: A setting is wrong, or the time is too short.
    """
    started, seconds = time.monotonic(), check_time(asked_time, asked)
    asked = {"seeds": SEEDS, **asked}
    first = _sweep(asked, budget_env_steps or defaults.BUDGET_ENV_STEPS, seconds)
    costs = _measured(first)
    left = seconds - (time.monotonic() - started)
    part = shares(costs, left, budget_env_steps is not None)
    if part is None:
        smaller = "" if budget_env_steps is None else ", or a smaller --env-steps"
        raise UserError(
            f"{duration(seconds)} is too short: one training of {count(costs.budget_env_steps)} environment steps with "
            f"{costs.seeds} seeds takes {duration(costs.trial_s)}; write a longer --time{smaller}"
        )
    same = first.config.trial.budget_env_steps == part.budget_env_steps
    sweep = first if same else _sweep(asked, part.budget_env_steps, seconds)
    return Tuning(_timed(sweep, part), part, seconds)


def _sweep(asked: Mapping[str, Any], budget_env_steps: int, seconds: float) -> Sweep:
    return Sweep(**{**asked, "budget_env_steps": budget_env_steps, "time_budget_s": seconds})


def _timed(sweep: Sweep, part: Shares) -> Sweep:
    changes = {"time_budget_s": part.sweep_s, "confirmation_s": part.confirmation_s}
    sweep.config = sweep.config.model_copy(update=changes)
    sweep.resolved = sweep.resolved.model_copy(update=changes)
    return sweep


def _measured(sweep: Sweep) -> Costs:
    plan = sweep.dry_run(sweep.resolved.concurrency or cores())  # as many as are measured at the same time
    if plan.time is None:
        raise UserError("the number of trials at a time is known only on the cluster; add --concurrency N")
    trial_s = (plan.time.trial.low + plan.time.trial.high) / 2
    return Costs(trial_s, len(plan.seeds), plan.budget_env_steps, plan.time.at_once)


def check_time(asked_time: float | str, asked: Mapping[str, Any]) -> float:
    """Return the seconds of a time. UserError if it is too short, or if another rule would end the sweep."""
    scheduler = asked.get("scheduler")
    name = scheduler.get("name") if isinstance(scheduler, Mapping) else scheduler
    if name in POPULATIONS:
        raise UserError(
            f"{name} has a fixed number of members, and tune ends by its time; leave out the scheduler, or write: "
            f"{command('sweep', '--scheduler', name)} ..., then: {command('confirm', 'NAME')}"
        )
    if given := [rule for rule in RULES if asked.get(rule) is not None]:
        raise UserError(f"the time ends the sweep; leave out {given[0]}, or run sweep and confirm by themselves")
    try:
        seconds = float(seconds_of(asked_time)) if isinstance(asked_time, str) else float(asked_time)
    except ValueError as error:
        raise UserError(f"time: {error}") from None
    if not seconds >= SHORTEST_S:
        raise UserError(f"{duration(seconds)} is too short to tune and confirm; write five minutes or more: --time 5m")
    return seconds
