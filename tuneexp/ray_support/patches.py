"""Patches of internals of Ray and Tune, each with its reason and with the upstream change that would remove it.

Ray 2.60 has no public setting for any of them. Patches of Ray are active while a Ray starts or ends, patches of Tune
while a sweep runs. tests/ray_support/test_patches.py fails if Ray changes one of the patched internals."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import _raylet
from ray._private import parameter, ray_constants, services
from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader, Config

from tuneexp.ray_support import idle_agent, waiting_agent, worker_request

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


@contextmanager
def few_services(log_monitor: bool) -> Iterator[None]:
    """Start Ray without its autoscaler and, on request, without its log monitor.

    Why: one machine can't grow, and the workers' output is not shown by default. Each of both is a process that takes
    one or two seconds of a core. A Ray without these parameters starts both.
    Obsolete once `ray.init` takes `no_monitor` and `include_log_monitor`, as `RayParams` does."""
    of_ray = parameter.RayParams
    wanted = {"no_monitor": True, "include_log_monitor": log_monitor}
    known = inspect.signature(of_ray).parameters
    parameter.RayParams = partial(of_ray, **{name: on for name, on in wanted.items() if name in known})
    try:
        yield
    finally:
        parameter.RayParams = of_ray


@contextmanager
def no_dashboard() -> Iterator[None]:
    """Start Ray without the two processes of its dashboard: the one of the head node and the agent of each node.

    Why: `include_dashboard=False` starts both all the same, for usage statistics and metrics, which are off here.
    Together they take two seconds of a core, and `ray.init` waits for the first. The raylet insists on an agent, so it
    gets `idle_agent`. Its ports are -1, as they are where Ray has no packages for the dashboard. The start also waits
    for an agent of runtime environments, which few workers need: `waiting_agent` becomes it at the first request.
    Obsolete once `include_dashboard=False` starts neither."""
    start_api_server, start_process = services.start_api_server, services.start_ray_process

    def without_agent(command: list[str], process_type: str, *args: Any, **kwargs: Any) -> Any:
        if process_type == ray_constants.PROCESS_TYPE_RAYLET:
            command = [_with_waiting_agent(command, _with_idle_agent(command, one)) for one in command]
        return start_process(command, process_type, *args, **kwargs)

    services.start_api_server = lambda *args, **kwargs: ("", None)  # neither an address nor a process
    services.start_ray_process = without_agent
    try:
        yield
    finally:
        services.start_api_server, services.start_ray_process = start_api_server, start_process


_AGENT_COMMAND = "--dashboard_agent_command="
_COMPILED: Any = _raylet  # Ray's type stub lacks the names below
_AGENT_PORTS = (
    _COMPILED.METRICS_AGENT_PORT_NAME,
    _COMPILED.METRICS_EXPORT_PORT_NAME,
    _COMPILED.DASHBOARD_AGENT_LISTEN_PORT_NAME,
)


def _with_idle_agent(command: list[str], argument: str) -> str:
    """Return `argument` of a raylet's command, or the idle agent in place of Ray's, after writing its ports."""
    if not argument.startswith(_AGENT_COMMAND):
        return argument
    session, node = (_value_of(name, command) for name in ("--session_dir=", "--node_id="))
    for port in _AGENT_PORTS:
        _COMPILED.persist_port(session, node, port, -1)
    return _AGENT_COMMAND + subprocess.list2cmdline([sys.executable, "-I", "-S", idle_agent.__file__])


_WAITS, _ANY_PORT = "--runtime_env_agent_command=", "--runtime-env-agent-port=0"


def _with_waiting_agent(command: list[str], argument: str) -> str:
    """Return `argument` of a raylet's command, with `waiting_agent` before the agent of runtime environments."""
    if not argument.startswith(_WAITS) or _ANY_PORT not in argument:
        return argument
    session, node, ip = (_value_of(name, command) for name in ("--session_dir=", "--node_id=", "--node_ip_address="))
    with socket.create_server((ip, 0)) as free:
        port = free.getsockname()[1]
    _COMPILED.persist_port(session, node, _COMPILED.RUNTIME_ENV_AGENT_PORT_NAME, port)
    agent = argument.removeprefix(_WAITS).replace(_ANY_PORT, f"{_ANY_PORT[:-1]}{port}")
    waiting = [sys.executable, "-I", "-S", waiting_agent.__file__, ip, str(port)]
    return f"{_WAITS}{subprocess.list2cmdline(waiting)} {agent}"


