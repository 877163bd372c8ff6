"""Random streams of a seed that have nothing to do with each other."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch

Stream = Literal["networks", "learner", "runner"]


def stream_seed(seed: int, stream: Stream) -> int:
    """32 bits, because torch's CPU generator drops what is above them: `seed + (1 << 32)` is the same stream."""
    place = get_args(Stream).index(stream)
    return int(np.random.SeedSequence(entropy=seed, spawn_key=(place,)).generate_state(1)[0])


def generator(seed: int, stream: Stream) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, stream))
