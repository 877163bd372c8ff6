"""Returns and advantages: hand-computed values, and the definitions as forward sums, row by row."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.rl.returns import backward_recurrence, discounted_returns, gae, n_step, td_target

LENGTHS = [1, 2, 7, 8, 9, 16, 17, 33, 100, 257]


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def flags(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


def never(length: int) -> Tensor:
    return torch.zeros(length, dtype=torch.bool)


# One fragment for the hand-made numbers; gamma = lambda = 1/2 keeps every number exact.
# Without an episode's end delta = r + V'/2 - V is (-2, 4, 3).
REWARD, VALUE, NEXT_VALUE = column(1, 2, 3), column(4, 2, 8), column(2, 8, 16)


def test_gae_by_hand() -> None:
    # 3; 4 + 3/4; -2 + 4.75/4
    advantage = gae(REWARD, VALUE, NEXT_VALUE, never(3), never(3), 0.5, 0.5)
    assert advantage.tolist() == [-0.8125, 4.75, 3.0]


def test_termination_zeroes_the_bootstrap_and_cuts_the_trace() -> None:
    # Row 1: 2 + 0 - 2 = 0. Row 0: -2 + 0/4.
    advantage = gae(REWARD, VALUE, NEXT_VALUE, flags(0, 1, 0), never(3), 0.5, 0.5)
    assert advantage.tolist() == [-2.0, 0.0, 3.0]


def test_truncation_bootstraps_but_cuts_the_trace() -> None:
    # Row 1 keeps its V' = 8, but nothing of row 2. Row 0: -2 + 4/4.
    advantage = gae(REWARD, VALUE, NEXT_VALUE, never(3), flags(0, 1, 0), 0.5, 0.5)
    assert advantage.tolist() == [-1.0, 4.0, 3.0]


def test_a_row_both_terminated_and_truncated_counts_as_terminated() -> None:
    both = gae(REWARD, VALUE, NEXT_VALUE, flags(0, 1, 0), flags(0, 1, 0), 0.5, 0.5)
    only = gae(REWARD, VALUE, NEXT_VALUE, flags(0, 1, 0), never(3), 0.5, 0.5)
    assert both.tolist() == only.tolist()


def test_a_truncated_row_does_not_see_the_next_episode() -> None:
    truncated = flags(0, 1, 0)
    other = gae(column(1, 2, 99), column(4, 2, -50), column(2, 8, 77), never(3), truncated, 0.5, 0.5)
    assert other[:2].tolist() == [-1.0, 4.0]


@pytest.mark.parametrize("garbage", [0.0, 123.0, float("nan"), float("inf")])
def test_reset_rows_count_for_nothing(garbage: float) -> None:
    # Row 1 ends the episode, row 2 is the reset (NEXT_STEP), row 3 starts the next episode.
    reward, value, next_value = column(1, 2, garbage, 3), column(4, 2, garbage, 8), column(2, 8, garbage, 16)
    valid = flags(1, 1, 0, 1)
    advantage = gae(reward, value, next_value, never(4), flags(0, 1, 0, 0), 0.5, 0.5, valid)
    assert advantage.tolist() == [-1.0, 4.0, 0.0, 3.0]


def test_an_invalid_row_cuts_the_trace_of_the_row_before_it() -> None:
    # No row marks the end of the episode, but no trace may cross row 1.
    advantage = gae(REWARD, VALUE, NEXT_VALUE, never(3), never(3), 0.5, 0.5, flags(1, 0, 1))
    assert advantage.tolist() == [-2.0, 0.0, 3.0]


def test_lambda_zero_is_the_one_step_error_and_lambda_one_the_return() -> None:
    none = never(3)
    one_step = td_target(REWARD, none, NEXT_VALUE, 0.5) - VALUE
    assert torch.equal(gae(REWARD, VALUE, NEXT_VALUE, none, none, 0.5, 0.0), one_step)
    # With V' of a row equal to V of the next one the sum telescopes to return minus value.
    next_value = torch.cat([VALUE[1:], NEXT_VALUE[-1:]])
    advantage = gae(REWARD, VALUE, next_value, none, none, 0.5, 1.0)
    assert torch.allclose(advantage, discounted_returns(REWARD, next_value, none, none, 0.5) - VALUE)


def test_td_target_by_hand() -> None:
    assert td_target(column(1, 1), flags(0, 1), column(10, 10), 0.5).tolist() == [6.0, 1.0]


def test_td_target_ignores_even_an_infinite_value_after_termination() -> None:
    assert td_target(column(1), flags(1), column(float("inf")), 0.5).tolist() == [1.0]


def test_discounted_returns_by_hand() -> None:
    reward, next_value = column(1, 2, 4), column(0, 10, 8)
    # 4 + 8/2; 2 + 8/2; 1 + 6/2
    assert discounted_returns(reward, next_value, never(3), never(3), 0.5).tolist() == [4.0, 6.0, 8.0]
    assert discounted_returns(reward, next_value, flags(0, 0, 1), never(3), 0.5).tolist() == [3.0, 4.0, 4.0]
    # Row 1 bootstraps from its own true next observation: 2 + 10/2.
    assert discounted_returns(reward, next_value, never(3), flags(0, 1, 0), 0.5).tolist() == [4.5, 7.0, 8.0]


def test_discounted_returns_skip_reset_rows() -> None:
    reward, next_value = column(1, 2, 99, 4), column(0, 10, float("nan"), 8)
    returns = discounted_returns(reward, next_value, flags(0, 1, 0, 0), never(4), 0.5, flags(1, 1, 0, 1))
    assert returns.tolist() == [2.0, 2.0, 0.0, 8.0]


def test_a_row_before_an_invalid_one_bootstraps_from_its_own_next_value() -> None:
    reward, next_value, none, valid = column(1, 2, 4), column(6, 20, 8), never(3), flags(1, 0, 1)
    assert discounted_returns(reward, next_value, none, none, 0.5, valid).tolist() == [4.0, 0.0, 8.0]
    assert n_step(reward, next_value, none, none, 0.5, 3, valid).tolist() == [4.0, 0.0, 8.0]


def test_n_step_by_hand() -> None:
    reward, next_value = column(1, 2, 4), column(6, 20, 8)
    none = never(3)
    assert n_step(reward, next_value, none, none, 0.5, 1).tolist() == [4.0, 12.0, 8.0]
    # 1 + 2/2 + 20/4; 2 + 4/2 + 8/4; the last row has one step only
    assert n_step(reward, next_value, none, none, 0.5, 2).tolist() == [7.0, 6.0, 8.0]
    # Row 1 terminates: 1 + 2/2, then nothing.
    assert n_step(reward, next_value, flags(0, 1, 0), none, 0.5, 3).tolist() == [2.0, 2.0, 8.0]
    # Row 1 is truncated: 1 + 2/2 + 20/4.
    assert n_step(reward, next_value, none, flags(0, 1, 0), 0.5, 3).tolist() == [7.0, 12.0, 8.0]


def test_n_step_longer_than_the_fragment_is_the_discounted_return() -> None:
    fragment = random_fragment(20, 4)
    reward, _, next_value, terminated, truncated, valid = fragment
    expected = discounted_returns(reward, next_value, terminated, truncated, 0.9, valid)
    torch.testing.assert_close(n_step(reward, next_value, terminated, truncated, 0.9, 50, valid), expected)


def test_n_step_refuses_no_step() -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        n_step(REWARD, NEXT_VALUE, never(3), never(3), 0.5, 0)


# -- against slow references


def random_fragment(length: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Fragment of NEXT_STEP environments: the row after each end is a reset row."""
    generator = torch.Generator().manual_seed(length * 1000 + width)
    reward, value, next_value = torch.randn(3, length, width, generator=generator, dtype=torch.float64)
    chance = torch.rand(length, width, generator=generator)
    terminated, truncated = chance < 0.1, (chance > 0.1) & (chance < 0.2)
    valid = torch.ones_like(terminated)
    for t in range(1, length):
        valid[t] = ~((terminated[t - 1] | truncated[t - 1]) & valid[t - 1])
    return reward, value, next_value, terminated & valid, truncated & valid, valid


