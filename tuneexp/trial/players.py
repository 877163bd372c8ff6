"""Policies of a checkpoint that act in one environment, one for each agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.envs.env_rng import env_seed
from tuneexp.envs.multi_agent.multi_agent_factory import resolve_multi_agent
from tuneexp.sampling.loaded_policy import LoadedPolicy
from tuneexp.trial import assembly
from tuneexp.trial.loaded_policies import NOT_NEEDED, policy_from_checkpoint
from tuneexp.trial.stored_trial import StoredTrial, read_trial


@dataclass(frozen=True)
class Players:
    """Policies in an environment, as in evaluation.

    Attributes:
        env: Name of the environment.
        seed: Training seed of the policies.
        by_agent: Function from observation to action for each agent; "" is the only agent.
        make_env: Builds the environment; arguments are added to those of the trial.
        policies: The policies among them, without scripts.
        generators: Random generators of the scripts by agent.
    """

    env: str
    seed: int
    by_agent: Mapping[str, Callable[[Any], Any]]
    make_env: Callable[..., Any]
    policies: tuple[LoadedPolicy, ...]
    generators: dict[str, np.random.Generator]

    def start(self, episode: int) -> None:
        """Start an episode: recurrent states are zeros, and scripts have a generator for it."""
        for policy in self.policies:
            policy.reset()
        for index, agent in enumerate(self.generators):
            self.generators[agent] = np.random.default_rng(env_seed(episode, index))


def players_of(
    folder: str | Path, seed: int | None = None, trust: bool = False, moved: Mapping[str, str] | None = None
) -> Players:
    """Load the policies of all agents of a checkpoint. Arguments and errors as of `load_policy`."""
    stored = read_trial(folder, trust, moved, leave_out=NOT_NEEDED)
    if not isinstance(stored.spec, MultiAgentSpec):
        policy = policy_from_checkpoint(folder, seed, None, trust, moved)
        return Players(policy.facts.env, policy.facts.seed, {"": policy}, policy.make_env, (policy,), {})
    return _several(stored, stored.spec, lambda name: policy_from_checkpoint(folder, seed, name, trust, moved))


def _several(stored: StoredTrial, spec: MultiAgentSpec, load: Callable[[str], LoadedPolicy]) -> Players:
    factory = resolve_multi_agent(stored.config.env, **assembly.env_settings(stored.config))
    (assigned,) = spec.assignment(list(factory.agents()), 1)
    generators: dict[str, np.random.Generator] = {}
    by_agent: dict[str, Callable[[Any], Any]] = {}
    loaded = []
    for agent, name in assigned.items():
        if (script := spec.evaluation_scripts.get(name)) is not None:
            generators[agent] = np.random.default_rng(0)
            by_agent[agent] = _scripted(script, agent, generators)
        else:
            loaded.append(load(name))  # one for each agent: it keeps the state of a recurrent network
            by_agent[agent] = loaded[-1]
    return Players(factory.name, loaded[0].facts.seed, by_agent, loaded[0].make_env, tuple(loaded), generators)


def _scripted(
    script: Callable[..., Any], agent: str, generators: Mapping[str, np.random.Generator]
) -> Callable[[Any], Any]:
    return lambda obs: script(obs, generators[agent])
