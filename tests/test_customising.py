"""Each file shown in docs/customising.md is written to disk as it is and trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tuneexp.algorithms.registry import load_spec
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "customising.md").read_text()
FILES = {text.split(":")[0].removeprefix("# "): text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)}
ALGORITHMS = [
    (file, name)
    for file, text in FILES.items()
    for name in re.findall(r"^(\w+) = replace\(", text, re.MULTILINE)
]  # fmt: skip
ON_POLICY = {"n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2, "model": {"hidden_sizes": [8]}}
OFF_POLICY = {
    "learning_starts": 32,
    "batch_size": 8,
    "buffer_size": 500,
    "train_freq": 4,
    "model": {"hidden_sizes": [8]},
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    return tmp_path


def trial_of(spec: AlgorithmSpec, address: str, **hyperparameters: Any) -> Trial:
    small = OFF_POLICY if "learning_starts" in spec.config_class.model_fields else ON_POLICY
    config = {
        "algorithm": address, "env": "CartPole-v1", "seeds": [0, 1], "budget_env_steps": 128, "compile": "off",
        "report_every_env_steps": 128, "evaluation": {"episodes": 1, "final_episodes": 1},
        "hyperparameters": {**small, **hyperparameters},
    }  # fmt: skip
    return Trial(spec, TrialConfig.parse(config, "the test"))


def trained(folder: Path, file: str, name: str, **hyperparameters: Any) -> dict[str, Any]:
    address = f"{folder / file}:{name}"
    trial = trial_of(load_spec(address), address, **hyperparameters)
    try:
        return {
            **trial.advance(),
            "parameters": torch.cat([leaf.flatten() for leaf in trial.learner.parameters.values()]),
        }
    finally:
        trial.close()


def test_the_page_has_every_step() -> None:
    assert len(ALGORITHMS) >= 8
    for script in ("custom_loss", "custom_model", "custom_environment", "custom_algorithm"):
        assert f"../experiments/{script}.py" in PAGE


@pytest.mark.parametrize(("file", "name"), ALGORITHMS, ids=[name for _, name in ALGORITHMS])
def test_a_file_of_the_page_trains_and_is_not_what_it_was_made_of(page: Path, file: str, name: str) -> None:
    # CartPole pays 1 a step: its default bound cuts nothing.
    changes = {"reward_bound": 0.5} if name == "BoundedPPO" else {}
    result = trained(page, file, name, **changes)
    assert result["env_steps"] == 128
    assert result["update/updates"] > 0
    assert not result["failed_seeds"]
    original = load_spec("dqn" if "DQN" in name else "ppo")
    plain = trial_of(original, original.name)
    plain.advance()
    parameters = torch.cat([leaf.flatten() for leaf in plain.learner.parameters.values()])
    plain.close()
    assert not torch.equal(parameters, result["parameters"])


@pytest.mark.parametrize(
    ("file", "name", "hyperparameter", "values"),
    [
        ("bounded_rewards.py", "BoundedPPO", "reward_bound", (1.0, 0.1)),
        ("boltzmann.py", "BoltzmannDQN", "temperature", (0.1, 100.0)),
        ("two_rates.py", "TwoRatesPPO", "value_learning_rate", (1e-3, 1e-2)),
        ("parts.py", "PartsPPO", "policy_delay", (1, 2)),
        ("munchausen.py", "MunchausenDQN", "munchausen_alpha", (0.0, 0.9)),
    ],
)
def test_a_new_hyperparameter_changes_what_is_learned(
    page: Path, file: str, name: str, hyperparameter: str, values: tuple[float, float]
) -> None:
    first, second = (trained(page, file, name, **{hyperparameter: value})["parameters"] for value in values)
    assert not torch.equal(first, second)


def test_a_statistic_of_ones_own_becomes_a_metric(page: Path) -> None:
    assert trained(page, "one_line.py", "MyPPO")["update/value_size"] >= 0.0


def test_a_delayed_part_sits_out_every_other_update(page: Path) -> None:
    """Half as many policy updates as value updates, by the step counters of Adam."""
    address = f"{page / 'parts.py'}:PartsPPO"
    trial = trial_of(load_spec(address), address)
    trial.advance()
    steps = {int(state["step"]) for state in trial.learner.optimizer.optimizer.state.values()}
    updates = trial.learner.n_updates
    trial.close()
    assert steps == {updates, updates // 2}


def test_the_contract_of_the_page_is_a_test_class(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(page))
    names: dict[str, Any] = {}
    exec(FILES["test_mine.py"], names)
    tests = [name for name in vars(names["TestMyPPO"]) if name.startswith("test_")]
    assert len(tests) >= 15
    names["TestMyPPO"]().test_the_same_seeds_give_the_same_result()
