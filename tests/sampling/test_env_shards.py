"""Each environment of each seed has one runner, and each runner has as few seeds as possible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tuneexp.errors import UserError
from tuneexp.sampling.env_shards import env_shards


@pytest.mark.parametrize(("seeds", "envs", "runners"), list(itertools.product((1, 2, 3, 8), (4, 5, 8), (1, 2, 3, 4))))
@pytest.mark.parametrize("every_seed", [False, True])
def test_the_shards_are_the_whole_without_overlap(seeds: int, envs: int, runners: int, every_seed: bool) -> None:
    shards = env_shards(seeds, envs, runners, every_seed)
    counted = np.zeros((seeds, envs), int)
    for shard in shards:
        counted[shard.seeds, shard.envs] += 1
        assert not every_seed or shard.seeds == slice(0, seeds)
    assert len(shards) == runners
    assert (counted == 1).all()
    sizes = [(shard.seeds.stop - shard.seeds.start, shard.n_envs) for shard in shards]
    assert all(max(side) - min(side) <= 1 for side in zip(*sizes, strict=True))


def test_seeds_are_divided_before_environments() -> None:
    assert [shard.envs for shard in env_shards(4, 8, 4)] == [slice(0, 8)] * 4
    assert [shard.seeds for shard in env_shards(4, 8, 4, every_seed=True)] == [slice(0, 4)] * 4


def test_more_runners_than_environments_are_refused_with_what_would_do() -> None:
    with pytest.raises(UserError, match=r"=6 .*n_envs=2 .*num_env_runners=4, or n_envs=3"):
        env_shards(2, 2, 6)
    with pytest.raises(UserError, match="num_env_runners=2, or n_envs=5"):
        env_shards(3, 2, 5, every_seed=True)


def test_environments_that_share_a_generator_stay_together() -> None:
    assert len(env_shards(4, 2, 2, apart=False)) == 2
    with pytest.raises(UserError, match="env_backend=sync"):
        env_shards(1, 4, 2, apart=False)
