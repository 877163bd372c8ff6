"""Acting for all seeds at once, as a function of a flat list of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from tuneexp.learning.algorithm_functions import ActFn
from tuneexp.learning.hyper import view_of_tensor
from tuneexp.learning.nets import Nets
from tuneexp.learning.user_functions import require_result


@dataclass
class Act:
    """The acting step of all seeds, a function of tensors.

    Inputs: [hyper [S, H], explore 0-d bool, obs [S, N, ...], *state [S, N, state_size], *noise [S, ...],
    *parameters [S, ...]]. Outputs: [action [S, N, ...], *state, *columns [S, N, ...]]. Only a recurrent model has a
    state.

    Args:
        model: one seed's network, for its structure.
        act_fn: of the algorithm, for one seed.
        parameter_names: in the order of the inputs.
        noise_names: columns of `act_noise`, in the order of the inputs.
        numeric: names of the numbers in `hyper`.
        static: the other fields of the configuration.
        recurrent: the model has a state.
        in_turn: loop over seeds instead of `vmap`, as in `GradientStep`.
        column_names: filled by the first call or trace.
        reads: filled with the fields of the configuration that `act_fn` reads.
    """

    model: nn.Module
    act_fn: ActFn
    parameter_names: tuple[str, ...]
    noise_names: tuple[str, ...]
    numeric: tuple[str, ...]
    static: Mapping[str, Any]
    recurrent: bool = False
    in_turn: bool = False
    column_names: list[str] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        hyper, explore, *per_seed = inputs
        n_states, n_noises = int(self.recurrent), len(self.noise_names)

        def one_seed(numbers: Tensor, obs: Tensor, *rest: Tensor) -> list[Tensor]:
            cfg = view_of_tensor(self.static, self.numeric, numbers, self.reads)
            state = rest[0] if self.recurrent else None
            noise = dict(zip(self.noise_names, rest[n_states : n_states + n_noises], strict=True))
            leaves = dict(zip(self.parameter_names, rest[n_states + n_noises :], strict=True))
            nets = Nets.of_one_seed(self.model, leaves)
            gave = self.act_fn(nets, obs, state, noise, cfg, explore)
            triple = isinstance(gave, tuple) and len(gave) == 3 and isinstance(gave[1], Mapping)
            require_result(triple, "act_fn", self.act_fn, gave)
            action, columns, state = gave
            self.column_names[:] = list(columns)
            return [action, *([state] if self.recurrent else []), *columns.values()]

        with torch.no_grad():
            n_seeds = per_seed[0].shape[0]
            if n_seeds > 1 and not self.in_turn:
                return list(vmap(one_seed)(hyper, *per_seed))
            seeds = [one_seed(*(tensor[index] for tensor in (hyper, *per_seed))) for index in range(n_seeds)]
            return [torch.stack(outputs) for outputs in zip(*seeds, strict=True)]
