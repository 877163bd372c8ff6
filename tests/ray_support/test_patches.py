"""Each patch of Ray's and Tune's internals takes effect; a test fails if Ray changes a patched internal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any
from unittest.mock import MagicMock

import pytest
import ray
from ray._private import ray_constants
from ray.tune import Callback, Trainable, tune
from ray.tune.execution.class_cache import DEFAULT_ENV_VARS, _ActorClassCache
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from tests.faults.process_tree import command_line, descendants, is_alive
from tests.waiting import wait_until
from tuneexp.ray_support import idle_agent, waiting_agent
from tuneexp.ray_support.patches import callbacks_uncounted, environment_inherited, forget_token, trial_failures
from tuneexp.ray_support.start import environment_of_workers

# `loopback_only`: tests/ray_support/test_private_session.py looks at the sockets of all processes.


@pytest.mark.usefixtures("ray_cluster")
def test_a_local_ray_has_neither_autoscaler_nor_log_monitor_nor_dashboard() -> None:
    processes = ray._private.worker._global_node.all_processes
    assert set(processes) == {ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET}
    (raylet,) = (info.process.pid for info in processes[ray_constants.PROCESS_TYPE_RAYLET])
    for agent in (idle_agent, waiting_agent):  # the second is Ray's own after a request, as in test_worker_origin.py
        wait_until(lambda file=agent.__file__: [one for one in descendants(raylet) if file in command_line(one)])
    commands = [command_line(one) for one in descendants(raylet)]
    assert not [command for command in commands if "dashboard" in command.lower()]


@pytest.mark.parametrize("script", [[idle_agent.__file__], [waiting_agent.__file__, "127.0.0.1", "0", "true"]])
def test_a_process_in_place_of_an_agent_ends_after_its_raylet(script: list[str]) -> None:
    raylet = ["sh", "-c", 'RAY_RAYLET_PID=$$ "$@" >/dev/null & echo $!; read line', "sh"]
    command = [*raylet, sys.executable, "-I", "-S", *script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        agent = int(process.stdout.readline())
        time.sleep(0.3)
        assert is_alive(agent)
        process.kill()
    wait_until(lambda: not is_alive(agent))


@pytest.mark.usefixtures("ray_cluster")
def test_ray_s_processes_do_not_get_the_signals_of_this_process_s_terminal() -> None:
    of_ray = [info.process.pid for infos in ray._private.worker._global_node.all_processes.values() for info in infos]
    assert of_ray
    assert os.getsid(0) not in {os.getsid(pid) for pid in of_ray}


def test_a_token_is_read_again_once_it_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader

    loader, seen = AuthenticationTokenLoader.instance(), []
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    try:
        for token in ("a" * 64, "b" * 64):
            monkeypatch.setenv("RAY_AUTH_TOKEN", token)
            forget_token()
            seen.append(loader.get_raw_token())
    finally:
        monkeypatch.undo()
        forget_token()
    assert seen == ["a" * 64, "b" * 64]


class Reporting(Trainable):
    def step(self) -> dict[str, Any]:
        return {"runtime_env": dict(ray.get_runtime_context().runtime_env), "fork": os.environ.get("PL_DISABLE_FORK")}


@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_has_the_variables_of_tune_without_a_runtime_environment() -> None:
    with environment_inherited(environment_of_workers()):
        worker = _ActorClassCache().get(Reporting).remote()
    assert ray.get(worker.step.remote()) == {"runtime_env": {}, "fork": "1"}


@pytest.mark.usefixtures("ray_cluster")
def test_the_variables_of_workers_of_another_ray_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment_of_workers()["OMP_NUM_THREADS"] == "1"
    monkeypatch.setattr(ray._private.worker, "_global_node", object())
    assert environment_of_workers() == {}


def test_variables_that_workers_do_not_inherit_are_set_by_a_runtime_environment() -> None:
    for inherited in ({}, {**DEFAULT_ENV_VARS, "RAY_CHDIR_TO_TRIAL_DIR": "1"}):
        with environment_inherited(inherited):
            variables = _ActorClassCache().get(Reporting)._default_options["runtime_env"]["env_vars"]
        assert variables["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
        assert DEFAULT_ENV_VARS.items() <= variables.items()


class Failing(Trial):
    """A running trial without storage."""

    status = Trial.RUNNING
    trial_id = custom_trial_name = "failing"

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize("final", [False, True])
def test_tune_handles_a_failure_as_decided(final: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(Trial, "handle_error", lambda trial, exc=None: calls.append("error.txt"))
    monkeypatch.setattr(Trial, "should_recover", lambda trial: True)
    controller, error = MagicMock(), RuntimeError()
    with trial_failures(lambda trial: final, calls.append, lambda trial, exc: calls.append("cause")):
        TuneController._process_trial_failure(controller, Failing(), error)
    assert calls == [error, "error.txt", "cause"]
    assert controller._try_recover.called is not final


def test_an_error_of_the_first_hook_leaves_the_loop_of_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(error: Exception) -> None:
        raise error

    written: list[Any] = []
    monkeypatch.setattr(Trial, "handle_error", lambda trial, exc=None: written.append(exc))
    with pytest.raises(OSError, match="full"), trial_failures(lambda trial: False, end, MagicMock()):
        TuneController._process_trial_failure(MagicMock(), Failing(), OSError("full"))
    assert not written


def test_nothing_is_imported_to_count_callbacks_for_statistics_that_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    monkeypatch.setattr("ray.air._internal.usage._count_callbacks", lambda callbacks: counted.extend(callbacks))
    for enabled, count in (("0", 0), ("1", 1)):
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", enabled)
        with callbacks_uncounted():
            tune.air_usage.tag_callbacks([Callback()])
        assert len(counted) == count
