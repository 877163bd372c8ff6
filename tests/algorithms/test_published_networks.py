"""The default networks have as many parameters as the published ones.

Stable-Baselines3 2.9 and sb3_contrib have these counts (online networks, without SAC's temperature): the Nature CNN
with 512 features and no further hidden layers for images (but [256, 256] of actors and critics apart), and
CombinedExtractor, with 256 features an image, before the networks for vectors for dictionaries.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tuneexp.algorithms.networks import ActorCriticConfig
from tuneexp.algorithms.registry import load_spec

SPACES: dict[str, gym.Space[Any]] = {
    "mlp": gym.spaces.Box(-1, 1, (4,)),
    "image": gym.spaces.Box(0, 255, (4, 84, 84), np.uint8),
    "dict": gym.spaces.Dict(
        {
            "image": gym.spaces.Box(0, 255, (3, 84, 84), np.uint8),
            "vector": gym.spaces.Box(-1, 1, (5,)),
            "choice": gym.spaces.Discrete(3),
        }
    ),
}
CHOICE, TORQUE = gym.spaces.Discrete(6), gym.spaces.Box(-1, 1, (2,))
# Of Stable-Baselines3, read off its own networks: mlp, image, dictionary.
THEIRS = [
    ("ppo", CHOICE, (9_415, 1_687_719, 921_703)),
    ("ppo", TORQUE, (9_157, 1_685_669, 921_445)),
    ("a2c", CHOICE, (9_415, 1_687_719, 921_703)),
    ("dqn", CHOICE, (4_870, 1_687_206, 900_518)),
    ("qrdqn", CHOICE, (82_480, 2_299_728, 978_128)),
    ("sac", TORQUE, (203_782, 3_962_182, 2_161_478)),
    ("tqc", TORQUE, (216_118, 3_974_518, 2_173_814)),
    ("td3", TORQUE, (369_704, 3_961_668, 2_439_720)),
    ("ddpg", TORQUE, (246_303, 3_763_779, 2_212_319)),
]


def count(algorithm: str, observation: gym.Space[Any], action: gym.Space[Any], **settings: Any) -> int:
    spec: Any = load_spec(algorithm)
    net = spec.build_model(observation, action, spec.config_class.parse(settings, algorithm))
    return sum(p.numel() for name, p in net.named_parameters() if not name.startswith("temperature"))


@pytest.mark.parametrize(("algorithm", "action", "theirs"), THEIRS, ids=lambda value: getattr(value, "shape", value))
def test_default_networks_are_the_published_ones(
    algorithm: str, action: gym.Space[Any], theirs: tuple[int, ...]
) -> None:
    assert tuple(count(algorithm, space, action) for space in SPACES.values()) == theirs


@pytest.mark.parametrize(
    ("enable_critic_lstm", "theirs"), [(True, (578_247, 3_262_887)), (False, (311_239, 2_605_735))]
)
def test_recurrent_networks_are_those_of_sb3_contrib(enable_critic_lstm: bool, theirs: tuple[int, int]) -> None:
    model = {"recurrent": "lstm", "recurrent_size": 256, "enable_critic_lstm": enable_critic_lstm}
    assert tuple(count("ppo", SPACES[name], CHOICE, model=model) for name in ("mlp", "image")) == theirs


def linear(*sizes: int) -> int:
    return sum((one + 1) * other for one, other in pairwise(sizes))


NATURE = 32 * (4 * 8 * 8 + 1) + 64 * (32 * 4 * 4 + 1) + 64 * (64 * 3 * 3 + 1)  # of 4 frames, to 64 * 7 * 7 numbers


@pytest.mark.parametrize(
    ("algorithm", "settings", "heads"),
    [
        ("ppo", {}, linear(3136, 512) + linear(512, 6) + linear(512, 1)),
        ("ppo", {"model": {"hidden_sizes": [64]}}, linear(3136, 512) + linear(512, 64, 6) + linear(512, 64, 1)),
        ("ppo", {"model": {"cnn_features": 100}}, linear(3136, 100) + linear(100, 6) + linear(100, 1)),
        ("dqn", {}, linear(3136, 512, 6)),
        ("dqn", {"dueling": True}, linear(3136, 512, 6) + linear(3136, 512, 1)),  # Wang et al. 2016, section 4.2
        ("dqn", {"noisy": True}, 2 * linear(3136, 512, 6)),  # Fortunato et al. 2018: all linear layers are noisy
        ("sac", {}, 3 * (NATURE + linear(3136, 512, 6)) - NATURE),  # Christodoulou 2019: an actor, two critics
    ],
)
def test_images_on_atari(algorithm: str, settings: dict[str, Any], heads: int) -> None:
    assert count(algorithm, SPACES["image"], CHOICE, **settings) == NATURE + heads


def test_sizes_that_are_named_are_those_of_any_observation() -> None:
    sizes = {"hidden_sizes": [64, 64]}
    for algorithm, action in (("ppo", CHOICE), ("dqn", CHOICE)):
        for kind in ("mlp", "dict"):
            named = count(algorithm, SPACES[kind], action, model=sizes)
            assert named == count(algorithm, SPACES[kind], action)


def test_a_shared_trunk_has_the_default_sizes_too() -> None:
    assert ActorCriticConfig.parse({"shared": True}, "ppo").hidden_sizes is None
    assert count("ppo", SPACES["mlp"], CHOICE, model={"shared": True}) == linear(4, 64, 64, 7)
