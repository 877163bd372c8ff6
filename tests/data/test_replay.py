"""Uniform replay buffer: each seed stores and samples the rows that it would store and sample alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.data.replay_rows import ENTRIES, generators, ragged, rows
from tuneexp.data import memory
from tuneexp.data.prioritized import PrioritizedReplay
from tuneexp.data.replay import Entry, ReplayBuffer, bytes_needed
from tuneexp.errors import CheckpointError, UserError
from tuneexp.files import checkpoint

KINDS = [ReplayBuffer, PrioritizedReplay]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def stored(buffer: ReplayBuffer, seed: int) -> list[int]:
    """Numbers of the rows that a seed stores, oldest first."""
    size = int(buffer.size[seed])
    held = buffer.gather(torch.arange(buffer.capacity).view(1, 1, -1) + seed * buffer.capacity)["action"][0, 0]
    written = int(buffer.state_dict()["written"][seed])
    return [int(held[place % buffer.capacity]) for place in range(written - size, written)]


def filled(kind: type[ReplayBuffer], n_seeds: int, capacity: int, sizes: list[int]) -> ReplayBuffer:
    buffer = kind(ENTRIES, n_seeds, capacity)
    for numbers, valid in ragged(n_seeds, sizes):
        buffer.add(rows(numbers), valid)
    return buffer


@kinds
@pytest.mark.parametrize("n_seeds", [1, 3, 8])
@pytest.mark.parametrize("sizes", [[1] * 30, [5, 1, 9, 3], [4, 40, 2], [100]], ids=str)
def test_each_ring_holds_its_newest_valid_rows_in_order(
    kind: type[ReplayBuffer], n_seeds: int, sizes: list[int]
) -> None:
    buffer = filled(kind, n_seeds, 11, sizes)
    for seed in range(n_seeds):
        expected = torch.cat([numbers[seed][valid[seed]] for numbers, valid in ragged(n_seeds, sizes)])[-11:]
        assert stored(buffer, seed) == expected.tolist()
        assert int(buffer.size[seed]) == len(expected)


@pytest.mark.parametrize("sizes", [[1] * 30, [5, 1, 9, 3], [4, 40, 2], [11], [22, 1], [100]], ids=str)
def test_rows_that_are_all_valid_take_the_short_way_to_the_same_content(sizes: list[int]) -> None:
    short, long = ReplayBuffer(ENTRIES, 2, 11), ReplayBuffer(ENTRIES, 2, 11)
    for numbers, valid in ragged(2, sizes):
        short.add(rows(numbers), torch.ones_like(valid))
        # A row of rubbish that isn't valid before them makes the other way be taken.
        rubbish = torch.full((2, 1), 77)
        flags = torch.cat([torch.zeros(2, 1, dtype=torch.bool), torch.ones_like(valid)], dim=1)
        long.add(rows(torch.cat([rubbish, numbers], dim=1)), flags)
    for seed in range(2):
        assert stored(short, seed) == stored(long, seed)
        assert len(stored(short, seed)) == min(sum(sizes), 11)
    assert short.size.tolist() == long.size.tolist()


@kinds
@pytest.mark.parametrize("n_seeds", [1, 3, 8])
def test_a_seed_draws_what_it_would_draw_alone(kind: type[ReplayBuffer], n_seeds: int) -> None:
    sizes = [3, 1, 20, 4, 1]
    together = filled(kind, n_seeds, 16, sizes)
    drawn = together.gather(together.sample_rows(5, 32, generators(range(n_seeds))))
    for seed in range(n_seeds):
        alone = kind(ENTRIES, 1, 16)
        for numbers, valid in ragged(n_seeds, sizes):
            alone.add(rows(numbers[seed : seed + 1]), valid[seed : seed + 1])
        expected = alone.gather(alone.sample_rows(5, 32, generators([seed])))
        for name, column in expected.items():
            assert torch.equal(drawn[name][:, seed], column[:, 0]), name


@kinds
def test_columns_keep_type_shape_and_belong_together(kind: type[ReplayBuffer]) -> None:
    buffer = filled(kind, 3, 16, [7, 2])
    drawn = buffer.gather(buffer.sample_rows(2, 4, generators(range(3))))
    for name, entry in ENTRIES.items():
        assert drawn[name].shape == (2, 3, 4, *entry.shape)
        assert drawn[name].dtype == entry.dtype
        assert drawn[name].is_contiguous()
    for name, column in rows(drawn["action"]).items():
        assert torch.equal(drawn[name], column), name


@kinds
def test_draws_reach_every_row_and_no_place_that_is_not_filled(kind: type[ReplayBuffer]) -> None:
    buffer = filled(kind, 2, 1000, [13])
    drawn = buffer.gather(buffer.sample_rows(50, 20, generators(range(2))))["action"]
    for seed in range(2):
        assert sorted(set(drawn[:, seed].flatten().tolist())) == stored(buffer, seed)


def test_uniform_draws_are_uniform() -> None:
    buffer = ReplayBuffer(ENTRIES, 1, 20)
    buffer.add(rows(torch.arange(20)[None]), torch.ones(1, 20, dtype=torch.bool))
    count = buffer.sample_rows(100, 200, generators([0])).flatten().bincount(minlength=20)
    # 19 degrees of freedom: above 43.8 in one of a thousand cases.
    assert ((count - 1000.0) ** 2 / 1000).sum() < 43.8


@kinds
def test_a_seed_without_rows_does_not_disturb_the_others(kind: type[ReplayBuffer]) -> None:
    buffer = kind(ENTRIES, 3, 5000)
    for column in buffer._columns.values():
        column[:, 1:].view(torch.uint8).fill_(255)  # memory that was used before
    valid = torch.tensor([[True] * 4, [False] * 4, [True] * 4])
    buffer.add(rows(torch.arange(12).view(3, 4)), valid)
    drawn = buffer.sample_rows(1, 16, generators(range(3)))
    assert buffer.size.tolist() == [4, 0, 4]
    numbers = buffer.gather(drawn)["action"][0]
    assert set(numbers[0].tolist()) <= {0, 1, 2, 3}
    assert set(numbers[1].tolist()) == {0}  # what the learner skips must still be an action
    assert set(numbers[2].tolist()) <= {8, 9, 10, 11}


def test_no_row_at_all_can_be_added() -> None:
    buffer = filled(ReplayBuffer, 2, 8, [3])
    before = stored(buffer, 0)
    buffer.add(rows(torch.arange(4).view(2, 2)), torch.zeros(2, 2, dtype=torch.bool))
    assert stored(buffer, 0) == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"reward": torch.zeros(1, 2, dtype=torch.float64)}, r"'reward' .*\[1, 2\] torch.float64; .* torch.float32"),
        ({"noise": torch.zeros(1, 2, 3).double()}, r"'noise' .*\[1, 2, 3\].* \[1, 2, 2\]"),
        ({"action": torch.zeros(1, 3, dtype=torch.int64)}, r"'action' .*\[1, 3\]"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change: dict[str, Tensor], complaint: str) -> None:
    buffer = ReplayBuffer(ENTRIES, 1, 8)
    with pytest.raises(UserError, match=complaint):
        buffer.add({**rows(torch.arange(2)[None]), **change}, torch.ones(1, 2, dtype=torch.bool))


def test_a_missing_column_is_named_and_others_are_left_out() -> None:
    buffer = ReplayBuffer({"action": ENTRIES["action"]}, 1, 8)
    buffer.add(rows(torch.arange(2)[None]), torch.ones(1, 2, dtype=torch.bool))
    assert set(buffer.gather(torch.zeros(1, 1, 1, dtype=torch.int64))) == {"action"}
    with pytest.raises(UserError, match="'action'"):
        buffer.add({"reward": torch.zeros(1, 2)}, torch.ones(1, 2, dtype=torch.bool))


# -- memory


def test_memory_is_known_before_anything_is_allocated() -> None:
    # 6 + 8 + 4 + 1 + 16 bytes a row
    assert bytes_needed(ENTRIES, 3, 10) == 3 * 10 * 35
    buffer = ReplayBuffer(ENTRIES, 3, 10)
    assert buffer.bytes_needed == sum(column.nbytes for column in buffer._columns.values())


def test_a_buffer_that_can_not_fit_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 3_500_000_000)
    image = {"obs": Entry((4, 84, 84), torch.uint8), "next_obs": Entry((4, 84, 84), torch.uint8)}
    with pytest.raises(UserError, match=r"56\.45 GB .* 3\.50 GB .* 62003 rows"):
        ReplayBuffer(image, 1, 1_000_000)
    ReplayBuffer(image, 1, 62_003)
    with pytest.raises(UserError, match="62003 rows"):
        ReplayBuffer(image, 1, 62_004)
    with pytest.raises(UserError, match="31001 rows"):
        ReplayBuffer(image, 2, 62_003)


def test_the_memory_of_a_buffer_is_stated(caplog: pytest.LogCaptureFixture) -> None:
    ReplayBuffer({"obs": Entry((1000,), torch.float32)}, 2, 5000)
    assert "a replay buffer of 5000 rows for each of 2 seeds: up to 0.04 GB" in caplog.text


@pytest.mark.parametrize(("n_seeds", "capacity"), [(0, 5), (2, 0)])
def test_a_buffer_of_nothing_is_refused(n_seeds: int, capacity: int) -> None:
    with pytest.raises(UserError, match="at least 1 row"):
        ReplayBuffer(ENTRIES, n_seeds, capacity)


# -- storing


@kinds
@pytest.mark.parametrize("sizes", [[], [3], [9, 4], [30, 7]], ids=str)
def test_a_stored_buffer_continues_as_if_never_stored(
    kind: type[ReplayBuffer], sizes: list[int], tmp_path: Path
) -> None:
    buffer = filled(kind, 3, 16, sizes)
    if isinstance(buffer, PrioritizedReplay) and sizes:
        rows_drawn = buffer.sample_rows(1, 8, generators(range(3)))[0]
        buffer.update_priorities(rows_drawn, rows_drawn % 5 * 3.0)
    checkpoint.write(tmp_path / "buffer", {"replay": buffer.state_dict()})
    again = kind(ENTRIES, 3, 16)
    again.load_state_dict(checkpoint.read(tmp_path / "buffer")["replay"])
    for number, valid in ragged(3, [5, 1, 20], start=50):
        ones, others = generators(range(3)), generators(range(3))
        for each, own in ((buffer, ones), (again, others)):
            each.add(rows(number), valid)
            drawn = each.sample_rows(2, 8, own)
            if isinstance(each, PrioritizedReplay):
                each.update_priorities(drawn[0], drawn[0] % 7 + 0.5)
        assert torch.equal(buffer.sample_rows(3, 8, ones), again.sample_rows(3, 8, others))
        for seed in range(3):
            assert stored(buffer, seed) == stored(again, seed)
    assert again.size.tolist() == buffer.size.tolist()


def test_only_what_is_filled_is_stored(tmp_path: Path) -> None:
    buffer = filled(ReplayBuffer, 2, 100_000, [5])
    folder = checkpoint.write(tmp_path / "buffer", {"replay": buffer.state_dict()})
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5000
    assert json.loads((folder / checkpoint.STATE_FILE).read_text())["replay"]["capacity"] == 100_000


@kinds
def test_the_state_of_another_buffer_is_refused(kind: type[ReplayBuffer]) -> None:
    state = filled(kind, 2, 16, [5]).state_dict()
    with pytest.raises(CheckpointError, match=r"capacity 16.* 32"):
        kind(ENTRIES, 2, 32).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"n_seeds 2.* 3"):
        kind(ENTRIES, 3, 16).load_state_dict(state)
    with pytest.raises(CheckpointError, match="noise"):
        kind({**ENTRIES, "noise": Entry((3,), torch.float64)}, 2, 16).load_state_dict(state)
    with pytest.raises(CheckpointError, match="done"):
        kind({name: entry for name, entry in ENTRIES.items() if name != "done"}, 2, 16).load_state_dict(state)
    with pytest.raises(CheckpointError, match="reward"):
        kind({**ENTRIES, "reward": Entry((), torch.float64)}, 2, 16).load_state_dict(state)


def test_a_uniform_buffer_has_no_priorities_to_give() -> None:
    state = filled(ReplayBuffer, 2, 16, [5]).state_dict()
    with pytest.raises(CheckpointError, match="priorities"):
        PrioritizedReplay(ENTRIES, 2, 16).load_state_dict(state)
