"""The PPO in one file of PyTorch, a peer of the benchmark, computes what tuneexp does."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from benchmarks.running import HERE
from benchmarks.work import Setup
from tuneexp.rl.returns import gae

SETUP = Setup("tiny", 4, 2, learning_rate=1e-3, gamma=0.9, gae_lambda=0.8, n_envs=2, batch_size=4)


@pytest.fixture
def torch_ppo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.syspath_prepend(str(HERE / "peers"))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)  # the script takes one core
    for name in ("torch_ppo", "clock", "work"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import torch_ppo  # type: ignore[import-not-found]

    return torch_ppo  # type: ignore[no-any-return]


def test_its_advantages_are_those_of_tuneexp(torch_ppo: ModuleType) -> None:
    ppo = torch_ppo.PPO(SETUP, seed=0)
    generator = torch.Generator().manual_seed(0)
    rows = ppo.rows
    rows["reward"], rows["value"] = (torch.rand(4, 2, generator=generator) for _ in range(2))
    rows["ended"] = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    with torch.no_grad():
        ppo._add_advantages()
        last_value = ppo.agent.value(torch.as_tensor(ppo.obs))
    next_value = torch.cat([rows["value"][1:], last_value[None]])
    ended = rows["ended"].bool()
    expected = gae(rows["reward"], rows["value"], next_value, ended, ended, gamma=0.9, gae_lambda=0.8)
    torch.testing.assert_close(rows["advantage"], expected)


def test_a_truncated_episode_is_continued_by_its_value(torch_ppo: ModuleType) -> None:
    ppo = torch_ppo.PPO(SETUP, seed=0)

    class Truncating:
        num_envs = 2

        def step(self, action: np.ndarray) -> tuple[object, ...]:
            none, both = np.zeros(2, dtype=bool), np.ones(2, dtype=bool)
            obs = np.zeros((2, 4), np.float32)
            return obs, np.ones(2), none, both, {"final_obs": np.ones((2, 4), np.float32)}

    ppo.envs = Truncating()
    with torch.no_grad():
        ppo._roll_out()
        expected = 1.0 + 0.9 * ppo.agent.value(torch.ones(4))
    torch.testing.assert_close(ppo.rows["reward"], expected.expand(4, 2))


def test_a_step_changes_all_weights(torch_ppo: ModuleType) -> None:
    ppo = torch_ppo.PPO(SETUP, seed=0)
    before = [weight.clone() for weight in ppo.agent.parameters()]
    ppo.step()
    assert all((weight != old).any() for weight, old in zip(ppo.agent.parameters(), before, strict=True))
