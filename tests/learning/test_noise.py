"""Noise columns: held draws are stored once, and each seed has its own generator."""

from __future__ import annotations

import pytest
import torch

from tuneexp.errors import UserError
from tuneexp.learning.noise import by_step, draw_all
from tuneexp.learning.rng_streams import generator
from tuneexp.rl.noise import Noise

STEPS = 10


@pytest.mark.parametrize(("every", "draws"), [(1, 10), (4, 3), (5, 2), (100, 1), (-1, 1)])
def test_a_draw_is_held_for_so_many_steps_of_the_fragment_and_stored_once(every: int, draws: int) -> None:
    noises = {"held": Noise("normal", (2, 3), every=every), "each": Noise("uniform", (), per="step")}
    columns = draw_all(noises, STEPS, 4, [generator(0, "runner"), generator(1, "runner")])
    assert [column.shape for column in columns] == [(draws, 2, 4, 2, 3), (STEPS, 2)]
    held = [draws_of[0] for draws_of in by_step(noises, columns, STEPS)]
    assert len(held) == STEPS
    span = STEPS if every == -1 else every
    for step, draw in enumerate(held):
        assert torch.equal(draw, columns[0][step // span])
        assert draw.untyped_storage().data_ptr() == columns[0].untyped_storage().data_ptr(), "a view"
    each = torch.stack([draws_of[1] for draws_of in by_step(noises, columns, STEPS)])
    assert torch.equal(each, columns[1])
    assert len(columns[0].unique()) == columns[0].numel(), "each environment, seed and draw has its own"


def test_what_a_seed_draws_does_not_depend_on_the_others() -> None:
    noise = Noise("normal", (2,), every=4)
    both = noise.draw(STEPS, 3, [generator(7, "runner"), generator(8, "runner")])
    alone = noise.draw(STEPS, 3, [generator(8, "runner")])
    assert torch.equal(both[:, 1:], alone)


def test_without_columns_each_step_has_none() -> None:
    assert by_step({}, [], 3) == [[], [], []]


@pytest.mark.parametrize("every", [0, -2])
def test_draws_are_held_for_a_number_of_steps(every: int) -> None:
    with pytest.raises(UserError, match="-1"):
        Noise("normal", every=every)
