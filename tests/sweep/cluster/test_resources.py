"""Trials that no node can run are refused before Tune waits for them forever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clocks import set_clock
from tuneexp.errors import UserError
from tuneexp.processes import cores
from tuneexp.sweep import Sweep
from tuneexp.sweep.cluster import capacity, pending_monitor
from tuneexp.sweep.cluster.capacity import trials_of
from tuneexp.sweep.cluster.resources import cpus_of, largest, refuse_unmeetable, trials_that_fit
from tuneexp.sweep.sweep_config import read_config, save_config
from tuneexp.trial.trainable import AlgorithmTrainable

ONE, FIVE = [{"CPU": 1.0}], [{"CPU": 1.0}] * 5


def test_more_than_the_cluster_has_is_refused_with_both_numbers() -> None:
    with pytest.raises(UserError, match=r"5 CPUs.* 2\n.*num_env_runners"):
        refuse_unmeetable(FIVE, [{"CPU": 1.0}, {"CPU": 1.0}])
    with pytest.raises(UserError, match=r"1 GPU,.* 0"):
        refuse_unmeetable([{"CPU": 1.0, "GPU": 1.0}], [{"CPU": 8.0}])


def test_a_bundle_must_fit_on_one_node() -> None:
    wide = [{"CPU": 1.0}, {"CPU": 4.0}]
    with pytest.raises(UserError, match=r"4 CPUs on one node.* 3"):
        refuse_unmeetable(wide, [{"CPU": 3.0}, {"CPU": 3.0}])
    refuse_unmeetable(wide, [{"CPU": 1.0}, {"CPU": 4.0}])
    # Each fits somewhere and the sum is there, but no two of them share a node.
    with pytest.raises(UserError, match="one node"):
        refuse_unmeetable([{"CPU": 2.0}] * 3, [{"CPU": 3.0}, {"CPU": 3.0}])


def test_bundles_may_spread_over_nodes() -> None:
    refuse_unmeetable(FIVE, [{"CPU": 2.0}, {"CPU": 2.0}, {"CPU": 1.0}])
    refuse_unmeetable([{"CPU": 1.0}, *[{"CPU": 0.1}] * 10], [{"CPU": 2.0}])  # ten tenths, which floats don't add to 1


def test_as_many_trials_run_at_once_as_fit_on_the_nodes() -> None:
    nodes = [{"CPU": 4.0}, {"CPU": 3.0}]
    assert trials_that_fit(ONE, nodes, 100) == 7
    assert trials_that_fit([{"CPU": 2.0}], nodes, 100) == 3  # one CPU is left over on the second node
    assert trials_that_fit([{"CPU": 1.0}, {"CPU": 1.0}], nodes, 100) == 3
    assert trials_that_fit(ONE, nodes, 5) == 5
    assert trials_that_fit(FIVE, [{"CPU": 4.0}], 5) == 0


def test_a_local_ray_gets_the_cpus_of_all_trials_at_once() -> None:
    assert cpus_of(ONE, 3) == 3
    assert cpus_of([{"CPU": 1.0}, *[{"CPU": 0.25}] * 2], 3) == 5  # 4.5


@pytest.fixture(autouse=True)
def ray_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """End a Ray that another test has started: a sweep would use it."""
    monkeypatch.setattr("tuneexp.sweep.cluster.capacity.runs_elsewhere", lambda address: False)


def asked(tmp_path: Path, **changes: Any) -> Sweep:
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
    return Sweep(**{"space": space, "name": "s", "storage": tmp_path / "runs", "seeds": 1, **changes})


def test_a_sweep_of_trials_that_this_machine_can_never_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{cores() + 1} CPUs.* {cores()}\n"):
        asked(tmp_path, fixed={"num_env_runners": cores()})
    # A space that reaches such a trial is refused as well.
    space = {"num_env_runners": {"choice": [0, cores()]}}
    with pytest.raises(UserError, match="this machine has"):
        asked(tmp_path, space=space)
    assert not (tmp_path / "runs").exists()


def test_trials_at_once_are_by_default_what_fits_on_the_cores(tmp_path: Path) -> None:
    assert asked(tmp_path, trials=100).resolved.concurrency == cores()
    assert asked(tmp_path, trials=1).resolved.concurrency == 1
    half = {"num_env_runners": 1, "num_cpus_per_env_runner": cores() / 2}
    assert asked(tmp_path, trials=100, fixed=half).resolved.concurrency == 1
    assert asked(tmp_path, trials=100, concurrency=7).resolved.concurrency == 7


def test_the_number_of_trials_at_once_is_stored_as_requested_and_meant_anew_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "cores", lambda: 2)
    sweep = asked(tmp_path, trials=100)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    monkeypatch.setattr(capacity, "cores", lambda: 16)
    stored = read_config(sweep.folder)
    assert capacity.resolved_here(stored, sweep.space).concurrency == 16
    assert capacity.resolved_here(stored.model_copy(update={"concurrency": 3}), sweep.space).concurrency == 3


def test_what_is_checked_is_what_tune_gets(tmp_path: Path) -> None:
    fixed = {"num_env_runners": 2, "num_cpus_per_env_runner": 0.25}
    sweep = asked(tmp_path, fixed=fixed)
    config = {"algorithm": "ppo", "env": "CartPole-v1", "hyperparameters": fixed}
    request = AlgorithmTrainable.default_resource_request(config)
    assert request is not None
    assert trials_of(sweep.space) == [request.bundles]


def test_searched_runners_and_learners_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneexp.sweep.cluster.capacity.cores", lambda: 4)
    space = {"num_env_runners": {"choice": [0, 2]}, "num_learners": {"choice": [0, 2]}}
    with pytest.raises(UserError, match=r"5 CPUs, this machine .* 4"):
        asked(tmp_path, space=space)
    monkeypatch.setattr("tuneexp.sweep.cluster.capacity.cores", lambda: 5)
    assert sorted(map(len, trials_of(asked(tmp_path, space=space).space))) == [1, 3, 5]


def test_what_is_searched_only_without_others_is_not_counted_beside_them(tmp_path: Path) -> None:
    space = {"num_learners": {"choice": [0, 1]}, "num_env_runners": {"choice": [0, 1], "when": {"num_learners": 0}}}
    sweep = asked(tmp_path, space=space, fixed={"num_cpus_per_env_runner": 0.1})
    assert max(map(len, trials_of(sweep.space))) == 2


def test_runners_that_fit_only_with_what_is_suggested_beside_them_are_counted(tmp_path: Path) -> None:
    """The default of eight environments can't be divided among three runners."""
    space = {"n_envs": {"choice": [9, 12]}, "num_env_runners": {"choice": [0, 3]}}
    fixed = {"num_cpus_per_env_runner": 0.1, "batch_size": 9, "n_steps": 9}
    sweep = asked(tmp_path, algorithm="appo", space=space, fixed=fixed)
    assert max(map(len, trials_of(sweep.space))) == 4


