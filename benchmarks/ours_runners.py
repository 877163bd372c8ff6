"""`python -m benchmarks.ours_runners`: gain and cost of remote env runners, in one process with its own Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.clock import hand_over, one_thread

one_thread()

import gymnasium
from gymnasium.spaces import Box, Discrete

from tuneexp import PPO
from tuneexp.trial import Trial

STEP_S = 0.001
SLOW_STEPS, CALLS, ITERATIONS = 500, 100, 1000
WIDE = {"hidden_sizes": [1000, 1000], "shared": True}  # 1,009,003 numbers on CartPole's spaces


class Slow(gymnasium.Env[Any, Any]):
    """Each step waits for 1 ms without computing, like a simulator on another machine."""

    observation_space = Box(-1.0, 1.0, (4,))
    action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 4).astype("float32"), {}

    def step(self, action: Any) -> Any:
        time.sleep(STEP_S)
        return self.np_random.uniform(-1, 1, 4).astype("float32"), 1.0, False, False, {}


def trial(env: Any, n_runners: int, seeds: int = 1, **settings: Any) -> Trial:
    algo = PPO.build(
        env=env, seeds=list(range(seeds)), compile="on", num_env_runners=n_runners, num_cpus_per_env_runner=0.1,
        **settings,
    )  # fmt: skip
    return algo.trial


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def slow_rates() -> dict[str, float]:
    """Return environment steps per second of one and of four runners with four environments."""
    rates = {}
    for n_runners in (1, 4):
        one = trial(f"{__file__}:Slow", n_runners, n_envs=4, n_steps=SLOW_STEPS)
        one.group.sample(SLOW_STEPS // 10)
        rates[str(n_runners)] = SLOW_STEPS * 4 / seconds(lambda one=one: one.group.sample(SLOW_STEPS))
        one.close()
    return rates


def sync_ms() -> dict[str, float]:
    """Return ms from `sync_weights` until four runners have acted with 1 M new parameters, and without new ones."""
    one = trial("CartPole-v1", 4, n_envs=4, n_steps=16, model=WIDE)
    n_parameters = sum(leaf.numel() for leaf in one.learner.parameters.values())

    def synced() -> None:
        one.group.sync_weights(one.learner.parameters)
        one.group.sample(1)

    synced()
    pairs = [(seconds(synced), seconds(lambda: one.group.sample(1))) for _ in range(CALLS)]
    one.close()
    together, alone = (median(column) * 1000 for column in zip(*pairs, strict=True))
    return {"with_ms": together, "without_ms": alone, "sync_ms": together - alone, "parameters": n_parameters}


def call_ms() -> dict[str, float]:
    """Return ms of a `sample(1)` with two remote runners, and with a local one."""
    taken = {}
    for name, n_runners in (("local", 0), ("remote", 2)):
        one = trial("CartPole-v1", n_runners, n_envs=8, n_steps=16)
        one.group.sample(1)
        taken[name] = median(seconds(lambda one=one: one.group.sample(1)) for _ in range(CALLS)) * 1000
        one.close()
    return {**taken, "cost_ms": taken["remote"] - taken["local"]}


def object_store() -> dict[str, Any]:
    """Return the contents of the object store while fragments and weights go through it."""
    one = trial("CartPole-v1", 2, seeds=4, n_envs=8, n_steps=64, model={"hidden_sizes": [256, 256]})
    held = {}
    for iteration in range(1, ITERATIONS + 1):
        one.group.sync_weights(one.learner.parameters)
        one.group.sample(64)
        if iteration in (ITERATIONS // 10, ITERATIONS // 2, ITERATIONS):
            held[str(iteration)] = store_stats()
    one.close()
    return held


def store_stats() -> dict[str, float]:
    """Return mb, the shared memory in use (nearly all of it by Ray), and references, the objects of this process."""
    from ray._private.worker import global_worker

    shared = os.statvfs("/dev/shm")
    held = len(global_worker.core_worker.get_all_reference_counts())
    return {"mb": (shared.f_blocks - shared.f_bfree) * shared.f_frsize / 1e6, "references": held}


def main() -> None:
    hand_over({"slow_rates": slow_rates(), "sync": sync_ms(), "call": call_ms(), "object_store": object_store()})


if __name__ == "__main__":
    main()
