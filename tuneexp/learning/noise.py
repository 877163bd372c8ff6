"""What chance says: named columns of random numbers, drawn from each seed's own generator.

Neither `act_fn` nor `loss_fn` has another source of randomness."""

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
    """One column: standard normal, or uniform in [0, 1). `shape` is that of one draw; there is one draw for each
    row (an environment, a row of a minibatch), or one for the whole step (the factors of noisy networks)."""

    kind: Literal["normal", "uniform"]
    shape: tuple[int, ...] = ()
    per: Literal["row", "step"] = "row"

    def draw(self, n_steps: int, n_rows: int, generators: Sequence[torch.Generator]) -> Tensor:
        """[T, S, n_rows, *shape], or [T, S, *shape] where `per` is "step"."""
        sample = torch.rand if self.kind == "uniform" else torch.randn
        size = self._size(n_steps, n_rows)
        if len(generators) == 1:
            return sample(size, generator=generators[0]).unsqueeze(1)
        return torch.stack([sample(size, generator=own) for own in generators], dim=1)

    def zeros(self, n_seeds: int, n_rows: int, device: torch.device = CPU) -> Tensor:
        """[S, n_rows, *shape] or [S, *shape]."""
        return torch.zeros(self._size(n_seeds, n_rows), device=device)

    def _size(self, first: int, n_rows: int) -> tuple[int, ...]:
        return (first, n_rows, *self.shape) if self.per == "row" else (first, *self.shape)


def checked_noise(role: str, noises: Any) -> dict[str, Noise]:
    """What `act_noise` or `loss_noise` gave. `UserError` where it is no dict of `Noise`."""
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
    """One tensor [T, S, ...] a column, in the order of `noises`."""
    return [noise.draw(n_steps, n_rows, generators) for noise in noises.values()]
