"""Tune's loop without Ray: real schedulers and searchers, scripted trials, a simulated clock.

It calls schedulers and searchers as `ray.tune.execution.tune_controller` of Ray 2.60 does, in the same order: one event
per step, a checkpoint after each report, decisions after the checkpoint, actors reused, trials of a snapshot queued
again. `tests/testing/test_tune_loop.py` compares its calls with those of the real controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tuneexp.errors import TuneexpError
from tuneexp.testing.simulated_trial import (
    ERROR,
    PAUSED,
    PENDING,
    RUNNING,
    TERMINATED,
    ActorCache,
    Checkpoint,
    Clock,
    Failure,
    Script,
    SearchGenerator,
    SimulatedTrial,
)

CONTINUE, PAUSE, STOP = "CONTINUE", "PAUSE", "STOP"
STATUSES = (PENDING, RUNNING, PAUSED, TERMINATED, ERROR)
IDLE_STEPS = 20  # in a row, without an event: nobody will ever move


class Stuck(TuneexpError):
    """Nothing runs, and the sweep has not ended: Tune would wait for ever."""


class Decision(NamedTuple):
    """A report and what became of it."""

    time_s: float
    trial_id: str
    env_steps: int
    objective: float
    decision: str


class TuneLoop:
    """Tune's controller for scripted trials.

    Args:
        scheduler: A Tune scheduler; `tune_snapshot` also needs its `state()` and `set_state()`.
        searcher: A Tune searcher.
        script: (configuration of a trial) -> its reports and failures. The last report is `done`.
        config: Configuration that all trials share, such as `budget_env_steps`.
        trials: Number of trials; None if the searcher ends the sweep with FINISHED.
        slots: Number of actors that there is room for.
        max_pending: Number of trials that may wait for an actor.
        start_s: Seconds that the start of an actor takes.
        save_s: Seconds that a checkpoint takes.
        max_failures: Retries of a trial whose worker is lost.
    """

    def __init__(
        self,
        scheduler: Any,
        searcher: Any,
        script: Callable[[Mapping[str, Any]], Script],
        *,
        config: Mapping[str, Any] | None = None,
        trials: int | None = None,
        slots: int | None = None,
        max_pending: int = 1,
        start_s: float = 0.0,
        save_s: float = 0.0,
        max_failures: int = 2,
    ) -> None:
        self.scheduler, self.search_alg = scheduler, SearchGenerator(searcher, trials)
        self.script, self.config = script, dict(config or {})
        self.actors = ActorCache(slots)
        self.max_pending, self.start_s, self.save_s, self.max_failures = max_pending, start_s, save_s, max_failures
        self.steps = 0
        self.decisions: list[Decision] = []
        self.cached_decisions: dict[str, str] = {}  # made, and executed after the checkpoint
        self.marked: dict[str, SimulatedTrial] = {}  # changed since the last snapshot
        self.stored: dict[str, bytes] = {}  # trials as the last snapshot holds them
        self.clock = Clock()
        self.due_s: dict[str, float] = {}  # after a restore: when the next event of a trial is due
        self._trials: list[SimulatedTrial] = []
        self._live: set[SimulatedTrial] = set()
        self._by_status: dict[str, dict[SimulatedTrial, None]] = {status: {} for status in STATUSES}
        self._staged: dict[SimulatedTrial, None] = {}  # wait for an actor
        self._with_actor: set[SimulatedTrial] = set()
        self._idle = 0
        scheduler.set_search_properties("objective", "max")

    # Names that schedulers call.

    @property
    def trials(self) -> list[SimulatedTrial]:
        return self._trials

    def get_trials(self) -> list[SimulatedTrial]:
        return self._trials

    def get_live_trials(self) -> set[SimulatedTrial]:
        return self._live

    def _set_trial_status(self, trial: SimulatedTrial, status: str) -> None:
        self._by_status[trial.status].pop(trial, None)
        self._by_status[status][trial] = None
        trial.status = status

    def _mark_trial_to_checkpoint(self, trial: SimulatedTrial) -> None:
        self.marked[trial.trial_id] = trial

    def pause_trial(self, trial: SimulatedTrial, should_checkpoint: bool = True) -> None:
        self.cached_decisions.pop(trial.trial_id, None)
        if trial not in self._with_actor:
            return
        if should_checkpoint:
            self.cached_decisions[trial.trial_id] = PAUSE
            self._schedule_trial_save(trial)
        else:
            self._release(trial, TERMINATED)
            self._set_trial_status(trial, PAUSED)

    def stop_trial(self, trial: SimulatedTrial) -> None:
        if trial.is_finished():
            return
        if trial.status in (PENDING, PAUSED):
            self.scheduler.on_trial_remove(self, trial)
            self.search_alg.on_trial_complete(trial.trial_id)
        else:
            self.scheduler.on_trial_complete(self, trial, dict(trial.last_result))
            self.search_alg.on_trial_complete(trial.trial_id, result=dict(trial.last_result))
        self._release(trial, TERMINATED)
        self._live.discard(trial)

    def _schedule_trial_save(self, trial: SimulatedTrial, result: Any = None) -> None:
        if trial in self._with_actor:
            trial.is_saving = True
            self.clock.schedule(trial, "saved", self.save_s)

    # The loop.

    def is_finished(self) -> bool:
        unfinished = any(self._by_status[status] for status in (PENDING, RUNNING, PAUSED))
        return not unfinished and self.search_alg.is_finished()

    def run(self, steps: int | None = None) -> TuneLoop:
        """Run to the end, or `steps` steps. Raises Stuck if nothing moves any more."""
        last = None if steps is None else self.steps + steps
        while not self.is_finished() and (last is None or self.steps < last):
            self.step()
        return self

    def step(self) -> None:
        """Ask the searcher, start actors, handle one event."""
        self._ask()
        self._add_actors()
        self._idle = 0 if self._handle_event() else self._idle + 1
        if self._idle >= IDLE_STEPS and not self.is_finished():
            statuses = ", ".join(f"{trial.trial_id} {trial.status}" for trial in self._trials if trial in self._live)
            raise Stuck(f"nothing runs after {self.steps} steps, and the sweep has not ended; live trials: {statuses}")
        over = self.search_alg.is_finished() and not self._staged
        self.actors.flush(everything=over)
        self.steps += 1

    def _ask(self) -> None:
        while not self.search_alg.is_finished() and len(self._by_status[PENDING]) < self.max_pending:
            trial_id = f"{self.search_alg.counter:05d}"
            suggested = self.search_alg.next_config(trial_id)
            if suggested is None:
                return
            config = {**self.config, **suggested}
            self.add_trial(SimulatedTrial(trial_id, config, self.script(config), added_s=self.clock.now_s))

    def add_trial(self, trial: SimulatedTrial) -> None:
        """Queue a new or restored trial."""
        self._trials.append(trial)
        self._by_status[trial.status][trial] = None
        if trial.status != TERMINATED:
            self._live.add(trial)
        self.scheduler.on_trial_add(self, trial)
        self._mark_trial_to_checkpoint(trial)

    def _add_actors(self) -> None:
        chosen = self.scheduler.choose_trial_to_run(self)
        if chosen is not None and chosen not in self._with_actor:
            self._set_trial_status(chosen, PENDING)
            self._stage(chosen)
        for trial in list(self._by_status[PENDING]):
            if trial not in self._with_actor:
                if trial not in self._staged and len(self._staged) >= self.max_pending:
                    break
                self._stage(trial)

    def _stage(self, trial: SimulatedTrial) -> None:
        """Give the trial an actor: one of the cache, else a new one if there is room."""
        if trial not in self._staged:
            self._staged[trial] = None
            self.actors.wanted += 1
        reused = self.actors.take()
        if reused or self.actors.start():
            self._unstage(trial)
            self._with_actor.add(trial)
            self.clock.schedule(trial, "started", 0.0 if reused else self.start_s)

    def _unstage(self, trial: SimulatedTrial) -> None:
        del self._staged[trial]
        self.actors.wanted -= 1

    def _handle_event(self) -> bool:
        event = self.clock.next()
        if event is not None:
            getattr(self, f"_on_{event.kind}")(event.trial)
        return event is not None

    def _on_started(self, trial: SimulatedTrial) -> None:
        self._set_trial_status(trial, RUNNING)
        trial.ended_s = None
        self._mark_trial_to_checkpoint(trial)
        trial.position = trial.restored_position()
        self._live.add(trial)
        self._train(trial)

    def _train(self, trial: SimulatedTrial) -> None:
        event = trial.next_event()
        self.clock.schedule(trial, "event", event.seconds, self.due_s.pop(trial.trial_id, None))

    def _on_event(self, trial: SimulatedTrial) -> None:
        event = trial.next_event()
        if isinstance(event, Failure):
            self._on_failure(trial, event)
            return
        result = trial.result(event)
        trial.position += 1
        decision = STOP if result["done"] else self.scheduler.on_trial_result(self, trial, result)
        self._note(trial, result, decision)
        if decision == STOP:
            result["done"] = True
        else:
            self.search_alg.on_trial_result(trial.trial_id, result)
        trial.run_metadata.last_result, trial.run_metadata.last_result_time = result, self.clock.now_s
        self._mark_trial_to_checkpoint(trial)
        if decision == PAUSE:
            self.pause_trial(trial)
            return
        self._schedule_trial_save(trial)
        if decision == STOP or not self.cached_decisions.get(trial.trial_id):
            self.cached_decisions[trial.trial_id] = decision

    def _note(self, trial: SimulatedTrial, result: Mapping[str, Any], decision: str) -> None:
        noted = Decision(self.clock.now_s, trial.trial_id, result["env_steps"], result["objective"], decision)
        self.decisions.append(noted)

    def _on_saved(self, trial: SimulatedTrial) -> None:
        trial.checkpoint = Checkpoint(trial.position, dict(trial.last_result), trial_id=trial.trial_id)
        trial.is_saving = False
        self._mark_trial_to_checkpoint(trial)
        decision = self.cached_decisions.pop(trial.trial_id, None)
        if decision == CONTINUE:
            self._train(trial)
        elif decision == PAUSE:
            self.pause_trial(trial, should_checkpoint=False)
        elif decision == STOP:
            self.stop_trial(trial)

    def _on_failure(self, trial: SimulatedTrial, failure: Failure) -> None:
        trial.run_metadata.num_failures += 1
        trial.error = failure.error
        self.cached_decisions.pop(trial.trial_id, None)
        if failure.final or trial.run_metadata.num_failures > self.max_failures:
            self.scheduler.on_trial_error(self, trial)
            self.search_alg.on_trial_complete(trial.trial_id, error=True)
            self._release(trial, ERROR)
            return
        self._release(trial, ERROR)
        self.scheduler.on_trial_error(self, trial)
        self._set_trial_status(trial, PENDING)
        self._trials.remove(trial)
        self._trials.append(trial)
        self.scheduler.on_trial_add(self, trial)

    def _release(self, trial: SimulatedTrial, status: str) -> None:
        """Take the actor from a trial. It is cached while the search continues."""
        trial.is_saving, trial.future, trial.ended_s = False, 0, self.clock.now_s
        self._set_trial_status(trial, status)
        if trial in self._staged:
            self._unstage(trial)
        if trial not in self._with_actor:
            return
        self._with_actor.discard(trial)
        self._mark_trial_to_checkpoint(trial)
        over = self.search_alg.is_finished() and not self._staged
        if status == ERROR or over or not self.actors.keep():
            self.actors.live -= 1
