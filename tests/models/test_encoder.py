"""Encoders of each kind of observation, and CNNs of each size."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.models.networks import ATARI, GRID, MIXED, VECTOR, observe, seeded
from tuneexp.errors import UserError
from tuneexp.models.cnn import ImpalaResNet, NatureCNN, faster_in_turn
from tuneexp.models.encoder import Encoder, ImageEncoder


def image(*shape: int) -> gym.spaces.Box:
    return gym.spaces.Box(0, 255, shape, dtype=np.uint8)


def cnn_of(encoder: Encoder, part: int = 0) -> torch.nn.Module:
    found = encoder.parts[part]
    assert isinstance(found, ImageEncoder)
    return found.cnn


def test_spaces_without_images_have_no_parameters() -> None:
    for space in (VECTOR, gym.spaces.Discrete(3), gym.spaces.MultiDiscrete([2, 3]), gym.spaces.MultiBinary(4)):
        assert not list(Encoder(space).parameters())


def test_multi_discrete_is_one_hot_for_each_choice() -> None:
    encoder = Encoder(gym.spaces.MultiDiscrete([2, 3]))
    assert encoder(torch.tensor([[1, 0], [0, 2]])).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


def test_leaves_of_a_dictionary_lie_side_by_side() -> None:
    space = gym.spaces.Dict(
        {
            "z": gym.spaces.Box(-1, 1, (2, 2)),
            "a": gym.spaces.Dict({"gear": gym.spaces.Discrete(3, start=7), "b": gym.spaces.MultiBinary(2)}),
        }
    )
    packed = torch.tensor([[1.0, 0.0, 2.0, 0.1, 0.2, 0.3, 0.4]])  # a/b, a/gear, z
    encoder = Encoder(space)
    assert encoder.size == 9
    torch.testing.assert_close(encoder(packed), torch.tensor([[1.0, 0.0, 0.0, 0.0, 1.0, 0.1, 0.2, 0.3, 0.4]]))
    torch.testing.assert_close(Encoder(space, leave_out=("a/b",))(packed), encoder(packed)[:, 2:])


def test_an_image_in_a_dictionary_is_seen_as_it_is_alone() -> None:
    packed = observe(MIXED, 5)
    encoder = Encoder(MIXED, generator=seeded())
    names = [leaf.name for leaf in encoder.leaves or []]
    assert names == ["allowed", "body/gear", "body/speed", "camera"]
    camera = packed[:, 6:].reshape(5, 7, 7, 3).to(torch.uint8)
    alone = Encoder(GRID, generator=seeded())
    torch.testing.assert_close(encoder(packed)[:, 3 + 4 + 2 :], alone(camera))


def test_images_are_scaled_and_channels_may_come_last() -> None:
    first, last = Encoder(image(3, 40, 44), generator=seeded()), Encoder(image(40, 44, 3), generator=seeded())
    pixels = observe(image(3, 40, 44), 2, 2)
    features = first(pixels)
    torch.testing.assert_close(last(pixels.movedim(-3, -1)), features)
    torch.testing.assert_close(cnn_of(first)(pixels / 255.0), features)
    assert features.shape == (2, 2, 512)


@pytest.mark.parametrize("shape", [(4, 4, 4), (84, 3, 84)])
def test_images_without_a_channel_axis_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="neither"):
        Encoder(image(*shape))


def test_auto_takes_the_nature_cnn_where_it_fits() -> None:
    assert isinstance(cnn_of(Encoder(ATARI)), NatureCNN)
    assert isinstance(cnn_of(Encoder(GRID)), ImpalaResNet)
    assert isinstance(cnn_of(Encoder(ATARI, cnn="impala")), ImpalaResNet)
    with pytest.raises(UserError, match=r"7x7 .*36x36"):
        Encoder(GRID, cnn="nature")
    with pytest.raises(UserError, match="'nature'"):
        Encoder(ATARI, cnn="natur")


@pytest.mark.parametrize(("height", "width"), [(36, 36), (84, 84), (37, 61), (64, 96)])
def test_nature_takes_any_size_from_36_on(height: int, width: int) -> None:
    net = NatureCNN((1, height, width))
    assert net(torch.rand(2, 3, 1, height, width)).shape == (2, 3, 512)
    flat = NatureCNN((1, height, width), features=None)
    assert flat(torch.rand(1, height, width)).shape == (flat.size,)


def test_nature_has_the_published_shapes() -> None:
    shapes = [tuple(p.shape) for p in NatureCNN((4, 84, 84)).parameters() if p.dim() > 1]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136)]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (72, 96)])
def test_impala_takes_any_size(height: int, width: int) -> None:
    assert ImpalaResNet((3, height, width))(torch.rand(2, 3, height, width)).shape == (2, 256)


def test_impala_has_the_published_shapes() -> None:
    net = ImpalaResNet((4, 72, 96))
    convolutions = [tuple(p.shape[:2]) for p in net.parameters() if p.dim() == 4]
    assert convolutions == [(16, 4), *[(16, 16)] * 4, (32, 16), *[(32, 32)] * 4, (32, 32), *[(32, 32)] * 4]
    assert net.layers[-2].weight.shape == (256, 32 * 9 * 12)


def test_a_residual_block_of_zeros_is_the_identity() -> None:
    block = ImpalaResNet((3, 8, 8)).layers[2]
    for parameter in block.parameters():
        parameter.data.zero_()
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("network", [NatureCNN, ImpalaResNet])
def test_cnns_start_orthogonal_from_the_generator_alone(network: type) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (network((3, 36, 36), generator=seeded(seed)).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, value in first.items():
        assert torch.equal(value, again[name])
        if name.endswith("weight"):
            assert not torch.equal(value, other[name])
            singular = torch.linalg.svdvals(value.flatten(1))
            torch.testing.assert_close(singular, torch.full_like(singular, 2**0.5), rtol=1e-4, atol=1e-4)
        else:
            assert not value.any()


def test_observations_of_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="nothing to learn"):
        Encoder(gym.spaces.Dict({"mask": gym.spaces.MultiBinary(2)}), leave_out=("mask",))


def test_seeds_of_convolutions_over_large_images_are_computed_in_turn() -> None:
    large = Encoder(gym.spaces.Dict({"grid": GRID, "screen": ATARI}))
    assert [faster_in_turn(net) for net in (Encoder(VECTOR), Encoder(GRID), Encoder(ATARI), large)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert faster_in_turn(Encoder(ATARI, cnn="impala"))
    assert faster_in_turn(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)))
