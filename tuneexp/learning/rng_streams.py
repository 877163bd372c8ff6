"""Independent RNG streams per seed."""

from __future__ import annotations

import zlib
from typing import Literal, get_args

import numpy as np
import torch

Stream = Literal["networks", "learner", "runner"]


def stream_seed(seed: int, stream: Stream) -> int:
    """Return the 32-bit seed of a stream.

    torch's CPU generator ignores higher bits: `seed + (1 << 32)` would be the same stream."""
    place = get_args(Stream).index(stream)
    return int(np.random.SeedSequence(entropy=seed, spawn_key=(place,)).generate_state(1)[0])


def generator(seed: int, stream: Stream) -> torch.Generator:
    """Return a CPU generator of a stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream))


def policy_seed(seed: int, policy: str) -> int:
    """Return the 32-bit seed of one of several policies.

    Policies of one seed must differ in their initial networks and in their exploration. The seed depends on the
    policy's name only, not on the other policies."""
    return int(np.random.SeedSequence((seed, zlib.crc32(policy.encode()))).generate_state(1)[0])
