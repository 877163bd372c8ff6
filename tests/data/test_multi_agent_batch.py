"""Batches of several policies."""

from __future__ import annotations

import pytest
import torch

from tuneexp.data.multi_agent_batch import MultiAgentBatch, concat_multi_agent
from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.errors import UserError


def fragment(valid: list[list[bool]], start: float = 0.0) -> SampleBatch:
    """Fragment of one seed. valid: [T, L]."""
    flags = torch.tensor(valid).unsqueeze(1)
    return SampleBatch({"reward": torch.arange(flags.numel()).view(flags.shape) + start, "valid": flags}, FRAGMENT_AXES)


def test_steps_of_environments_and_of_agents_are_counted_apart() -> None:
    batch = MultiAgentBatch({"red": fragment([[True, True], [True, False]]), "blue": fragment([[False]])}, env_steps=2)
    assert batch.env_steps == 2
    assert batch.agent_steps == {"red": 3, "blue": 0}
    assert list(batch) == ["red", "blue"]
    assert "red" in repr(batch)


def test_batches_are_joined_policy_by_policy_in_time() -> None:
    first = MultiAgentBatch({"red": fragment([[True], [True]])}, 2)
    second = MultiAgentBatch({"red": fragment([[False], [True]], start=10.0), "blue": fragment([[True]])}, 2)
    joined = concat_multi_agent([first, second])
    assert joined["red"]["reward"].flatten().tolist() == [0.0, 1.0, 10.0, 11.0]
    assert joined.agent_steps == {"red": 3, "blue": 1}
    assert joined.env_steps == 4
    with pytest.raises(UserError, match="at least one"):
        concat_multi_agent([])


def test_only_fragments_that_say_what_is_valid_are_taken() -> None:
    with pytest.raises(UserError, match="'red'"):
        MultiAgentBatch({"red": SampleBatch({"valid": torch.ones(3)})}, 1)
    with pytest.raises(UserError, match="valid"):
        MultiAgentBatch({"red": fragment([[True]]).drop("valid")}, 1)
