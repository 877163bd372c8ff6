"""Division of a trial's S x N environments among env runners."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tuneexp.errors import UserError
from tuneexp.partition import even_slices


@dataclass(frozen=True)
class EnvShard:
    """The environments of one env runner: some seeds of the trial, and the same environments of each of them.

    Args:
        seeds: slice of the seed axis.
        envs: slice of the environment axis.
    """

    seeds: slice
    envs: slice

    @property
    def n_envs(self) -> int:
        """Environments per seed."""
        return int(self.envs.stop - self.envs.start)

    def of(self, column: Tensor, per_env: bool = True) -> Tensor:
        """Return this shard of a column [T, S, N, ...], or of one [T, S, ...] with `per_env=False`."""
        own = column[:, self.seeds]
        return own[:, :, self.envs] if per_env else own


def env_shards(
    n_seeds: int, n_envs: int, n_runners: int, every_seed: bool = False, apart: bool = True
) -> list[EnvShard]:
    """Divide S x N environments into one shard per runner, in the order of the seeds.

    Seeds are divided first, so that a runner pulls the parameters of few seeds. With more runners than seeds, the
    environments of each seed are divided, too.

    Args:
        n_seeds: seeds of the trial (S).
        n_envs: environments per seed (N).
        n_runners: number of shards.
        every_seed: each shard has all seeds, as asynchronous runners need: one update needs all of them.
        apart: False if the environments of a seed share a random generator.

    Raises:
        UserError: there are more runners than environments, or environments that share a generator would be divided.
    """
    groups = _seed_groups(n_seeds, n_runners, every_seed)
    parts = n_runners // groups
    if parts > n_envs:
        fewer = (n for n in range(n_runners, 0, -1) if n // _seed_groups(n_seeds, n, every_seed) <= n_envs)
        raise UserError(
            f"num_env_runners={n_runners} is too large for n_envs={n_envs} environments of {n_seeds} seed(s); "
            f"write num_env_runners={next(fewer)}, or n_envs={parts}"
        )
    if parts > 1 and not apart:
        raise UserError(
            "the vector environment draws all episodes of a seed from one generator, so its environments can't be "
            "divided among several runners; write env_backend=sync"
        )
    return [EnvShard(seeds, envs) for seeds in even_slices(n_seeds, groups) for envs in even_slices(n_envs, parts)]


def _seed_groups(n_seeds: int, n_runners: int, every_seed: bool) -> int:
    most = 1 if every_seed else min(n_seeds, n_runners)
    return max(count for count in range(1, most + 1) if n_runners % count == 0)
