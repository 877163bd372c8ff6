"""Whether an algorithm fits what it is asked to do: told before anything starts, with what to write instead."""

from __future__ import annotations

from typing import Any

from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.registry import ALGORITHMS, load_spec
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.errors import UserError
from tuneexp.rl.distributions import action_head


def check_action_space(spec: AlgorithmSpec, space: Any, env: str) -> None:
    """Raises `UserError` that names the algorithms that fit where `spec` can't act in `space`."""
    kind = action_head(space).kind
    if kind in spec.action_kinds:
        return
    fitting = [name for name in ALGORITHMS if kind in load_spec(name).action_kinds]
    wanted = " or ".join(one.replace("_", "-") for one in spec.action_kinds)
    raise UserError(
        f"{spec.name} acts in {wanted} action spaces; {env} has a {kind.replace('_', '-')} one, {space}\n"
        f"algorithms that fit it: {', '.join(fitting)}"
    )


def check_budget(spec: AlgorithmSpec, cfg: AlgorithmConfig, budget_env_steps: int) -> None:
    """Raises `UserError` where nothing would be learned within so many environment steps per seed."""
    if problem := cfg.problem_with_budget(budget_env_steps):
        raise UserError(f"{spec.name}: {problem}")
