"""Layout of packed dictionary observations."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tuneexp.errors import UserError
from tuneexp.spaces.packing import layout, packed_dtype, packed_size

IMAGE = gym.spaces.Box(0, 255, (2, 3, 1), dtype=np.uint8)


def test_leaves_lie_in_sorted_key_order_without_gaps() -> None:
    arm = gym.spaces.Dict({"mode": gym.spaces.Discrete(5, start=2), "joints": gym.spaces.Box(-1, 1, (2, 2))})
    space = gym.spaces.Dict({"camera": IMAGE, "arm": arm, "on": gym.spaces.MultiBinary(3)})
    found = [(leaf.name, leaf.start, leaf.size, leaf.shape) for leaf in layout(space)]
    assert found == [
        ("arm/joints", 0, 4, (2, 2)),
        ("arm/mode", 4, 1, ()),
        ("camera", 5, 6, (2, 3, 1)),
        ("on", 11, 3, (3,)),
    ]
    assert packed_size(space) == 14


@pytest.mark.parametrize(
    ("leaf", "dtype"),
    [
        (gym.spaces.MultiBinary(3), np.uint8),
        (gym.spaces.Discrete(256), np.uint8),
        (gym.spaces.Discrete(257), np.float32),
        (gym.spaces.MultiDiscrete([4, 257]), np.float32),
        (gym.spaces.Box(0, 1, (2,)), np.float32),
    ],
)
def test_bytes_stay_bytes_where_every_leaf_fits(leaf: gym.Space, dtype: type) -> None:
    assert packed_dtype(gym.spaces.Dict({"image": IMAGE, "other": leaf})) is dtype


def test_a_leaf_that_is_no_numbers_is_named() -> None:
    space = gym.spaces.Dict({"a": gym.spaces.Dict({"text": gym.spaces.Text(3)})})
    with pytest.raises(UserError, match="'a/text'"):
        layout(space)


def test_an_empty_dictionary_is_refused() -> None:
    with pytest.raises(UserError, match="no numbers"):
        layout(gym.spaces.Dict({}))
