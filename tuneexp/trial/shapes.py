"""The shapes of a trial: what its programs are built for and its replay buffer is sized by."""

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
from tuneexp.learning.noise import Noise
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.learning.user_functions import require_result


@dataclass(frozen=True)
class TrialShapes:
    """obs_dtype: as the environment gives observations; seen_dtype: as the networks see them (floating point also
    where whole numbers are normalised). minibatch_rows: rows, or sequences of `sequence_length`, of one gradient step
    and seed. keep_raw: fragments hold `obs_dtype`. weighted: minibatches carry importance weights. spaces:
    of observations and actions; a network holds what it needs of them (bounds, how a dictionary is packed).
    frame_stack: length of the stack of frames that an observation is; None where it is none."""

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
        n_seeds, device = len(networks.seeds), networks.device
        obs = torch.zeros(n_seeds, self.n_envs, *self.obs_shape, dtype=self.seen_dtype)
        state = [torch.zeros(n_seeds, self.n_envs, self.state_size)] if self.state_size else []
        noise = [noise.zeros(n_seeds, self.n_envs) + 0.5 for _, noise in self.act_noise]
        given = [tensor.to(device) for tensor in (torch.tensor(True), obs, *state, *noise)]
        return [networks.hyper.tensor, *given, *networks.parameters.values()]

    def fragment(self, n_seeds: int, n_steps: int, action: Tensor, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A fragment as the runner gives it, of zeros, [T, S, N, ...]; action and columns: [S, N, ...], as acted."""
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
        """What `postprocess_fn` makes of it: one row of each column, [...]."""
        with torch.no_grad():
            columns = postprocess_fn(learner.nets(), fragment, cfg)
        require_result(isinstance(columns, Mapping), "postprocess_fn", postprocess_fn, columns)
        check_rows("postprocess_fn", columns, fragment["reward"].shape, "[T, S, N, ...]")
        return {name: column[0, 0, 0] for name, column in columns.items() if name != "valid"}

    def minibatch(self, n_seeds: int, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A minibatch of zeros: columns [S, B, ...], or [S, B, L, ...] of sequences, then noise."""
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


def check_rows(role: str, columns: Mapping[str, Tensor], leading: Sequence[int], told: str) -> None:
    """Raises `UserError` where one of `columns` doesn't begin with the axes `leading`."""
    for name, column in columns.items():
        if not isinstance(column, Tensor):
            raise UserError(f"{role} gave {name!r} as {type(column).__name__}; give a tensor {told}")
        if tuple(column.shape[: len(leading)]) != tuple(leading):
            raise UserError(f"{role} gave {name!r} of shape {list(column.shape)}; give {told}, here {list(leading)}")
