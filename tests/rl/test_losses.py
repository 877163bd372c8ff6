"""Terms of losses and metrics: hand-computed values, floats and 0-d tensors, vmap, grad and tracing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.rl import losses

NUMBERS = [0.25, torch.tensor(0.25)]
FLOAT_OR_TENSOR = pytest.mark.parametrize("clip_range", NUMBERS, ids=["float", "tensor"])
NAN = float("nan")


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def mask(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


@FLOAT_OR_TENSOR
def test_clipped_surrogate_by_hand(clip_range: float | Tensor) -> None:
    ratio, advantage = column(1.5, 0.5, 1.5, 0.5), column(1, 1, -1, -1)
    # The smaller of r A and clip(r) A: 1.25, 0.5, -1.5, -0.75; their mean is -0.125.
    assert losses.clipped_surrogate(ratio, advantage, clip_range).item() == 0.125


@FLOAT_OR_TENSOR
def test_clipped_surrogate_has_no_gradient_beyond_the_clip_where_that_would_gain(clip_range: float | Tensor) -> None:
    advantage = column(1, 1, -1, -1)
    gradient = torch.func.grad(lambda r: losses.clipped_surrogate(r, advantage, clip_range))(column(1.5, 0.5, 1.5, 0.5))
    assert gradient.tolist() == [0.0, -0.25, 0.25, 0.0]


def test_clipped_surrogate_at_the_old_policy_has_the_policy_gradient() -> None:
    log_prob, advantage = column(-0.5, -1.5, -0.1), column(2, -1, 0.5)
    surrogate = torch.func.grad(lambda lp: losses.clipped_surrogate((lp - log_prob).exp(), advantage, 0.2))(log_prob)
    plain = torch.func.grad(lambda lp: losses.policy_gradient(lp, advantage))(log_prob)
    torch.testing.assert_close(surrogate, plain)


def test_policy_gradient_by_hand() -> None:
    assert losses.policy_gradient(column(-1, -2), column(3, -1)).item() == 0.5  # -(-3 + 2) / 2


def test_value_loss_is_the_mean_square_without_a_half() -> None:
    assert losses.value_loss(column(3, 1), column(1, 1)).item() == 2.0


@FLOAT_OR_TENSOR
def test_value_clipping_limits_the_move_from_the_old_value(clip_range: float | Tensor) -> None:
    value, target, old = column(3.0, 0.125, -3.0), column(1.0, 1.0, 0.0), column(0.0, 0.0, 0.0)
    # Predictions 0.25, 0.125, -0.25: errors 0.5625 + 0.765625 + 0.0625 = 1.390625, over 3.
    loss = losses.value_loss(value, target, old, clip_range)
    assert loss.item() == pytest.approx(1.390625 / 3)
    gradient = torch.func.grad(lambda v: losses.value_loss(v, target, old, clip_range))(value)
    assert gradient[[0, 2]].tolist() == [0.0, 0.0]
    assert gradient[1].item() == pytest.approx(2 * (0.125 - 1.0) / 3)


def test_value_loss_without_a_clip_range_ignores_the_old_value() -> None:
    assert losses.value_loss(column(3.0), column(1.0), column(0.0), None).item() == 4.0


def test_value_clipping_needs_the_old_value() -> None:
    with pytest.raises(ValueError, match="old_value"):
        losses.value_loss(column(1.0), column(1.0), clip_range=0.2)


def test_approx_kl_by_hand() -> None:
    # (2 - 1) - ln 2 and (1/2 - 1) + ln 2: their mean is 1/4.
    assert losses.approx_kl(column(math.log(2), -math.log(2))).item() == pytest.approx(0.25)


def test_approx_kl_averages_to_the_true_divergence_and_is_never_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    old, new = torch.randn(2, 6, generator=generator, dtype=torch.float64).log_softmax(-1)
    per_action = torch.stack([losses.approx_kl((new - old)[a]) for a in range(6)])
    assert (per_action >= 0).all()
    exact = torch.nn.functional.kl_div(new, old, log_target=True, reduction="sum")  # KL(old, new)
    torch.testing.assert_close((old.exp() * per_action).sum(), exact)


def test_approx_kl_of_tiny_changes_does_not_drown_in_rounding() -> None:
    # exp(x) - 1 computed directly would be off by 1e-7, a thousand times the answer.
    assert losses.approx_kl(column(1e-4)).item() == pytest.approx(0.5e-8, abs=1e-10)
    assert losses.approx_kl(column(0.0)).item() == 0.0


@FLOAT_OR_TENSOR
def test_clip_fraction_by_hand(clip_range: float | Tensor) -> None:
    assert losses.clip_fraction(column(1.0, 1.25, 1.26, 0.74), clip_range).item() == 0.5  # 1.25 itself is inside


def test_explained_variance_by_hand() -> None:
    target = column(1, 2, 3, 4)  # variance 1.25
    assert losses.explained_variance(target, target).item() == 1.0
    assert losses.explained_variance(torch.full((4,), 7.0), target).item() == 0.0
    assert losses.explained_variance(target + 5, target).item() == pytest.approx(1.0)  # an offset is no variance
    assert losses.explained_variance(-target, target).item() == pytest.approx(-3.0)  # 1 - 4 * 1.25 / 1.25
    assert losses.explained_variance(column(1, 2, 3, 2), target).item() == pytest.approx(0.4)  # residual variance 0.75


def test_explained_variance_of_a_constant_target_is_zero_not_nan() -> None:
    assert losses.explained_variance(column(1, 2, 3), column(5, 5, 5)).item() == 0.0
    gradient = torch.func.grad(losses.explained_variance)(column(1, 2, 3), column(5, 5, 5))
    assert gradient.tolist() == [0.0, 0.0, 0.0]


def test_normalize_gives_mean_zero_and_sample_deviation_one() -> None:
    assert losses.normalize(column(1, 2, 3)).tolist() == pytest.approx([-1.0, 0.0, 1.0])
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)) * 7 + 3
    torch.testing.assert_close(losses.normalize(values), (values - values.mean()) / (values.std() + 1e-8))


def test_normalize_leaves_one_row_alone_and_survives_equal_rows() -> None:
    assert losses.normalize(column(3.0)).tolist() == [3.0]
    assert losses.normalize(column(3.0, 3.0)).tolist() == [0.0, 0.0]


# -- masks


def test_masked_rows_count_nowhere_even_if_they_are_nan() -> None:
    keep = mask(1, 0, 1, 0)
    ratio, advantage = column(1.5, NAN, 0.5, NAN), column(1, NAN, -1, 5)
    kept_ratio, kept_advantage = ratio[keep], advantage[keep]
    pairs = [
        (losses.mean_over(ratio, keep), losses.mean_over(kept_ratio)),
        (
            losses.clipped_surrogate(ratio, advantage, 0.2, keep),
            losses.clipped_surrogate(kept_ratio, kept_advantage, 0.2),
        ),
        (losses.policy_gradient(ratio, advantage, keep), losses.policy_gradient(kept_ratio, kept_advantage)),
        (losses.value_loss(ratio, advantage, mask=keep), losses.value_loss(kept_ratio, kept_advantage)),
        (losses.approx_kl(ratio, keep), losses.approx_kl(kept_ratio)),
        (losses.clip_fraction(ratio, 0.2, keep), losses.clip_fraction(kept_ratio, 0.2)),
        (losses.explained_variance(ratio, advantage, keep), losses.explained_variance(kept_ratio, kept_advantage)),
        (losses.variance_over(ratio, keep), losses.variance_over(kept_ratio)),
        (losses.normalize(ratio, keep)[keep], losses.normalize(kept_ratio)),
    ]
    for number, (masked, selected) in enumerate(pairs):
        torch.testing.assert_close(masked, selected, msg=f"pair {number}: {masked} is not {selected}")


def test_a_mask_that_keeps_nothing_gives_zero() -> None:
    assert losses.mean_over(column(1, NAN), mask(0, 0)).item() == 0.0


def test_masked_rows_have_no_gradient() -> None:
    gradient = torch.func.grad(lambda v: losses.value_loss(v, column(0, 0), mask=mask(1, 0)))(column(1, 1))
    assert gradient.tolist() == [2.0, 0.0]


# -- transforms


def everything(log_ratio: Tensor, advantage: Tensor, keep: Tensor, clip_range: Tensor | float) -> Tensor:
    ratio = log_ratio.exp()
    return (
        losses.clipped_surrogate(ratio, losses.normalize(advantage, keep), clip_range, keep)
        + losses.value_loss(log_ratio, advantage, 0.5 * log_ratio.detach(), clip_range, keep)
        + losses.approx_kl(log_ratio, keep)
        + losses.clip_fraction(ratio, clip_range, keep)
        + losses.explained_variance(log_ratio, advantage, keep)
        + losses.policy_gradient(log_ratio, advantage, keep)
    )


def seeds(n_seeds: int = 3, n_rows: int = 11) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    log_ratio, advantage = torch.randn(2, n_seeds, n_rows, generator=generator, dtype=torch.float64)
    keep = torch.rand(n_seeds, n_rows, generator=generator) < 0.8
    return log_ratio * 0.3, advantage, keep, torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)


def test_vmap_over_seeds_with_their_own_hyperparameters_equals_a_loop() -> None:
    log_ratio, advantage, keep, clip_range = seeds()
    step = torch.func.grad(everything)
    together = torch.func.vmap(step)(log_ratio, advantage, keep, clip_range)
    for seed in range(3):
        alone = step(log_ratio[seed], advantage[seed], keep[seed], float(clip_range[seed]))
        torch.testing.assert_close(together[seed], alone)


def test_one_traced_program_serves_every_value_of_a_hyperparameter() -> None:
    log_ratio, advantage, keep, clip_range = (part[0] for part in seeds())
    step = torch.func.grad_and_value(everything)
    traced = make_fx(step, tracing_mode="fake")(log_ratio, advantage, keep, clip_range)
    for value in (0.05, 0.3):
        gradient, loss = traced(log_ratio, advantage, keep, torch.tensor(value, dtype=torch.float64))
        expected_gradient, expected_loss = step(log_ratio, advantage, keep, value)
        torch.testing.assert_close(gradient, expected_gradient)
        torch.testing.assert_close(loss, expected_loss)