def _value_of(name: str, command: list[str]) -> str:
    (value,) = (argument.removeprefix(name) for argument in command if argument.startswith(name))
    return value


@contextmanager
def workers_from(origin: Path | None) -> Iterator[None]:
    """Start Ray so that its workers are forked from a process that has imported what they need.

    Why: each worker imports Ray, torch and more, 3 s of a core, and begins after Ray's start. Ray starts them with a
    command that its raylet gets as an argument.
    Obsolete once Ray forks workers from a process with `worker_preload_modules`.

    Args:
        origin: socket of the worker origin; None leaves Ray as it is.
    """
    start_process = services.start_ray_process

    def with_requests(command: list[str], process_type: str, *args: Any, **kwargs: Any) -> Any:
        if origin is not None and process_type == ray_constants.PROCESS_TYPE_RAYLET:
            command = [_with_request(argument, origin) for argument in command]
        return start_process(command, process_type, *args, **kwargs)

    services.start_ray_process = with_requests
    try:
        yield
    finally:
        services.start_ray_process = start_process


_WORKER_COMMAND, _SETUP = "--python_worker_command=", "setup_worker.py"


def _with_request(argument: str, origin: Path) -> str:
    """Return `argument` of a raylet's command, with a request to the origin in place of the first step of a worker."""
    if not argument.startswith(_WORKER_COMMAND):
        return argument
    python, _, others = argument.removeprefix(_WORKER_COMMAND).partition(" ")
    if not others.partition(" ")[0].endswith(_SETUP):  # a Ray that starts them in another way
        return argument
    request = subprocess.list2cmdline([worker_request.__file__, str(origin)])
    return f"{_WORKER_COMMAND}{python} -I -S {request} {others}"


@contextmanager
def loopback_only() -> Iterator[None]:
    """Start Ray so that its processes listen on 127.0.0.1 only.

    Why: the GCS, the raylet, the driver and the workers listen on all interfaces by default, and every client can run
    code there. `ray.init(_node_ip_address="127.0.0.1")` replaces the address by that of the network. The environment
    variable RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is read when `ray` is imported, which is too early here.
    Obsolete once `ray.init(address="local")` listens on the loopback interface, or has a setting for it."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def own_session() -> Iterator[None]:
    """Start Ray's processes in sessions of their own.

    Why: a terminal that is closed sends SIGHUP to all processes of a command, and `kill -TERM -- -GROUP` sends SIGTERM.
    Ray's processes would exit at once, but the driver needs them to end its trials. Ray blocks SIGINT only.
    Obsolete once Ray starts them with `start_new_session`."""
    of_ray = services.ConsolePopen
    services.ConsolePopen = partial(of_ray, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = of_ray


def forget_token() -> None:
    """Make Ray read the authentication mode and token anew from the environment at the next start or connection.

    Why: Ray caches both for the life of the process. With those of a local Ray that has ended, a cluster of another
    token is out of reach, and one that starts here can't start its GCS.
    Obsolete once `ray.shutdown` clears them."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def trial_failures(
    is_final: Callable[[Trial], bool], before: Callable[[Exception], None], after: Callable[[Trial, Exception], None]
) -> Iterator[None]:
    """Decide how Tune handles the failure of a trial.

    Why: Tune retries every failure, up to `FailureConfig.max_failures`. That is right for a lost worker, but code that
    raised would raise again. Tune has no hook between a failure and `error.txt`, and none that ends the sweep with an
    error.
    Obsolete once `FailureConfig` takes a function of the error, and `Callback.on_trial_error` gets the error.

    Args:
        is_final: True where the trial is not to be retried.
        before: called with each error; what it raises ends the sweep.
        after: called with the trial and the error, once Tune has written `error.txt`.
    """
    from ray.tune.experiment import Trial

    should_recover, handle_error = Trial.should_recover, Trial.handle_error

    def recoverable(trial: Trial) -> bool:
        return bool(should_recover(trial)) and not is_final(trial)

    def handled(trial: Trial, exc: Exception | None = None) -> None:
        if exc is not None:
            before(exc)
        handle_error(trial, exc)
        if exc is not None:
            after(trial, exc)

    Trial.should_recover, Trial.handle_error = recoverable, handled
    try:
        yield
    finally:
        Trial.should_recover, Trial.handle_error = should_recover, handle_error


