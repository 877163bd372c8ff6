"""One policy of several: its algorithm, its script, or the policy that it copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tuneexp.addresses import load_address
from tuneexp.algorithms.registry import load_algorithm
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.errors import UserError

# A function of an agent's observation, as its environment gives it, and a generator: random(obs, rng) -> action.
Scripted = Callable[..., Any]


@dataclass(frozen=True)
class PolicySpec:
    """One policy of a `MultiAgentSpec`: its algorithm, or its script, or the policy that it copies.

    Attributes:
        algorithm: Name, address or `AlgorithmSpec`; None for a scripted policy and for a copy.
        hyperparameters: Replacements of the algorithm's defaults. `--set policy/name=value` and search spaces may
            change them.
        trained: False for fixed weights.
        checkpoint: Path of a checkpoint of this library with the initial weights.
        checkpoint_policy: Policy in that checkpoint; None: the one of the same name.
        script: Function of a scripted policy, (obs, rng) -> action, or its address.
        copies: Policy that this one is a frozen copy of.
        copy_every_env_steps: Environment steps per seed between two updates of the copy.
    """

    algorithm: str | AlgorithmSpec | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = True
    checkpoint: str | None = None
    checkpoint_policy: str | None = None
    script: Scripted | str | None = None
    copies: str | None = None
    copy_every_env_steps: int = 0

    @classmethod
    def scripted(cls, function: Scripted | str) -> PolicySpec:
        """Return a policy that acts by a function.

        Args:
            function: (obs, rng) -> action, or its address. obs: as the environment returns it; rng: numpy Generator of
                (seed, environment index), its only source of randomness.

        Returns:
            The specification.
        """
        return cls(trained=False, script=function)

    @classmethod
    def copy_of(cls, policy: str, every_env_steps: int) -> PolicySpec:
        """Return a frozen copy of another policy, for self-play.

        Args:
            policy: Name of the policy to copy.
            every_env_steps: Environment steps per seed between two updates of the copy.

        Returns:
            The specification.
        """
        return cls(trained=False, copies=policy, copy_every_env_steps=every_env_steps)

    @cached_property
    def spec(self) -> AlgorithmSpec:
        """Specification of its algorithm. Raises `UserError` if there is none of that name."""
        if isinstance(self.algorithm, AlgorithmSpec):
            return self.algorithm
        return load_algorithm(str(self.algorithm))

    @cached_property
    def function(self) -> Scripted:
        """Function of a scripted policy."""
        return as_function(self.script)

    @property
    def has_algorithm(self) -> bool:
        return self.algorithm is not None


def as_function(script: Any) -> Scripted:
    """A script, loaded if it is an address."""
    found = load_address(script, "scripted policy") if isinstance(script, str) else script
    if not callable(found):
        raise UserError(f"a scripted policy is a function (obs, rng) -> action, got {found!r}")
    return found
