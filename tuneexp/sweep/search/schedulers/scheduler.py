"""Base class of schedulers: decisions by trial id, without Ray. `TuneScheduler` runs one under Ray Tune."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tuneexp.config import Config

CONTINUE, PAUSE, STOP = "CONTINUE", "PAUSE", "STOP"  # the constants of Tune's `TrialScheduler`


class NoOptions(Config):
    """Options of a scheduler that has none."""


@dataclass(frozen=True)
class SchedulerContext:
    """Facts of the sweep that a scheduler may use.

    Attributes:
        budget_env_steps: Environment steps per seed of a whole trial.
        seed: Seed of the scheduler's random numbers.
        trials: Number of trials; None if it is unknown.
        concurrency: Number of trials at a time; None if it is unknown.
        objectives: Number of objectives of the sweep.
        seeds: Number of seeds of a trial.
        movable: Searched hyperparameters that a trial may change while it trains: name -> its dimension; None if the
            space is unknown.
        immovable: The other searched hyperparameters, with the reason.
    """

    budget_env_steps: int
    seed: int = 0
    trials: int | None = None
    concurrency: int | None = None
    objectives: int = 1
    seeds: int = 1
    movable: Mapping[str, Any] | None = None
    immovable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Takeover:
    """A paused trial that continues from the checkpoint of another one.

    Attributes:
        trial_id: The trial.
        donor: Id of the other trial, which is paused, too.
        values: Hyperparameters that the trial has from now on, flat; all others stay.
    """

    trial_id: str
    donor: str
    values: Mapping[str, Any]


class Scheduler:
    """A scheduler: decides at each report whether a trial continues, pauses or stops. This one stops no trial.

    Trials are named by their ids. The objective is maximised; it is always finite here. In a sweep with several
    objectives it is a tuple with a number for each, all maximised (the others with a minus); a class that takes tuples
    sets `several_objectives`. A method may be called again
    for the same trial after a restore or a retry, except `report`: it gets each environment step of a trial once.
    A subclass is named by its address, `module:Class`, as the scheduler of a sweep.

    Args:
        options: An instance of `Options`.
        context: Facts of the sweep.
    """

    Options: ClassVar[type[Config]] = NoOptions
    pauses: bool = False  # True if `report` may return PAUSE
    several_objectives: bool = False  # True if an objective may be a tuple
    of_population: bool = False  # True if trials may take over the state of others: `report` gets None for no objective

    def __init__(self, options: Any, context: SchedulerContext) -> None:
        self.options, self.context = options, context

    def cohorts(self) -> list[dict[str, int]]:
        """Return the cohorts of seeds of each trial, as in `TrialConfig`; none: all seeds start together."""
        return []

    def add(self, trial_id: str) -> None:
        """Register a trial that is new, restored or retried."""

    def note_error(self, trial_id: str, standard_error: float | None, seeds: int) -> None:
        """Note the standard error over seeds of the objective of the report that follows; None for one seed."""

    def configured(self, trial_id: str, hyperparameters: Mapping[str, Any]) -> None:
        """Register the hyperparameters of a trial as they are now, flat. Called before `add`."""

    def report(self, trial_id: str, env_steps: int, objective: Any) -> str:
        """Return the decision for a report.

        Args:
            trial_id: The trial.
            env_steps: Its environment steps per seed so far.
            objective: Its objective, finite; a tuple in a sweep with several.

        Returns:
            "CONTINUE", "STOP", or "PAUSE": the trial is saved, and waits until `promotion` names it.
        """
        return CONTINUE

    def end(self, trial_id: str, env_steps: int | None, objective: Any) -> None:
        """Register that a trial has ended. Without an objective it has failed, or was ended while it waited."""

    def takeovers(self) -> Sequence[Takeover]:
        """Return the takeovers that are due. They are executed once their trials are paused; until then, and while
        there are any, `promotion` names no trial."""
        return ()

    def taken_over(self) -> None:
        """Register that the takeovers that were due have been executed."""

    def promotion(self) -> str | None:
        """Return the paused trial that is due to continue; None if there is none. Called often."""
        return None

    def promoted(self, trial_id: str) -> None:
        """Register that a paused trial continues."""

    def losers(self) -> Collection[str]:
        """Return the paused trials that will never continue. They are ended."""
        return ()

    def close(self) -> None:
        """Decide with the trials that there are: no new trial will come, and none runs.

        Paused trials are ended if `promotion` then names none."""

    def state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from the result of `state`."""
