"""The Trainable, with and without Tune: save, restore, reset and new processes."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch

from tests.small import HYPERPARAMETERS, parameters_of, same, small_config, small_trial
from tuneexp import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.errors import CheckpointError, EnvironmentFault, UserError
from tuneexp.files import checkpoint
from tuneexp.trial.from_checkpoint import evaluate_checkpoint, trial_from_checkpoint
from tuneexp.trial.trainable import AlgorithmTrainable

CLASSIC = ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
PROBE = "tuneexp.testing.probes:ActionMatters"


DRIVER = """
import sys
import tuneexp.sweep.lifecycle
from tuneexp.trial.trainable import AlgorithmTrainable

config = {"algorithm": "ppo", "env": "CartPole-v1", "seeds": [0], "budget_env_steps": 1}
assert AlgorithmTrainable.default_resource_request({**config, "hyperparameters": {"num_env_runners": 1}})
print([name for name in ("torch", "mlflow") if name in sys.modules])
"""


def test_the_driver_of_a_sweep_imports_neither_torch_nor_mlflow() -> None:
    assert subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, check=True).stdout == "[]\n"


def trainable(**changes: Any) -> AlgorithmTrainable:
    return AlgorithmTrainable(config=small_config(**changes).model_dump())


def state_without_clock(folder: Path) -> dict[str, Any]:
    """State that must be equal bit for bit: all of it except wall-clock times."""
    tree = checkpoint.read(folder)
    return {key: value for key, value in tree.items() if key != "train_s"}


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{path}: keys {a.keys() ^ b.keys()}"]
        return [found for key in a for found in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list):
        return [found for i, (x, y) in enumerate(zip(a, b, strict=True)) for found in differences(x, y, f"{path}/{i}")]
    if isinstance(a, torch.Tensor | np.ndarray):
        return [] if np.array_equal(np.asarray(a), np.asarray(b), equal_nan=a.dtype not in (torch.bool,)) else [path]
    return [] if a == b or (a != a and b != b) else [f"{path}: {a} != {b}"]


@pytest.mark.timeout(300)
def test_training_continues_bit_for_bit_in_a_new_process(tmp_path: Path) -> None:
    """Parameters, optimizer, random states, normalisation statistics, open episodes and evaluations."""
    arguments = []
    for env in CLASSIC:
        normalised = {"normalize_observation": True, "normalize_reward": True} if env != "CartPole-v1" else {}
        trial = small_trial(env=env, rollouts=4, target_kl=0.2, learning_rate="linear:0.002", **normalised)
        trial.advance()
        trial.advance()
        first = checkpoint.write(tmp_path / env / "half", trial.state_dict())
        while not trial.done:
            trial.advance()
        checkpoint.write(tmp_path / env / "uninterrupted", trial.state_dict())
        arguments += [str(first), str(tmp_path / env / "resumed")]
    subprocess.run([sys.executable, "tests/saving.py", *arguments], check=True)
    for env in CLASSIC:
        states = [state_without_clock(tmp_path / env / name) for name in ("uninterrupted", "resumed")]
        assert differences(*states) == [], env
        assert states[0]["env_steps"] == 256
        half = checkpoint.read(tmp_path / env / "half")["learner"]["parameters"]
        assert not same(half, states[0]["learner"]["parameters"]), "it went on learning"


def test_save_and_restore_through_tunes_interface(tmp_path: Path) -> None:
    algo = PPO.build(
        env="CartPole-v1", seeds=[0, 1], budget_env_steps=256, report_every_env_steps=64, **HYPERPARAMETERS
    )
    algo.train()
    path = algo.save(str(tmp_path / "first")).checkpoint.path
    algo.train()
    after, result = parameters_of(algo.trial), algo.train()
    algo.restore(path)
    algo.train()
    assert same(parameters_of(algo.trial), after)
    again = algo.train()
    for key in ("env_steps", "iteration", "objective", "return_per_seed", "done"):
        assert again[key] == result[key], key
    assert not list(Path(path).rglob("*.pkl"))
    algo.stop()


def test_the_readme_example(tmp_path: Path) -> None:
    algo = PPO.build(env="CartPole-v1", seeds=[0], compile="off", budget_env_steps=8192, report_every_env_steps=2048)
    result = algo.train()
    assert result["train/return_mean"] > 0
    assert result["env_steps"] == 2048
    path = algo.save(str(tmp_path / "checkpoints" / "first")).checkpoint.path
    assert evaluate_checkpoint(path, episodes=3)["episodes"] == 3
    algo.stop()


class Unknown(gymnasium.Env[Any, Any]):
    """Environment whose state can't be saved."""

    closed: ClassVar[int] = 0
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, self.time == 10, False, {}

    def close(self) -> None:
        type(self).closed += 1


