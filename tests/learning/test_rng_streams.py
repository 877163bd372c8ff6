"""RNG streams of a trial."""

from __future__ import annotations

import itertools
from typing import get_args

import torch

from tests.small import small_trial
from tuneexp.learning.rng_streams import Stream, generator


def test_streams_of_a_seed_and_of_neighbouring_seeds_differ() -> None:
    seeds = [0, 1, 2, 1 << 32, (1 << 32) + 1]
    draws = [torch.rand(4, generator=generator(seed, stream)) for seed in seeds for stream in get_args(Stream)]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(draws, 2))


def test_a_stream_is_the_same_in_every_process() -> None:
    """Golden values: a change here changes every stored checkpoint and published result."""
    assert generator(3, "learner").initial_seed() == 1645421708


def test_acting_and_learning_draw_from_different_streams() -> None:
    trial = small_trial([0, 1])
    mine, runners = trial.learner.generators, trial.group.generators
    for one, other in itertools.combinations([*mine, *runners], 2):
        assert not torch.equal(one.get_state(), other.get_state())
