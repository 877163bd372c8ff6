"""Several policies in the same environments: each gets all transitions of its agents once, with their true rewards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("pettingzoo")

import itertools

from tests.envs.agents import ComingAndGoing, OutOfTurn
from tests.sampling.joint import Reference, joint_runner, rows_of
from tuneexp.files import checkpoint

STEPS = 42
TURNS = {"first": "a", "second": "b", "third": "a"}
CROWD = {"stays": "a", "leaves": "b", "comes": "a"}
WORLDS = [(OutOfTurn, TURNS), (ComingAndGoing, CROWD)]


def foretold(env: Any, seed: int, index: int) -> dict[str, Any]:
    reference = Reference(env(), seed, index)
    return reference.turn_based(STEPS) if env is OutOfTurn else reference.parallel(STEPS)


@pytest.mark.parametrize(("env", "mapping"), WORLDS, ids=["turn based", "parallel"])
@pytest.mark.parametrize(("unit", "a", "b"), [(1, 1, 6), (7, 7, 14), (21, 42, 21)])
def test_every_transition_comes_once_with_its_reward(
    env: Any, mapping: dict[str, str], unit: int, a: int, b: int
) -> None:
    """For any lengths of rollouts the fragments equal the transitions of PettingZoo's own loop."""
    rows = rows_of(joint_runner(env, mapping, {"a": a, "b": b}), unit, STEPS // unit)
    assert len(rows) == 3 * 2 * 2
    for (agent, seed, index), own in rows.items():
        assert own == foretold(env, (3, 4)[seed], index)[agent]
        assert len(own) > 5


def test_what_is_gained_out_of_turn_belongs_to_the_turn_before() -> None:
    """By hand: with actions x, y, z of first, second and third, first gets -1 + (1 + y) + (1 + z)."""
    rows = rows_of(joint_runner(OutOfTurn, TURNS, {"a": STEPS, "b": STEPS}, seeds=(3, 4)), STEPS, 1)
    first, second, third = (rows[agent, 0, 0] for agent in ("first", "second", "third"))
    assert first[0][2] == -1.0 + (1 + second[0][1]) + (1 + third[0][1])
    assert second[0][2] == -1.0 + (1 + third[0][1]) + (1 + first[1][1])
    # The last thing that third does ends it: nothing that follows is its own any more.
    assert third[1][2] == -1.0
    assert third[1][4]
    assert not third[1][5]
    assert [row[5] for row in first[:4]] == [False, False, False, True]


@pytest.mark.parametrize(("env", "mapping"), WORLDS, ids=["turn based", "parallel"])
def test_a_next_row_of_a_seat_is_what_its_agent_saw_next(env: Any, mapping: dict[str, str]) -> None:
    for own in rows_of(joint_runner(env, mapping, {"a": 7, "b": 7}), 7, 6).values():
        for row, following in itertools.pairwise(own):
            assert row[3] == following[0] or row[4] or row[5]


@pytest.mark.parametrize(("env", "mapping"), WORLDS, ids=["turn based", "parallel"])
def test_a_seed_sees_beside_others_what_it_sees_alone(env: Any, mapping: dict[str, str]) -> None:
    both = rows_of(joint_runner(env, mapping, {"a": 7, "b": 14}), 7, 4)
    alone = rows_of(joint_runner(env, mapping, {"a": 7, "b": 14}, seeds=(4,)), 7, 4)
    assert {(agent, 0, index): own for (agent, seed, index), own in both.items() if seed == 1} == alone


@pytest.mark.parametrize(("env", "mapping"), WORLDS, ids=["turn based", "parallel"])
def test_sampling_continues_from_a_checkpoint_as_if_uninterrupted(
    env: Any, mapping: dict[str, str], tmp_path: Any
) -> None:
    """Also within a rollout, with open transitions, and with a recurrent policy."""
    whole, first, second = (joint_runner(env, mapping, {"a": 7, "b": 14}, memory=True) for _ in range(3))
    expected = [whole.sample(7) for _ in range(4)]
    first.sample(7)
    checkpoint.write(tmp_path / "state", first.state_dict())
    second.load_state_dict(checkpoint.read(tmp_path / "state"))
    for batch in expected[1:]:
        again = second.sample(7)
        assert set(again) == set(batch)
        for policy in batch:
            assert set(again[policy]) == set(batch[policy])
            assert all(torch.equal(again[policy][name], batch[policy][name]) for name in batch[policy])
    for policy, tracker in whole.episodes.items():
        for name, value in tracker.state_dict().items():
            assert np.array_equal(value, second.episodes[policy].state_dict()[name], equal_nan=True)


def test_environments_that_cannot_be_saved_start_anew_and_cut_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the open rollout are kept; the newest of them are truncated, since the following rows are of other
    episodes."""
    first, second = (joint_runner(OutOfTurn, TURNS, {"a": 12, "b": 12}) for _ in range(2))
    monkeypatch.setattr(first.envs, "get_state", lambda: None)
    first.sample(4)
    second.load_state_dict(first.state_dict())
    fragment = second.sample(8)["b"]
    assert fragment["truncated"][0].all()
    assert not fragment["terminated"][0].any()
    fresh = float(fragment["obs"][1, 0, 0, 0])
    assert fresh == 2 * 31 + 1  # of the second episode that this environment began
    assert fragment["valid"].sum(0).tolist() == [[3, 3], [3, 3]]


def test_a_memory_starts_with_its_agents_episode_and_counts_its_own_turns() -> None:
    fragment = joint_runner(OutOfTurn, TURNS, {"a": STEPS, "b": STEPS}, memory=True).sample(STEPS)["b"]
    rows = fragment["valid"][:, 0, 0]
    state, start = fragment["state"][rows, 0, 0, 0].tolist(), fragment["start"][rows, 0, 0].tolist()
    ended = (fragment["terminated"] | fragment["truncated"])[rows, 0, 0].tolist()
    assert start == [True, *ended[:-1]]
    expected, now = [], 0.0
    for begins in start:
        now = 0.0 if begins else now + 1.0
        expected.append(now)
    assert state == expected
    assert len(set(state)) > 2
    assert torch.equal(fragment["next_state"][rows], fragment["state"][rows] + 1.0)


def test_the_clock_counts_steps_of_environments_and_the_batch_those_of_agents() -> None:
    runner = joint_runner(ComingAndGoing, CROWD, {"a": 6, "b": 6})
    batch = runner.sample(6)
    assert batch.env_steps == runner.env_steps == 12
    # `stays` acts 6 times, `comes` 4 times, in 2 environments of 2 seeds.
    assert batch.agent_steps["a"] == (6 + 4) * 4
    assert 4 <= batch.agent_steps["b"] <= 4 * 4
    assert runner.transitions == sum(batch.agent_steps.values())


def test_episodes_are_counted_for_each_agent() -> None:
    """Returns include rewards before an agent's first action: 9 actions, three of each agent."""
    runner = joint_runner(OutOfTurn, {**TURNS, "third": "b"}, {"a": STEPS, "b": STEPS}, seeds=(3, 4), n_envs=1)
    runner.sample(STEPS)
    alone = Reference(OutOfTurn(), 3, 0)
    rows = alone.turn_based(STEPS)["first"]
    returns, total = [], 0.0
    for row in rows:
        total += row[2]
        if row[4] or row[5]:
            returns.append(total)
            total = 0.0
    summary = runner.episodes["a"].summary()
    assert summary.return_mean[0] == pytest.approx(np.mean(returns))
    assert summary.new_episodes[0] == len(returns)