def fail_trial(controller: Any, trial: Trial, error: Exception) -> None:
    """End a running trial with an error and kill its worker at once, in Tune's loop.

    Why: Tune ends a trial only after its worker has answered. A worker that hangs would keep its place for ten minutes.
    Obsolete once Tune's controller has a public method that stops a trial with an error.

    Args:
        controller: Tune's controller, or what a scheduler gets in its place.
        trial: a running trial.
        error: its failure, handled as one of the worker.
    """
    tune = getattr(controller, "_tune_controller", controller)
    worker = tune._trial_to_actor.get(trial)
    tune._process_trial_failure(trial, exception=error)
    if worker is not None and tune._actor_manager.is_actor_started(tracked_actor=worker):
        tune._actor_manager.remove_actor(tracked_actor=worker, kill=True)
        tune._stopping_actors.pop(worker, None)


@contextmanager
def callbacks_uncounted() -> Iterator[None]:
    """Start Tune without counting callbacks by their kinds, unless usage statistics are on.

    Why: for the count, Tune imports all of its loggers: MLflow alone is seconds of every start.
    Obsolete once Tune counts nothing where `RAY_USAGE_STATS_ENABLED` is 0."""
    from ray.air._internal import usage

    tag_callbacks = usage.tag_callbacks
    if os.environ.get("RAY_USAGE_STATS_ENABLED") == "0":
        usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = tag_callbacks


@contextmanager
def environment_inherited(of_workers: Mapping[str, str]) -> Iterator[None]:
    """Start trials without a runtime environment, if it would only set variables that workers have anyway.

    Why: Tune sets two to four variables of each worker by a runtime environment. Ray then starts the worker in two
    steps, and the first imports Ray to set them: 0.4 s of a core for each worker.
    Obsolete once Tune or Ray leaves out variables that workers inherit.

    Args:
        of_workers: environment variables that workers inherit; empty if that is not known.
    """
    from ray.tune.execution import class_cache

    get = class_cache._ActorClassCache.get

    def without_runtime_env(cache: Any, trainable: type) -> Any:
        wanted = {name: os.environ[name] for name in class_cache.ENV_VARS_TO_PROPAGATE if name in os.environ}
        if {**class_cache.DEFAULT_ENV_VARS, **wanted}.items() <= of_workers.items():
            cache._cache.setdefault(trainable, ray.remote(trainable))
        return get(cache, trainable)

    class_cache._ActorClassCache.get = without_runtime_env
    try:
        yield
    finally:
        class_cache._ActorClassCache.get = get


def keep_workers(controller: Any, trial: Trial, number: int) -> None:
    """Let Tune cache up to `number` workers without a trial, of the resources of `trial`, until the experiment ends.

    Why: Tune keeps one if no trial waits for a worker. When all trials of a population have paused, it would end the
    others, and start them again a moment later, which takes seconds.
    Obsolete once Tune keeps as many workers as there are paused trials."""
    cache = getattr(getattr(controller, "_tune_controller", controller), "_actor_cache", None)
    if cache is not None:
        cache.increase_max(trial.placement_group_factory, by=number)
