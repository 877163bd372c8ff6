"""Denormal floats are flushed to zero in a process with a trial."""

from __future__ import annotations

import torch

from tests.small import small_trial


def test_numbers_too_small_to_be_normal_count_as_zero() -> None:
    """Denormals would slow Adam's step down many times over when the moments of unused units decay."""
    small_trial([0]).close()
    moment = torch.full((64,), 1e-30)
    for _ in range(200):
        moment *= 0.9
    assert moment.eq(0.0).all()
