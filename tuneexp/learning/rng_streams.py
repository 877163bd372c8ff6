"""Random streams of a seed that have nothing to do with each other."""

from __future__ import annotations

import zlib
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


def policy_seed(seed: int, policy: str) -> int:
    """32 bits for one of several policies that learn side by side: with one seed they must neither start from the same
    networks nor explore alike. By its name, so that it doesn't depend on which others there are."""
    return int(np.random.SeedSequence((seed, zlib.crc32(policy.encode()))).generate_state(1)[0])
