"""V-trace: hand-computed values, the definition as a forward sum, and GAE in the on-policy case."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from tests.rl.test_returns import (
    NEXT_VALUE,
    REWARD,
    VALUE,
    column,
    flags,
    never,
    random_fragment,
)
from tuneexp.rl.returns import gae
from tuneexp.rl.v_trace import VTrace, vtrace

# The fragment of test_returns: gamma = 1/2, one-step errors (-2, 4, 3). The policy makes the first action twice as
# likely as the one that acted did, the second half, the third four times.
LOG_RATIO = column(2.0, 0.5, 4.0).log()


def numbers(result: VTrace) -> tuple[list[float], list[float]]:
    return [round(x, 5) for x in result.advantage.tolist()], [round(x, 5) for x in result.target.tolist()]


def test_vtrace_by_hand() -> None:
    # rho = c = (1, 1/2, 1). Errors of the target: 3; 2 + 3/4; -2 + 2.75/2.
    advantage, target = numbers(vtrace(LOG_RATIO, REWARD, VALUE, NEXT_VALUE, never(3), never(3), 0.5))
    assert target == [4 - 0.625, 2 + 2.75, 8 + 3]
    # 1 + (2 + 2.75)/2 - 4; half of 2 + (8 + 3)/2 - 2; 3 + 16/2 - 8.
    assert advantage == [-0.625, 2.75, 3.0]


@pytest.mark.parametrize("bound", [float, torch.tensor])
def test_the_bounds_act_apart_by_hand(bound: type) -> None:
    # rho = (2, 1/2, 2), c = (1/2, 1/2, 1/2): 6; 2 + 6/4; -4 + 3.5/4.
    result = vtrace(
        LOG_RATIO, REWARD, VALUE, NEXT_VALUE, never(3), never(3), 0.5, clip_rho=bound(2.0), clip_c=bound(0.5)
    )
    advantage, target = numbers(result)
    assert target == [4 - 3.125, 2 + 3.5, 8 + 6]
    # 2 (1 + (2 + 3.5)/2 - 4); (2 + (8 + 6)/2 - 2)/2; 2 * 3.
    assert advantage == [-0.5, 3.5, 6.0]


def test_termination_zeroes_the_bootstrap_and_cuts_the_trace() -> None:
    # Row 1 has no error left: 2 - 2. Row 0: -2 and nothing of later rows.
    advantage, target = numbers(vtrace(LOG_RATIO, REWARD, VALUE, NEXT_VALUE, flags(0, 1, 0), never(3), 0.5))
    assert target == [2.0, 2.0, 11.0]
    assert advantage == [-2.0, 0.0, 3.0]


def test_truncation_bootstraps_but_cuts_the_trace() -> None:
    # Row 1 keeps its V' = 8, but nothing of row 2: (2 + 8/2 - 2)/2. Row 0: -2 + 2/2.
    advantage, target = numbers(vtrace(LOG_RATIO, REWARD, VALUE, NEXT_VALUE, never(3), flags(0, 1, 0), 0.5))
    assert target == [3.0, 4.0, 11.0]
    assert advantage == [-1.0, 2.0, 3.0]


def test_a_truncated_row_does_not_see_the_next_episode() -> None:
    other = vtrace(
        column(2.0, 0.5, 0.01).log(), column(1, 2, 99), column(4, 2, -50), column(2, 8, 77), never(3), flags(0, 1, 0),
        0.5,
    )  # fmt: skip
    assert numbers(other)[0][:2] == [-1.0, 2.0]
    assert numbers(other)[1][:2] == [3.0, 4.0]


@pytest.mark.parametrize("garbage", [0.0, 123.0, float("nan"), float("inf")])
def test_reset_rows_count_for_nothing(garbage: float) -> None:
    # Row 1 ends the episode, row 2 is the reset (NEXT_STEP), row 3 starts the next episode.
    log_ratio = torch.cat([LOG_RATIO[:2], column(garbage), LOG_RATIO[2:]])
    reward, value, next_value = column(1, 2, garbage, 3), column(4, 2, garbage, 8), column(2, 8, garbage, 16)
    result = vtrace(log_ratio, reward, value, next_value, never(4), flags(0, 1, 0, 0), 0.5, valid=flags(1, 1, 0, 1))
    advantage, target = numbers(result)
    assert advantage == [-1.0, 2.0, 0.0, 3.0]
    assert [target[0], target[1], target[3]] == [3.0, 4.0, 11.0]


def test_an_invalid_row_cuts_the_trace_of_the_row_before_it() -> None:
    # No row marks the end of the episode, but no trace may cross row 1.
    result = vtrace(LOG_RATIO, REWARD, VALUE, NEXT_VALUE, never(3), never(3), 0.5, valid=flags(1, 0, 1))
    assert numbers(result)[0] == [-2.0, 0.0, 3.0]


@pytest.mark.parametrize("gae_lambda", [1.0, 0.9])
@pytest.mark.parametrize("length", [1, 7, 64])
def test_on_policy_it_is_generalised_advantage_estimation(length: int, gae_lambda: float) -> None:
    reward, value, next_value, terminated, truncated, valid = random_fragment(length, 3)
    result = vtrace(
        torch.zeros_like(reward), reward, value, _of_next_row(value, next_value, terminated | truncated, valid),
        terminated, truncated, 0.97, gae_lambda, valid=valid,
    )  # fmt: skip
    expected = gae(
        reward, value, _of_next_row(value, next_value, terminated | truncated, valid), terminated, truncated, 0.97,
        gae_lambda, valid,
    )  # fmt: skip
    torch.testing.assert_close(result.advantage, expected)
    torch.testing.assert_close(result.target, expected + value)


def _of_next_row(value: Tensor, next_value: Tensor, ended: Tensor, valid: Tensor) -> Tensor:
    """Values of the next observations, taken from the next row where it continues the episode."""
    goes_on = ~ended[:-1] & valid[:-1] & valid[1:]
    return torch.cat([torch.where(goes_on, value[1:], next_value[:-1]), next_value[-1:]])


def slow_vtrace(log_ratio: Tensor, fragment: tuple[Tensor, ...], gamma: float, bars: tuple[float, float]) -> Tensor:
    """Eq. 1 as a forward sum from each row: v_s."""
    reward, value, next_value, terminated, truncated, valid = fragment
    target = value.clone()
    for column_ in range(reward.shape[1]):
        for s in range(reward.shape[0]):
            weight = 1.0
            for t in range(s, reward.shape[0]):
                if not valid[t, column_]:
                    break
                ratio = math.exp(log_ratio[t, column_])
                bootstrap = 0.0 if terminated[t, column_] else gamma * float(next_value[t, column_])
                delta = float(reward[t, column_]) + bootstrap - float(value[t, column_])
                target[s, column_] += weight * min(bars[0], ratio) * delta
                if terminated[t, column_] or truncated[t, column_]:
                    break
                weight *= gamma * min(bars[1], ratio)
    return target


@pytest.mark.parametrize("length", [1, 9, 50])
def test_the_target_equals_its_definition(length: int) -> None:
    fragment = random_fragment(length, 3)
    reward, value, next_value, terminated, truncated, valid = fragment
    log_ratio = torch.randn(length, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = vtrace(
        log_ratio, reward, value, next_value, terminated, truncated, 0.97, clip_rho=1.5, clip_c=0.8, valid=valid
    )
    torch.testing.assert_close(result.target, slow_vtrace(log_ratio, fragment, 0.97, (1.5, 0.8)))


def test_it_can_be_traced_and_mapped_over_seeds_with_bounds_that_are_tensors() -> None:
    """As within a loss: numeric hyperparameters are 0-d tensors, columns have a seed axis."""
    log_ratio = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    per_seed = [[log_ratio[seed], *random_fragment(20 + seed, 3)] for seed in range(2)]
    per_seed[1] = [per_seed[1][0], *(rows[:20] for rows in per_seed[1][1:])]
    columns = [torch.stack(both) for both in zip(*per_seed, strict=True)]
    numbers = torch.tensor([0.97, 0.95, 1.2, 0.9])

    def of_one_seed(numbers: Tensor, *own: Tensor) -> tuple[Tensor, Tensor]:
        log_ratio, reward, value, next_value, terminated, truncated, valid = own
        gamma, gae_lambda, clip_rho, clip_c = numbers.unbind()
        result = vtrace(
            log_ratio, reward, value, next_value, terminated, truncated, gamma, gae_lambda, clip_rho, clip_c, valid
        )
        return result.advantage, result.target

    mapped = vmap(of_one_seed, in_dims=(None, *(0 for _ in columns)))
    graph = make_fx(mapped, tracing_mode="fake")(numbers, *columns)
    expected = zip(*(of_one_seed(numbers, *own) for own in per_seed), strict=True)
    for found, of_seeds in zip(graph(numbers, *columns), expected, strict=True):
        torch.testing.assert_close(found, torch.stack(of_seeds))
