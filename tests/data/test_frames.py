"""Frames are stored once; an id returns exactly the stored observation, or is reported as expired."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.data.episodes import FRAME, K, Stacking
from tests.data.replay_rows import generators
from tuneexp.data import memory
from tuneexp.data.frames import FrameStore
from tuneexp.data.prioritized import PrioritizedReplay
from tuneexp.data.replay import Entry, ReplayBuffer, bytes_needed
from tuneexp.errors import CheckpointError, UserError
from tuneexp.files import checkpoint
from tuneexp.rl.returns import n_step_transitions

modes = pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
kinds = pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplay], ids=lambda kind: kind.__name__)
STACK = Entry((K, *FRAME), torch.uint8)
ENTRIES = {"obs": STACK, "next_obs": STACK, "action": Entry((), torch.int64), "env": Entry((), torch.int64)}


def store(n_seeds: int, n_envs: int, capacity: int, slack: float = 1 / 32) -> FrameStore:
    return FrameStore(STACK.shape, STACK.dtype, n_seeds, n_envs, capacity, slack)


@modes
@pytest.mark.parametrize("longest", [1, 3, 10])
def test_what_was_put_comes_back_across_fragments(mode: str, longest: int) -> None:
    envs, frames = Stacking(2, 3, mode, longest), store(2, 3, 100_000)
    fragments = [envs.fragment(n_steps) for n_steps in (1, 7, 1, 2, 30, 5)]
    ids = [frames.put(each["obs"], each["next_obs"], each["valid"]) for each in fragments]
    for each, (obs_id, next_id) in zip(fragments, ids, strict=True):
        valid = each["valid"]
        assert obs_id.shape == next_id.shape == valid.shape
        assert frames.alive(obs_id[valid]).all()
        assert frames.alive(next_id[valid]).all()
        assert torch.equal(frames.stacks(obs_id)[valid], each["obs"][valid])
        assert torch.equal(frames.stacks(next_id)[valid], each["next_obs"][valid])


@modes
def test_an_episode_costs_a_frame_a_row_and_one_stack(mode: str) -> None:
    envs, frames = Stacking(2, 2, mode), store(2, 2, 10_000)
    fragments = [envs.fragment(n_steps) for n_steps in (3, 1, 1, 40, 8)]
    for each in fragments:
        frames.put(each["obs"], each["next_obs"], each["valid"])
    valid, ended = truth(fragments, "valid"), truth(fragments, "terminated") | truth(fragments, "truncated")
    goes_on = torch.cat([torch.zeros_like(valid[:1]), valid[:-1] & ~ended[:-1]])
    begun = (valid & ~goes_on).sum(0)
    assert (begun > 5).all()
    assert torch.equal(frames._written.view(2, 2), valid.sum(0) + K * begun)


def test_a_ring_that_is_full_finds_which_of_its_ids_expired() -> None:
    envs, frames = Stacking(2, 2, "SAME_STEP"), store(2, 2, 40)
    held: list[tuple[dict[str, Tensor], Tensor, Tensor]] = []
    for n_steps in (5, 1, 17, 60, 3, 9):
        each = envs.fragment(n_steps)
        held.append((each, *frames.put(each["obs"], each["next_obs"], each["valid"])))
        for old, obs_id, next_id in held:
            for ids, name in ((obs_id, "obs"), (next_id, "next_obs")):
                alive = frames.alive(ids)
                assert torch.equal(frames.stacks(ids)[alive], old[name][alive])
    assert frames.alive(held[-1][1]).all()
    assert not frames.alive(held[0][1]).any()


small = st.integers(0, 1)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.tuples(*[small] * 6, st.booleans(), st.booleans()), min_size=1, max_size=6), max_size=12))
def test_frames_that_look_alike_are_never_mixed_up(fragments: list[list[tuple[int, ...]]]) -> None:
    """Frames of one pixel that is 0 or 1: many accidental repeats, shifts and jumps, in one ring of 11."""
    frames = FrameStore((3, 1), torch.uint8, 1, 1, 5, slack=0.0)
    held: list[tuple[Tensor, Tensor]] = []
    before = torch.zeros(3, dtype=torch.uint8)
    for rows in fragments:
        obs, next_obs = torch.zeros(2, len(rows), 3, dtype=torch.uint8)
        for t, (*pixels, continues, moves) in enumerate(rows):
            obs[t] = before if continues else torch.tensor(pixels[:3])
            next_obs[t] = torch.cat([obs[t, 1:], torch.tensor(pixels[3:4])]) if moves else torch.tensor(pixels[3:])
            before = next_obs[t]
        valid = torch.tensor([row[6] or row[7] for row in rows]).view(-1, 1, 1)
        ids = frames.put(obs.view(-1, 1, 1, 3, 1), next_obs.view(-1, 1, 1, 3, 1), valid)
        chosen = valid.flatten()
        held += [(which.flatten()[chosen], stack[chosen]) for which, stack in zip(ids, (obs, next_obs), strict=True)]
        for which, stack in held:
            alive = frames.alive(which)
            assert torch.equal(frames.stacks(which)[alive].flatten(1), stack[alive])
        newest = held[-1][0][-1:]
        assert frames.alive(newest).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bool, torch.int16])
@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 3, 5), (1, 7), (2, 1), (3,)], ids=str)
def test_any_type_and_shape_of_frame(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = FrameStore(shape, dtype, 2, 2, 100)
    stream = torch.randint(0, 2, (20 + shape[0], 2, 2, *shape[1:]), generator=generator).to(dtype)
    stacks = torch.stack([stream[t : t + shape[0]] for t in range(21)]).movedim(1, 3)  # not contiguous
    obs_id, next_id = frames.put(stacks[:-1], stacks[1:], torch.ones(20, 2, 2, dtype=torch.bool))
    assert torch.equal(frames.stacks(obs_id), stacks[:-1])
    assert torch.equal(frames.stacks(next_id), stacks[1:])
    assert frames.stacks(obs_id).dtype == dtype
    assert (frames._written <= 20 + shape[0]).all()


def test_frames_with_nan_cost_no_more_than_others() -> None:
    stream = torch.full((9, 1, 1, 2), float("nan"))
    stacks = torch.stack([stream[t : t + 3] for t in range(7)]).movedim(1, 3)
    frames = FrameStore((3, 2), torch.float32, 1, 1, 100)
    frames.put(stacks[:-1], stacks[1:], torch.ones(6, 1, 1, dtype=torch.bool))
    assert frames._written.tolist() == [9]


# -- in a buffer


def truth(fragments: list[dict[str, Tensor]], name: str) -> Tensor:
    """Rows by number, [rows, S, N, ...]."""
    return torch.cat([each[name] for each in fragments])


def add(buffer: ReplayBuffer, fragment: dict[str, Tensor]) -> None:
    encoded = buffer.encode(fragment)
    n_envs = encoded["valid"].shape[2]
    encoded["env"] = torch.arange(n_envs).expand_as(encoded["valid"])
    rows = {name: column.movedim(0, 1).flatten(1, 2) for name, column in encoded.items()}
    buffer.add(rows, rows["valid"])


def add_fragments(buffer: ReplayBuffer, envs: Stacking, count: int) -> None:
    for _ in range(count):
        add(buffer, envs.fragment(10))


def assert_true(drawn: dict[str, Tensor], fragments: list[dict[str, Tensor]]) -> None:
    for seed in range(drawn["action"].shape[1]):
        number, env = drawn["action"][:, seed], drawn["env"][:, seed]
        for name in ("obs", "next_obs"):
            assert torch.equal(drawn[name][:, seed], truth(fragments, name)[number, seed, env])


@kinds
@modes
def test_a_buffer_with_frames_gives_what_was_seen(kind: type[ReplayBuffer], mode: str) -> None:
    envs = Stacking(3, 2, mode)
    buffer, fragments = kind(ENTRIES, 3, 60, store(3, 2, 60, slack=2.0)), []
    for n_steps in (4, 1, 20, 60, 3):
        fragments.append(envs.fragment(n_steps))
        add(buffer, fragments[-1])
        drawn = buffer.gather(buffer.sample_rows(3, 32, generators(range(3))))
        assert drawn["obs"].shape == (3, 3, 32, K, *FRAME)
        assert_true(drawn, fragments)
    assert buffer.size.tolist() == [60] * 3  # with such slack no row is lost


@kinds
def test_a_buffer_of_short_episodes_holds_as_many_rows_as_its_size(kind: type[ReplayBuffer]) -> None:
    # Episodes of 1 or 2 rows need about 3 frames a row: the rings are made for one.
    envs = Stacking(3, 2, "SAME_STEP", longest=2)
    buffer, fragments = kind(ENTRIES, 3, 200, store(3, 2, 200)), []
    streams = generators(range(3))
    for n_steps in [1] * 5 + [10] * 30:
        fragments.append(envs.fragment(n_steps))
        add(buffer, fragments[-1])
        for _ in range(4):
            rows = buffer.sample_rows(2, 16, streams)
            drawn = buffer.gather(rows)
            assert_true(drawn, fragments)
            if isinstance(buffer, PrioritizedReplay):
                buffer.update_priorities(rows[0], drawn["action"][0] % 5 + 0.5)
    assert buffer.size.tolist() == [200] * 3
    drawn = buffer.gather(buffer.sample_rows(20, 200, streams))
    oldest = 305 - 100  # of 305 rows of each environment
    assert all(set(drawn["action"][:, seed].unique().tolist()) == set(range(oldest, 305)) for seed in range(3))


def test_rings_that_grew_stay_as_they_are() -> None:
    envs, frames = Stacking(1, 2, "NEXT_STEP", longest=3), store(1, 2, 400)
    buffer, grown = ReplayBuffer(ENTRIES, 1, 400, frames), []
    for _ in range(200):
        add(buffer, envs.fragment(10))
        grown.append(frames.frames_per_stream)
    assert len(set(grown)) < 6
    assert grown[80] == grown[-1] <= 200 * 4  # a row costs no more than a stack of its own
    assert buffer.bytes_needed == bytes_needed(ENTRIES, 1, 400, frames)


def test_memory_that_is_short_when_rings_grow_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    envs, buffer = Stacking(1, 1, "SAME_STEP", longest=2), ReplayBuffer(ENTRIES, 1, 50, store(1, 1, 50))
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    with pytest.raises(UserError, match="short"):
        add_fragments(buffer, envs, 10)


def test_a_seed_with_frames_draws_what_it_would_draw_alone() -> None:
    together, everyone = ReplayBuffer(ENTRIES, 3, 50, store(3, 2, 50)), Stacking(3, 2, "NEXT_STEP", longest=4)
    fragments = [everyone.fragment(n_steps) for n_steps in (10, 40, 7)]
    for each in fragments:
        add(together, each)
    drawn = together.gather(together.sample_rows(4, 16, generators(range(3))))
    for seed in range(3):
        alone = ReplayBuffer(ENTRIES, 1, 50, store(1, 2, 50))
        for each in fragments:
            add(alone, {name: column[:, seed : seed + 1] for name, column in each.items()})
        expected = alone.gather(alone.sample_rows(4, 16, generators([seed])))
        for name, column in expected.items():
            assert torch.equal(drawn[name][:, seed], column[:, 0]), name


@modes
def test_n_step_rows_are_made_of_ids(mode: str) -> None:
    envs = Stacking(2, 2, mode)
    buffer, each = ReplayBuffer(ENTRIES, 2, 500, store(2, 2, 500)), envs.fragment(40)
    ends = each["terminated"], each["truncated"]
    last = n_step_transitions(torch.zeros(40, 2, 2), *ends, each["valid"], 0.9, 3).last
    ids = buffer.encode(each)["next_obs"].gather(0, last)
    assert buffer.frames is not None
    place = torch.arange(2)[:, None], torch.arange(2)
    valid = each["valid"]
    assert torch.equal(buffer.frames.stacks(ids)[valid], each["next_obs"][last, *place][valid])


def test_without_frames_a_fragment_stays_as_it_is() -> None:
    each = Stacking(1, 1, "SAME_STEP").fragment(3)
    encoded = ReplayBuffer(ENTRIES, 1, 10).encode(each)
    assert all(encoded[name] is column for name, column in each.items())


def test_rows_drawn_too_early_are_not_gathered_wrongly() -> None:
    envs = Stacking(1, 1, "SAME_STEP")
    buffer = ReplayBuffer(ENTRIES, 1, 10, store(1, 1, 10))
    add(buffer, envs.fragment(10))
    rows = buffer.sample_rows(1, 32, generators([0]))
    buffer.frames.put(*(envs.fragment(40)[name] for name in ("obs", "next_obs", "valid")))  # without its buffer
    with pytest.raises(RuntimeError, match="gather"):
        buffer.gather(rows)


@kinds
def test_a_stored_buffer_with_frames_continues_as_if_never_stored(kind: type[ReplayBuffer], tmp_path: Path) -> None:
    envs = Stacking(2, 2, "NEXT_STEP", longest=3)
    buffer, fragments = kind(ENTRIES, 2, 50, store(2, 2, 50)), [envs.fragment(30), envs.fragment(25)]
    for each in fragments:
        add(buffer, each)
    checkpoint.write(tmp_path / "buffer", buffer.state_dict())
    again = kind(ENTRIES, 2, 50, store(2, 2, 50))
    again.load_state_dict(checkpoint.read(tmp_path / "buffer"))
    ones, others = generators(range(2)), generators(range(2))
    for n_steps in (1, 6):
        fragments.append(envs.fragment(n_steps))
        add(buffer, fragments[-1])
        add(again, fragments[-1])
        expected, drawn = buffer.gather(buffer.sample_rows(3, 8, ones)), again.gather(again.sample_rows(3, 8, others))
        assert_true(drawn, fragments)
        assert all(torch.equal(drawn[name], column) for name, column in expected.items())
    # An episode that went on across the checkpoint costs no second stack.
    assert again.state_dict()["frames"]["written"] == buffer.state_dict()["frames"]["written"]
    assert again.size.tolist() == buffer.size.tolist()


def test_a_store_of_another_number_of_environments_is_refused() -> None:
    state = ReplayBuffer(ENTRIES, 2, 50, store(2, 2, 50)).state_dict()
    with pytest.raises(CheckpointError, match=r"4 environments.* 2"):
        ReplayBuffer(ENTRIES, 2, 50, store(2, 1, 50)).load_state_dict(state)
    whole = ReplayBuffer(ENTRIES, 2, 50).state_dict()
    with pytest.raises(CheckpointError, match="whole observations"):
        ReplayBuffer(ENTRIES, 2, 50, store(2, 2, 50)).load_state_dict(whole)


@kinds
def test_an_old_checkpoint_gives_the_rows_whose_frames_it_has(kind: type[ReplayBuffer]) -> None:
    """Checkpoints of versions whose rings never grew, also with images that are no stacks."""
    envs, frames = Stacking(2, 2, "SAME_STEP", longest=2), store(2, 2, 100)
    old, fragments = kind(ENTRIES, 2, 100, frames), [envs.fragment(20) for _ in range(6)]
    put = frames.put
    frames.put = lambda obs, next_obs, valid, needed_from=None: put(obs, next_obs, valid)  # type: ignore[method-assign]
    for each in fragments:
        add(old, each)
    for stacks in (None, store(2, 2, 100)):
        again = kind(ENTRIES, 2, 100, stacks)
        again.load_state_dict(old.state_dict())
        assert all(20 < size < 60 for size in again.size.tolist())
        assert_true(again.gather(again.sample_rows(4, 50, generators(range(2)))), fragments)
        if stacks is None:  # new rows follow the old ones
            each = envs.fragment(3)
            encoded = {**again.encode(each), "env": torch.arange(2).expand(3, 2, 2)}
            rows = {name: column.movedim(0, 1).flatten(1, 2) for name, column in encoded.items()}
            before = again.size
            again.add(rows, rows["valid"])
            assert torch.equal(again.size, before + 6)


# -- memory

ATARI = Entry((4, 84, 84), torch.uint8)
ATARI_ROW = {"obs": ATARI, "next_obs": ATARI, "action": Entry((), torch.int64), "reward": Entry((), torch.float32)}


def test_a_million_atari_rows_take_7_gb_a_seed_and_not_56() -> None:
    frames = FrameStore(ATARI.shape, ATARI.dtype, 2, 8, 1_000_000)
    assert bytes_needed(ATARI_ROW, 2, 1_000_000) / 2 > 56e9
    assert 7.0e9 < bytes_needed(ATARI_ROW, 2, 1_000_000, frames) / 2 < 7.4e9


def test_the_refusal_counts_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 4_000_000_000)
    frames = FrameStore(ATARI.shape, ATARI.dtype, 1, 1, 1_000_000)
    with pytest.raises(UserError, match=r"7\.30 GB .* 4\.00 GB .* 54\d{4} rows"):
        ReplayBuffer(ATARI_ROW, 1, 1_000_000, frames)
