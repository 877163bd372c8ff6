"""Time of a measured program, and its result. All virtual environments import this: standard library only."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

STARTED = "BENCHMARK_STARTED_S"  # time.time() at the start of the command


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_thread() -> None:
    """Set one thread per process. Call it before torch is imported."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["MKL_NUM_THREADS"] = "1"


def one_core() -> None:
    """Set one thread and one core. Call it before JAX is imported, which starts a thread for each of its cores."""
    one_thread()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def hand_over(result: dict[str, Any]) -> None:
    """Print the measurement as the last line of standard output, after the output of libraries."""
    sys.stdout.flush()
    print("\n" + json.dumps(result), flush=True)


def since_start_s() -> float:
    """Return the seconds since the command was started."""
    return time.time() - float(os.environ[STARTED])


class Moment(NamedTuple):
    """Wall-clock and CPU time of this process, with all its threads."""

    wall_s: float
    cpu_s: float

    def spent(self) -> Moment:
        """Return the time since this moment."""
        current = now()
        return Moment(current.wall_s - self.wall_s, current.cpu_s - self.cpu_s)


def now() -> Moment:
    return Moment(time.perf_counter(), time.process_time())


class Stopwatch:
    """Sum of the time in one function, to separate training from evaluation."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.wall_s, self.cpu_s = function, 0.0, 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        started = now()
        try:
            return self.function(*args, **kwargs)
        finally:
            wall_s, cpu_s = started.spent()
            self.wall_s += wall_s
            self.cpu_s += cpu_s


class Tenths:
    """Clock of a run: the first tenth of the budget, with everything that is done once, and the other nine.

    evaluate: the function of evaluation; call `self.evaluate` in its place."""

    def __init__(self, evaluate: Callable[..., Any]) -> None:
        self.evaluate = Stopwatch(evaluate)
        self._first_tenth_s = 0.0
        self._started: Moment | None = None

    @property
    def first_is_over(self) -> bool:
        return self._started is not None

    def end_first(self) -> None:
        self._first_tenth_s, self._started = since_start_s(), now()
        self.evaluate.wall_s = self.evaluate.cpu_s = 0.0

    def measurement(self, env_steps: float, score: float) -> dict[str, Any]:
        """Return the measurement of a run that ends now. env_steps: of the last nine tenths.

        start_s: from the start of the command to the end of the first tenth, without the time of another tenth."""
        assert self._started is not None
        assert self.evaluate.wall_s > 0, "no evaluation was timed: the library calls another function"
        wall_s, cpu_s = self._started.spent()
        return {
            "env_steps_per_s": env_steps / wall_s,
            "training_env_steps_per_s": env_steps / (wall_s - self.evaluate.wall_s),
            "training_env_steps_per_cpu_s": env_steps / (cpu_s - self.evaluate.cpu_s),
            "evaluation_share": self.evaluate.cpu_s / cpu_s,
            "timed_env_steps": env_steps,
            "start_s": max(0.0, self._first_tenth_s - wall_s / 9),
            "return_mean": score,
            "peak_rss_mb": peak_rss_mb(),
        }
