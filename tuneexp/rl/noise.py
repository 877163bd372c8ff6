"""Random inputs of `act_fn`, `loss_fn` and tensor environments: the only source of randomness of these functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tuneexp.errors import UserError


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
        first, *rest = self._size(self._draws(n_steps), n_rows)
        drawn = [sample((first, 1, *rest), generator=own) for own in generators]
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn, dim=1)

    def at(self, step: int) -> int:
        """Return the index of the draw that `step` of the fragment uses."""
        return 0 if self.every == -1 else step // self.every

    def _draws(self, n_steps: int) -> int:
        return 1 + self.at(n_steps - 1) if n_steps else 0

    def zeros(self, n_seeds: int, n_rows: int, device: torch.device | str = "cpu") -> Tensor:
        """Return a draw of zeros, [S, n_rows, *shape] or [S, *shape]."""
        return torch.zeros(self._size(n_seeds, n_rows), device=device)

    def _size(self, first: int, n_rows: int) -> tuple[int, ...]:
        return (first, n_rows, *self.shape) if self.per == "row" else (first, *self.shape)