def test_fresh_episodes_where_the_state_of_an_environment_can_not_be_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = small_trial(env=f"{__file__}:Unknown", rollouts=4)
    trial.advance()
    folder = checkpoint.write(tmp_path / "one", trial.state_dict())
    with caplog.at_level(logging.WARNING, "tuneexp"):
        resumed = trial_from_checkpoint(folder, trust=True)
        assert same(parameters_of(resumed), parameters_of(trial))
        while not resumed.done:
            metrics = resumed.advance()
    assert len([record for record in caplog.records if "new episodes" in record.getMessage()]) == 1
    assert metrics["env_steps"] == 256
    assert metrics["train/episode_length_mean"] == 10.0


def test_reset_config_gives_what_a_fresh_trainable_has() -> None:
    reused = trainable(seeds=(3, 4), learning_rate=0.1)
    reused.train()
    for changes in (
        {"seeds": (0, 1), "learning_rate": 1e-3},
        {"seeds": (0, 1, 2), "model": {"hidden_sizes": [4], "shared": True}, "normalize_observation": True},
        {"seeds": (0,), "env": "Pendulum-v1", "n_envs": 3},
    ):
        fresh = trainable(**changes)
        assert reused.reset_config(small_config(**changes).model_dump()) is True
        assert same(parameters_of(reused.trial), parameters_of(fresh.trial))
        results = [fresh.train(), reused.train()]
        assert same(parameters_of(reused.trial), parameters_of(fresh.trial))
        assert results[0]["return_per_seed"] == results[1]["return_per_seed"]
        assert results[0]["env_steps"] == results[1]["env_steps"]


def test_a_configuration_that_is_refused_leaves_the_actor_usable() -> None:
    algo = trainable()
    with pytest.raises(UserError, match="learning_rate"):
        algo.reset_config(small_config(lr=1.0).model_dump())
    assert algo.reset_config(small_config().model_dump()) is True
    assert algo.train()["env_steps"] == 64
    algo.cleanup()
    algo.cleanup()


def test_a_trainable_without_tune_leaves_nothing_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "ray_results"
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(results))
    PPO.build(env="CartPole-v1", seeds=[0], compile="off").stop()
    assert not results.exists()


def test_cleanup_closes_every_environment() -> None:
    algo = AlgorithmTrainable(config=small_config(env=f"{__file__}:Unknown").model_dump())
    module = sys.modules[type(algo.trial.group.runners.runner.envs._vec.envs[0].unwrapped).__module__]
    module.Unknown.closed = 0
    algo.cleanup()
    assert module.Unknown.closed == 4
    algo.setup(algo.config)
    algo.train()
    module.Unknown.closed = 0
    algo.cleanup()
    assert module.Unknown.closed == 4


