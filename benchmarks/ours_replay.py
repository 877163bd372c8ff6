"""`python -m benchmarks.ours_replay SEEDS CAPACITY`: time of one minibatch from a full replay buffer, in milliseconds.

For each seed 256 rows are sampled and gathered with their importance weights, and their priorities are updated."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from benchmarks.clock import hand_over, one_thread, peak_rss_mb

one_thread()

import numpy as np
import torch

from tuneexp.data.prioritized import PrioritizedReplay
from tuneexp.data.replay import Entry, ReplayBuffer

ROWS, REPEATS, CHUNK = 256, 400, 50_000
# A row of CartPole.
ENTRIES = {
    "obs": Entry((4,), torch.float32),
    "next_obs": Entry((4,), torch.float32),
    "action": Entry((), torch.int64),
    "reward": Entry((), torch.float32),
    "discount": Entry((), torch.float32),
}


def fill(buffer: ReplayBuffer, generator: torch.Generator) -> None:
    seeds, capacity = buffer.n_seeds, buffer.capacity
    for start in range(0, capacity, CHUNK):
        rows = min(CHUNK, capacity - start)
        columns = {
            name: torch.randint(100, (seeds, rows, *entry.shape), generator=generator).to(entry.dtype)
            for name, entry in ENTRIES.items()
        }
        buffer.add(columns, torch.ones(seeds, rows, dtype=torch.bool))
        if isinstance(buffer, PrioritizedReplay):
            numbers = torch.arange(start, start + rows) + torch.arange(seeds)[:, None] * capacity
            buffer.update_priorities(numbers, torch.rand(seeds, rows, generator=generator))


def uniform_minibatch(buffer: ReplayBuffer, generators: list[torch.Generator]) -> None:
    buffer.gather(buffer.sample_rows(1, ROWS, generators))


def prioritized_minibatch(buffer: PrioritizedReplay, generators: list[torch.Generator], error: torch.Tensor) -> None:
    rows = buffer.sample_rows(1, ROWS, generators)
    buffer.gather(rows)
    buffer.weights(rows[0], 0.4)
    buffer.update_priorities(rows[0], error)


def times_ms(run: Callable[[], None]) -> dict[str, float]:
    """Return median and 95th percentile of `REPEATS` calls."""
    taken = np.empty(REPEATS)
    for index in range(REPEATS):
        started = time.perf_counter()
        run()
        taken[index] = (time.perf_counter() - started) * 1000
    return {"median_ms": float(np.median(taken)), "p95_ms": float(np.quantile(taken, 0.95))}


def measured_prioritized(n_seeds: int, capacity: int, generators: list[torch.Generator]) -> dict[str, float]:
    buffer = PrioritizedReplay(ENTRIES, n_seeds, capacity)
    fill(buffer, generators[0])
    error = torch.rand(n_seeds, ROWS, generator=generators[0])
    return times_ms(lambda: prioritized_minibatch(buffer, generators, error))


def measured_uniform(n_seeds: int, capacity: int, generators: list[torch.Generator]) -> dict[str, float]:
    buffer = ReplayBuffer(ENTRIES, n_seeds, capacity)
    fill(buffer, generators[0])
    return times_ms(lambda: uniform_minibatch(buffer, generators))


def main() -> None:
    n_seeds, capacity = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(n_seeds)]
    prioritized = measured_prioritized(n_seeds, capacity, generators)
    uniform = measured_uniform(n_seeds, capacity, generators)
    hand_over({"prioritized": prioritized, "uniform": uniform, "peak_rss_mb": peak_rss_mb()})


if __name__ == "__main__":
    main()
