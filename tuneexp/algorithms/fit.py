"""Whether an algorithm fits what it is asked to do: told before anything starts, with what to write instead."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.multi_agent_config import MultiAgentConfig
from tuneexp.algorithms.registry import ALGORITHMS, load_algorithm
from tuneexp.algorithms.spec import AlgorithmSpec, TrainableSpec
from tuneexp.envs.multi_agent.envs import policy_spaces
from tuneexp.envs.multi_agent.sources import resolve_multi_agent
from tuneexp.envs.sources import describe_env
from tuneexp.errors import UserError
from tuneexp.rl.distributions import action_head
from tuneexp.trial_config import EnvBackend

log = logging.getLogger(__name__)

_TOLD: set[str] = set()


def check_action_space(spec: AlgorithmSpec, space: Any, env: str) -> None:
    """Raises `UserError` that names the algorithms that fit where `spec` can't act in `space`."""
    kind = action_head(space).kind
    if kind in spec.action_kinds:
        return
    fitting = [name for name in ALGORITHMS if kind in load_algorithm(name).action_kinds]
    wanted = " or ".join(one.replace("_", "-") for one in spec.action_kinds)
    raise UserError(
        f"{spec.name} acts in {wanted} action spaces; {env} has a {kind.replace('_', '-')} one, {space}\n"
        f"algorithms that fit it: {', '.join(fitting)}"
    )


def check_environment(
    spec: TrainableSpec,
    env: Any,
    env_kwargs: Mapping[str, Any],
    wrappers: Sequence[Any],
    backend: EnvBackend,
    n_envs: int = 2,
) -> None:
    """Raises `UserError` where `spec` can't act in the environment: builds one of it and steps nothing."""
    if isinstance(spec, MultiAgentSpec):
        source = resolve_multi_agent(env, env_kwargs, wrappers, backend)
        agents = source.agents()
        assignment = spec.assignment(list(agents), n_envs)
        for policy, spaces in policy_spaces(source.name, agents, assignment, list(spec.policies), [0]).items():
            if policy not in spec.scripts:
                check_action_space(spec.spec_of(policy), spaces.action_space, f"policy {policy!r} in {source.name}")
        return
    assert isinstance(spec, AlgorithmSpec)
    _, action_space = describe_env(env, env_kwargs, wrappers, backend)
    check_action_space(spec, action_space, env)


def check_trial(spec: TrainableSpec, cfg: AlgorithmConfig, budget_env_steps: int) -> None:
    """`check_budget`; logs the remarks of the configuration, each once: a worker trains many trials."""
    check_budget(spec, cfg, budget_env_steps)
    for remark in cfg.remarks():
        if remark not in _TOLD:
            _TOLD.add(remark)
            log.warning("%s: %s", spec.name, remark)


def check_budget(spec: TrainableSpec, cfg: AlgorithmConfig | MultiAgentConfig, budget_env_steps: int) -> None:
    """Raises `UserError` where nothing would be learned within so many environment steps per seed."""
    if problem := cfg.problem_with_budget(budget_env_steps):
        raise UserError(f"{spec.name}: {problem}")
