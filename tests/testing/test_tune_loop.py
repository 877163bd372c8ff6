"""The simulated loop calls schedulers and searchers as Tune's controller does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ray.tune import Trainable
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from tuneexp.testing.simulated_trial import Failure, Report, Script
from tuneexp.testing.tune_loop import Stuck, TuneLoop
from tuneexp.testing.tune_snapshot import restore, snapshot

TRIALS, REPORTS = 5, 3


class Calls:
    """Calls of schedulers and searchers, by the numbers of the trials. One trial runs at a time."""

    made: ClassVar[list[tuple[Any, ...]]] = []
    numbers: ClassVar[dict[str, int]] = {}
    running: ClassVar[set[str]] = set()
    paused: ClassVar[set[str]] = set()

    @classmethod
    def clear(cls) -> None:
        for one in (cls.made, cls.numbers, cls.running, cls.paused):
            one.clear()

    @classmethod
    def note(cls, what: str, trial_id: str, *more: Any) -> None:
        cls.made.append((what, cls.numbers[trial_id], *more))


class Scripted(FIFOScheduler):
    """Trial 1 is stopped at its second report. Trials 2 and 4 are paused at their first; 2 continues at the end."""

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        Calls.note("add", trial.trial_id, trial.status)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, steps = Calls.numbers[trial.trial_id], result["env_steps"]
        decision = {(1, 200): self.STOP, (2, 100): self.PAUSE, (4, 100): self.PAUSE}.get((number, steps), self.CONTINUE)
        Calls.note("result", trial.trial_id, steps, decision, trial.status)
        if decision == self.PAUSE:
            Calls.running.discard(trial.trial_id)
            Calls.paused.add(trial.trial_id)
        return decision

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        Calls.note("complete", trial.trial_id, result["env_steps"], result["done"], trial.status)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        Calls.note("error", trial.trial_id, trial.status)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        Calls.note("remove", trial.trial_id, trial.status)

    def choose_trial_to_run(self, controller: Any) -> Any:
        trials = {Calls.numbers[trial.trial_id]: trial for trial in controller.get_trials()}
        pending = [trial for trial in trials.values() if trial.status == "PENDING"]
        if pending or Calls.running or len(trials) < TRIALS:
            return pending[0] if pending else None
        if trials[4].status != "PAUSED":
            return None
        if trials[2].status != "PAUSED":
            controller.stop_trial(trials[4])
            return None
        Calls.running.add(trials[2].trial_id)
        Calls.note("promote", trials[2].trial_id)
        return trials[2]


class OneAtATime(Searcher):
    def __init__(self) -> None:
        super().__init__(metric="objective", mode="max")

    def suggest(self, trial_id: str) -> Any:
        if len(Calls.numbers) == TRIALS:
            return Searcher.FINISHED
        if Calls.running:
            return None
        Calls.numbers[trial_id] = len(Calls.numbers)
        Calls.running.add(trial_id)
        Calls.note("suggest", trial_id)
        return {"trial_number": Calls.numbers[trial_id]}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        Calls.note("told", trial_id, result["env_steps"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        Calls.running.discard(trial_id)
        Calls.note("ended", trial_id, (result or {}).get("env_steps"), error)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text("")

    def restore(self, checkpoint_path: str) -> None:
        pass


def script(config: Mapping[str, Any]) -> Script:
    """Trial 0 loses its worker before its second report, trial 3 before its first report, for ever."""
    reports: list[Report | Failure] = [
        Report({"env_steps": 100 * (k + 1), "objective": float(config["trial_number"])}) for k in range(REPORTS)
    ]
    failures = {0: [(1, Failure())], 3: [(0, Failure()), (0, Failure())]}.get(config["trial_number"], [])
    for place, failure in failures:
        reports.insert(place, failure)
    return reports


class Real(Trainable):
    """The script of above as a trainable: its failures are counted in files."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reports = 0

    def step(self) -> dict[str, Any]:
        number, failures = self.config["trial_number"], {0: (1, 1), 3: (0, 2)}
        place, most = failures.get(number, (-1, 0))
        files = [Path(self.config["folder"], f"{number}-{k}") for k in range(most)]
        if self.reports == place and (left := [file for file in files if not file.exists()]):
            left[0].touch()
            raise RuntimeError("scripted")
        self.reports += 1
        return {"env_steps": 100 * self.reports, "objective": float(number), "done": self.reports == REPORTS}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.reports = 0
        return True

    def save_checkpoint(self, folder: str) -> None:
        Path(folder, "reports").write_text(str(self.reports))

    def load_checkpoint(self, folder: str) -> None:
        self.reports = int(Path(folder, "reports").read_text())


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("ray_cluster")
def test_the_simulated_loop_makes_the_calls_of_tune(tmp_path: Path) -> None:
    from ray import tune

    Calls.clear()
    tune.Tuner(
        Real,
        param_space={"folder": str(tmp_path)},
        tune_config=tune.TuneConfig(
            metric="objective", mode="max", search_alg=OneAtATime(), scheduler=Scripted(), num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="real", storage_path=str(tmp_path), verbose=0, failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True),
        ),
    ).fit()  # fmt: skip
    real = list(Calls.made)
    assert {call[0] for call in real} == {
        *("suggest", "add", "result", "told", "complete", "ended", "error", "promote", "remove")
    }
    simulated()
    assert Calls.made == real


