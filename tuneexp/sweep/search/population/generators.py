"""State of a random generator as JSON can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def generator_of(seed: int) -> np.random.Generator:
    """Return the generator of a seed: PCG64, whatever the default of numpy will be."""
    return np.random.Generator(np.random.PCG64(seed))


def state_of(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator of `generator_of`. Its numbers have 128 bits, so they are texts."""
    state: Mapping[str, Any] = generator.bit_generator.state
    return {
        **{name: str(number) for name, number in state["state"].items()},
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def continued(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that continues from the result of `state_of`."""
    generator = generator_of(0)
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {name: int(state[name]) for name in ("state", "inc")},
        "has_uint32": state["has_uint32"],
        "uinteger": state["uinteger"],
    }
    return generator
