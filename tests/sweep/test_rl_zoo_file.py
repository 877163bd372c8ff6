"""A row of an RL Zoo file: found as in RL Zoo, and used with its budget and its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuneexp import PPO, SearchSpace, UserError, rl_zoo_row
from tuneexp.security.trust import list_file
from tuneexp.sweep.rl_zoo import read_row, sweep_of_row

PPO_FILE = """
default:
  n_timesteps: !!float 1e6
  policy: 'MlpPolicy'
atari:
  env_wrapper:
    - stable_baselines3.common.atari_wrappers.AtariWrapper:
        terminal_on_life_loss: False
  frame_stack: 2
  policy: 'CnnPolicy'
  n_timesteps: 1e7
CartPole-v1: &cartpole
  n_envs: 8
  n_timesteps: !!float 1e5
  policy: 'MlpPolicy'
  learning_rate: lin_0.001
  normalize: "{'norm_obs': False, 'norm_reward': True}"
  env_kwargs: {sutton_barto_reward: true}
Acrobot-v1:
  <<: *cartpole
  n_envs: 4
HumanoidStandup-v2:
  n_timesteps: 1e6
  policy: MlpPolicy
  policy_kwargs: "dict(net_arch=dict(pi=[256, 256], vf=[256, 256]))"
CarRacing-v3:
  env_wrapper:
    - gymnasium.wrappers.time_limit.TimeLimit: {max_episode_steps: 50}
    - rl_zoo3.wrappers.YAMLCompatResizeObservation: {shape: [64, 64]}
    - gymnasium.wrappers.transform_observation.GrayscaleObservation: {keep_dim: true}
  frame_stack: 2
  n_timesteps: 100
  policy: CnnPolicy
PendulumNoVel-v1:
  n_timesteps: 100
  policy: MlpPolicy
Own-v0:
  env_wrapper: my_wrappers.Mine
  n_timesteps: 100
  policy: MlpPolicy
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ppo.yml"
    path.write_text(PPO_FILE)
    return path


def settings(file: Path | str, env: str, **more: Any) -> dict[str, Any]:
    return rl_zoo_row(file, env, **more)


def test_a_row_is_taken_with_its_steps_and_its_environment(file: Path) -> None:
    row = settings(file, "CartPole-v1")
    assert (row["env"], row["budget_env_steps"], row["env_kwargs"]) == (
        "CartPole-v1", 100_000, {"sutton_barto_reward": True},
    )  # fmt: skip
    given = row["hyperparameters"]
    assert (given["n_envs"], given["learning_rate"]) == (8, "lin_0.001")
    assert (given["normalize_observation"], given["normalize_reward"]) == (False, True)
    algo = PPO.build(**{**row, "hyperparameters": {**given, "n_steps": 8}}, compile="off")
    try:
        assert algo.trial.config.budget_env_steps == 100_000
    finally:
        algo.stop()


def test_a_row_takes_over_what_it_merges(file: Path) -> None:
    given = settings(file, "Acrobot-v1")["hyperparameters"]
    assert (given["n_envs"], given["learning_rate"]) == (4, "lin_0.001")


def test_what_a_row_leaves_out_is_as_in_stable_baselines3(file: Path) -> None:
    """Its number of environments and rollout length differ from the defaults here."""
    row = settings(file, "HumanoidStandup-v4")["hyperparameters"]
    assert (row["n_envs"], row["n_steps"]) == (1, 2048)
    assert settings(file, "CartPole-v1", algorithm="ppo")["hyperparameters"]["n_steps"] == 2048


