"""How this process computes."""

from __future__ import annotations

import torch


def flush_denormals() -> None:
    """Numbers below 1e-38 count as 0.

    The first moment of Adam shrinks by a tenth at each update in which a unit rests, as ReLU units often do, and ends
    among numbers that processors handle by hand: measured in DQN with 2 x 256 units, the optimizer's step then took
    1.2 ms instead of 0.08."""
    torch.set_flush_denormal(True)
