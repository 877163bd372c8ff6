"""Benchmarks without a peer: a minibatch of a full replay buffer, and a gradient step on images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.running import Kept, ours

CAPACITY, DRAWN = 1_000_000, 256


def measure_replay(say: Callable[[str], None] = print, capacity: int = CAPACITY) -> dict[str, Any]:
    kept = Kept("replay", {"capacity": capacity})
    rows = {}
    for seeds in ("1", "8"):
        rows[seeds] = kept.take(seeds, lambda s=seeds: ours("benchmarks.ours_replay", s, str(capacity)))
        took = rows[seeds]["prioritized"]
        say(f"replay S={seeds}: prioritized {took['median_ms']:.2f} ms, 95th percentile {took['p95_ms']:.2f} ms")
    kept.finished()
    return {"rows": rows, "capacity": capacity, "drawn": DRAWN}


def measure_images(say: Callable[[str], None] = print) -> dict[str, Any]:
    measured = ours("benchmarks.ours_images")
    say("images: " + ", ".join(f"{form} {took:.0f} ms" for form, took in measured["ms"].items()))
    return measured