def slow_gae(fragment: tuple[Tensor, ...], gamma: float, lam: float) -> Tensor:
    """The definition as a forward sum from each row: sum over k of (gamma lambda)^k delta[t + k] within the episode."""
    reward, value, next_value, terminated, truncated, valid = fragment
    length, width = reward.shape
    result = torch.zeros_like(reward)
    for c in range(width):
        for t in range(length):
            weight, total = 1.0, 0.0
            for k in range(t, length):
                if not valid[k, c]:
                    break
                bootstrap = 0.0 if terminated[k, c] else gamma * float(next_value[k, c])
                total += weight * (float(reward[k, c]) + bootstrap - float(value[k, c]))
                if terminated[k, c] or truncated[k, c]:
                    break
                weight *= gamma * lam
            result[t, c] = total
    return result


def slow_n_step(fragment: tuple[Tensor, ...], gamma: float, n: int) -> Tensor:
    reward, _, next_value, terminated, truncated, valid = fragment
    length, width = reward.shape
    result = torch.zeros_like(reward)
    for c in range(width):
        for t in range(length):
            if not valid[t, c]:
                continue
            total, k = 0.0, t
            while True:
                total += gamma ** (k - t) * float(reward[k, c])
                last = terminated[k, c] or truncated[k, c] or k - t == n - 1 or k == length - 1
                if last:
                    break
                k += 1
            if not terminated[k, c]:
                total += gamma ** (k - t + 1) * float(next_value[k, c])
            result[t, c] = total
    return result


