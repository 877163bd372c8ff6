"""Learners in separate processes, joined by Gloo: the same steps as one learner, also if one is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from tests.small import small_trial
from tests.training.test_learner_group import assert_same_training, trained
from tuneexp.errors import LearnerLost, UserError
from tuneexp.training.learner_group import Outcome, Task
from tuneexp.trial import Trial

pytestmark = pytest.mark.usefixtures("ray_cluster")

CHANGES = {"batch_size": 15, "n_epochs": 3, "max_grad_norm": 0.05, "learning_rate": 1e-2, "target_kl": 0.01}


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Actors in this list are killed during their work, one per operation. Each is stopped before it can reply."""
    import ray

    from tuneexp.training.remote import learner_actors

    victims: list[Any] = []
    stopped: list[int] = []
    collected, run_once = learner_actors._collected, learner_actors.RemoteLearners._run_once

    def stop_and_run(learners: Any, tasks: Sequence[Task]) -> list[Outcome]:
        if victims:
            pid = ray.get(victims.pop().__ray_call__.remote(lambda _: os.getpid()))
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        return run_once(learners, tasks)

    def kill_and_collect(refs: Sequence[Any]) -> Any:
        if stopped:
            os.kill(stopped.pop(), signal.SIGKILL)
        return collected(refs)

    monkeypatch.setattr(learner_actors.RemoteLearners, "_run_once", stop_and_run)
    monkeypatch.setattr(learner_actors, "_collected", kill_and_collect)
    return victims


def actors_of(trial: Trial) -> list[Any]:
    assert trial.trainer.learners is not None
    return trial.trainer.learners.processes._actors  # type: ignore[attr-defined]


def test_two_processes_split_rows_as_one_learns_also_where_one_is_killed(
    killer: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuneexp.training.remote import learner_actors

    one = trained([0], 0, **CHANGES)
    several = small_trial([0], num_learners=2, **CHANGES)
    several.training_step()
    killer.append(actors_of(several)[1])
    several.training_step()
    assert several.trainer.learners is not None
    assert several.trainer.learners.processes.restarts == 1
    assert_same_training(one, several)

    monkeypatch.setattr(learner_actors, "MAX_RESTARTS", 1)
    killer.append(actors_of(several)[0])
    with pytest.raises(LearnerLost, match="more than 1 times"):
        several.training_step()
    several.close()


def test_two_processes_share_three_seeds_as_one_learns() -> None:
    changes = {"target_kl": 0.002, "learning_rate": 3e-3, "n_epochs": 4}
    one, several = (trained([0, 1, 2], n, **changes) for n in (0, 2))
    several.close()
    assert_same_training(one, several)


def test_more_learners_than_the_cluster_has_room_for_are_refused_at_once() -> None:
    with pytest.raises(UserError, match=r"3 CPUs.* 2; .*num_learners"):
        small_trial([0, 1, 2], num_learners=3)
    with pytest.raises(UserError, match=r"1 GPUs.* 0; .*num_learners"):
        small_trial([0], num_learners=1, num_gpus_per_learner=1)


def test_what_a_learner_raises_is_reported_as_it_is() -> None:
    import ray

    from tuneexp.training.remote.learner_actors import _collected

    @ray.remote
    def wrong() -> None:
        raise UserError("loss_fn mine failed at mine.py:3")

    with pytest.raises(UserError, match="loss_fn mine"):
        _collected([wrong.remote()])
