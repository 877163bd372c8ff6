"""Networks learn and act on another device, and no tensor is on the wrong one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.algorithms.trials import trial_of
from tests.device import DEVICE, OnDevice, second_device
from tests.small import small_config
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.learning.devices import CPU, device_of
from tuneexp.trial import Trial

__all__ = ["second_device"]

ON_POLICY = ("ppo", "a2c", "impala", "appo")
RECURRENT = {"model": {"hidden_sizes": [8], "recurrent": "lstm", "recurrent_size": 6}, "sequence_length": 8}
RAINBOW = {"double": True, "dueling": True, "noisy": True, "distributional": True, "n_step": 3, "prioritized": True}
CASES: dict[str, tuple[str, str, list[int], dict[str, Any]]] = {
    "ppo": ("ppo", "CartPole-v1", [0, 1], {"batch_size": 15, "target_kl": 1e-3, "normalize_observation": True}),
    "ppo continuous": ("ppo", "Pendulum-v1", [0], {"batch_size": 16}),
    "ppo tensor": ("ppo", "CartPole-v1", [0, 1], {"batch_size": 16, "env_backend": "tensor"}),
    "ppo recurrent": ("ppo", "CartPole-v1", [0, 1], {"batch_size": 16, **RECURRENT}),
    "impala": ("impala", "CartPole-v1", [0, 1], {}),
    "appo": ("appo", "Pendulum-v1", [0], {"batch_size": 16, "n_epochs": 2}),
    "a2c": ("a2c", "CartPole-v1", [0, 1], {}),
    "dqn": ("dqn", "CartPole-v1", [0], {}),
    "rainbow": ("dqn", "CartPole-v1", [0, 1], RAINBOW),
    "qrdqn": ("qrdqn", "CartPole-v1", [0], {"n_quantiles": 5}),
    "sac": ("sac", "Pendulum-v1", [0, 1], {}),
    "sac discrete": ("sac", "CartPole-v1", [0], {}),
    "td3": ("td3", "Pendulum-v1", [0], {"train_freq": 4, "gradient_steps": 2}),
    "ddpg": ("ddpg", "Pendulum-v1", [0], {"train_freq": 4, "gradient_steps": 2}),
    "tqc": ("tqc", "Pendulum-v1", [0], {"n_quantiles": 5, "train_freq": 4, "gradient_steps": 2}),
}


def trained(case: str) -> Trial:
    """Two rounds of sample -> learn -> sync, or more until there are enough rows to learn from."""
    algorithm, env, seeds, changes = CASES[case]
    few: dict[str, Any] = {"n_steps": 16} if algorithm in ON_POLICY else {"learning_starts": 8, "batch_size": 4}
    few |= {"n_epochs": 2} if algorithm == "ppo" else {}
    trial = trial_of(algorithm, env, seeds, **{**few, **changes})
    while trial.learner.n_updates < 2:
        trial.training_step()
    return trial


@pytest.mark.parametrize("case", CASES)
def test_an_algorithm_learns_the_same_on_another_device(case: str, request: pytest.FixtureRequest) -> None:
    """Sampling, postprocessing, replay, gradient step, optimizer and all random numbers."""
    one = trained(case)
    request.getfixturevalue("second_device")
    other = trained(case)
    assert isinstance(other.learner.stack.flat, OnDevice)
    assert isinstance(other.learner.hyper.tensor, OnDevice)
    state, there = one.learner.state_dict(), other.learner.state_dict()
    for name, leaf in state["parameters"].items():
        assert there["parameters"][name].device == CPU
        torch.testing.assert_close(there["parameters"][name], leaf, rtol=1e-4, atol=1e-5)
    summary = one.learner.log.summary()
    for name, values in other.learner.log.summary().items():
        torch.testing.assert_close(values, summary[name], rtol=1e-3, atol=1e-4)


def test_a_checkpoint_holds_nothing_of_the_device(second_device: torch.device, tmp_path: Any) -> None:
    trial = trained("ppo continuous")
    checkpoint.write(tmp_path / "saved", trial.state_dict())
    again = trial_of("ppo", "Pendulum-v1", [0], n_steps=16, batch_size=16)
    again.load_state_dict(checkpoint.read(tmp_path / "saved"))
    assert isinstance(again.learner.stack.flat, OnDevice)
    for name, leaf in again.learner.parameters.items():
        assert torch.equal(leaf.cpu(), trial.learner.parameters[name].cpu())
    (block, *_), (same, *_) = (own.learner.optimizer.optimizer.state.values() for own in (trial, again))
    assert isinstance(same["exp_avg"], OnDevice)
    assert torch.equal(same["exp_avg"].cpu(), block["exp_avg"].cpu())


def test_tensor_environments_are_on_the_device(second_device: torch.device) -> None:
    trial = trial_of("ppo", "CartPole-v1", [0], env_backend="tensor")
    envs: Any = trial.source._envs  # type: ignore[attr-defined]
    assert isinstance(envs._vec._running.elapsed, OnDevice)
    trial.close()


def test_evaluation_acts_on_the_device(second_device: torch.device) -> None:
    """In batches of the width of training; the last one is padded."""
    with_memory = trial_of("ppo", "CartPole-v1", [0, 1], n_steps=8, batch_size=16, **RECURRENT)
    assert with_memory.evaluate(3, 0).shape == (2, 3)


def test_the_second_device_refuses_what_is_not_on_it(second_device: torch.device) -> None:
    """Otherwise the tests above would pass on any device."""
    there = torch.ones(3).to(DEVICE)
    with pytest.raises(RuntimeError, match="two devices"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError):
        there.numpy()
    assert torch.equal((there + torch.tensor(1.0)).cpu(), torch.full((3,), 2.0))


def test_a_gpu_that_is_not_there_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("cpu") == device_of("auto") == CPU
    with pytest.raises(UserError, match=r"device=cuda: .*device=cpu"):
        device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("auto") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match=r"device=cuda:2: .*cuda:0 to cuda:1"):
        device_of("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "meta"])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(UserError, match=r"device: .*auto"):
        small_config(device=device)
