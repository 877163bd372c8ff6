"""Training benchmarks on a GPU: the same work on one CPU thread and on the GPU, with one, eight and 64 seeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.running import Kept, ours
from benchmarks.training import summary
from benchmarks.work import ALL_SETUPS

SEEDS = (1, 8, 64)
DEVICES = ("cpu", "cuda")
NOT_HERE = "torch sees no GPU here: nothing was measured, and nothing is written"
REPEATS = 3


def gpu_name() -> str | None:
    """Return the name of the GPU, or None if torch finds none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def measure(say: Callable[[str], None], repeats: int = REPEATS, env_steps: int | None = None) -> dict[str, Any]:
    """Return setup -> "SEEDS DEVICE" -> the runs and their medians. Devices alternate within a repeat."""
    setups = {name: env_steps or setup.env_steps for name, setup in ALL_SETUPS.items()}
    kept = Kept("gpu", {"setups": setups, "repeats": repeats, "gpu": gpu_name()})
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {setup: {} for setup in setups}
    for setup, steps in setups.items():
        for seeds in SEEDS:
            for repeat in range(repeats):
                for device in DEVICES:
                    command = ("benchmarks.ours_training", setup, str(steps), str(seeds), "on", f"device={device}")
                    measured = kept.take(f"{setup} {seeds} {device} {repeat}", partial(ours, *command))
                    runs[setup].setdefault(f"{seeds} {device}", []).append(measured)
                    rate = measured["env_steps_per_s"]
                    say(f"{setup} S={seeds} {device} run {repeat + 1}: {rate:,.0f} env steps/s")
    kept.finished()
    medians = {setup: {side: summary(taken) for side, taken in by.items()} for setup, by in runs.items()}
    return {"gpu": gpu_name(), "repeats": repeats, "setups": medians}
