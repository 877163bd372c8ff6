"""The hyperparameters of several policies: what they have in common, and a group for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import create_model, model_validator

from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.config import AtMost, Config, merged, structural
from tuneexp.errors import UserError
from tuneexp.trial_config import TrialConfig

# What is one for all policies: the environments, and who steps them and learns (the trial's own process).
SHARED = (
    "n_envs", "num_env_runners", "num_cpus_per_env_runner", "sample_timeout_s", "max_env_runner_restarts",
    "num_learners", "num_gpus_per_learner",
)  # fmt: skip


class MultiAgentConfig(Config):
    """Several policies in the same environments. A group of hyperparameters for each follows, under its name."""

    n_envs: int = structural(8, "Parallel environments per seed, of all policies.", ge=1)
    objective_policy: str | None = structural(
        None, "Whose evaluation return is the objective; None: as the algorithm says, else the mean of the trained."
    )

    num_env_runners: ClassVar[int] = 0
    num_learners: ClassVar[int] = 0
    num_gpus_per_learner: ClassVar[float] = 0.0

    def problem_with_budget(self, budget_env_steps: int) -> str | None:
        """Why some policy would learn nothing within so many environment steps per seed."""
        for name, group in self._groups():
            if problem := group.problem_with_budget(budget_env_steps):
                return f"policy {name}: {problem}"
        return None

    def remarks(self) -> list[str]:
        """Of the configurations of its policies."""
        return [f"policy {name}: {remark}" for name, group in self._groups() for remark in group.remarks()]

    def _groups(self) -> Iterator[tuple[str, AlgorithmConfig]]:
        for name in type(self).model_fields:
            if isinstance(group := getattr(self, name), AlgorithmConfig):
                yield name, group


Described = Mapping[str, tuple[AlgorithmSpec, Mapping[str, Any]]]


def config_class_of(owner: str, policies: Described) -> type[MultiAgentConfig]:
    """policies: name -> its algorithm and what it has instead of the algorithm's defaults."""
    taken = {*MultiAgentConfig.model_fields, *TrialConfig.model_fields}
    if clash := next((name for name in policies if name in taken or hasattr(MultiAgentConfig, name)), None):
        raise UserError(f"{owner}: a policy can't be named {clash!r}, which means something else; rename it")
    fields: dict[str, Any] = {}
    constraints: list[AtMost] = []
    for name, (spec, hyperparameters) in policies.items():
        group = _group_class(name, spec.config_class, hyperparameters)
        default = group.parse({}, f"{owner}: policy {name}")
        fields[name] = (group, structural(default, f"The policy {name}: {spec.name}."))
        constraints += [_of_group(name, rule) for rule in spec.config_class.constraints]
    made = create_model(f"{owner}_config", __base__=MultiAgentConfig, __module__=__name__, **fields)
    made.__doc__ = MultiAgentConfig.__doc__
    # By flat names, as search spaces have them; a single configuration is checked group by group.
    made.constraints = tuple(constraints)
    return made


def _group_class(policy: str, base: type[AlgorithmConfig], hyperparameters: Mapping[str, Any]) -> type[AlgorithmConfig]:
    """`base` without what is `SHARED`; what isn't given is as in `hyperparameters`, then `base`."""

    def over_own(cls: Any, values: Any) -> Any:
        return merged(hyperparameters, values) if isinstance(values, dict) else values

    namespace: dict[str, Any] = {
        "__module__": base.__module__,
        "__doc__": base.__doc__,
        "__annotations__": dict.fromkeys(SHARED, ClassVar[Any]),
        **{name: base.model_fields[name].default for name in SHARED},
        "_over_own": model_validator(mode="before")(classmethod(over_own)),  # type: ignore[arg-type]
    }
    metaclass: Any = type(base)
    made: type[AlgorithmConfig] = metaclass(f"{base.__name__}_{policy}", (base,), namespace)
    return made


def _of_group(policy: str, rule: AtMost) -> AtMost:
    """With fewer lanes than there are: a policy of several agents has more rows, so the rule is on the safe side."""
    factors = tuple(name if name == "n_envs" else f"{policy}/{name}" for name in rule.factors)
    return AtMost(f"{policy}/{rule.name}", factors, rule.refused)


def policy_config(spec: AlgorithmSpec, group: AlgorithmConfig, lanes: int, owner: str) -> AlgorithmConfig:
    """What the algorithm of one policy is configured by: of `n_envs` it has as many as lanes. Raises `UserError`."""
    return spec.config_class.parse({**group.model_dump(), "n_envs": lanes}, owner)
