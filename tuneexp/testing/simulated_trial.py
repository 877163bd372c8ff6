"""Scripted trials for `TuneLoop`, with those attributes of Tune's `Trial` that schedulers and callbacks read."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Values of the constants of `ray.tune.experiment.Trial`.
FINISHED = "FINISHED"  # a searcher suggests nothing more
PENDING, RUNNING, PAUSED, TERMINATED, ERROR = "PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERROR"


@dataclass(frozen=True)
class Report:
    """A report of a scripted trial: its metrics, and the seconds since the report before it."""

    metrics: Mapping[str, Any]
    seconds: float = 1.0


@dataclass(frozen=True)
class Failure:
    """A lost worker. Tune retries the trial from its last checkpoint, unless it failed too often or it is final.

    error: text of the error, such as "MemoryError"."""

    seconds: float = 1.0
    final: bool = False
    error: str = ""


Script = Sequence[Report | Failure]


@dataclass
class Checkpoint:
    """Number of events of its script that a trial has behind it, the metrics of the last report, and the trial."""

    position: int
    metrics: dict[str, Any]
    path: str = ""
    trial_id: str = ""


@dataclass
class CheckpointManager:
    """Counterpart of Tune's checkpoint manager."""

    _latest_checkpoint_result: Checkpoint | None = None


@dataclass
class Metadata:
    """Counterpart of Tune's run metadata."""

    checkpoint_manager: CheckpointManager = field(default_factory=CheckpointManager)
    last_result: dict[str, Any] = field(default_factory=dict)
    last_result_time: float = -1.0
    num_failures: int = 0


@dataclass(eq=False)
class SimulatedTrial:
    """Counterpart of Tune's `Trial`. Its training is a script."""

    trial_id: str
    config: dict[str, Any]
    script: Script
    status: str = PENDING
    run_metadata: Metadata = field(default_factory=Metadata)
    is_saving: bool = False
    position: int = 0  # events of the script so far
    future: int = 0  # id of the event that the trial waits for
    added_s: float = 0.0
    ended_s: float | None = None
    error: str = ""  # of its last failure

    def get_error(self) -> str:
        return self.error

    @property
    def last_result(self) -> dict[str, Any]:
        return self.run_metadata.last_result

    @property
    def checkpoint(self) -> Checkpoint | None:
        return self.run_metadata.checkpoint_manager._latest_checkpoint_result

    @checkpoint.setter
    def checkpoint(self, saved: Checkpoint | None) -> None:
        self.run_metadata.checkpoint_manager._latest_checkpoint_result = saved

    @property
    def latest_checkpoint_result(self) -> Checkpoint | None:
        return self.checkpoint

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config

    def restored_position(self) -> int:
        """Return the number of events behind the checkpoint, which may be that of another trial."""
        if self.checkpoint is None:
            return 0
        if self.checkpoint.trial_id == self.trial_id:
            return self.checkpoint.position
        done, env_steps = 0, self.checkpoint.metrics["env_steps"]
        for index, event in enumerate(self.script):
            if isinstance(event, Report) and event.metrics["env_steps"] <= env_steps:
                done = index + 1
        return done

    def is_finished(self) -> bool:
        return self.status in (TERMINATED, ERROR)

    def next_event(self) -> Report | Failure:
        """Return the next event. A failure happens once: failure k of the script at most k times in all."""
        while True:
            event = self.script[self.position]
            before = sum(isinstance(one, Failure) for one in self.script[: self.position])
            if isinstance(event, Report) or event.final or self.run_metadata.num_failures <= before:
                return event
            self.position += 1

    def result(self, report: Report) -> dict[str, Any]:
        """Return the metrics of a report. The last report of a script is `done`, as that of a trainable is."""
        last = not any(isinstance(one, Report) for one in self.script[self.position + 1 :])
        return {**report.metrics, "done": last, "trial_id": self.trial_id}


class Event(NamedTuple):
    """An event of `TuneLoop`. kind: "started", "event" (the next one of the script) or "saved"."""

    time_s: float
    number: int
    kind: str
    trial: SimulatedTrial


class Clock:
    """Simulated time and the events to come. A trial waits for one event; a stopped trial for none."""

    def __init__(self) -> None:
        self.now_s, self._number = 0.0, 0
        self._events: list[Event] = []

    def schedule(self, trial: SimulatedTrial, kind: str, seconds: float, at_s: float | None = None) -> None:
        """Let the trial wait for an event in `seconds`, or at `at_s`."""
        self._number += 1
        trial.future = self._number
        due_s = self.now_s + seconds if at_s is None else max(at_s, self.now_s)
        heapq.heappush(self._events, Event(due_s, self._number, kind, trial))

    def next(self) -> Event | None:
        """Return the next event and go to its time; None if there is none."""
        while self._events:
            event = heapq.heappop(self._events)
            if event.number == event.trial.future:
                self.now_s = event.time_s
                return event
        return None

    def due_times(self) -> dict[str, float]:
        """Return trial id -> time of the report or checkpoint that the trial waits for."""
        waited = [event for event in self._events if event.number == event.trial.future and event.kind != "started"]
        return {event.trial.trial_id: event.time_s for event in waited}


class ActorCache:
    """Counterpart of Tune's cache of actors, for trials that all request the same resources."""

    def __init__(self, slots: int | None) -> None:
        self._slots = slots
        self.live = 0  # actors with a trial or in the cache
        self.cached = 0
        self.wanted = 0  # trials that wait for an actor
        self.started = 0  # actors that were started, in all

    def start(self) -> bool:
        """Start an actor if there is room for it."""
        if self._slots is not None and self.live >= self._slots:
            return False
        self.live += 1
        self.started += 1
        return True

    def keep(self) -> bool:
        """Put an actor into the cache if trials wait for one; one actor may stay in any case."""
        if self.cached >= max(1, self.wanted):
            return False
        self.cached += 1
        return True

    def take(self) -> bool:
        """Take an actor from the cache."""
        if not self.cached:
            return False
        self.cached -= 1
        return True

    def flush(self, everything: bool) -> None:
        """Stop cached actors that no trial waits for. One stays, unless `everything` goes."""
        kept = min(self.cached, 0 if everything else max(1, self.wanted))
        self.live -= self.cached - kept
        self.cached = kept


class SearchGenerator:
    """Counterpart of Tune's class of that name: counts trials and hands out suggestions.

    searcher: with Tune's interface, `suggest`, `on_trial_result`, `on_trial_complete`, `save` and `restore`.
    trials: number of suggestions; None if the searcher itself ends the sweep."""

    def __init__(self, searcher: Any, trials: int | None) -> None:
        self.searcher, self.trials = searcher, trials
        self.counter, self.finished = 0, False

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        suggested = None if self.is_finished() else self.searcher.suggest(trial_id)
        if suggested == FINISHED:
            self.finished = True
            return None
        if suggested is not None:
            self.counter += 1
        return suggested

    def is_finished(self) -> bool:
        return self.finished or (self.trials is not None and self.counter >= self.trials)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.searcher.on_trial_complete(trial_id=trial_id, result=result, error=error)
