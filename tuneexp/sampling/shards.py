"""Which part of a trial's S x N environments a runner has: some seeds, and of each the same environments."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from tuneexp.errors import UserError


@dataclass(frozen=True)
class Shard:
    """Seeds first_seed <= s < end_seed by their place in the trial, environments first_env <= n < end_env of each."""

    first_seed: int
    end_seed: int
    first_env: int
    end_env: int

    @property
    def seeds(self) -> slice:
        return slice(self.first_seed, self.end_seed)

    @property
    def envs(self) -> slice:
        return slice(self.first_env, self.end_env)

    @property
    def n_envs(self) -> int:
        return self.end_env - self.first_env

    def of(self, column: Tensor, per_env: bool = True) -> Tensor:
        """Its part of a column [T, S, N, ...], or [T, S, ...] where the column has no axis of environments."""
        own = column[:, self.seeds]
        return own[:, :, self.envs] if per_env else own


def shards_of(n_seeds: int, n_envs: int, n_runners: int, every_seed: bool = False, apart: bool = True) -> list[Shard]:
    """One rectangle for each of `n_runners`, seed groups outermost: together the whole, their sides equal to one.

    Seeds are divided first, so that a runner pulls the parameters of few; where there are more runners than seeds,
    or each must carry `every_seed` (asynchronous runners: a stacked update needs all), environments are.
    apart: False where the environments of a seed share a generator. Raises `UserError` where it can't be done."""
    groups = _seed_groups(n_seeds, n_runners, every_seed)
    parts = n_runners // groups
    if parts > n_envs:
        fewer = (n for n in range(n_runners, 0, -1) if n // _seed_groups(n_seeds, n, every_seed) <= n_envs)
        raise UserError(
            f"num_env_runners={n_runners} is more than n_envs={n_envs} environments of {n_seeds} seed(s) can be shared "
            f"by; write num_env_runners={next(fewer)}, or n_envs={parts}"
        )
    if parts > 1 and not apart:
        raise UserError(
            "the vector environment draws all episodes of a seed from one generator, so its environments can't be "
            "shared by several runners; write env_backend=sync"
        )
    return [Shard(*seeds, *envs) for seeds in _cut(n_seeds, groups) for envs in _cut(n_envs, parts)]


def _seed_groups(n_seeds: int, n_runners: int, every_seed: bool) -> int:
    most = 1 if every_seed else min(n_seeds, n_runners)
    return max(count for count in range(1, most + 1) if n_runners % count == 0)


def _cut(length: int, parts: int) -> list[tuple[int, int]]:
    """(start, stop) of `parts` pieces that differ by one at most."""
    edges = [length * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))
