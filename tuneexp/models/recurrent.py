"""Recurrent cells from linear operations: `nn.LSTM` and `nn.GRU` have no vmap rule and cannot be traced.

A state is one tensor [..., state_size], zeros at the start of an episode. The input contributions of all steps are
computed at once (`project`), so that the loop over time holds the recurrent part only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tuneexp.errors import unknown_name


class Cell(nn.Module):
    """Parameters named, shaped and initialised as in `torch.nn.LSTMCell` and `GRUCell`: uniform within 1/sqrt(size)."""

    gates: int
    numbers_per_unit = 1

    def __init__(self, in_size: int, size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.in_size, self.size = in_size, size
        self.state_size = size * self.numbers_per_unit
        rows, bound = self.gates * size, size**-0.5

        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=generator))

        self.weight_ih, self.weight_hh = uniform(rows, in_size), uniform(rows, size)
        self.bias_ih, self.bias_hh = uniform(rows), uniform(rows)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: [..., in_size]; state: [..., state_size]. Returns the output [..., size] and the new state."""
        return self.advance(self.project(x), state)

    def project(self, x: Tensor) -> Tensor:
        """Contribution of the input to the gates, [..., gates * size]."""
        return linear(x, self.weight_ih, self.bias_ih)

    def advance(self, projected: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step from projected inputs."""
        raise NotImplementedError

    def unroll(self, x: Tensor, state: Tensor, start: Tensor) -> Tensor:
        """x: [L, ..., in_size]; state: [..., state_size] before the first step; start: bool [L, ...], True where a step
        is the first of its episode: the state is zero before it. Returns the outputs [L, ..., size]."""
        outputs = []
        for projected, first in zip(self.project(x).unbind(0), start.unbind(0), strict=True):
            # `where`, not a product: the discarded state may be infinite.
            state = torch.where(first.unsqueeze(-1), torch.zeros_like(state), state)
            output, state = self.advance(projected, state)
            outputs.append(output)
        return torch.stack(outputs)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with a forget gate. State: (h, c), concatenated."""

    gates = 4
    numbers_per_unit = 2

    def advance(self, projected: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, memory = state.split(self.size, dim=-1)
        gates = projected + linear(hidden, self.weight_hh, self.bias_hh)
        let_in, keep, new, let_out = gates.split(self.size, dim=-1)
        memory = keep.sigmoid() * memory + let_in.sigmoid() * new.tanh()
        hidden = let_out.sigmoid() * memory.tanh()
        return hidden, torch.cat([hidden, memory], dim=-1)


class GRUCell(Cell):
    """Gated recurrent unit, with the reset gate after the matrix product, as in torch. State: the output.

    Cho et al. 2014 (arXiv:1406.1078)."""

    gates = 3

    def advance(self, projected: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x_reset, x_keep, x_new = projected.split(self.size, dim=-1)
        h_reset, h_keep, h_new = linear(state, self.weight_hh, self.bias_hh).split(self.size, dim=-1)
        new = (x_new + (x_reset + h_reset).sigmoid() * h_new).tanh()
        keep = (x_keep + h_keep).sigmoid()
        hidden = new + keep * (state - new)
        return hidden, hidden


CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell}


def cell_class(name: str) -> type[Cell] | None:
    """Cell class by name; None for "none"."""
    if name == "none":
        return None
    if name not in CELLS:
        raise unknown_name("recurrent", name, ["none", *CELLS])
    return CELLS[name]
