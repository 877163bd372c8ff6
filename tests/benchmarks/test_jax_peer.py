"""The PPO in JAX, a peer of the benchmark, steps gymnasium's CartPole and computes tuneexp's advantages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.running import HERE, ROOT, last_json
from benchmarks.training import Pythons
from benchmarks.work import SETUPS
from tuneexp.rl.returns import gae

PYTHON = ROOT / Pythons().jax


@pytest.mark.skipif(not PYTHON.exists(), reason="no environment with JAX: make bench makes it")
def test_it_steps_and_weighs_as_the_others() -> None:
    paths = {"PYTHONPATH": f"{HERE}:{HERE / 'peers'}"}
    found = last_json([str(PYTHON), str(Path(__file__).parent / "jax_cartpole_steps.py")], paths)
    assert found["worst"] < 1e-5
    assert found["episodes"] > 50
    assert found["truncated_at"] == 500
    names = ("value", "next_value", "terminated", "truncated", "advantage")
    value, next_value, terminated, truncated, advantage = (torch.tensor(found[name]) for name in names)
    setup = SETUPS["short"]
    expected = gae(torch.ones_like(value), value, next_value, terminated, truncated, setup.gamma, setup.gae_lambda)
    torch.testing.assert_close(advantage, expected, atol=1e-5, rtol=1e-5)