@pytest.mark.parametrize(
    ("env", "taken", "steps", "remark"),
    [
        ("CartPole-v0", "CartPole-v0", 100_000, "CartPole-v1 is taken"),
        ("HumanoidStandup-v2", "HumanoidStandup-v4", 1_000_000, "gymnasium has HumanoidStandup-v4"),
        ("HumanoidStandup-v5", "HumanoidStandup-v5", 1_000_000, "HumanoidStandup-v2 is taken"),
        ("Pendulum-v0", "Pendulum-v1", 1_000_000, "'default' is taken"),
        ("PongNoFrameskip-v4", "PongNoFrameskip-v4", 10_000_000, ""),
        ("tests.small:Small", "tests.small:Small", 1_000_000, "'default' is taken"),
    ],
)
def test_the_row_of_an_environment_is_found_as_rl_zoo_finds_it(
    file: Path, env: str, taken: str, steps: int, remark: str
) -> None:
    row = read_row(file, env, None, ("train",))
    assert (row.settings["env"], row.settings["budget_env_steps"]) == (taken, steps)
    assert remark in " ".join(row.remarks)


def test_another_row_can_be_named(file: Path) -> None:
    row = settings(f"{file}:CartPole-v1", "Pendulum-v1")
    assert (row["env"], row["budget_env_steps"]) == ("Pendulum-v1", 100_000)


def test_the_wrapper_of_atari_is_arguments_of_its_emulator(file: Path) -> None:
    row = settings(file, "ALE/Pong-v5")
    assert row["env_kwargs"] == {"episodic_life": False, "stack_num": 2}
    assert "wrappers" not in row


def test_wrappers_have_the_names_that_they_have_here(file: Path) -> None:
    assert settings(file, "CarRacing-v3")["wrappers"] == [
        {"TimeLimit": {"max_episode_steps": 50}},
        {"AreaResize": {"shape": [64, 64]}},
        {"GrayscaleObservation": {"keep_dim": True}},
        {"FrameStack": {"n_stack": 2}},
    ]


def test_an_environment_without_velocities_is_the_other_one_with_a_wrapper(file: Path) -> None:
    row = settings(file, "PendulumNoVel-v1")
    assert (row["env"], row["wrappers"]) == ("Pendulum-v1", ["MaskVelocityWrapper"])


def test_a_wrapper_of_another_package_is_trusted_first(file: Path) -> None:
    with pytest.raises(UserError, match="my_wrappers:Mine") as told:
        settings(file, "Own-v0")
    assert "--trust" in str(told.value)
    assert "my_wrappers" not in (list_file().read_text() if list_file().exists() else "")
    assert settings(file, "Own-v0", trust=True)["wrappers"] == ["my_wrappers:Mine"]
    assert settings(file, "Own-v0")["wrappers"] == ["my_wrappers:Mine"]


@pytest.mark.parametrize(
    ("name", "env", "algorithm", "said"),
    [
        ("ppo.yml", "CartPole-v1", "sac", "ppo"),
        ("ppo.yml", "atari", "ppo", "name the one"),
        ("ppo.yml:CartPol-v1", "CartPole-v1", "ppo", "'CartPole-v1'"),
        ("mine.yml", "CartPole-v1", "sac", "another algorithm.*n_steps.*ppo"),
        ("mine.yml", "CartPole-v1", None, "algorithm='ppo'"),
        ("mine.yml", "CartPol-v1", "ppo", "'CartPole-v1'"),
        ("mine.yml", "Acrobot-v1", "ppo", "nine_steps"),
        ("mine.yml", "Pendulum-v1", "ppo", "incomplete.*n_timesteps"),
        ("mine.yml", "MountainCar-v0", "ppo", "hindsight"),
        ("mine.yml", "BipedalWalker-v3", "ppo", "n_timesteps .*number"),
        ("trpo.yml", "CartPole-v1", "ppo", "trpo is not available"),
        ("nowhere.yml", "CartPole-v1", "ppo", "no file"),
    ],
)
def test_what_is_no_row_of_the_algorithm_is_reported(
    file: Path, name: str, env: str, algorithm: str | None, said: str
) -> None:
    steps = "n_timesteps: 100, policy: MlpPolicy"
    (file.parent / "mine.yml").write_text(
        f"CartPole-v1: {{{steps}, n_steps: 5, n_epochs: 4}}\nAcrobot-v1: {{{steps}, nine_steps: 5}}\n"
        f"Pendulum-v1: {{policy: MlpPolicy}}\nMountainCar-v0: {{{steps}, replay_buffer_class: HerReplayBuffer}}\n"
        "BipedalWalker-v3: {n_timesteps: many, policy: MlpPolicy}\n"
    )
    (file.parent / "trpo.yml").write_text("CartPole-v1: {n_timesteps: 1, policy: MlpPolicy}\n")
    with pytest.raises(UserError, match=said) as told:
        settings(str(file.parent / name), env, algorithm=algorithm)
    assert len(str(told.value).splitlines()) <= 2


