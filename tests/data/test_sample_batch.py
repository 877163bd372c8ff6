"""SampleBatch: equal lengths, named axes, concatenation, slicing."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tuneexp import SampleBatch, UserError, concat_samples
from tuneexp.data.sample_batch import FRAGMENT_AXES, SEED_ROW_AXES


def rows(length: int = 5, start: int = 0) -> SampleBatch:
    index = torch.arange(start, start + length)
    return SampleBatch({"obs": torch.stack([index, index * 10], 1).float(), "action": index})


def fragment(n_steps: int = 4, n_seeds: int = 2, n_envs: int = 3, **columns: Tensor) -> SampleBatch:
    """Fragment whose column `where` is 100 t + 10 s + n."""
    t, s, n = torch.meshgrid(torch.arange(n_steps), torch.arange(n_seeds), torch.arange(n_envs), indexing="ij")
    return SampleBatch({"where": 100 * t + 10 * s + n, **columns}, FRAGMENT_AXES)


# -- construction


def test_a_batch_has_its_columns_and_sizes() -> None:
    batch = fragment(obs=torch.zeros(4, 2, 3, 7))
    assert list(batch) == ["where", "obs"]
    assert len(batch) == 2
    assert batch.sizes == (4, 2, 3)
    assert (batch.size("time"), batch.size("seed"), batch.size("env")) == (4, 2, 3)
    assert batch.n_rows == 24
    assert repr(batch) == "SampleBatch(time=4, seed=2, env=3; where: [4, 2, 3], obs: [4, 2, 3, 7])"
    assert "obs" in batch
    assert batch.get("reward") is None


def test_columns_of_unequal_length_are_refused_with_both_shapes() -> None:
    with pytest.raises(UserError) as caught:
        SampleBatch({"obs": torch.zeros(4, 2, 3), "reward": torch.zeros(4, 1)}, SEED_ROW_AXES)
    message = "columns need equal lengths along ('seed', 'row'): 'obs' is [4, 2, 3], 'reward' is [4, 1]"
    assert str(caught.value) == message


def test_a_column_without_all_leading_axes_is_refused() -> None:
    with pytest.raises(UserError, match=r"'gamma' .*\[4\].*\('seed', 'row'\)"):
        SampleBatch({"obs": torch.zeros(4, 2), "gamma": torch.zeros(4)}, SEED_ROW_AXES)


@pytest.mark.parametrize(("columns", "axes"), [({}, ("row",)), ({"a": [1]}, ()), ({"a": [[1]]}, ("row", "row"))])
def test_a_batch_without_columns_or_with_unclear_axes_is_refused(
    columns: dict[str, Any], axes: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match="SampleBatch"):
        SampleBatch(columns, axes)


def test_an_unknown_column_is_a_key_error_that_names_the_columns() -> None:
    with pytest.raises(KeyError, match=r"'rewards'.* obs, action"):
        rows()["rewards"]


def test_arrays_and_lists_become_tensors_and_go_back() -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    batch = SampleBatch({"obs": array, "reward": [1.0, 2.0, 3.0]})
    array[0, 0] = 42.0
    assert batch["obs"][0, 0] == 42.0, "an array is shared, not copied"
    back = batch.numpy()
    assert np.array_equal(back["obs"], array)
    assert back["reward"].tolist() == [1.0, 2.0, 3.0]


def test_a_batch_survives_the_way_to_another_process() -> None:
    batch = fragment()
    again = pickle.loads(pickle.dumps(batch))
    assert again.axes == batch.axes
    assert torch.equal(again["where"], batch["where"])


def test_a_batch_can_be_compared_without_a_truth_value_of_tensors() -> None:
    batch = rows()
    assert batch == batch
    assert batch != rows()
    assert batch in {batch}


# -- columns


def test_columns_are_selected_dropped_replaced_and_mapped() -> None:
    batch = rows()
    assert list(batch.select("action", "obs")) == ["action", "obs"]
    assert list(batch.drop("obs")) == ["action"]
    doubled = batch.with_columns({"action": batch["action"] * 2, "reward": torch.ones(5)})
    assert doubled["action"].tolist() == [0, 2, 4, 6, 8]
    assert list(doubled) == ["obs", "action", "reward"]
    assert list(batch) == ["obs", "action"], "the batch itself stays as it was"
    assert batch.map(lambda column: column.double())["action"].dtype == torch.float64
    assert batch.to("cpu")["obs"].device.type == "cpu"


def test_a_column_of_another_length_cannot_be_added() -> None:
    with pytest.raises(UserError, match="lengths"):
        rows(5).with_columns({"reward": torch.ones(4)})


def test_an_unknown_column_is_refused_with_the_nearest_name() -> None:
    for operation in (rows().select, rows().drop):
        with pytest.raises(UserError, match=r"'actions'.* 'action'"):
            operation("actions")


# -- rows


def test_slices_and_numbers_pick_rows_of_the_named_axis() -> None:
    assert rows().slice(1, 3)["action"].tolist() == [1, 2]
    assert rows().slice(-2, None)["obs"].tolist() == [[3.0, 30.0], [4.0, 40.0]]
    assert rows().take(torch.tensor([4, 0, 0]))["action"].tolist() == [4, 0, 0]
    batch = fragment()
    assert batch.slice(1, 3, axis="time")["where"][:, 0, 0].tolist() == [100, 200]
    assert batch.slice(1, 2, axis="seed").sizes == (4, 1, 3)
    assert batch.take(torch.tensor([2, 1]), axis="env")["where"][0, 1].tolist() == [12, 11]


def test_a_batch_of_several_axes_requires_which_one_is_meant() -> None:
    with pytest.raises(UserError, match=r"\('time', 'seed', 'env'\)"):
        fragment().slice(0, 1)
    with pytest.raises(UserError, match=r"'envs'.* 'env'"):
        fragment().slice(0, 1, axis="envs")


def test_a_fragment_becomes_rows_per_seed_with_time_outermost() -> None:
    flat = fragment(n_steps=2, obs=torch.zeros(2, 2, 3, 7)).to_rows()
    assert flat.axes == ("seed", "row")
    assert flat["where"].tolist() == [[0, 1, 2, 100, 101, 102], [10, 11, 12, 110, 111, 112]]
    assert flat["obs"].shape == (2, 6, 7)


def test_axes_without_seeds_become_plain_rows() -> None:
    flat = SampleBatch({"a": torch.arange(6).view(3, 2)}, ("time", "env")).to_rows()
    assert (flat.axes, flat["a"].tolist()) == (("row",), [0, 1, 2, 3, 4, 5])
    assert rows().to_rows()["action"].tolist() == [0, 1, 2, 3, 4]
    assert SampleBatch({"a": torch.arange(3)}, ("seed",)).to_rows()["a"].tolist() == [[0], [1], [2]]


# -- minibatches


def test_an_epoch_holds_every_row_once_with_its_columns_together() -> None:
    parts = list(rows(10).minibatches(4, torch.Generator().manual_seed(0)))
    assert [part.n_rows for part in parts] == [4, 4, 2]
    actions = torch.cat([part["action"] for part in parts])
    assert actions.tolist() != list(range(10))
    assert sorted(actions.tolist()) == list(range(10))
    for part in parts:
        assert torch.equal(part["obs"][:, 1], part["action"] * 10.0)


def test_the_last_small_minibatch_can_be_left_out() -> None:
    def sizes(n: int, size: int) -> list[int]:
        return [part.n_rows for part in rows(n).minibatches(size, torch.Generator(), drop_last=True)]

    assert sizes(10, 4) == [4, 4]
    assert sizes(8, 4) == [4, 4]
    assert sizes(3, 4) == []


def test_minibatches_depend_on_their_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        torch.cat([part["action"] for part in rows(50).minibatches(8, torch.Generator().manual_seed(seed))]).tolist()
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sequences_are_cut_over_environments_and_keep_their_time() -> None:
    parts = list(fragment(n_envs=4).minibatches(2, torch.Generator().manual_seed(0), axis="env"))
    assert [part.sizes for part in parts] == [(4, 2, 2), (4, 2, 2)]
    together = torch.cat([part["where"] for part in parts], dim=2)
    assert torch.equal(together.sort(dim=2).values, fragment(n_envs=4)["where"])


def test_an_empty_minibatch_is_refused() -> None:
    with pytest.raises(UserError, match="at least one row"):
        next(rows().minibatches(0, torch.Generator()))


# -- episodes


def flags(length: int, *true_at: int) -> Tensor:
    column = torch.zeros(length, dtype=torch.bool)
    column[list(true_at)] = True
    return column


def test_rows_are_cut_after_termination_and_after_truncation() -> None:
    batch = rows(6).with_columns({"terminated": flags(6, 1), "truncated": flags(6, 4)})
    episodes = batch.episodes()
    assert [episode["action"].tolist() for episode in episodes] == [[0, 1], [2, 3, 4], [5]]
    assert all(episode.axes == ("time",) for episode in episodes)
    assert torch.equal(torch.cat([episode["obs"] for episode in episodes]), batch["obs"])


def test_an_episode_that_ends_with_the_batch_leaves_nothing_behind() -> None:
    batch = rows(3).with_columns({"terminated": flags(3, 2), "truncated": flags(3)})
    assert [episode["action"].tolist() for episode in batch.episodes()] == [[0, 1, 2]]


def test_reset_rows_are_left_out_of_episodes_and_part_them() -> None:
    valid = ~flags(6, 0, 3)
    batch = rows(6).with_columns({"terminated": flags(6, 2), "truncated": flags(6), "valid": valid})
    assert [episode["action"].tolist() for episode in batch.episodes()] == [[1, 2], [4, 5]]


def test_an_invalid_row_parts_episodes_even_where_no_row_marks_an_end() -> None:
    batch = rows(4).with_columns({"terminated": flags(4), "truncated": flags(4), "valid": ~flags(4, 1)})
    assert [episode["action"].tolist() for episode in batch.episodes()] == [[0], [2, 3]]


def test_a_fragment_is_cut_environment_by_environment_seed_by_seed() -> None:
    terminated = torch.zeros(4, 2, 2, dtype=torch.bool)
    terminated[1, 0, 1] = True
    truncated = torch.zeros_like(terminated)
    truncated[2, 1, 0] = True
    batch = fragment(n_envs=2, terminated=terminated, truncated=truncated)
    assert [episode["where"].tolist() for episode in batch.episodes()] == [
        [0, 100, 200, 300],
        [1, 101],
        [201, 301],
        [10, 110, 210],
        [310],
        [11, 111, 211, 311],
    ]


def test_splitting_needs_both_kinds_of_end() -> None:
    with pytest.raises(UserError, match="truncated"):
        rows(3).with_columns({"terminated": flags(3)}).episodes()


def test_splitting_flat_rows_of_several_seeds_requires_the_time_axis() -> None:
    batch = fragment(
        terminated=torch.zeros(4, 2, 3, dtype=torch.bool), truncated=torch.zeros(4, 2, 3, dtype=torch.bool)
    )
    with pytest.raises(UserError, match="which one"):
        batch.to_rows().episodes()


# -- joining


def test_batches_are_joined_in_order() -> None:
    joined = concat_samples([rows(2), rows(3, start=2), rows(1, start=5)])
    assert joined["action"].tolist() == [0, 1, 2, 3, 4, 5]
    assert joined["obs"].shape == (6, 2)
    assert concat_samples([rows(2)])["action"].tolist() == [0, 1]


def test_episodes_joined_again_are_the_batch() -> None:
    batch = rows(6).with_columns({"terminated": flags(6, 1), "truncated": flags(6, 4)})
    assert torch.equal(concat_samples(batch.episodes())["obs"], batch["obs"])


def test_fragments_are_joined_along_the_axis_that_is_named() -> None:
    assert concat_samples([fragment(), fragment()], axis="time").sizes == (8, 2, 3)
    assert concat_samples([fragment(n_envs=1), fragment(n_envs=2)], axis="env").sizes == (4, 2, 3)
    with pytest.raises(UserError, match="which one"):
        concat_samples([fragment(), fragment()])


def other_axes() -> SampleBatch:
    return SampleBatch(dict(rows()), ("time",))


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (rows().drop("obs"), "differ in obs"),
        (rows().with_columns({"reward": torch.ones(5)}), "differ in reward"),
        (rows().with_columns({"action": torch.ones(5)}), "'action' .*torch.int64 .*torch.float32"),
        (rows().with_columns({"obs": torch.ones(5, 3)}), r"'obs' .*\[5, 2\] .*\[5, 3\]"),
        (other_axes(), r"\('row',\).* \('time',\)"),
    ],
)
def test_batches_that_differ_are_refused_with_the_difference(other: SampleBatch, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        concat_samples([rows(), other])


def test_nothing_can_not_be_joined() -> None:
    with pytest.raises(UserError, match="at least one batch"):
        concat_samples([])
