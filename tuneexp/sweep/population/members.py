"""Members of a stacked population, as the callbacks of a sweep see trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial

from tuneexp.nesting import merged, nested
from tuneexp.sweep.storage.records import member_id
from tuneexp.tracking.member_paths import member_folder

MEMBERS, TAKEOVERS = "members", "takeovers"


class Member:
    """One member, with the attributes of a trial of Tune: what differs is that of the member, all else is shared.

    Args:
        population: Trial of Tune with all members.
        index: Of the member.
        decided: The decision that followed its last report counts: its hyperparameters are those from now on.
        result: The newest report, if Tune has not entered it yet.
    """

    def __init__(
        self, population: Trial, index: int, decided: bool = True, result: Mapping[str, Any] | None = None
    ) -> None:
        self.population, self.index, self.decided, self._result = population, index, decided, result
        self.trial_id = member_id(population.trial_id, index)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.population, name)

    @property
    def last_result(self) -> dict[str, Any]:
        return report_of(self._result or self.population.run_metadata.last_result, self.index)

    @property
    def run_metadata(self) -> Any:
        return SimpleNamespace(last_result=self.last_result)

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the member, with its present hyperparameters."""
        own, report = self.population.config[MEMBERS][self.index], self.last_result
        hyperparameters = report.get("hyperparameters", own["hyperparameters"])
        takeovers = report.get(TAKEOVERS, [])
        if (new := new_takeover(report)) is not None:
            takeovers = takeovers if self.decided else takeovers[:-1]
            hyperparameters = merged(hyperparameters, nested(new["after"])) if self.decided else hyperparameters
        return {**self.population.config, **own, "hyperparameters": hyperparameters, TAKEOVERS: takeovers}

    @property
    def checkpoint(self) -> Any:
        return checkpoint_of(self.population.checkpoint, self.index)


def report_of(result: Mapping[str, Any] | None, index: int) -> dict[str, Any]:
    """Return the report of a member from that of its population; empty before the first one."""
    if not result or MEMBERS not in result:
        return {}
    return {**result[MEMBERS][index], "done": bool(result.get("done"))}


def new_takeover(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the takeover by which a member continues after this report; None if it keeps its state."""
    takeovers = report.get(TAKEOVERS) or []
    return takeovers[-1] if takeovers and takeovers[-1]["env_steps"] == report["env_steps"] else None


def checkpoint_of(checkpoint: Any, index: int) -> Any:
    """Return the checkpoint of a member, within that of its population; None before the first one."""
    return None if checkpoint is None else SimpleNamespace(path=f"{checkpoint.path}/{member_folder(index)}")


def members_of(trials: Sequence[Trial]) -> list[Any]:
    """Return the members of all populations among the trials."""
    return [Member(trial, index) for trial in trials for index in range(len(trial.config[MEMBERS]))]


class Recorder(Protocol):
    """A callback of Tune to which takeovers are passed, too."""

    def taken_over(self, trial: Any, takeover: Mapping[str, Any]) -> None: ...

    def __getattr__(self, name: str) -> Any: ...


class PerMember(Callback):
    """Calls another callback for each member of a population, as if each were a trial of its own.

    Args:
        inner: The other callback.
    """

    def __init__(self, inner: Recorder) -> None:
        self.inner = inner

    def setup(self, *args: Any, **info: Any) -> None:
        self.inner.setup(*args, **info)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self.inner.on_step_begin(iteration, members_of(trials), **info)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self.inner.on_step_end(iteration, members_of(trials), **info)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._each("on_trial_start", iteration, trials, trial, **info)

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._each("on_trial_save", iteration, trials, trial, **info)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._each("on_trial_complete", iteration, trials, trial, **info)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._each("on_trial_error", iteration, trials, trial, **info)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.inner.on_trial_recover(iteration, trials, trial, **info)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        everyone = members_of(trials)
        for index in range(len(trial.config[MEMBERS])):
            report = report_of(result, index)
            before = Member(trial, index, decided=False, result=result)
            self.inner.on_trial_result(iteration, everyone, before, report, **info)
            if (new := new_takeover(report)) is not None:
                self.inner.taken_over(Member(trial, index, result=result), new)

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any) -> None:
        everyone = members_of(trials)
        for member in members_of([trial]):
            self.inner.on_checkpoint(iteration, everyone, member, checkpoint_of(checkpoint, member.index), **info)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self.inner.on_experiment_end(members_of(trials), **info)

    def _each(self, hook: str, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        everyone = members_of(trials)
        for member in members_of([trial]):
            getattr(self.inner, hook)(iteration, everyone, member, **info)

    def get_state(self) -> dict[str, Any] | None:
        state: dict[str, Any] | None = self.inner.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        self.inner.set_state(state)
