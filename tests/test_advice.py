"""The corrections in errors about environments and networks work as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium import spaces

from tests.models import networks
from tests.small import small_config
from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.algorithms.preflight import check_environment
from tuneexp.algorithms.registry import load_algorithm
from tuneexp.envs.env_factory import describe_env
from tuneexp.errors import UserError
from tuneexp.models.custom import CustomActorCritic
from tuneexp.trial import Trial

SHARED = "tuneexp.algorithms.multi_agent:SHARED_PPO"
BOX = spaces.Box(0.0, 1.0, (2,))
MINE = """
import gymnasium
import numpy as np
from gymnasium import spaces

class Padded(gymnasium.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = spaces.Box(0.0, 1.0, (4,))
    def observation(self, observation):
        return np.zeros(4, np.float32)

class Bits(gymnasium.ActionWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.MultiDiscrete([2, 2, 2])
    def action(self, action):
        return np.asarray(action, np.int8)

class Choice(gymnasium.ActionWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Discrete(2)
    def action(self, action):
        return {"a": int(action)}

class Bounded(gymnasium.ActionWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Box(-2.0, 2.0, env.action_space.shape)
    def action(self, action):
        return action
"""


class OfSpaces(gymnasium.Env[Any, Any]):
    """Environment with the given spaces; an action outside of its space is an error."""

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "my_file.py").write_text(MINE)
    return tmp_path / "my_file.py"


FLAT = "FlattenObservation"
FILTER = {"FilterObservation": {"filter_keys": ["b"]}}
DISCRETE = spaces.Discrete(2)


@pytest.mark.parametrize(
    ("observation", "action", "advice", "wrapper"),
    [
        (spaces.Tuple((DISCRETE, BOX)), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.MultiBinary(3), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.MultiDiscrete([2, 3]), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.Text(4), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.OneOf((DISCRETE, BOX)), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.Dict(a=spaces.Tuple((DISCRETE,)), b=BOX), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.Dict(a=spaces.Sequence(DISCRETE), b=BOX), DISCRETE, "FilterObservation={", FILTER),
        (spaces.Graph(BOX, None), DISCRETE, "ObservationWrapper", "Padded"),
        (spaces.Sequence(DISCRETE), DISCRETE, "ObservationWrapper", "Padded"),
        (spaces.Tuple((DISCRETE, spaces.Sequence(BOX))), DISCRETE, "ObservationWrapper", "Padded"),
        (BOX, spaces.MultiBinary(3), "offers MultiDiscrete([2 2 2])", "Bits"),
        (BOX, spaces.Dict(a=DISCRETE), "ActionWrapper", "Choice"),
    ],
    ids=str,
)
def test_a_space_that_is_not_supported_is_wrapped_as_advised(
    mine: Path, observation: spaces.Space[Any], action: spaces.Space[Any], advice: str, wrapper: Any
) -> None:
    def make() -> gymnasium.Env[Any, Any]:
        return OfSpaces(observation, action)

    with pytest.raises(UserError) as told:
        describe_env(make, {}, [], "auto")
    assert advice in str(told.value)
    wrapped = [f"{mine}:{wrapper}"] if isinstance(wrapper, str) and wrapper != FLAT else [wrapper]
    trial = Trial(load_algorithm("ppo"), small_config([0], env=make, wrappers=wrapped))
    trial.training_step()
    trial.close()


def test_unbounded_actions_get_bounds_or_another_algorithm_as_advised(mine: Path) -> None:
    def make() -> gymnasium.Env[Any, Any]:
        return OfSpaces(BOX, spaces.Box(-float("inf"), float("inf"), (2,)))

    small = {"learning_starts": 4, "batch_size": 4, "n_envs": 1}
    of_sac: dict[str, Any] = {"hyperparameters": {**small, "model": {"hidden_sizes": [8]}}, "algorithm": "sac"}
    with pytest.raises(UserError, match=r"ppo or a2c.*--wrapper"):
        Trial(load_algorithm("sac"), small_config([0], env=make, **of_sac))
    for name, wrappers, changes in (("sac", [f"{mine}:Bounded"], of_sac), ("ppo", [], {})):
        trial = Trial(load_algorithm(name), small_config([0], env=make, wrappers=wrappers, **changes))
        trial.training_step()
        trial.close()


def test_algorithms_that_are_listed_as_fitting_fit() -> None:
    for env, name in (("CartPole-v1", "td3"), ("Pendulum-v1", "dqn")):
        with pytest.raises(UserError) as told:
            check_environment(name, env, {}, [], "auto")
        for fitting in str(told.value).rpartition("fit it: ")[2].split(", "):
            check_environment(fitting, env, {}, [], "auto")


# -- the advice of environments


def test_the_ids_that_are_meant_can_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_registry.py").write_text(
        "import gymnasium\ngymnasium.register('MyPole-v0', 'gymnasium.envs.classic_control:CartPoleEnv')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for id_ in ("my_registry:MyPol-v0", "my_registry:CartPol-v1", "Hopper-v33", "CartPole"):
        with pytest.raises(UserError) as told:
            describe_env(id_)
        describe_env(str(told.value).partition("did you mean '")[2].partition("'")[0])
    gymnasium.registry.pop("MyPole-v0")
    with pytest.raises(UserError) as unknown:
        describe_env("phys2d/Pendulum")
    assert "phys2d/" not in str(unknown.value).partition("did you mean")[2]  # gymnasium's own of JAX, which isn't here


def test_a_backend_that_does_not_fit_is_replaced_as_advised() -> None:
    for env, wrappers in (("CartPole-v1", ["FlattenObservation"]), ("Acrobot-v1", [])):
        with pytest.raises(UserError, match="sync or async"):
            describe_env(env, {}, wrappers, "native")
        describe_env(env, {}, wrappers, "sync")


def test_environments_of_several_agents_are_trained_as_advised(tmp_path: Path) -> None:
    env = "tests.envs.agents:Differ"
    with pytest.raises(UserError, match=re.escape(SHARED)):
        check_environment("ppo", env, {}, [], "auto")
    check_environment(SHARED, env, {}, [], "auto")
    with pytest.raises(UserError, match="function"):
        check_environment(SHARED, env, {}, ["ClipReward"], "auto")
    made = "from pettingzoo.utils import BaseParallelWrapper\nfrom tests.envs.agents import Differ\n"
    (tmp_path / "made.py").write_text(f"{made}def make():\n    return BaseParallelWrapper(Differ())")
    check_environment(SHARED, f"{tmp_path}/made.py:make", {}, [], "auto")


def test_policies_are_named_and_mapped_as_advised() -> None:
    def check(names: tuple[str, ...], mapping: Any) -> None:
        spec = MultiAgentSpec("mine", {name: PolicySpec("ppo") for name in names}, mapping)
        spec.config_class.parse({}, "mine")
        spec.assignment(["red", "blue"], 1)

    table = {"red": "a", "blue": "b"}
    for names, mapping, advice, taken in (
        (("_a", "b"), table, "a letter first", (("a", "b"), table)),
        (("1a", "b"), table, "a letter first", (("a", "b"), table)),
        (("a", "b"), "shared", r"policy_mapping=\{agent: policy\}", (("a", "b"), table)),
        (("red", "blue"), "shared", "'per_agent'", (("red", "blue"), "per_agent")),
        (("red",), "per_agent", "add a policy", (("red", "blue"), "per_agent")),
        (("red",), "per_agent", r"policy_mapping=\{agent: policy\}", (("red",), {"red": "red", "blue": "red"})),
    ):
        with pytest.raises(UserError, match=advice):
            check(names, mapping)
        check(*taken)


# -- the advice of networks of one's own

NETS = """
import torch
from torch import nn
from tuneexp.models.recurrent import GRUCell, LSTMCell

class Net(nn.Module):
    def __init__(self, observation_space, action_space):
        super().__init__()
        self.add(observation_space.shape[0])
        self.pi, self.v = nn.Linear(8, action_space.n), nn.Linear(8, 1)
    def add(self, n): self.body = nn.Linear(n, 8)
    def features(self, x): return self.body(x)
    def policy(self, obs): return self.pi(self.features(obs))
    def value(self, obs): return self.v(self.features(obs)).squeeze(-1)

class BatchNorm(Net):
    def add(self, n): self.body = nn.Sequential(nn.Linear(n, 8), nn.BatchNorm1d(8))
class Norms(Net):
    def add(self, n): self.body = nn.Sequential(nn.Linear(n, 8), nn.LayerNorm(8), nn.GroupNorm(2, 8))

class Recurrent(Net):
    def add(self, n): self.lstm = nn.LSTM(1, 8)
class Cells(Net):
    def add(self, n): self.lstm, self.gru = LSTMCell(1, 8), GRUCell(8, 8)
    def features(self, x):
        of_lstm, of_gru = x.new_zeros(len(x), 16), x.new_zeros(len(x), 8)
        for column in x.unbind(1)[:2]:
            out, of_lstm = self.lstm(column.unsqueeze(1), of_lstm)
            out, of_gru = self.gru(out, of_gru)
        return out

class Buffer(Net):
    def add(self, n):
        super().add(n)
        self.register_buffer("scale", torch.full((n,), 2.0))
class InForward(Net):
    def features(self, x): return self.body(x * x.new_full(x.shape[1:], 2.0))
class Frozen(Net):
    def add(self, n):
        super().add(n)
        self.scale = nn.Parameter(torch.full((n,), 2.0), requires_grad=False)
class Detached(Net):
    def add(self, n):
        super().add(n)
        self.scale = nn.Parameter(torch.full((n,), 2.0))
    def features(self, x): return self.body(x * self.scale.detach())
"""


@pytest.mark.parametrize(
    ("refused", "advice", "taken"),
    [
        ("BatchNorm", "LayerNorm or GroupNorm", "Norms"),
        ("Recurrent", "LSTMCell or GRUCell", "Cells"),
        ("Buffer", "compute constants in forward", "InForward"),
        ("Buffer", "by .detach()", "Detached"),
        ("Frozen", "read it by .detach()", "Detached"),
    ],
)
def test_a_layer_is_replaced_as_advised(tmp_path: Path, refused: str, advice: str, taken: str) -> None:
    (tmp_path / "nets.py").write_text(NETS)

    def model(net: str) -> CustomActorCritic:
        return CustomActorCritic(f"{tmp_path}/nets.py:{net}", networks.VECTOR, networks.CHOICE, owner="ppo")

    with pytest.raises(UserError, match=re.escape(advice)):
        model(refused)

    def outputs(net: CustomActorCritic, obs: Any) -> list[Any]:
        return [net.net.policy(obs), net.value(obs)]  # type: ignore[operator]

    networks.check_seed_axis(lambda generator: model(taken), outputs, [networks.observe(networks.VECTOR, 3, 2)])


def test_a_constant_that_is_detached_stays_constant(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    trial = Trial(load_algorithm("ppo"), small_config([0, 1], model=f"{tmp_path}/nets.py:Detached"))
    trial.training_step()
    trial.close()
    assert (trial.learner.stack.leaves["net.scale"] == 2).all()