def test_a_report_has_what_tune_and_mlflow_need() -> None:
    result = trainable(seeds=(3, 8)).train()
    for key in (
        "env_steps", "iteration", "objective", "return_mean", "train/return_mean", "train/episode_length_mean",
        "train/episodes", "update/policy_loss", "update/value_loss", "update/entropy", "update/approx_kl",
        "update/clip_fraction", "update/explained_variance", "update/learning_rate", "seed/3/return_mean",
        "seed/8/train_return_mean", "time/train_s", "time/env_steps_per_s",
    ):  # fmt: skip
        assert isinstance(result[key], int | float), key
        assert np.isfinite(result[key]), key
    statistics = [key for key in result if key.startswith(("train/", "update/", "seed/"))]
    assert all(key > "objective_low" for key in statistics)  # MLflow lists metrics by name
    assert result["failed_seeds"] == []
    assert result["compiled"] is False
    assert result["done"] is False
    assert len(result["return_per_seed"]) == 2
    assert result["return_mean"] == pytest.approx(np.mean(result["return_per_seed"]))


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "other seeds": ({"seeds": (0, 2)}, "seeds"),
    "fewer seeds": ({"seeds": (0,)}, "seeds"),
    "another environment of other shapes": ({"env": "Acrobot-v1"}, "CartPole-v1"),
    "another environment of the same shapes": ({"env": "Twin-v0"}, "CartPole-v1"),
    "other networks": ({"model": {"hidden_sizes": [4]}}, "hidden_sizes"),
    "other activations": ({"model": {"hidden_sizes": [8], "activation": "relu"}}, "activation"),
    "another number of environments": ({"n_envs": 4}, "n_envs"),
    "other normalisation": ({"normalize_observation": True}, "normalize_observation"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_checkpoint_of_something_else_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = gymnasium.envs.registration.EnvSpec("Twin-v0", gymnasium.registry["CartPole-v1"].entry_point)
    monkeypatch.setitem(gymnasium.registry, "Twin-v0", twin)
    trained = small_trial()
    trained.advance()
    folder = checkpoint.write(tmp_path / "one", trained.state_dict())
    changes, said = OTHERS[what]
    trial = small_trial(**changes)
    before = parameters_of(trial)
    with pytest.raises(CheckpointError, match=said) as caught:
        trial.load_state_dict(checkpoint.read(folder))
    assert len(str(caught.value).splitlines()) <= 2
    assert same(parameters_of(trial), before), "nothing was loaded half"


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    folder = checkpoint.write(tmp_path / "one", small_trial().state_dict())
    trial = small_trial(spec=replace(PPO, name="other"))
    with pytest.raises(CheckpointError, match="'ppo'"):
        trial.load_state_dict(checkpoint.read(folder))


def test_a_checkpoint_may_go_on_under_other_numbers(tmp_path: Path) -> None:
    """As in population-based training: the new configuration with the old state."""
    old = small_trial(learning_rate=1e-3)
    old.advance()
    folder = checkpoint.write(tmp_path / "one", old.state_dict())
    trial = small_trial(learning_rate=0.5, ent_coef=0.1)
    trial.load_state_dict(checkpoint.read(folder))
    assert same(parameters_of(trial), parameters_of(old))
    assert trial.advance()["update/learning_rate"] == 0.5
    assert trial.learner.optimizer.optimizer.param_groups[0]["lr"] == 0.5
    assert trial.env_steps == 128


@pytest.mark.parametrize("missing", ["algorithm", "learner", "group", "objective", "env_steps", "config"])
def test_a_checkpoint_with_a_part_missing_is_damaged(missing: str, tmp_path: Path) -> None:
    tree = small_trial().state_dict()
    del tree[missing]
    folder = checkpoint.write(tmp_path / "one", tree)
    with pytest.raises(CheckpointError, match="damaged"):
        trial_from_checkpoint(folder)


@pytest.mark.parametrize("missing", ["parameters", "optimizer", "generators", "failed"])
def test_a_checkpoint_with_a_part_of_the_learner_missing_is_damaged(missing: str, tmp_path: Path) -> None:
    tree = small_trial().state_dict()
    del tree["learner"][missing]
    folder = checkpoint.write(tmp_path / "one", tree)
    with pytest.raises(CheckpointError, match="damaged"):
        trial_from_checkpoint(folder)


def test_a_missing_checkpoint_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        trial_from_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        trainable().restore(str(tmp_path / "nowhere"))


def test_an_environment_given_as_a_class_can_be_saved_where_it_has_an_address(tmp_path: Path) -> None:
    algo = PPO.build(env=Unknown, seeds=[0], budget_env_steps=256, **HYPERPARAMETERS)
    algo.train()
    path = algo.save(str(tmp_path / "one")).checkpoint.path
    assert trial_from_checkpoint(path).env_steps == algo.trial.env_steps


def test_an_environment_given_as_a_local_class_trains_and_its_checkpoint_loads_into_the_same(tmp_path: Path) -> None:
    class Local(Unknown):
        pass

    def build() -> AlgorithmTrainable:
        return PPO.build(env=Local, seeds=[0], budget_env_steps=256, **HYPERPARAMETERS)

    algo = build()
    algo.train()
    path = algo.save(str(tmp_path / "one")).checkpoint.path
    other = build()
    other.restore(path)
    assert same(parameters_of(other.trial), parameters_of(algo.trial))
    with pytest.raises(UserError, match="Local"):
        trial_from_checkpoint(path)


class Faulty(Unknown):
    def step(self, action: Any) -> Any:
        if self.time == 5:
            raise RuntimeError("the simulator lost its licence")
        return super().step(action)


def test_an_environment_that_raises_fails_the_trial_with_its_reason() -> None:
    with pytest.raises(EnvironmentFault, match="licence"):
        trainable(env=f"{__file__}:Faulty").train()


def test_unknown_settings_are_reported_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="learning_rate"):
        PPO.build(env="CartPole-v1", learning_rte=0.1)
    with pytest.raises(UserError, match="seed"):
        PPO.build(env="CartPole-v1", seeds=[0, 0])
    with pytest.raises(UserError):
        PPO.build(env="CartPole-v1", seeds=[])
    with pytest.raises(UserError):
        PPO.build(env="CartPole-v1", budget_env_steps=0)


def test_a_trial_that_can_not_be_built_closes_its_environments() -> None:
    def no_networks(*_: Any) -> Any:
        raise UserError("no networks today")

    Unknown.closed = 0
    with pytest.raises(UserError, match="today"):
        small_trial(env=Unknown, spec=replace(PPO, name="broken", build_model=no_networks))
    assert Unknown.closed == 4