def simulated(**options: Any) -> TuneLoop:
    Calls.clear()
    return TuneLoop(Scripted(), OneAtATime(), script, max_failures=1, **options).run()


def test_a_promoted_trial_continues_from_its_checkpoint() -> None:
    loop = simulated()
    assert [call[2] for call in Calls.made if call[:2] == ("result", 2)] == [100, 200]
    statuses = {trial.config["trial_number"]: trial.status for trial in loop.trials}
    assert statuses == {0: "TERMINATED", 1: "TERMINATED", 2: "TERMINATED", 3: "ERROR", 4: "TERMINATED"}


def test_the_clock_counts_starts_reports_and_checkpoints() -> None:
    class Alone(FIFOScheduler):
        pass

    class Three(OneAtATime):
        def suggest(self, trial_id: str) -> Any:
            Calls.numbers[trial_id] = len(Calls.numbers)
            return {"trial_number": 1}

    Calls.clear()
    loop = TuneLoop(Alone(), Three(), script, trials=3, slots=1, start_s=5.0, save_s=0.5).run()
    assert loop.actors.started == 1  # it is reused
    assert loop.clock.now_s == 5.0 + 3 * REPORTS * 1.5
    assert [trial.ended_s for trial in loop.trials] == [9.5, 14.0, 18.5]


def test_a_scheduler_that_lets_nobody_run_is_reported() -> None:
    class PausesForEver(FIFOScheduler):
        def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
            return self.PAUSE

        def choose_trial_to_run(self, controller: Any) -> Any:
            return None

    Calls.clear()
    with pytest.raises(Stuck, match="PAUSED"):
        TuneLoop(PausesForEver(), OneAtATime(), script).run()


@pytest.mark.parametrize(("steps", "next_report"), [(11, 100), (12, 200)], ids=["before", "after the checkpoint"])
def test_a_restored_loop_adds_every_trial_again_and_queues_the_unfinished(steps: int, next_report: int) -> None:
    class Stateless(FIFOScheduler):
        added: ClassVar[list[tuple[str, str]]] = []

        def on_trial_add(self, controller: Any, trial: Any) -> None:
            self.added.append((trial.trial_id, trial.status))

        def state(self) -> dict[str, Any]:
            return {}

        def set_state(self, state: dict[str, Any]) -> None:
            self.added.clear()

    Calls.clear()
    loop = TuneLoop(Stateless(), OneAtATime(), script)
    loop.run(steps=steps)  # trial 0 has ended, trial 1 has reported once
    assert [trial.status for trial in loop.trials] == ["TERMINATED", "RUNNING"]
    again = restore(TuneLoop(Stateless(), OneAtATime(), script), snapshot(loop))
    assert Stateless.added == [("00001", "PENDING"), ("00000", "TERMINATED")]
    again.run(steps=4)
    assert again.decisions[0].env_steps == next_report