@pytest.mark.parametrize("length", LENGTHS)
def test_gae_equals_its_definition(length: int) -> None:
    fragment = random_fragment(length, 3)
    reward, value, next_value, terminated, truncated, valid = fragment
    fast = gae(reward, value, next_value, terminated, truncated, 0.97, 0.9, valid)
    torch.testing.assert_close(fast, slow_gae(fragment, 0.97, 0.9))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 9, 40])
def test_n_step_equals_its_definition(length: int, n: int) -> None:
    fragment = random_fragment(length, 3)
    reward, _, next_value, terminated, truncated, valid = fragment
    fast = n_step(reward, next_value, terminated, truncated, 0.9, n, valid)
    torch.testing.assert_close(fast, slow_n_step(fragment, 0.9, n))


@pytest.mark.parametrize("length", [0, *LENGTHS])
def test_backward_recurrence_equals_a_loop(length: int) -> None:
    x, a = torch.randn(2, length, 2, 3, generator=torch.Generator().manual_seed(length), dtype=torch.float64)
    expected = torch.zeros_like(x)
    following = torch.zeros(2, 3, dtype=torch.float64)
    for t in reversed(range(length)):
        following = x[t] + a[t] * following
        expected[t] = following
    torch.testing.assert_close(backward_recurrence(x, a), expected)


def test_float32_stays_close_over_long_fragments() -> None:
    fragment = random_fragment(2048, 2)
    never_ends = torch.zeros_like(fragment[3])
    exact = gae(*fragment[:3], never_ends, never_ends, 0.999, 0.99)
    short = gae(*(part.float() for part in fragment[:3]), never_ends, never_ends, 0.999, 0.99)
    torch.testing.assert_close(short.double(), exact, rtol=1e-4, atol=1e-4)


# -- transforms and hyperparameters


def test_any_columns_are_independent() -> None:
    fragment = random_fragment(37, 6)
    wide = gae(*fragment[:5], 0.97, 0.9, fragment[5])
    deep = gae(*(part.view(37, 2, 3) for part in fragment[:5]), 0.97, 0.9, fragment[5].view(37, 2, 3))
    assert torch.equal(deep.view(37, 6), wide)
    for c in range(6):
        alone = gae(*(part[:, c] for part in fragment[:5]), 0.97, 0.9, fragment[5][:, c])
        torch.testing.assert_close(alone, wide[:, c])


def test_tensor_hyperparameters_equal_floats_and_may_differ_per_seed() -> None:
    fragment = random_fragment(20, 2)
    floats = gae(*fragment[:5], 0.75, 0.5, fragment[5])
    as_tensors = gae(*fragment[:5], torch.tensor(0.75), torch.tensor(0.5), fragment[5])
    assert torch.equal(floats, as_tensors)
    gamma = torch.tensor([0.75, 0.25], dtype=torch.float64)
    mixed = gae(*fragment[:5], gamma, 0.5, fragment[5])
    assert torch.allclose(mixed[:, 0], floats[:, 0])
    assert torch.allclose(mixed[:, 1], gae(*fragment[:5], 0.25, 0.5, fragment[5])[:, 1])


@pytest.mark.parametrize("length", [5, 33])
def test_vmap_over_seeds_with_their_own_gamma_equals_a_loop(length: int) -> None:
    fragments = [random_fragment(length, 2), random_fragment(length, 2)]
    fragments[1] = tuple(part.flip(1) for part in fragments[1])  # type: ignore[assignment]
    stacked = [torch.stack(parts) for parts in zip(*fragments, strict=True)]
    gamma = torch.tensor([0.9, 0.5], dtype=torch.float64)

    def one_seed(r: Tensor, v: Tensor, nv: Tensor, te: Tensor, tr: Tensor, ok: Tensor, g: Tensor) -> Tensor:
        return gae(r, v, nv, te, tr, g, 0.9, ok) + n_step(r, nv, te, tr, g, 3, ok)

    together = torch.func.vmap(one_seed)(*stacked, gamma)
    for seed, fragment in enumerate(fragments):
        torch.testing.assert_close(together[seed], one_seed(*fragment, gamma[seed]))


def test_traced_and_differentiated_returns_equal_the_plain_ones() -> None:
    fragment = random_fragment(33, 2)
    terminated, valid = fragment[3], fragment[5]

    def total(r: Tensor, v: Tensor, next_value: Tensor, te: Tensor, tr: Tensor, ok: Tensor, g: Tensor) -> Tensor:
        return gae(r, v, next_value, te, tr, g, 0.8, ok).sum()

    step = torch.func.grad(total, argnums=2)
    gradient = step(*fragment, torch.tensor(0.9))
    assert gradient[terminated | ~valid].abs().max() == 0, "a terminated or reset row must not read its next value"
    assert gradient[valid & ~terminated].abs().min() > 0
    # Traced with another gamma and another fragment than it is run on: nothing may be baked in.
    other = [part.flip(1) for part in fragment]
    traced = make_fx(step, tracing_mode="fake")(*other, torch.tensor(0.5))
    torch.testing.assert_close(traced(*fragment, torch.tensor(0.9)), gradient)
