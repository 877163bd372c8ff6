"""Causes of failed trials in one line; each failure is real, in a Ray worker."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from tests.small import small_config
from tests.tracking.helpers import make_trial
from tuneexp.errors import EnvironmentFault, LearnerLost, RunnerLost, UserError
from tuneexp.sweep.cluster.failure_causes import cause_of, is_final
from tuneexp.sweep.cluster.watchdog import where
from tuneexp.tracking.outcome import REASON, outcome_of, reason_of
from tuneexp.trial.trainable import AlgorithmTrainable

ENV = """
import os, sys
from gymnasium.envs.classic_control import CartPoleEnv

class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.unpicklable = lambda: second

class Panic(BaseException): ...

class Bad(CartPoleEnv):
    def __init__(self, ends):
        super().__init__()
        self.ends = ends
        if ends == "exit code 5": sys.exit(5)

    def step(self, action):
        exec(self.ends, {**globals(), "Odd": Odd, "Panic": Panic})
        return super().step(action)
"""

DEATHS = """
import ctypes, os, signal

def crash(): ctypes.string_at(0)

def kill(): os.kill(os.getpid(), signal.SIGKILL)

def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""
RAISES = {
    "sys.exit('the simulator gave up')": ["seed 0, index 0", "SystemExit", "my_env.py line", "the simulator gave up"],
    "raise KeyboardInterrupt": ["KeyboardInterrupt", "my_env.py line"],
    "raise Panic('of another \x1b[31mlanguage\x1b[0m')": ["seed 0", "Panic", r"another \x1b[31mlanguage\x1b[0m"],
    "raise Odd(1, 2)": ["step raised Odd: 1"],
    "raise ValueError('first\\nSecondError: last' + ' and more' * 1000)": ["step raised ValueError: first SecondError"],
    "raise MemoryError": ["step raised MemoryError"],
}


@pytest.fixture(scope="module")
def my_env(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("envs") / "my_env.py"
    file.write_text(ENV)
    return f"{file}:Bad"


def trial(my_env: str, ends: str) -> dict[str, Any]:
    return small_config([0], env=my_env, env_kwargs={"ends": ends}).model_dump()


def new_worker(config: dict[str, Any]) -> Any:
    import ray

    return ray.remote(num_cpus=0)(AlgorithmTrainable).remote(config=config)


def check(training: Any, told: list[str]) -> None:
    """Arguments that Tune gets when the worker of a trial fails."""
    import ray

    with pytest.raises(Exception) as caught:
        ray.get(training, timeout=100)
    cause = cause_of(caught.value, failures=1)
    for words in told:
        assert words in cause
    assert cause.isprintable()
    assert len(cause) <= 600
    assert "ray::" not in cause


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_why_a_worker_died_is_reported_in_one_plain_line(my_env: str) -> None:
    import ray

    class Small:
        """Trainable that starts fast: it imports no torch."""

        def end(self, file: str, name: str) -> None:
            import runpy

            runpy.run_path(file)[name]()

    start = ray.remote(num_cpus=0)(Small).remote
    file = my_env.removesuffix(":Bad").replace("my_env.py", "my_code.py")
    Path(file).write_text(DEATHS)
    unbuilt, small = new_worker(trial(my_env, "exit code 5")), [start() for _ in range(3)]
    check(small[0].end.remote(file, "crash"), ["died: signal 11", "my_code.py line"])
    check(small[1].end.remote(file, "kill"), ["died: it was killed", "SIGTERM", "signal 9"])
    check(small[2].end.remote(file, "terminate"), ["died: ", "SIGTERM"])
    check(unbuilt.train.remote(), ["can't be created: SystemExit in my_env.py line", ": 5"])


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_what_code_of_the_user_does_is_reported_in_one_plain_line(my_env: str) -> None:
    import ray

    worker = new_worker(trial(my_env, "pass"))
    for ends, told in RAISES.items():
        assert ray.get(worker.reset.remote(trial(my_env, ends)), timeout=100)
        check(worker.train.remote(), told)
    go_on = Path(my_env).with_name("go_on")
    hangs = f"import time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.1)\nos._exit(7)"
    assert ray.get(worker.reset.remote(trial(my_env, hangs)), timeout=100)
    training = worker.train.remote()
    running = SimpleNamespace(temporary_state=SimpleNamespace(ray_actor=worker))
    deadline = time.monotonic() + 100
    while "my_env.py line" not in where(running):  # type: ignore[arg-type]
        assert time.monotonic() < deadline, where(running)  # type: ignore[arg-type]
        time.sleep(0.2)
    go_on.touch()
    check(training, ["died: exit code 7"])


def test_the_latest_cause_is_the_reason_of_a_trial() -> None:
    text = "Failure # 2 (occurred at 2026)\nThe actor died\nReason: one\nFailure # 3 (occurred at 2026)\nIt died\n"
    failed = make_trial(0, status="ERROR", error=f"{text}{REASON}out of memory: the kernel killed it\n")
    assert outcome_of(failed, {}) == "out_of_memory"
    assert reason_of(failed, {}) == "out of memory: the kernel killed it"
    # Of a sweep that an earlier version ran.
    assert reason_of(make_trial(0, status="ERROR", error=text), {}) == "It died"


def test_an_error_of_ours_and_one_of_ray_for_lack_of_memory_are_sentences() -> None:
    text = (
        "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 1) was 3.27GB used / "
    )
    said = cause_of(OutOfMemoryError(f"{text}23.54GB limit (0.138910)\nOOM kill reason: Memory usage"), failures=3)
    assert said == "the worker died 3 times, the last time: out of memory: 3.27GB of 23.54GB of its node was in use"
    assert cause_of(EnvironmentFault("seed 1: the pole\n broke"), failures=1) == "seed 1: the pole broke"


@pytest.mark.parametrize(
    ("cause", "reason", "final"),
    [
        (RunnerLost("died"), "died", False),
        (LearnerLost("died"), "died", False),
        (RayActorError(), "the worker died: exit code 7", False),
        (RayActorError(), "the worker died: out of memory: the kernel killed it (signal 9)", True),
        (OutOfMemoryError("killed"), "the worker died: out of memory: 3GB of 4GB of its node was in use", True),
        (RayActorError(), "trained for longer than trial_timeout_s (10 s)", True),
        (EnvironmentFault("NaN"), "NaN", True),
        (UserError("no room"), "no room", True),
    ],
)
def test_lost_processes_are_tried_again_and_what_raised_or_took_all_memory_or_time_is_not(
    tmp_path: Path, cause: Exception, reason: str, final: bool
) -> None:
    file = tmp_path / "error.pkl"
    error = cause if isinstance(cause, OutOfMemoryError) else RayTaskError("train", "traceback", cause)
    file.write_bytes(cloudpickle.dumps(error))
    failed = SimpleNamespace(pickled_error_file=str(file), get_error=lambda: f"Failure # 1\n{REASON}{reason}\n")
    assert is_final(failed) is final  # type: ignore[arg-type]
