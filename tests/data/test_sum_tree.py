"""Sum tree, compared with cumulative sums over all leaves."""

from __future__ import annotations

import numpy as np
import pytest

from tuneexp.data.sum_tree import SumTree

SIZES = [(1, 1, 4), (1, 4, 4), (3, 5, 4), (2, 16, 4), (2, 17, 4), (3, 100, 4), (8, 1000, 32), (2, 5000, 2)]
sizes = pytest.mark.parametrize(("n_seeds", "capacity", "branching"), SIZES)


def random_tree(n_seeds: int, capacity: int, branching: int) -> tuple[SumTree, np.ndarray]:
    """A tree and its leaves [S, C], a third of them 0. Leaves are small integers, so that sums are exact."""
    rng = np.random.default_rng(capacity)
    leaves = rng.integers(0, 9, (n_seeds, capacity)) * (rng.random((n_seeds, capacity)) < 0.66)
    leaves[:, capacity // 2] = 1
    tree = SumTree(n_seeds, capacity, branching)
    for part in np.array_split(rng.permutation(leaves.size), 3):
        tree.set(part, leaves.ravel()[part].astype(float))
    return tree, leaves.astype(float)


@sizes
def test_values_and_totals_are_those_that_were_set(n_seeds: int, capacity: int, branching: int) -> None:
    tree, leaves = random_tree(n_seeds, capacity, branching)
    assert np.array_equal(tree.leaves, leaves)
    assert np.array_equal(tree.get(np.arange(leaves.size).reshape(leaves.shape)), leaves)
    assert np.array_equal(tree.total, leaves.sum(axis=1))


@sizes
def test_a_mass_finds_the_leaf_where_the_running_sum_exceeds_it(n_seeds: int, capacity: int, branching: int) -> None:
    tree, leaves = random_tree(n_seeds, capacity, branching)
    least = int(tree.total.min())
    mass = np.tile(np.concatenate([np.arange(least), np.arange(least) + 0.5]), (n_seeds, 1))
    expected = [np.searchsorted(own.cumsum(), mass[0], side="right") for own in leaves]
    assert np.array_equal(tree.find(mass), np.stack(expected) + np.arange(n_seeds)[:, None] * capacity)


@sizes
def test_filling_at_once_is_setting_one_by_one(n_seeds: int, capacity: int, branching: int) -> None:
    tree, leaves = random_tree(n_seeds, capacity, branching)
    other = SumTree(n_seeds, capacity, branching)
    other.fill(leaves)
    for one, level in zip(tree._levels, other._levels, strict=True):
        assert np.array_equal(one, level)


def test_a_leaf_of_value_zero_is_never_found_however_the_mass_is_rounded() -> None:
    rng = np.random.default_rng(0)
    leaves = rng.random((4, 3000)) * 10.0 ** rng.integers(-12, 12, (4, 3000)) * (rng.random((4, 3000)) < 0.3)
    leaves[:, -50:] = 0
    tree = SumTree(4, 3000)
    tree.fill(leaves)
    edges = np.concatenate([[0.0, 1.0], rng.random(2000), np.nextafter(np.ones(1), 0.0)])
    found = tree.find(edges * tree.total[:, None])  # 1.0: the total itself, above all that is allowed
    assert (tree.get(found) > 0).all()
    assert np.array_equal(found // 3000, np.broadcast_to(np.arange(4)[:, None], found.shape))


def test_sums_do_not_drift() -> None:
    tree, rng = SumTree(1, 200), np.random.default_rng(1)
    for _ in range(300):
        tree.set(rng.integers(0, 200, 20), 10.0 ** rng.uniform(-12, 12, 20))
    tree.set(np.arange(200), np.full(200, 1e-12))
    np.testing.assert_allclose(tree.total, 200e-12, rtol=1e-14)


@pytest.mark.parametrize("capacity", [3, 70, 2000])
def test_a_seed_without_any_value_gives_its_first_row(capacity: int) -> None:
    tree = SumTree(3, capacity)
    tree.set(np.array([2, 2 * capacity + 1]), np.ones(2))
    found = tree.find(np.zeros((3, 4)))
    assert found.tolist() == [[2] * 4, [capacity] * 4, [2 * capacity + 1] * 4]


def test_the_bytes_that_are_stated_are_those_that_are_used() -> None:
    tree = SumTree(2, 100_000)
    assert SumTree.bytes_needed(2, 100_000) == sum(level.nbytes for level in tree._levels)
