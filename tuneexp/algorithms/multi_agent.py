"""Several policies in the same environments, each trained by its own algorithm."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.multi_agent_config import MultiAgentConfig, config_class_of
from tuneexp.algorithms.policy_spec import PolicySpec, Scripted, as_function
from tuneexp.algorithms.spec import AlgorithmSpec, TrainableSpec
from tuneexp.errors import UserError, unknown_name

Mapped = str | Mapping[str, str] | Callable[..., str]


@dataclass(frozen=True)
class MultiAgentSpec(TrainableSpec):
    """Several policies that act and learn in the same environments. Known by its address, like an `AlgorithmSpec`.

    Hyperparameters of a policy are a group under its name, `red/learning_rate`.

    Attributes:
        name: Name in messages and names of sweeps.
        policies: Policies by name.
        policy_mapping: "shared" (one policy for all agents), "per_agent" (a policy has the name of its agent), `{agent:
            policy}`, or a function of the agent, or of the agent and the index of its environment.
        objective_policy: Policy whose evaluation return is the objective; None: the mean of all that are trained.
        evaluated_against: `{policy: function or address}`, scripts that replace policies in evaluation.
        default_space: Search space of a sweep that names none; None: a sweep must name one.

    Raises:
        UserError: No policy is trained, or a policy is incomplete.
    """

    name: str
    policies: Mapping[str, PolicySpec]
    policy_mapping: Mapped = "shared"
    objective_policy: str | None = None
    evaluated_against: Mapping[str, Scripted | str] = field(default_factory=dict)
    default_space: Any = None

    def __post_init__(self) -> None:
        if not any(policy.trained for policy in self.policies.values()):
            raise UserError(f"{self.name}: no policy is trained; give one an algorithm and leave trained as it is")
        for name, policy in self.policies.items():
            self._check_policy(name, policy)
        for name in filter(None, (self.objective_policy, *self.evaluated_against)):
            if name not in self.policies:
                raise unknown_name("policy", name, self.policies, see=f"of {self.name}")

    def _check_policy(self, name: str, policy: PolicySpec) -> None:
        if not name.isidentifier() or name.startswith("_"):
            raise UserError(f"{self.name}: the policy {name!r} is no name; write letters, digits and _, a letter first")
        kinds = [policy.has_algorithm, policy.script is not None, policy.copies is not None]
        if sum(kinds) != 1:
            raise UserError(
                f"{self.name}: the policy {name!r} needs one of an algorithm (PolicySpec('ppo')), a script "
                "(PolicySpec.scripted(function)) and a policy to copy (PolicySpec.copy_of('red', every_env_steps))"
            )
        if policy.trained and not policy.has_algorithm:
            raise UserError(f"{self.name}: the policy {name!r} has no algorithm to be trained by; write trained=False")
        if policy.copies is not None:
            source = self.policies.get(policy.copies)
            if source is None or not source.has_algorithm:
                raise UserError(f"{self.name}: the policy {name!r} copies {policy.copies!r}, which has no algorithm")
            if policy.copy_every_env_steps < 1:
                raise UserError(f"{self.name}: the policy {name!r} is copied every 1 or more env steps")

    @cached_property
    def config_class(self) -> type[MultiAgentConfig]:
        groups = {name: policy for name, policy in self.policies.items() if policy.has_algorithm}
        described = {name: (policy.spec, policy.hyperparameters) for name, policy in groups.items()}
        return config_class_of(self.name, described)

    @property
    def trained(self) -> list[str]:
        return [name for name, policy in self.policies.items() if policy.trained]

    @cached_property
    def scripts(self) -> dict[str, Scripted]:
        return {name: policy.function for name, policy in self.policies.items() if policy.script is not None}

    @cached_property
    def evaluation_scripts(self) -> dict[str, Scripted]:
        return self.scripts | {name: as_function(script) for name, script in self.evaluated_against.items()}

    def spec_of(self, policy: str) -> AlgorithmSpec:
        """Algorithm of `policy`; for a copy that of its original."""
        return self.policies[self.policies[policy].copies or policy].spec

    def config_of(self, policy: str, cfg: MultiAgentConfig, seats: int, owner: str) -> AlgorithmConfig:
        """Configuration of the algorithm of `policy`, with its number of seats as `n_envs`. Raises `UserError`."""
        group = getattr(cfg, self.policies[policy].copies or policy)
        return self.spec_of(policy).config_class.parse({**group.model_dump(), "n_envs": seats}, owner)

    def assignment(self, agents: Sequence[str], n_envs: int) -> list[dict[str, str]]:
        """Policy of each agent, for each environment. Raises `UserError` for an agent without one, or an unknown
        policy.
        """
        mapping = self._mapping(agents)
        placed = [{agent: mapping(agent, index) for agent in agents} for index in range(n_envs)]
        for of in placed:
            for agent, policy in of.items():
                if policy not in self.policies:
                    what = f"{self.name}: policy_mapping gives agent {agent!r} the policy"
                    raise unknown_name(what, str(policy), self.policies)
        return placed

    def _mapping(self, agents: Sequence[str]) -> Callable[[str, int], str]:
        given = self.policy_mapping
        if callable(given):
            two = len(inspect.signature(given).parameters) > 1
            return lambda agent, index: given(agent, index) if two else given(agent)
        if given == "shared":
            if len(self.policies) > 1:
                names = ", ".join(self.policies)
                raise UserError(
                    f"{self.name}: policy_mapping='shared' is for one policy, not for {names}: write "
                    "policy_mapping={agent: policy}, or 'per_agent' for policies that are named as their agents"
                )
            only = next(iter(self.policies))
            return lambda agent, index: only
        table = {agent: agent for agent in self.policies} if given == "per_agent" else given
        if isinstance(table, str):
            known = ("shared", "per_agent")
            raise unknown_name("policy_mapping", table, known, see="or {agent: policy}, or a function")
        for agent in agents:
            if agent not in table:
                add = "name it in policy_mapping, which has"
                if given == "per_agent":
                    add = "add a policy of that name, or write policy_mapping={agent: policy}; there are"
                raise UserError(f"{self.name}: agent {agent!r} has no policy; {add} {', '.join(table)}")
        if stranger := next((agent for agent in table if agent not in agents), None):
            raise unknown_name("agent", stranger, agents, see=f"policy_mapping of {self.name}")
        return lambda agent, index: table[agent]


SHARED_PPO = MultiAgentSpec("shared_ppo", {"shared": PolicySpec("ppo")})
