"""Named random inputs of `act_fn` and `loss_fn`, drawn from each seed's own generator.

They are the only source of randomness of these functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tuneexp.errors import UserError
from tuneexp.learning.devices import CPU


@dataclass(frozen=True)
class Noise:
    """One column of random numbers.

    Args:
        kind: standard normal, or uniform in [0, 1).
        shape: of one draw.
        per: a draw for each row (an environment, a row of a minibatch), or one for the whole step, such as the factors
            of noisy networks.
        every: steps that use the same draw, counted from the start of the fragment; -1: all of the fragment. For acting
            only: each gradient step has draws of its own.

    Raises:
        UserError: `every` is neither -1 nor a positive number.
    """

    kind: Literal["normal", "uniform"]
    shape: tuple[int, ...] = ()
    per: Literal["row", "step"] = "row"
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1 and self.every != -1:
            raise UserError(f"Noise(every={self.every}): write a number of steps, or -1 for the whole fragment")

    def draw(self, n_steps: int, n_rows: int, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw the column of a fragment.

        Args:
            n_steps: steps of the fragment.
            n_rows: rows of a step.
            generators: one per seed.

        Returns:
            [D, S, n_rows, *shape], or [D, S, *shape] if `per` is "step". D is `n_steps`, or fewer with `every`.
        """
        sample = torch.rand if self.kind == "uniform" else torch.randn
        size = self._size(self._draws(n_steps), n_rows)
        if len(generators) == 1:
            return sample(size, generator=generators[0]).unsqueeze(1)
        return torch.stack([sample(size, generator=own) for own in generators], dim=1)

    def at(self, step: int) -> int:
        """Return the index of the draw that `step` of the fragment uses."""
        return 0 if self.every == -1 else step // self.every

    def _draws(self, n_steps: int) -> int:
        return 1 + self.at(n_steps - 1) if n_steps else 0

    def zeros(self, n_seeds: int, n_rows: int, device: torch.device = CPU) -> Tensor:
        """Return a draw of zeros, [S, n_rows, *shape] or [S, *shape]."""
        return torch.zeros(self._size(n_seeds, n_rows), device=device)

    def _size(self, first: int, n_rows: int) -> tuple[int, ...]:
        return (first, n_rows, *self.shape) if self.per == "row" else (first, *self.shape)


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
