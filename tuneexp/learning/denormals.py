"""Flush denormal floats to zero."""

from __future__ import annotations

import torch


def flush_denormals() -> None:
    """Make this process compute with 0 instead of numbers below 1e-38.

    Adam's first moment shrinks by a tenth at each update in which a unit has no gradient, as ReLU units often have
    none. It ends among denormal numbers, which processors compute in microcode. Measured in DQN with 2 x 256 units: the
    optimizer's step took 1.2 ms with them and 0.08 ms without."""
    torch.set_flush_denormal(True)
