"""Hyperparameters of several policies: common ones, and a group for each policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import create_model, model_validator

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.config import AtMost, Config, structural
from tuneexp.errors import UserError
from tuneexp.nesting import merged
from tuneexp.trial.trial_config import TrialConfig

# Settings that all policies share: the environments, and the processes that sample and learn.
SHARED = (
    "n_envs", "num_env_runners", "num_cpus_per_env_runner", "sample_timeout_s", "max_env_runner_restarts",
    "num_learners", "num_gpus_per_learner",
)  # fmt: skip


class MultiAgentConfig(Config):
    """Several policies in the same environments; a group of hyperparameters follows for each, under its name."""

    n_envs: int = structural(8, "Number of parallel environments per seed, shared by all policies.", ge=1)
    objective_policy: str | None = structural(
        None,
        "Policy whose evaluation return is the objective; None: that of the algorithm, else the mean of trained ones.",
    )

    constraints: ClassVar[tuple[AtMost, ...]] = ()
    num_env_runners: ClassVar[int] = 0
    num_learners: ClassVar[int] = 0
    num_gpus_per_learner: ClassVar[float] = 0.0

    def problem_with_budget(self, budget_env_steps: int) -> str | None:
        """Reason why a policy would learn nothing within a budget (environment steps per seed), or None."""
        for name, group in self._groups():
            if problem := group.problem_with_budget(budget_env_steps):
                return f"policy {name}: {problem}"
        return None

    def remarks(self) -> list[str]:
        """Remarks on the configurations of its policies."""
        return [f"policy {name}: {remark}" for name, group in self._groups() for remark in group.remarks()]

    def of_programs(self) -> dict[str, Any]:
        """Values that shape the compiled programs, by policy."""
        return {"n_envs": self.n_envs, **{name: group.of_programs() for name, group in self._groups()}}

    def _groups(self) -> Iterator[tuple[str, AlgorithmConfig]]:
        for name in type(self).model_fields:
            if isinstance(group := getattr(self, name), AlgorithmConfig):
                yield name, group


Described = Mapping[str, tuple[AlgorithmSpec, Mapping[str, Any]]]


def config_class_of(owner: str, policies: Described) -> type[MultiAgentConfig]:
    """Create the configuration class of several policies.

    Args:
        owner: Name of the algorithm.
        policies: Policy name -> its algorithm, and hyperparameters that replace the algorithm's defaults.

    Returns:
        The class.

    Raises:
        UserError: a policy has a reserved name.
    """
    reserved = {*MultiAgentConfig.model_fields, *TrialConfig.model_fields}
    if clash := next((name for name in policies if name in reserved or hasattr(MultiAgentConfig, name)), None):
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
    # By flat names, as in search spaces; a single configuration is checked group by group.
    made.constraints = tuple(constraints)
    return made


def _group_class(policy: str, base: type[AlgorithmConfig], hyperparameters: Mapping[str, Any]) -> type[AlgorithmConfig]:
    """`base` without the `SHARED` settings, with `hyperparameters` as defaults."""

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
    """The constraint for one policy; it assumes one seat per environment, a lower bound of the rows."""
    factors = tuple(name if name == "n_envs" else f"{policy}/{name}" for name in rule.factors)
    return AtMost(f"{policy}/{rule.name}", factors, rule.refused)
