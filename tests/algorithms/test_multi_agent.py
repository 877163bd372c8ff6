"""Specification of several policies: configuration, mapping from agents to policies, and errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

pytest.importorskip("pettingzoo")

from tests.envs.agents import Differ
from tuneexp.algorithms.multi_agent import SHARED_PPO, MultiAgentSpec, PolicySpec
from tuneexp.algorithms.preflight import check_environment
from tuneexp.algorithms.registry import address_of, load_algorithm, load_spec
from tuneexp.envs.env_factory import describe_env
from tuneexp.errors import EnvironmentFault, UserError
from tuneexp.report.hyperparameters import hyperparameter_rows
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

OWN = {"learning_rate": 1e-3, "model": {"hidden_sizes": [8]}}
PAIR = MultiAgentSpec(
    "pair", {"red": PolicySpec("ppo", OWN), "blue": PolicySpec("dqn", {"batch_size": 16})}, "per_agent"
)


class Odd(Differ):
    """Environment in which blue has a Box and red a Discrete action space."""

    def action_space(self, agent: str) -> Any:
        return Discrete(2) if agent == "red" else Box(-1.0, 1.0, (1,), np.float32)


class Breaks(Differ):
    """Environment that raises in its third step."""

    how = "raises"

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        obs, rewards, *rest = super().step(actions)
        if self.steps == 3 and self.how == "raises":
            raise RuntimeError("the board is lost")
        if self.steps == 3 and self.how == "nan":
            rewards["blue"] = float("nan")
        if self.steps == 3 and self.how == "leaves":
            self.agents = ["red"]
        if self.steps == 3 and self.how == "unseen":
            del obs["red"]
        return obs, rewards, *rest


def built(spec: MultiAgentSpec, env: Any = Differ, **changes: Any) -> Trial:
    config = {"algorithm": spec.name, "env": env, "budget_env_steps": 1000, "compile": "off", **changes}
    return Trial(spec, TrialConfig.parse(config, "the test"))


def policies(**mapping: str) -> dict[str, PolicySpec]:
    return {name: PolicySpec(algorithm) for name, algorithm in mapping.items()}


# -- configuration


def test_each_policy_has_its_own_group_over_its_own_defaults() -> None:
    cfg: Any = PAIR.config_class.parse({"n_envs": 3, "red": {"model": {"activation": "relu"}, "gamma": 0.5}}, "pair")
    assert (cfg.n_envs, cfg.red.learning_rate, cfg.red.gamma, cfg.blue.batch_size) == (3, 1e-3, 0.5, 16)
    assert cfg.red.model.hidden_sizes == (8,)
    assert cfg.red.model.activation == "relu"
    assert cfg.blue.gamma == 0.99
    own = PAIR.config_of("red", cfg, 6, "red")
    assert (own.n_envs, own.learning_rate, type(own)) == (6, 1e-3, load_algorithm("ppo").config_class)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"red": {"learnin_rate": 1}}, "'red/learnin_rate'.* 'red/learning_rate'"),
        ({"rde": {}}, "'rde'.* 'red'"),
        ({"red": {"n_envs": 4}}, "'red/n_envs'"),
        ({"red": {"num_env_runners": 4}}, "'red/num_env_runners'"),
        ({"red": {"gamma": 2}}, "pair: red/gamma: .*got 2"),
    ],
)
def test_a_wrong_hyperparameter_is_reported_with_its_policy(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        PAIR.config_class.parse(values, "pair", see="tuneexp describe pair")


def test_what_is_described_are_the_defaults_of_these_policies() -> None:
    rows = {row["name"]: row for row in hyperparameter_rows(PAIR.config_class)}
    assert rows["red/learning_rate"]["default"] == 1e-3
    assert rows["red/model/hidden_sizes"]["default"] == [8]
    assert rows["blue/batch_size"]["default"] == 16
    assert rows["n_envs"]["default"] == 8
    assert "red/n_envs" not in rows


def test_a_space_searches_one_policy_and_keeps_its_rules() -> None:
    space = SearchSpace.from_mapping(
        {"red": {"batch_size": {"int": [8, 4096]}, "n_steps": {"int": [8, 64]}}, "n_envs": {"choice": [2]}}
    )
    space.validate(PAIR.config_class, {"blue": {"gamma": 0.9}}, "pair")
    import optuna

    for number in range(20):
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number)).ask()
        values = space.suggest(trial)
        assert values["red"]["batch_size"] <= 2 * values["red"]["n_steps"]
        assert set(values) == {"red", "n_envs"}
    with pytest.raises(UserError, match=r"'red/clip_rang'.* 'red/clip_range'"):
        SearchSpace.from_mapping({"red": {"clip_rang": {"uniform": [0.1, 0.2]}}}).validate(
            PAIR.config_class, {}, "pair"
        )


def test_a_specification_is_known_by_its_address(tmp_path: Path) -> None:
    assert address_of(SHARED_PPO) == "tuneexp.algorithms.multi_agent:SHARED_PPO"
    assert load_spec("tuneexp.algorithms.multi_agent:SHARED_PPO") is SHARED_PPO
    (tmp_path / "mine.py").write_text(
        "from tuneexp import MultiAgentSpec, PolicySpec\nMINE = MultiAgentSpec('mine', {'all': PolicySpec('a2c')})\n"
    )
    mine = load_spec(f"{tmp_path / 'mine.py'}:MINE")
    assert mine.name == "mine"
    assert address_of(mine) == f"{tmp_path / 'mine.py'}:MINE"
    with pytest.raises(UserError, match=":MINE"):
        load_spec(f"{tmp_path / 'mine.py'}:MIEN")
    with pytest.raises(UserError, match="one policy"):
        load_algorithm(f"{tmp_path / 'mine.py'}:MINE")


# -- mapping


def test_agents_find_their_policies_by_table_name_or_function() -> None:
    agents = ("red", "blue")
    assert SHARED_PPO.assignment(agents, 2) == [{"red": "shared", "blue": "shared"}] * 2
    assert PAIR.assignment(agents, 1) == [{"red": "red", "blue": "blue"}]
    by_table = MultiAgentSpec("t", policies(a="ppo", b="ppo"), {"red": "b", "blue": "a"})
    assert by_table.assignment(agents, 1) == [{"red": "b", "blue": "a"}]
    by_name = MultiAgentSpec("f", policies(a="ppo", b="ppo"), lambda agent: "a" if agent == "red" else "b")
    assert by_name.assignment(agents, 1) == [{"red": "a", "blue": "b"}]


TWO = policies(a="ppo", b="ppo")


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"red": "a", "blue": "c"}, "'blue' .*'c'"),
        (lambda agent: "aa", "'red' .*'aa'.* 'a'"),
        ({"red": "a"}, "'blue' .*policy_mapping"),
        ({"red": "a", "blue": "b", "redd": "a"}, "'redd'.* 'red'"),
        ({"red": "a", "blue": "a"}, "'b' .*Differ .red, blue."),
        ("shared", "'shared'"),
        ("per_agnet", "'per_agnet'.* 'per_agent'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_reported_in_a_line(mapping: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        built(MultiAgentSpec("t", TWO, mapping))
    assert "\n" not in str(caught.value)


# -- what can't be


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"policies": {"a": PolicySpec("ppo", trained=False)}}, "no policy"),
        ({"policies": {"a b": PolicySpec("ppo")}}, "'a b'"),
        ({"policies": {**TWO, "c": PolicySpec(trained=False)}}, "algorithm"),
        ({"policies": {**TWO, "c": PolicySpec(script="x:y")}}, "no algorithm"),
        ({"policies": {**TWO, "c": PolicySpec.copy_of("d", 5)}}, "'d'.* no algorithm"),
        ({"policies": {**TWO, "c": PolicySpec.copy_of("a", 0)}}, "every 1 or more"),
        ({"policies": TWO, "objective_policy": "red"}, "'red'"),
        ({"policies": TWO, "evaluated_against": {"red": print}}, "'red'"),
    ],
)
def test_a_specification_that_means_nothing_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        MultiAgentSpec("t", **settings)


def test_a_policy_may_not_be_named_as_a_setting() -> None:
    with pytest.raises(UserError, match="'seeds'"):
        _ = MultiAgentSpec("t", policies(seeds="ppo")).config_class
    with pytest.raises(UserError, match=r"'poo'.* 'ppo'"):
        _ = MultiAgentSpec("t", policies(a="poo")).config_class


def test_an_algorithm_that_does_not_fit_the_actions_of_its_agents_is_refused() -> None:
    spec = MultiAgentSpec("t", policies(red="sac", blue="dqn"), "per_agent")
    with pytest.raises(UserError, match=r"dqn .*discrete .*'blue' .*Odd .*continuous"):
        built(spec, Odd)
    with pytest.raises(UserError, match=r"policy 'blue' .*Odd .*continuous"):
        check_environment(spec, Odd, {}, (), "auto")


def test_agents_of_one_policy_need_the_same_spaces() -> None:
    with pytest.raises(UserError, match=r"red and blue .*'shared'.* action spaces"):
        built(SHARED_PPO, Odd)


def test_an_asynchronous_algorithm_and_a_gpu_are_refused() -> None:
    with pytest.raises(UserError, match="'shared': appo"):
        built(MultiAgentSpec("t", policies(shared="appo")))
    with pytest.raises(UserError, match="CPU"):
        built(PAIR, device="cuda")


def test_settings_of_single_agent_environments_are_refused() -> None:
    with pytest.raises(UserError, match="wrappers"):
        built(PAIR, wrappers=["ClipAction"])
    with pytest.raises(UserError, match="env_backend async"):
        built(PAIR, env_backend="async")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("CartPole-v1", "'CartPole-v1'.* PettingZoo"),
        ("math", "parallel_env"),
        (dict, "dict.* PettingZoo"),
        ("tests.envs.agents:Difer", "tests.envs.agents:Differ"),
    ],
)
def test_what_is_no_environment_of_several_agents_is_reported(env: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        built(PAIR, env)


@pytest.mark.parametrize("env", ["pettingzoo.classic.rps_v2", "tests.envs.agents:Differ", Differ])
def test_an_algorithm_of_one_policy_advises_what_trains_several_agents(env: Any) -> None:
    with pytest.raises(UserError, match=r"tuneexp.algorithms.multi_agent:SHARED_PPO"):
        describe_env(env)


def test_without_pettingzoo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(UserError, match=r"tuneexp\[multiagent\]"):
        built(PAIR)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "seed 7, index 0, agent red, blue: .*RuntimeError: the board is lost"),
        ("nan", "seed 7, index 0, agent blue: .*reward .*nan"),
        ("leaves", "seed 7, index 0, agent blue: .*termination or truncation"),
        ("unseen", "seed 7, index 0, agent red: .*no observation"),
    ],
)
def test_an_environment_that_breaks_is_reported_with_seed_index_and_agent(
    how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Breaks, "how", how)
    spec = MultiAgentSpec("p", {"shared": PolicySpec("ppo", {**OWN, "n_steps": 8, "batch_size": 8})})
    trial = built(spec, Breaks, seeds=[7], hyperparameters={"n_envs": 1})
    with pytest.raises(EnvironmentFault, match=said):
        trial.advance()


def test_a_script_that_raises_is_reported_with_its_agent() -> None:
    def loses(obs: Any, rng: Any) -> int:
        raise LookupError("no idea")

    own = PolicySpec("ppo", {**OWN, "n_steps": 8, "batch_size": 8})
    spec = MultiAgentSpec("p", {"red": own, "blue": PolicySpec.scripted(loses)}, "per_agent")
    with pytest.raises(EnvironmentFault, match=r"agent blue: .*LookupError: no idea"):
        built(spec).advance()
