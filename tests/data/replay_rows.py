"""Numbered rows for tests of replay buffers: every column follows from the number."""

from __future__ import annotations

import torch
from torch import Tensor

from tuneexp.data.replay import Entry

ENTRIES = {
    "obs": Entry((2, 3), torch.uint8),
    "action": Entry((), torch.int64),
    "reward": Entry((), torch.float32),
    "done": Entry((), torch.bool),
    "noise": Entry((2,), torch.float64),
}


def rows(number: Tensor) -> dict[str, Tensor]:
    """Columns that follow from `number`, [S, R] int64."""
    return {
        "obs": (number[..., None, None] + torch.arange(6).view(2, 3)).to(torch.uint8),
        "action": number,
        "reward": number / 2,
        "done": number % 3 == 0,
        "noise": torch.stack([number, -number], dim=-1).double(),
    }


def generators(seeds: range | list[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + seed) for seed in seeds]


def ragged(n_seeds: int, sizes: list[int], start: int = 0) -> list[tuple[Tensor, Tensor]]:
    """(numbers, valid) [S, R] of several additions: seed s counts from 1000 s, and valid rows differ between seeds."""
    generator = torch.Generator().manual_seed(start)
    additions = []
    for size in sizes:
        numbers = torch.arange(start, start + size) + 1000 * torch.arange(n_seeds)[:, None]
        additions.append((numbers, torch.rand(8, size, generator=generator)[:n_seeds] < 0.7))
        start += size
    return additions
