"""Remote env runners sample the same as a local one, and are restarted if they die."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import ray
import torch
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from tests.faults.process_tree import command_line, descendants, is_alive
from tests.sampling.envs import Clockwork
from tests.small import parameters_of, same, small_trial
from tuneexp.algorithms.dqn import DQN
from tuneexp.errors import EnvironmentFault, RunnerLost, UserError
from tuneexp.files import checkpoint
from tuneexp.ray_support.placement import in_bundle
from tuneexp.sampling.remote import remote_runners
from tuneexp.testing.subject import differences
from tuneexp.trial import Trial
from tuneexp.trial.from_checkpoint import trial_from_checkpoint

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.timeout(240)]

NORMALISED = {"normalize_observation": True, "normalize_reward": True}
RECURRENT = {"model": {"hidden_sizes": [8], "recurrent": "gru", "recurrent_size": 6}, "sequence_length": 8}
DQN_SMALL = {
    "n_envs": 4, "train_freq": 8, "gradient_steps": 1, "learning_starts": 32, "batch_size": 16, "buffer_size": 512,
    "noisy": True, "n_step": 3, "model": {"hidden_sizes": [8]},
}  # fmt: skip


class Asleep(Clockwork):
    """Hangs once, in the first step after the given file exists."""

    def __init__(self, told: str) -> None:
        super().__init__()
        self.told = Path(told)

    def step(self, action: Any) -> Any:
        with suppress(FileNotFoundError):  # of two runners one finds the file
            self.told.unlink()
            signal.pause()
        return super().step(action)


class Suicidal(Clockwork):
    def step(self, action: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class HangsOrBreaks(Clockwork):
    """The first instance that steps hangs, the others raise."""

    def __init__(self, told: str) -> None:
        super().__init__()
        self.told = Path(told)

    def step(self, action: Any) -> Any:
        try:
            self.told.unlink()
        except FileNotFoundError:
            raise RuntimeError("a cable came off") from None
        signal.pause()


def remote_trial(n_runners: int, seeds: tuple[int, ...] = (0, 1), **changes: Any) -> Trial:
    settings = {"n_envs": 4, "num_env_runners": n_runners, "num_cpus_per_env_runner": 0.1, **changes}
    return small_trial(seeds, **settings)


def runner_pids() -> list[int]:
    return [pid for pid in descendants(os.getpid()) if is_alive(pid) and "RunnerActor" in command_line(pid)]


@pytest.fixture(scope="module")
def sampled() -> dict[str, Any]:
    return {}


def two_fragments(trial: Trial) -> dict[str, Any]:
    """All columns of two fragments, and the statistics and parameters after two training steps."""
    try:
        columns = [dict(trial.group.sample(24)) for _ in range(2)]
        episodes = trial.group.episodes.state_dict()
        for _ in range(2):
            trial.training_step()
        return {
            "columns": columns, "episodes": episodes, "parameters": parameters_of(trial),
            "statistics": trial.trainer.normaliser.state_dict() if trial.trainer.normaliser else {},
        }  # fmt: skip
    finally:
        trial.close()


@pytest.mark.parametrize(
    ("n_runners", "changes"), [(1, NORMALISED), (4, NORMALISED), (2, RECURRENT)], ids=["1", "4", "2-recurrent"]
)
def test_any_number_of_runners_samples_the_same(n_runners: int, changes: dict[str, Any], sampled: Any) -> None:
    """1 runner has both seeds, 2 have one seed each, 4 divide seeds and environments. The random numbers don't depend
    on it."""
    key = str(changes)
    if key not in sampled:
        sampled[key] = two_fragments(remote_trial(0, **changes))
    local, remote = sampled[key], two_fragments(remote_trial(n_runners, **changes))
    for mine, theirs in zip(local["columns"], remote["columns"], strict=True):
        assert mine.keys() == theirs.keys()
        for name, column in mine.items():
            torch.testing.assert_close(theirs[name], column, rtol=1e-4, atol=1e-5, msg=name)
        for name in ("action", "terminated", "truncated", "valid"):
            assert torch.equal(mine[name], theirs[name]), name
    assert any(bool((~fragment["valid"]).any()) for fragment in local["columns"]), "episodes ended"
    for name, value in local["statistics"].items():
        np.testing.assert_allclose(remote["statistics"][name], value, rtol=1e-6)
    for name, value in local["episodes"].items():
        np.testing.assert_allclose(remote["episodes"][name], value, rtol=1e-6)
    for name, leaf in local["parameters"].items():
        torch.testing.assert_close(remote["parameters"][name], leaf, rtol=1e-3, atol=1e-5)


def test_runners_hold_the_exploration_of_their_seeds_and_environments() -> None:
    changes = {"env": "Pendulum-v1", "use_sde": True, "sde_sample_freq": 5}
    local, remote = (two_fragments(remote_trial(n, **changes)) for n in (0, 4))
    for mine, theirs in zip(local["columns"], remote["columns"], strict=True):
        for name, column in mine.items():
            torch.testing.assert_close(theirs[name], column, rtol=1e-4, atol=1e-4, msg=name)


def test_a_killed_and_a_hung_runner_are_replaced_while_the_trial_continues(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = tmp_path / "sleep"
    before = set(runner_pids())
    trial = remote_trial(
        2, rollouts=6, env=f"{__file__}:Asleep", env_kwargs={"told": str(told)}, sample_timeout_s=12.0, n_steps=16
    )
    try:
        first = trial.advance()
        assert first["env_runner_restarts"] == 0
        os.kill((set(runner_pids()) - before).pop(), signal.SIGKILL)
        assert trial.advance()["env_runner_restarts"] == 1
        told.touch()
        while not trial.done:
            last = trial.advance()
    finally:
        trial.close()
    assert not told.exists(), "the runner hung"
    assert "timed out after 12 s" in caplog.text
    assert last["env_runner_restarts"] == 2
    assert last["env_steps"] == trial.config.budget_env_steps
    assert last["failed_seeds"] == []
    # Episodes of 5, 5 and 3 steps: those that were lost with their runner are counted in part in no other.
    assert 3.0 <= last["train/episode_length_mean"] <= 5.0
    assert first["train/return_mean"] == pytest.approx(last["train/return_mean"], abs=2.0)


def test_a_training_whose_runners_are_killed_again_and_again_ends_with_the_right_number_of_steps() -> None:
    before, rollouts = set(runner_pids()), 20
    trial = remote_trial(2, rollouts=rollouts, report_every_env_steps=10**6)
    over, killed = threading.Event(), []

    def kill_every_few_seconds() -> None:
        while not over.wait(2.0):
            alive = set(runner_pids()) - before
            if len(alive) == 2 and killed_are_replaced():
                killed.append(max(alive))
                os.kill(killed[-1], signal.SIGKILL)

    def killed_are_replaced() -> bool:
        return trial.group.runners.restarts == len(killed)

    killer = threading.Thread(target=kill_every_few_seconds, daemon=True)
    killer.start()
    while not trial.done or len(killed) < 3:
        trial.training_step()
    over.set()
    killer.join()
    updates = trial.learner.n_updates
    steps = trial.group.env_steps
    trial.training_step()  # also the last one that was killed is replaced
    assert trial.group.runners.restarts == len(killed) >= 3
    assert steps == trial.env_steps - 128 >= rollouts * 64
    assert updates == steps // 128 * 2 * (128 // 16), "two epochs of minibatches of 16 rows from each rollout"
    assert not trial.learner.failed.any()
    trial.close()


def test_a_runner_that_dies_again_and_again_ends_the_trial_with_a_reason() -> None:
    trial = remote_trial(1, env=f"{__file__}:Suicidal", max_env_runner_restarts=1)
    with pytest.raises(RunnerLost, match=r"more than 1 times .*max_env_runner_restarts"):
        trial.group.sample(4)
    trial.close()


def test_what_an_environment_raises_is_reported_as_if_it_were_here_also_while_another_hangs(tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.touch()
    settings = {"env_kwargs": {"told": str(told)}, "env_backend": "sync"}
    trial = remote_trial(2, seeds=(3, 7), env=f"{__file__}:HangsOrBreaks", **settings)
    with pytest.raises(EnvironmentFault, match=r"seed [37], index 0.*a cable came off"):
        trial.group.sample(4)
    trial.close()


def test_evaluating_a_checkpoint_starts_no_runners_and_one_after_a_death_holds_no_lost_episode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, bundles = set(runner_pids()), []
    monkeypatch.setattr(remote_runners, "in_bundle", lambda index, takes: bundles.append((index, takes)) or {})
    trial = remote_trial(2)
    assert bundles == [(1, {"CPU": 0.1}), (2, {"CPU": 0.1})]
    trial.training_step()
    checkpoint.write(tmp_path, trial.state_dict())
    here = set(runner_pids())
    alone = trial_from_checkpoint(tmp_path, learns=False)
    assert np.array_equal(alone.evaluate(2, 0), trial.evaluate(2, 0))
    assert set(runner_pids()) == here
    assert not [record for record in caplog.records if record.name.startswith("tuneexp")]

    os.kill((here - before).pop(), signal.SIGKILL)
    known = [one["envs"] is not None for one in trial.group.state_dict()["runners"]]
    assert sorted(known) == [False, True]
    trial.training_step()
    assert trial.group.runners.restarts == 1
    trial.close()


def test_runners_and_learners_sit_in_the_bundles_that_are_theirs() -> None:
    bundles = [{"CPU": 0.2}, {"CPU": 0.3}, {"CPU": 0.4}]
    group = placement_group(bundles)
    inside = PlacementGroupSchedulingStrategy(group, 0, placement_group_capture_child_tasks=True)

    @ray.remote(num_cpus=0.2, scheduling_strategy=inside)
    def options() -> list[int | None]:
        asked = [in_bundle(1, {"CPU": 0.3}), in_bundle(2, {"CPU": 0.4}), in_bundle(1, {"CPU": 0.4}), in_bundle(3, {})]
        return [one["scheduling_strategy"].placement_group_bundle_index if one else None for one in asked]

    assert ray.get(options.remote()) == [1, 2, None, None]  # too small, or none: Ray chooses
    remove_placement_group(group)
    assert in_bundle(1, {"CPU": 0.3}) == {}


def test_a_checkpoint_continues_with_its_runners_and_starts_fresh_episodes_with_others(tmp_path: Path) -> None:
    trial = remote_trial(2, **NORMALISED)
    trial.training_step()
    checkpoint.write(tmp_path, trial.state_dict())
    again, others = remote_trial(2, **NORMALISED), remote_trial(0, **NORMALISED)
    for one in (again, others):
        one.load_state_dict(checkpoint.read(tmp_path))
    states = again.group.state_dict()
    assert not differences(states, trial.group.state_dict())
    for one in (trial, again, others):
        one.training_step()
    assert same(parameters_of(trial), parameters_of(again))
    assert others.group.state_dict()["times_restored"] == 1
    for one in (trial, again, others):
        one.close()


def test_replay_learns_from_remote_runners_with_noise_of_one_draw_a_step() -> None:
    local, remote = (
        small_trial((0, 1), spec=DQN, algorithm="dqn", budget_env_steps=160, hyperparameters={
            **DQN_SMALL, "num_env_runners": n, "num_cpus_per_env_runner": 0.1,
        }) for n in (0, 4)
    )  # fmt: skip
    for trial in (local, remote):
        while not trial.done:
            trial.training_step()
        trial.close()
    for name, leaf in local.learner.parameters.items():
        torch.testing.assert_close(remote.learner.parameters[name], leaf, rtol=1e-3, atol=1e-5)


def test_fragments_and_weights_leave_the_object_store_again() -> None:
    """The weights of 150 rounds would fill the store of this Ray (128 MB) more than twice."""
    trial = remote_trial(2, model={"hidden_sizes": [256, 512]})
    references = []
    for _ in range(150):
        trial.group.sync_weights(trial.learner.parameters)
        trial.group.sample(2)
        references.append(len(ray._private.worker.global_worker.core_worker.get_all_reference_counts()))
    trial.close()
    assert sum(leaf.numel() * 4 for leaf in trial.learner.parameters.values()) * 150 > 2 * 128 * 2**20
    assert max(references[50:]) <= max(references[:50])


def test_an_environment_that_can_not_be_sent_is_refused_in_a_line() -> None:
    lock = __import__("threading").Lock()

    def made() -> gymnasium.Env[Any, Any]:
        with lock:
            return Clockwork()

    with pytest.raises(UserError, match=r"another process .*\n.* id"):
        remote_trial(2, env=made)


def test_runners_that_have_no_room_are_refused_with_the_numbers() -> None:
    with pytest.raises(UserError, match=r"8 CPUs.* 2; .*num_env_runners"):
        remote_trial(4, num_cpus_per_env_runner=2.0)
