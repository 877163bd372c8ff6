"""n-step transitions: hand-computed values, and the definition as a forward sum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tuneexp.rl.returns import n_step, n_step_transitions


def flags(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


NONE, ALL = flags(0, 0, 0, 0), flags(1, 1, 1, 1)
REWARD = torch.tensor([1.0, 2.0, 4.0, 8.0])  # gamma = 1/2 keeps every number exact


def test_full_windows_and_those_that_the_fragment_cuts_short() -> None:
    # 1 + 2/2 + 4/4; 2 + 4/2 + 8/4; 4 + 8/2; 8
    result = n_step_transitions(REWARD, NONE, NONE, ALL, 0.5, 3)
    assert result.reward.tolist() == [3.0, 6.0, 8.0, 8.0]
    assert result.discount.tolist() == [0.125, 0.125, 0.25, 0.5]
    assert result.last.tolist() == [2, 3, 3, 3]
    assert result.last.dtype == torch.int64
    assert result.complete.tolist() == [True, True, False, False]


def test_one_step_is_the_row_itself() -> None:
    result = n_step_transitions(REWARD, flags(0, 1, 0, 0), NONE, ALL, 0.5, 1)
    assert result.reward.tolist() == REWARD.tolist()
    assert result.discount.tolist() == [0.5, 0.0, 0.5, 0.5]
    assert result.last.tolist() == [0, 1, 2, 3]
    assert result.complete.all()
    resets = n_step_transitions(REWARD, NONE, flags(0, 1, 0, 0), flags(1, 1, 0, 1), 0.5, 1)
    assert resets.reward.tolist() == [1.0, 2.0, 0.0, 8.0]
    assert resets.discount.tolist() == [0.5, 0.5, 0.0, 0.5]
    assert resets.complete.tolist() == [True, True, False, True]


def test_a_termination_ends_the_window_and_zeroes_the_bootstrap() -> None:
    result = n_step_transitions(REWARD, flags(0, 1, 0, 0), NONE, ALL, 0.5, 3)
    assert result.reward.tolist() == [2.0, 2.0, 8.0, 8.0]
    assert result.discount.tolist() == [0.0, 0.0, 0.25, 0.5]
    assert result.last.tolist() == [1, 1, 3, 3]
    assert result.complete.tolist() == [True, True, False, False]


def test_a_truncation_ends_the_window_and_keeps_the_bootstrap() -> None:
    result = n_step_transitions(REWARD, NONE, flags(0, 1, 0, 0), ALL, 0.5, 3)
    assert result.reward.tolist() == [2.0, 2.0, 8.0, 8.0]
    assert result.discount.tolist() == [0.25, 0.5, 0.25, 0.5]
    assert result.last.tolist() == [1, 1, 3, 3]
    assert result.complete.tolist() == [True, True, False, False]


def test_a_row_both_terminated_and_truncated_counts_as_terminated() -> None:
    result = n_step_transitions(REWARD, flags(0, 1, 0, 0), flags(0, 1, 0, 0), ALL, 0.5, 3)
    assert result.discount.tolist()[:2] == [0.0, 0.0]


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_an_episode_that_ends_with_the_fragment_makes_its_windows_complete(end: str) -> None:
    ends = flags(0, 0, 0, 1)
    terminated, truncated = (ends, NONE) if end == "terminated" else (NONE, ends)
    result = n_step_transitions(REWARD, terminated, truncated, ALL, 0.5, 3)
    assert result.complete.all()
    assert result.discount.tolist() == ([0.125, 0, 0, 0] if end == "terminated" else [0.125, 0.125, 0.25, 0.5])


@pytest.mark.parametrize("garbage", [0.0, 9.0, float("nan"), float("inf")])
def test_reset_rows_count_for_nothing_and_nothing_passes_them(garbage: float) -> None:
    reward = torch.tensor([1.0, 2.0, garbage, 8.0])
    result = n_step_transitions(reward, flags(0, 1, 0, 0), NONE, flags(1, 1, 0, 1), 0.5, 3)
    assert result.reward.tolist() == [2.0, 2.0, 0.0, 8.0]
    assert result.discount.tolist() == [0.0, 0.0, 0.0, 0.5]
    assert result.last.tolist() == [1, 1, 2, 3]
    assert result.complete.tolist() == [True, True, False, False]


def test_a_window_stopped_by_a_reset_row_that_nothing_announced_can_not_grow_any_more() -> None:
    result = n_step_transitions(REWARD, NONE, NONE, flags(1, 1, 0, 1), 0.5, 3)
    assert result.last.tolist() == [1, 1, 2, 3]
    assert result.discount.tolist() == [0.25, 0.5, 0.0, 0.5]
    assert result.complete.tolist() == [True, True, False, False]


def test_gamma_may_be_a_tensor() -> None:
    by_float = n_step_transitions(REWARD, NONE, NONE, ALL, 0.5, 3)
    by_tensor = n_step_transitions(REWARD, NONE, NONE, ALL, torch.tensor(0.5), 3)
    assert all(torch.equal(one, other) for one, other in zip(by_float, by_tensor, strict=True))


def test_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        n_step_transitions(REWARD, NONE, NONE, ALL, 0.5, 0)


def random_fragment(length: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Fragment [T, 2, 3] of NEXT_STEP environments: the row after each end is a reset row."""
    generator = torch.Generator().manual_seed(length)
    shape = (length, 2, 3)
    reward, next_value = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    chance = torch.rand(shape, generator=generator)
    terminated, truncated = chance < 0.15, (chance > 0.15) & (chance < 0.3)
    valid = torch.ones(shape, dtype=torch.bool)
    for t in range(1, length):
        valid[t] = ~((terminated[t - 1] | truncated[t - 1]) & valid[t - 1])
    return reward, next_value, terminated & valid, truncated & valid, valid


@pytest.mark.parametrize("n", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("length", [1, 2, 9, 40])
def test_the_target_equals_the_n_step_return(length: int, n: int) -> None:
    reward, next_value, terminated, truncated, valid = random_fragment(length)
    rows = n_step_transitions(reward, terminated, truncated, valid, 0.9, n)
    target = rows.reward + rows.discount * next_value.gather(0, rows.last)
    torch.testing.assert_close(target, n_step(reward, next_value, terminated, truncated, 0.9, n, valid))


@pytest.mark.parametrize("n", [1, 3, 5])
def test_complete_windows_do_not_change_when_the_fragment_continues(n: int) -> None:
    reward, _, terminated, truncated, valid = random_fragment(40)
    whole = n_step_transitions(reward, terminated, truncated, valid, 0.9, n)
    for cut in range(1, 40):
        part = n_step_transitions(reward[:cut], terminated[:cut], truncated[:cut], valid[:cut], 0.9, n)
        done = part.complete
        assert torch.equal(part.last[done], whole.last[:cut][done])
        torch.testing.assert_close(part.reward[done], whole.reward[:cut][done])
        torch.testing.assert_close(part.discount[done], whole.discount[:cut][done])
        # Only the last n - 1 rows can be waiting.
        assert torch.equal(done[: max(0, cut - n + 1)], valid[:cut][: max(0, cut - n + 1)])
