"""Layers whose parameters the caller initialises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def uninitialised(kind: Callable[..., M], *args: Any, **settings: Any) -> M:
    """Return a layer without a draw from torch's default generator.

    `nn.utils.skip_init` does this too, but it imports sympy: 55 MB and 0.2 s of each process that trains."""
    with torch.random.fork_rng(devices=[]):
        return kind(*args, **settings)