def test_a_whole_row_pasted_as_hyperparameters_is_placed() -> None:
    row = {"n_timesteps": 1e5, "policy": "MlpPolicy", "n_envs": 2, "n_steps": 8, "batch_size": 8,
           "env_wrapper": [{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 7}}]}  # fmt: skip
    for pasted in ({"hyperparameters": row}, row):
        algo = PPO.build("CartPole-v1", compile="off", **pasted)
        try:
            assert algo.trial.config.budget_env_steps == 100_000
            assert algo.trial.config.wrappers == [{"TimeLimit": {"max_episode_steps": 7}}]
        finally:
            algo.stop()
    with pytest.raises(UserError, match="--env-steps"):
        PPO.build("CartPole-v1", compile="off", n_timesteps=1e5)


def test_a_sweep_around_a_row_fixes_what_the_space_does_not_vary(file: Path) -> None:
    space = SearchSpace.from_mapping({"learning_rate": {"loguniform": [1e-5, 0.01]}, "gamma": {"uniform": [0.9, 1.0]}})
    row = read_row(file, "CartPole-v1", None, ("sweep",))
    asked, remarks = sweep_of_row(row, space, {"fixed": {"n_envs": 2}, "trials": 3}, PPO.config_class)
    assert (asked["env"], asked["budget_env_steps"], asked["trials"]) == ("CartPole-v1", 100_000, 3)
    assert (asked["fixed"]["n_envs"], asked["fixed"]["n_steps"]) == (2, 2048)
    assert not {"learning_rate", "gamma"} & set(asked["fixed"])
    assert asked["space"].initial == [{"learning_rate": 0.001, "gamma": 0.99}]
    assert any("lin_0.001" in remark for remark in remarks)
    asked["space"].validate(PPO.config_class, asked["fixed"])


def test_a_row_outside_of_the_space_is_reported_and_not_tried_first(file: Path) -> None:
    space = SearchSpace.from_mapping({"gamma": {"uniform": [0.5, 0.6]}})
    asked, remarks = sweep_of_row(read_row(file, "CartPole-v1", None, ("sweep",)), space, {}, PPO.config_class)
    assert asked["space"].initial == []
    assert any("gamma=0.99" in remark for remark in remarks)


def test_merges_of_merges_do_not_grow(tmp_path: Path) -> None:
    rows = ["r0: &r0 {n_timesteps: 5, policy: MlpPolicy}"]
    rows += [f"r{i}: &r{i} {{<<: [*r{i - 1}, *r{i - 1}]}}" for i in range(1, 40)]
    (tmp_path / "ppo.yml").write_text("\n".join(rows))
    assert settings(f"{tmp_path / 'ppo.yml'}:r39", "CartPole-v1")["budget_env_steps"] == 5


def test_wrong_values_of_a_row_are_listed_together(tmp_path: Path) -> None:
    path = tmp_path / "ppo.yml"
    path.write_text("CartPole-v1: {policy: MlpPolicy, n_timesteps: none, frame_stack: 0, policy_kwargs: dict(x=f())}")
    with pytest.raises(UserError) as refusal:
        rl_zoo_row(path, "CartPole-v1")
    lines = str(refusal.value).splitlines()
    assert ["n_timesteps" in lines[0], "frame_stack" in lines[1], "policy_kwargs" in lines[2]] == [True] * 3