def runners_of_a_function(trial: Any) -> dict[str, Any]:
    runners = trial.suggest_int("num_env_runners", 0, 3)
    return {"num_cpus_per_env_runner": 0.25 if runners else 1.0}


def test_what_a_function_suggests_and_returns_is_counted(tmp_path: Path) -> None:
    sweep = asked(tmp_path, space=f"{__file__}:runners_of_a_function")
    most = largest(trials_of(sweep.space))
    assert (len(most), sum(bundle["CPU"] for bundle in most)) == (4, 1.75)


@pytest.mark.parametrize("order", [1, -1])
def test_what_needs_no_gpu_is_put_where_none_is(order: int) -> None:
    bundles = [{"CPU": 1.0}, *[{"CPU": 2.0}] * 4, {"CPU": 1.0, "GPU": 1.0}]
    refuse_unmeetable(bundles, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}][::order])


class Waits:
    status = "PENDING"


class Runs:
    status = "RUNNING"


def test_a_sweep_that_waits_for_nodes_reports_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    clock = iter([0.0, 59.0, 60.0, 61.0, 100.0, 200.0])
    set_clock(monkeypatch, pending_monitor, monotonic=lambda: next(clock))
    monkeypatch.setattr(pending_monitor.ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": 1.0, "memory": 1.0})
    monkeypatch.setattr(pending_monitor.ray, "available_resources", lambda: {"CPU": 1.0})
    monkeypatch.setattr(pending_monitor, "a_trial_is_starting", lambda: False)
    watcher = pending_monitor.PendingMonitor([{"CPU": 1.0}, {"CPU": 0.5}])
    for trials in ([Waits()], [Waits()], [Waits()], [Waits()], [Waits(), Runs()], [Waits()]):
        watcher.on_step_begin(0, trials)  # type: ignore[arg-type]
    (said,) = [record.message for record in caplog.records]
    assert "a trial needs 1.5 CPUs, the cluster has 2 CPUs and 1 GPU, of which 1 CPU are free" in said


def test_a_trial_that_has_its_room_is_starting_and_waits_for_none(
    ray_cluster: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    clock = iter([0.0, 60.0, 119.0, 121.0])
    set_clock(monkeypatch, pending_monitor, monotonic=lambda: next(clock))
    watcher = pending_monitor.PendingMonitor([{"CPU": 1.0}])
    watcher.on_step_begin(0, [Waits()])  # type: ignore[list-item]
    too_large = placement_group([{"CPU": 100.0}])
    watcher.on_step_begin(0, [Waits()])  # type: ignore[list-item]
    assert "the cluster has 2 CPUs" in caplog.records[-1].message
    placed = placement_group([{"CPU": 0.1}])
    ray.get(placed.ready())
    said = len(caplog.records)
    watcher.on_step_begin(0, [Waits()])  # type: ignore[list-item]
    assert len(caplog.records) == said
    watcher.on_step_begin(0, [Waits()])  # type: ignore[list-item]
    assert "importing and compiling for 121 s" in caplog.records[-1].message
    for group in (too_large, placed):
        remove_placement_group(group)


def test_a_trial_with_gpu_learners_is_measured_against_this_machines_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = {"num_learners": 1, "num_gpus_per_learner": 1.0}
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(UserError, match=r"1 GPU, this machine .* 0"):
        asked(tmp_path, fixed=gpu)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert asked(tmp_path, trials=100, fixed=gpu).resolved.concurrency == 1
