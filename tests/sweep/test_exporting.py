"""Exported policies: they act as the original, in a process that has only torch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.algorithms.trials import trial_of
from tuneexp import export, extras
from tuneexp.algorithms.registry import ALGORITHMS
from tuneexp.errors import TuneexpError, UserError
from tuneexp.files import checkpoint
from tuneexp.sampling.exported_policy import observations, tensors
from tuneexp.sweep import exporting
from tuneexp.trial.loaded_policies import policy_from_checkpoint

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "fixtures" / "format_2"
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "after_tuning.md").read_text(), re.DOTALL)
SPARKS = "tests.trial.envs:Sparks"
DISCRETE = ("ppo", "a2c", "impala", "appo", "dqn", "qrdqn", "sac")
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{f"{name} discrete": (name, "CartPole-v1", {"normalize_observation": True}) for name in DISCRETE},
    **{f"{name} continuous": (name, "Pendulum-v1", {}) for name in ALGORITHMS if name not in ("dqn", "qrdqn")},
    "masks": ("ppo", SPARKS, {"action_mask": "mask", "normalize_observation": True}),
    "masked gru": ("a2c", SPARKS, {"action_mask": "mask", "model": {"recurrent": "gru", "recurrent_size": 4}}),
    "images": ("dqn", SPARKS, {"env_kwargs": {"images": True, "start": 5}}),
    "noisy": ("dqn", "CartPole-v1", {"noisy": True, "distributional": True}),
    "gsde": ("sac", "Pendulum-v1", {"use_sde": True}),
    "dictionary": ("sac", SPARKS, {"normalize_observation": True, "env_kwargs": {"strict": False}}),
}


def stored(folder: Path, case: str) -> Path:
    algorithm, env, changes = CASES[case]
    if algorithm in ("impala", "appo"):
        changes = {"num_env_runners": 0, **changes}
    trial = trial_of(algorithm, env, (3,), **changes)
    trial.training_step()  # so that there are statistics
    generator = torch.Generator().manual_seed(1)
    for leaf in trial.learner.parameters.values():  # so that actions depend on observations
        leaf.copy_(torch.randn(leaf.shape, generator=generator) / (1 if leaf.dim() > 2 else 4))
    path = checkpoint.write(folder, trial.state_dict())
    trial.close()
    return path


@pytest.mark.parametrize("case", CASES)
def test_the_module_of_every_algorithm_acts_as_its_policy_on_1000_observations(case: str, tmp_path: Path) -> None:
    policy = policy_from_checkpoint(stored(tmp_path / "checkpoint", case), trust=True)
    module, obs = policy.module(), observations(policy, 1000)
    state = [torch.zeros(1000, module.state_size)] if module.state_size else []
    for _ in range(3):
        acted = module(tensors(obs), *state)
        acted, state = (acted[0], [acted[1]]) if state else (acted, [])
        assert np.array_equal(acted.numpy(), policy(obs))
        assert acted.numpy().dtype == policy.action_space.dtype
    assert len(np.unique(acted.numpy())) > 1


def test_the_page_shows_the_policy_of_cartpole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export(STORED / "dqn_per")
    names: dict[str, Any] = {}
    exec(next(block for block in BLOCKS if "torch.export.load" in block), names)
    assert names["action"].shape == (8,)


@pytest.fixture(scope="module")
def masked_gru(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of a recurrent, masked policy, and its exports."""
    base = tmp_path_factory.mktemp("exported")
    folder = stored(base / "checkpoint", "masked gru")
    for to, name in (("torch", "policy.pt2"), ("onnx", "policy.onnx"), ("mlflow", "model")):
        done = export(folder, to, base / name, trust=True)
        assert (done["compared"], done["largest_difference"], done["state_size"], done["seed"]) == (1000, 0.0, 4, 3)
    return base


WITHOUT_TUNEEXP = """
import sys, torch
folder, given = sys.argv[1], torch.load(sys.argv[2])
program = torch.export.load(f"{folder}/policy.pt2").module()
for size in (1, 5):
    action, state = program({name: value[:size] for name, value in given.items()}, torch.zeros(size, 4))
print(action.tolist(), "mlflow" in sys.modules)
import mlflow
model, lists = mlflow.pyfunc.load_model(f"{folder}/model"), {name: value.tolist() for name, value in given.items()}
first = model.predict({"obs": lists})
again = model.predict({"obs": lists, "state": first["state"] * 0})
print(first["action"].tolist(), again["action"].tolist() == action.tolist(), "tuneexp" in sys.modules)
"""


