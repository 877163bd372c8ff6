"""Shapes of a policy's data, which programs are built for and the replay buffer is sized by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.minibatches import MASK
from tuneexp.data.sequences import FIRST_ONLY
from tuneexp.errors import UserError
from tuneexp.learning.algorithm_functions import PostprocessFn
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.learner import Learner
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.learning.user_functions import require_result
from tuneexp.rl.noise import Noise


@dataclass(frozen=True)
class TrialShapes:
    """Shapes and types of the data of one policy.

    Args:
        n_envs: environments per seed (N).
        obs_shape: of one observation.
        obs_dtype: of observations of the environment.
        seen_dtype: of observations of the networks: floating point if integers are normalised.
        act_noise: columns of acting noise.
        loss_noise: columns of the loss's noise.
        minibatch_rows: rows (or sequences) of one gradient step, per seed (B).
        sequence_length: steps of a sequence (L); None: rows are single steps.
        state_size: of the recurrent state; 0: none.
        keep_raw: fragments hold observations of `obs_dtype`.
        weighted: minibatches have importance weights.
        spaces: of observations and actions.
        frame_stack: number of stacked frames in an observation; None: it is no stack.
    """

    n_envs: int
    obs_shape: tuple[int, ...]
    obs_dtype: torch.dtype
    seen_dtype: torch.dtype
    act_noise: tuple[tuple[str, Noise], ...]
    loss_noise: tuple[tuple[str, Noise], ...]
    minibatch_rows: int
    sequence_length: int | None = None
    state_size: int = 0
    keep_raw: bool = False
    weighted: bool = False
    spaces: tuple[Any, Any] = field(default=(None, None), compare=False)
    frame_stack: int | None = field(default=None, compare=False)

    def act_inputs(self, networks: SeedNetworks) -> list[Tensor]:
        """Return example inputs of `Act`."""
        n_seeds, device = len(networks.seeds), networks.device
        obs = torch.zeros(n_seeds, self.n_envs, *self.obs_shape, dtype=self.seen_dtype)
        state = [torch.zeros(n_seeds, self.n_envs, self.state_size)] if self.state_size else []
        noise = [noise.zeros(n_seeds, self.n_envs) + 0.5 for _, noise in self.act_noise]
        given = [tensor.to(device) for tensor in (torch.tensor(True), obs, *state, *noise)]
        return [networks.hyper.tensor, *given, *networks.parameters.values()]

    def fragment(self, n_seeds: int, n_steps: int, action: Tensor, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a fragment of zeros, [T, S, N, ...]. action, columns: [S, N, ...], results of acting."""
        lead, device = (n_steps, n_seeds, self.n_envs), action.device
        dtype = self.obs_dtype if self.keep_raw else self.seen_dtype
        obs = torch.zeros(*lead, *self.obs_shape, dtype=dtype, device=device)
        reward, flags = torch.zeros(lead, device=device), torch.zeros(lead, dtype=torch.bool, device=device)
        acted = {name: row.expand(n_steps, *row.shape) for name, row in {"action": action, **columns}.items()}
        fragment = {
            "obs": obs, "next_obs": obs, **acted, "reward": reward, "terminated": flags, "truncated": flags,
            "valid": ~flags,
        }  # fmt: skip
        if self.state_size:
            state = torch.zeros(*lead, self.state_size, device=device)
            fragment |= {"state": state, "next_state": state, "start": flags}
        return fragment

    def training_columns(
        self, learner: Learner, postprocess_fn: PostprocessFn, fragment: Mapping[str, Tensor], cfg: CfgView
    ) -> dict[str, Tensor]:
        """Return one row [...] of each column that `postprocess_fn` returns for a fragment."""
        with torch.no_grad():
            columns = postprocess_fn(learner.nets(), fragment, cfg)
        require_result(isinstance(columns, Mapping), "postprocess_fn", postprocess_fn, columns)
        check_rows("postprocess_fn", columns, fragment["reward"].shape, "[T, S, N, ...]")
        return {name: column[0, 0, 0] for name, column in columns.items() if name != "valid"}

    def minibatch(self, n_seeds: int, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a minibatch of zeros: columns [S, B, ...], or [S, B, L, ...] of sequences, then noise."""
        rows, device = (n_seeds, self.minibatch_rows), next(iter(columns.values())).device
        batch = {name: row.new_zeros(*rows, *self._steps(name), *row.shape) for name, row in columns.items()}
        if self.keep_raw:
            batch |= {name: batch[name].to(self.seen_dtype) for name in ("obs", "next_obs") if name in batch}
        if not self.keep_raw:
            batch[MASK] = torch.ones(*rows, *self._steps(MASK), dtype=torch.bool, device=device)
        if self.weighted:
            batch["weight"] = torch.ones(rows, device=device)
        return batch | {name: noise.zeros(n_seeds, self.minibatch_rows, device) for name, noise in self.loss_noise}

    def _steps(self, column: str) -> tuple[int, ...]:
        if not self.sequence_length:
            return ()
        return (1 if column == FIRST_ONLY else self.sequence_length,)


def check_rows(role: str, columns: Mapping[str, Tensor], leading: Sequence[int], expected: str) -> None:
    """Raise `UserError` if one of the columns does not begin with the axes `leading`.

    Args:
        role: of the function that returned the columns.
        columns: its result.
        leading: sizes of the first axes.
        expected: the shape, for the message.
    """
    for name, column in columns.items():
        if not isinstance(column, Tensor):
            raise UserError(f"{role} gave {name!r} as {type(column).__name__}; give a tensor {expected}")
        if tuple(column.shape[: len(leading)]) != tuple(leading):
            raise UserError(
                f"{role} gave {name!r} of shape {list(column.shape)}; give {expected}, here {list(leading)}"
            )
