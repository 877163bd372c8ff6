"""Fragments cut into sequences: every step once, in order, with the initial recurrent state."""

from __future__ import annotations

import torch
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SEED_ROW_AXES, SampleBatch
from tuneexp.data.sequences import to_sequences

T, S, N, L = 6, 2, 3, 3


def fragment(valid: Tensor | None = None) -> SampleBatch:
    """Fragment whose column `place` is the row number 100 t + 10 s + n."""
    time, seed, env = torch.meshgrid(torch.arange(T), torch.arange(S), torch.arange(N), indexing="ij")
    place = (100 * time + 10 * seed + env).float()
    columns = {
        "valid": torch.ones(T, S, N, dtype=torch.bool) if valid is None else valid,
        "place": place,
        "obs": torch.stack([place, -place], dim=-1),
        "state": place[..., None] + torch.tensor([0.25, 0.5]),
        "start": time == 0,
    }
    return SampleBatch(columns, FRAGMENT_AXES)


def test_each_sequence_is_of_one_environment_in_time_order() -> None:
    cut = to_sequences(fragment(), L)
    assert cut.axes == SEED_ROW_AXES
    assert cut["place"].shape == (S, T // L * N, L)
    for seed in range(S):
        expected = [
            [100 * (first + step) + 10 * seed + env for step in range(L)] for first in (0, 3) for env in range(N)
        ]
        assert cut["place"][seed].tolist() == expected
    assert torch.equal(cut["obs"][..., 0], cut["place"])
    assert torch.equal(cut["obs"][..., 1], -cut["place"])


def test_the_state_is_that_of_the_first_step() -> None:
    cut = to_sequences(fragment(), L)
    assert cut["state"].shape == (S, T // L * N, 1, 2)
    assert torch.equal(cut["state"][:, :, 0], cut["place"][:, :, :1] + torch.tensor([0.25, 0.5]))


def test_reset_rows_stay_in_their_place_as_zeros_that_do_not_count() -> None:
    valid = torch.ones(T, S, N, dtype=torch.bool)
    valid[1, 0, 2] = valid[3:, 1, 0] = False
    before = fragment(valid)
    spoiled = before.with_columns({"obs": before["obs"].masked_fill(~valid[..., None], float("nan"))})
    cut = to_sequences(spoiled, L)
    assert cut["mask"][0, 2].tolist() == [True, False, True]
    assert cut["obs"][0, 2].tolist() == [[2.0, -2.0], [0.0, 0.0], [202.0, -202.0]]
    assert cut["valid"].tolist() == [[True] * 6, [True, True, True, False, True, True]]
    assert torch.isfinite(cut["obs"]).all()
