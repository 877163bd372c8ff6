"""Named random inputs of `act_fn` and `loss_fn`, drawn from each seed's own generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuneexp.errors import UserError
from tuneexp.rl.noise import Noise


def checked_noise(role: str, noises: Any) -> dict[str, Noise]:
    """Return the result of `act_noise` or `loss_noise`. Raises `UserError` if it is no dict of `Noise`."""
    wrong = (
        [name for name, noise in noises.items() if not isinstance(noise, Noise)] if isinstance(noises, dict) else [""]
    )
    if wrong:
        what = f"{wrong[0]!r} as {type(noises[wrong[0]]).__name__}" if wrong[0] else type(noises).__name__
        raise UserError(f'{role} gave {what}; write {{"name": Noise("normal", shape)}}, or Noise("uniform", ...)')
    return dict(noises)


def draw_all(
    noises: Mapping[str, Noise], n_steps: int, n_rows: int, generators: Sequence[torch.Generator]
) -> list[Tensor]:
    """Draw each column, [D, S, ...], in the order of `noises`."""
    return [noise.draw(n_steps, n_rows, generators) for noise in noises.values()]


def by_step(noises: Mapping[str, Noise], columns: Sequence[Tensor], n_steps: int) -> list[list[Tensor]]:
    """Return the draws [S, ...] of each step, views of the columns [D, S, ...] of `draw_all`."""
    draws = [(noise, column.unbind(0)) for noise, column in zip(noises.values(), columns, strict=True)]
    return [[column[noise.at(step)] for noise, column in draws] for step in range(n_steps)]