def test_exported_policies_act_in_a_process_without_tuneexp(masked_gru: Path, tmp_path: Path) -> None:
    policy = policy_from_checkpoint(masked_gru / "checkpoint", trust=True)
    obs = observations(policy, 5)
    torch.save(tensors(obs), tmp_path / "obs.pt")
    command = [sys.executable, "-I", "-c", WITHOUT_TUNEEXP, str(masked_gru), str(tmp_path / "obs.pt")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    actions = policy(obs).tolist()
    assert ran.stdout == f"{actions} False\n{actions} True False\n", ran


# All cases take minutes: `make nightly`.
IN_ONNX = CASES if os.environ.get("TUNEEXP_EXPORTS") == "all" else ("ppo continuous", "images")


@pytest.mark.parametrize("case", IN_ONNX)
def test_onnx_acts_as_the_policy_on_1000_observations(case: str, tmp_path: Path) -> None:
    folder = stored(tmp_path / "checkpoint", case)
    done = export(folder, "onnx", tmp_path / "policy.onnx", trust=True)
    assert done["compared"] == 1000
    assert done["largest_difference"] < 1e-4


def test_onnx_runs_by_the_names_of_observation_and_state_for_batches_of_any_size(masked_gru: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(masked_gru / "policy.onnx"))
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("obs/mask", ["batch", 4]), ("obs/view", ["batch", 3]), ("state", ["batch", 4]),
    ]  # fmt: skip
    assert [one.name for one in session.get_outputs()] == ["action", "next_state"]
    about = json.loads(session.get_modelmeta().custom_metadata_map["tuneexp.json"])
    assert (about["algorithm"], about["seed"], about["state_size"]) == ("a2c", 3, 4)
    policy = policy_from_checkpoint(masked_gru / "checkpoint", trust=True)
    for rows in (1, 7):
        obs, state = observations(policy, rows), np.zeros((rows, 4), np.float32)
        policy.reset()
        for _ in range(2):
            given = {"obs/mask": obs["mask"], "obs/view": obs["view"], "state": state}
            action, state = session.run(None, given)
            assert action.tolist() == policy(obs).tolist()


def test_an_export_to_onnx_without_its_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs onnx and onnxscript and onnxruntime: pip install 'tuneexp\[onnx\]'"):
        export("no such sweep", to="onnx")


def test_a_model_of_mlflow_checks_its_input_and_names_what_it_needs(masked_gru: Path) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(masked_gru / "model"))
    assert model.metadata.signature.inputs is None
    assert model.metadata.signature.outputs.input_names() == ["action", "state"]
    needs = (masked_gru / "model" / "requirements.txt").read_text()
    assert re.findall(r"^(\w+)==", needs, re.MULTILINE) == ["mlflow", "torch", "numpy"]
    good = {"mask": [1, 0, 0, 0], "view": [0.0, 0.0, 0.0]}
    assert int(model.predict({"obs": good})["action"]) == 0
    for given, says in (
        (good, "recurrent"),
        ({"obs": {"mask": [1, 0, 0, 0]}}, "mask, view"),
        ({"obs": {**good, "view": [0.0]}}, r"\[1\]; give \[3\]"),
        ({"obs": {**good, "mask": [0.5] * 4}}, "give int8"),
        ({"obs": {**good, "view": [[0.0, 0.0, 0.0]]}}, "partly batches"),
        ({"obs": good, "state": [[0.0] * 4] * 2}, "2 rows"),
    ):
        with pytest.raises(ValueError, match=says):
            model.predict(given)


def test_what_can_not_be_exported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="did you mean 'torch'"):
        export(STORED / "sac_episodes", to="torhc")
    with pytest.raises(UserError, match="there is no folder"):
        export(STORED / "sac_episodes", output=tmp_path / "none" / "policy.pt2")
    policy = policy_from_checkpoint(STORED / "sac_episodes")
    own = policy.module()
    monkeypatch.setattr(exporting, "load_policy", lambda *given: policy)
    monkeypatch.setattr(policy, "module", lambda: _Other(own))
    with pytest.raises(TuneexpError, match="acts differently"):
        export("first", output=tmp_path / "policy.pt2")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="exists"):
        export("first", to="mlflow", output=tmp_path)
    monkeypatch.setattr(policy, "module", lambda: _Reads(own))
    with pytest.raises(UserError, match="item"):
        export("first", output=tmp_path / "policy.pt2")


class _Other(torch.nn.Module):
    state_size = 0

    def __init__(self, own: torch.nn.Module) -> None:
        super().__init__()
        self.own = own

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return self.own(obs) + 1


class _Reads(_Other):
    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return self.own(obs) if obs.sum() > 0 else self.own(-obs)
