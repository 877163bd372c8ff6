"""Replay buffer of an off-policy trial: each row once, with its whole n-step window."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor

from tuneexp.data.replay import Entry, ReplayBuffer
from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.envs.normalise import Learned, RunningNormaliser
from tuneexp.training.experience import Experience
from tuneexp.training.replay_ops import transitions

S, N, STEPS, GAMMA = 2, 3, 60, 0.9
ENTRIES = {
    "obs": Entry((1,), torch.float32),
    "next_obs": Entry((1,), torch.float32),
    "action": Entry((), torch.int64),
    "reward": Entry((), torch.float32),
    "discount": Entry((), torch.float32),
}


def stream() -> dict[str, Tensor]:
    """Columns [STEPS, S, N]: terminated and truncated episodes of random lengths, each followed by a reset row.

    The observation of a row is its number, that of its next observation the number plus one half."""
    own = torch.Generator().manual_seed(0)
    terminated, truncated, valid = (torch.zeros(STEPS, S, N, dtype=torch.bool) for _ in range(3))
    valid |= True
    for s in range(S):
        for n in range(N):
            t = -1
            while t < STEPS:
                t += int(torch.randint(1, 7, (), generator=own))
                ends = (terminated, truncated)[int(torch.randint(2, (), generator=own))]
                if t < STEPS:
                    ends[t, s, n] = True
                if t + 1 < STEPS:
                    valid[t + 1, s, n] = False
                t += 1
    number = torch.arange(STEPS * S * N).view(STEPS, S, N)
    return {
        "obs": number[..., None].float(), "next_obs": number[..., None] + 0.5, "action": number,
        "reward": torch.rand(STEPS, S, N, generator=own), "terminated": terminated, "truncated": truncated,
        "valid": valid,
    }  # fmt: skip


def experience(n_step: int, capacity: int = 10_000, **settings: Any) -> Experience:
    return Experience(ReplayBuffer(ENTRIES, S, capacity), row_bytes=20, learning_starts=0, n_step=n_step, **settings)


def feed(own: Experience, columns: dict[str, Tensor], lengths: list[int], n_step: int, start: int = 0) -> None:
    cfg: Any = SimpleNamespace(gamma=GAMMA, n_step=n_step)
    for length in lengths:
        fragment = SampleBatch({name: c[start : start + length] for name, c in columns.items()}, FRAGMENT_AXES)
        windows = own.windows(fragment)
        made = transitions(None, windows, cfg)  # type: ignore[arg-type]
        own.add(windows, SampleBatch(made, FRAGMENT_AXES))
        start += length


def stored(own: Experience, seed: int) -> dict[int, tuple[float, float, float]]:
    """Row number -> reward, next_obs, discount. Fails if a row is stored twice."""
    columns = {name: column[seed] for name, column in own.buffer.state_dict()["columns"].items()}
    numbers = columns["action"].tolist()
    assert len(set(numbers)) == len(numbers), "a row is stored twice"
    assert columns["obs"].flatten().tolist() == numbers
    rest = zip(*(columns[name].flatten().tolist() for name in ("reward", "next_obs", "discount")), strict=True)
    return dict(zip(numbers, rest, strict=True))


def by_hand(columns: dict[str, Tensor], seed: int, n_step: int) -> dict[int, tuple[float, float, float]]:
    """Each valid row whose window is complete, computed row by row."""
    expected = {}
    for n in range(N):
        for t in range(STEPS - n_step + 1):
            if not columns["valid"][t, seed, n]:
                continue
            reward, factor, last = 0.0, 1.0, t
            for k in range(n_step):
                last = t + k
                reward += factor * float(columns["reward"][last, seed, n])
                factor *= GAMMA
                if columns["terminated"][last, seed, n] or columns["truncated"][last, seed, n]:
                    break
            discount = 0.0 if columns["terminated"][last, seed, n] else factor
            expected[int(columns["action"][t, seed, n])] = (reward, last * S * N + seed * N + n + 0.5, discount)
    return expected


LENGTHS = {
    "one step each": [1] * STEPS,
    "all at once": [STEPS],
    "two": [2] * (STEPS // 2),
    "ragged": [7, 1, 1, 20, 2, 3, 1, 13, 12],
}


@pytest.mark.parametrize("n_step", [1, 2, 3, 5])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_every_row_with_a_whole_window_is_stored_once_whatever_the_fragments(lengths: str, n_step: int) -> None:
    assert sum(LENGTHS[lengths]) == STEPS
    columns, own = stream(), experience(n_step)
    feed(own, columns, LENGTHS[lengths], n_step)
    for seed in range(S):
        found, expected = stored(own, seed), by_hand(columns, seed, n_step)
        assert found.keys() == expected.keys()
        for number, row in expected.items():
            assert found[number] == pytest.approx(row, rel=1e-5), number


@pytest.mark.parametrize("n_step", [1, 3])
def test_open_windows_go_on_after_a_restore_as_if_nothing_had_happened(n_step: int) -> None:
    columns, own, restored = stream(), experience(n_step), experience(n_step)
    feed(own, columns, [1] * 31, n_step)
    restored.load_state_dict(own.state_dict() or {}, same_episodes=True)
    feed(restored, columns, [1] * 29, n_step, start=31)
    for seed in range(S):
        assert stored(restored, seed).keys() == by_hand(columns, seed, n_step).keys()


def test_rows_that_wait_are_given_up_where_the_episodes_are_others() -> None:
    """A window must not span two unrelated episodes."""
    columns, own, restored = stream(), experience(3), experience(3)
    feed(own, columns, [1] * 31, 3)
    restored.load_state_dict(own.state_dict() or {}, same_episodes=False)
    feed(restored, columns, [1] * 29, 3, start=31)
    waiting = set(columns["action"][29:31, 0].flatten().tolist())
    assert not waiting & stored(restored, 0).keys()
    assert stored(restored, 0).keys() == by_hand(columns, 0, 3).keys() - waiting


def test_it_is_ready_once_so_many_steps_were_collected_resets_included() -> None:
    own = Experience(ReplayBuffer(ENTRIES, S, 100), row_bytes=20, learning_starts=4 * N)
    seen = []
    for t in range(6):
        feed(own, stream(), [1], 1, start=t)
        seen.append(own.ready)
    assert seen == [False, False, False, True, True, True]


def test_a_restore_without_the_buffer_collects_again() -> None:
    settings: dict[str, Any] = {"row_bytes": 20, "learning_starts": 4 * N, "n_step": 3, "save_buffer": False}
    own, restored = (Experience(ReplayBuffer(ENTRIES, S, 100), **settings) for _ in range(2))
    feed(own, stream(), [10], 3)
    assert own.ready
    assert own.state_dict() is None
    restored.load_state_dict(own.state_dict(), same_episodes=True)
    assert not restored.ready
    assert restored.buffer.size.tolist() == [0] * S
    feed(restored, stream(), [1] * 4, 3, start=10)
    assert restored.ready


def test_rows_are_scaled_by_the_statistics_of_now_and_stored_raw() -> None:
    normaliser = RunningNormaliser(S, Box(-np.inf, np.inf, (1,), np.float32), True, True)
    own, columns = experience(1, normaliser=normaliser), stream()
    feed(own, columns, [STEPS], 1)
    rows = own.buffer.sample_rows(3, 4, [torch.Generator().manual_seed(seed) for seed in range(S)])
    raw = own.buffer.gather(rows)
    seen = []
    for shift in (0.0, 50.0):
        for scale in (1.0, 3.0):
            obs = np.full((1, S, N, 1), shift * scale, np.float32) + np.arange(N, dtype=np.float32)[:, None]
            normaliser.learn(Learned(normaliser.moments(obs, np.ones((1, S, N), np.bool_)), None))
        drawn = list(own.minibatches(rows))
        for update, minibatch in enumerate(drawn):
            expected = normaliser.normalise(raw["obs"][update].numpy())
            np.testing.assert_allclose(minibatch["obs"].numpy(), expected, rtol=1e-6)
            np.testing.assert_array_equal(minibatch["discount"], raw["discount"][update])
        seen.append(drawn[0]["obs"])
    assert not torch.allclose(seen[0], seen[1]), "the statistics moved, so did what is drawn"
    assert torch.equal(own.buffer.gather(rows)["obs"], raw["obs"])


def test_minibatches_are_the_rows_that_were_drawn_in_their_order() -> None:
    own = experience(1)
    feed(own, stream(), [STEPS], 1)
    rows = own.buffer.sample_rows(5, 4, [torch.Generator().manual_seed(seed) for seed in range(S)])
    raw = own.buffer.gather(rows)
    own._row_bytes = 4_000_000  # two minibatches a gather
    for update, minibatch in enumerate(own.minibatches(rows)):
        for name, column in minibatch.items():
            assert torch.equal(column, raw[name][update])
    assert update == 4
