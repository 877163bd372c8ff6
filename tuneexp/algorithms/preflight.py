"""Preflight check that an algorithm supports its environment and budget; needs no torch for built-in algorithms."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.registry import ACTION_KINDS, load_spec
from tuneexp.envs.backend_names import EnvBackend
from tuneexp.envs.env_factory import describe_env
from tuneexp.errors import UserError
from tuneexp.spaces.kinds import ActionKind, action_kind, require_continuous

if TYPE_CHECKING:
    from tuneexp.algorithms.base_config import AlgorithmConfig
    from tuneexp.algorithms.multi_agent import MultiAgentSpec
    from tuneexp.algorithms.multi_agent_config import MultiAgentConfig
    from tuneexp.algorithms.spec import TrainableSpec

log = logging.getLogger(__name__)

_LOGGED: set[str] = set()  # remarks, each logged once per process


def check_action_space(algorithm: str, kinds: Sequence[ActionKind], space: Any, env: str) -> None:
    """Check that an algorithm supports an action space.

    Args:
        algorithm: Its name.
        kinds: Kinds of actions that it supports.
        space: The action space.
        env: Name of the environment.

    Raises:
        UserError: it does not; the message lists algorithms that do.
    """
    kind = action_kind(space)
    if kind in kinds:
        return
    fitting = [name for name, own in ACTION_KINDS.items() if kind in own]
    wanted = " or ".join(one.replace("_", "-") for one in kinds)
    raise UserError(
        f"{algorithm} acts in {wanted} action spaces; {env} has a {kind.replace('_', '-')} one, {space}\n"
        f"algorithms that fit it: {', '.join(fitting)}"
    )


def check_environment(
    algorithm: str | TrainableSpec,
    env: Any,
    env_kwargs: Mapping[str, Any],
    wrappers: Sequence[Any],
    backend: EnvBackend,
    n_envs: int = 2,
    configurations: Iterable[Any] = (),
) -> dict[str, Any]:
    """Check that an algorithm supports an environment; builds one environment and steps nothing.

    Args:
        algorithm: Name, address or specification.
        env: Environment id, address or callable.
        env_kwargs: Arguments of the environment.
        wrappers: Wrappers by name.
        backend: Environment backend.
        n_envs: Environments per seed, for policy mappings.
        configurations: Configurations to check, too.

    Returns:
        The spaces as text; by policy for several policies.

    Raises:
        UserError: it does not.
    """
    if isinstance(algorithm, str) and algorithm in ACTION_KINDS:
        name, kinds = algorithm, ACTION_KINDS[algorithm]
    else:
        from tuneexp.algorithms.multi_agent import MultiAgentSpec
        from tuneexp.algorithms.spec import AlgorithmSpec

        spec = load_spec(algorithm) if isinstance(algorithm, str) else algorithm
        if isinstance(spec, MultiAgentSpec):
            return _check_policies(spec, env, env_kwargs, wrappers, backend, n_envs)
        assert isinstance(spec, AlgorithmSpec)
        name, kinds = spec.name, spec.action_kinds
    observation_space, action_space = describe_env(env, env_kwargs, wrappers, backend)
    check_action_space(name, kinds, action_space, env)
    if any(getattr(cfg, "use_sde", False) for cfg in configurations):
        require_continuous(action_space)
    return _words(observation_space, action_space)


def _words(observation_space: Any, action_space: Any) -> dict[str, str]:
    return {"observation_space": str(observation_space), "action_space": str(action_space)}


def _check_policies(
    spec: MultiAgentSpec,
    env: Any,
    env_kwargs: Mapping[str, Any],
    wrappers: Sequence[Any],
    backend: EnvBackend,
    n_envs: int,
) -> dict[str, Any]:
    from tuneexp.envs.multi_agent.envs import policy_spaces
    from tuneexp.envs.multi_agent.multi_agent_factory import resolve_multi_agent

    factory = resolve_multi_agent(env, env_kwargs, wrappers, backend)
    agents = factory.agents()
    assignment = spec.assignment(list(agents), n_envs)
    found = policy_spaces(factory.name, agents, assignment, list(spec.policies), [0])
    for policy, spaces in found.items():
        if policy not in spec.scripts:
            kinds = spec.spec_of(policy).action_kinds
            check_action_space(
                spec.spec_of(policy).name, kinds, spaces.facts.action_space, f"policy {policy!r} in {factory.name}"
            )
    return {policy: _words(of.facts.observation_space, of.facts.action_space) for policy, of in found.items()}


def check_trial(algorithm: str, cfg: AlgorithmConfig | MultiAgentConfig, budget_env_steps: int) -> None:
    """Check the budget and log the remarks on the configuration, each once per process. Raises `UserError`."""
    check_budget(algorithm, cfg, budget_env_steps)
    for remark in cfg.remarks():
        if remark not in _LOGGED:
            _LOGGED.add(remark)
            log.warning("%s: %s", algorithm, remark)


def check_budget(algorithm: str, cfg: AlgorithmConfig | MultiAgentConfig, budget_env_steps: int) -> None:
    """Check that something is learned within the budget (environment steps per seed). Raises `UserError`."""
    if problem := cfg.problem_with_budget(budget_env_steps):
        raise UserError(f"{algorithm}: {problem}")
