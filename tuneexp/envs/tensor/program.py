"""A tensor environment with its numbers, and its step with episode limit and automatic reset as one pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneexp.envs.tensor.tensor_env import TensorEnv
from tuneexp.envs.tensor.trees import map_tree
from tuneexp.errors import UserError, reason_of, shortened, unknown_name

NO_LIMIT = torch.iinfo(torch.int64).max
Tensors = Mapping[str, Tensor]


class Running(NamedTuple):
    """Open episodes. state: of the environment; elapsed: steps of the episode so far, int64 [...]."""

    state: Any
    elapsed: Tensor


class Outcome(NamedTuple):
    """Result of a step with automatic reset (gymnasium's SAME_STEP).

    Args:
        obs: Observation for the next action: the first one of a new episode after an end.
        next_obs: The true next observation.
        reward: float32 [...].
        terminated: bool [...].
        truncated: bool [...], at the episode limit, also if the task is over.
    """

    obs: Any
    next_obs: Any
    reward: Tensor
    terminated: Tensor
    truncated: Tensor


@dataclass(frozen=True)
class TensorProgram:
    """A tensor environment and its numbers.

    Args:
        name: Of the environment, for messages.
        env: The environment.
        params: Its numbers by name, on the CPU.
        limit: Steps after which an episode is truncated, int64 []; `NO_LIMIT` for none.
        kind: Equal for environments that differ in their numbers only.
    """

    name: str
    env: TensorEnv
    params: dict[str, Tensor]
    limit: Tensor
    kind: tuple[Any, ...] = ()

    def on(self, device: torch.device) -> TensorProgram:
        """Return the program with its numbers on a device."""
        moved = {name: value.to(device) for name, value in self.params.items()}
        return replace(self, params=moved, limit=self.limit.to(device))

    def start(self, noise: Tensors) -> tuple[Running, Any]:
        """Start an episode in each environment.

        Args:
            noise: Draws of `reset_noise`, [..., *shape].

        Returns:
            Open episodes and their observations.
        """
        return start(self.env, noise, self.params)

    def take(self, running: Running, action: Tensor, noise: Tensors) -> tuple[Running, Outcome]:
        """Take a step in each environment; `obs` is `next_obs`, also where an episode ends.

        Args:
            running: Open episodes.
            action: [..., *shape].
            noise: Draws of `step_noise`, [..., *shape].

        Returns:
            Episodes and the result.
        """
        return take(self.env, running, action, noise, self.params, self.limit)

    def restart(self, running: Running, outcome: Outcome, noise: Tensors) -> tuple[Running, Outcome]:
        """Start the next episode where one has ended.

        Args:
            running: Episodes after `take`.
            outcome: Result of `take`.
            noise: Draws of `reset_noise`, [..., *shape].

        Returns:
            Open episodes, and the result with their observations. Without an end, the arguments.
        """
        return restart(self.env, running, outcome, noise, self.params)

    def advance(self, running: Running, action: Tensor, noise: Tensors) -> tuple[Running, Outcome]:
        """Return `restart` of `take`. noise: draws of both."""
        return advance(self.env, running, action, noise, self.params, self.limit)


def start(env: TensorEnv, noise: Tensors, params: Tensors) -> tuple[Running, Any]:
    """See `TensorProgram.start`. Pure and traceable, as the functions of the environment are."""
    state, obs = env.reset({name: noise[name] for name in env.reset_noise}, params)
    first, one = next((noise[name], one) for name, one in env.reset_noise.items())
    lead = first.shape[: first.ndim - len(one.shape)]
    elapsed = torch.zeros(lead, dtype=torch.int64, device=first.device)
    return _not_views(Running(state, elapsed)), obs


def take(
    env: TensorEnv, running: Running, action: Tensor, noise: Tensors, params: Tensors, limit: Tensor
) -> tuple[Running, Outcome]:
    """See `TensorProgram.take`. Pure and traceable."""
    of_step = {name: noise[name] for name in env.step_noise}
    state, obs, reward, terminated = env.step(running.state, action, of_step, params)
    elapsed = running.elapsed + 1
    return _not_views(Running(state, elapsed)), Outcome(obs, obs, reward, terminated, elapsed >= limit)


def restart(
    env: TensorEnv, running: Running, outcome: Outcome, noise: Tensors, params: Tensors
) -> tuple[Running, Outcome]:
    """See `TensorProgram.restart`. Pure and traceable."""
    ended = outcome.terminated | outcome.truncated
    fresh, first_obs = start(env, noise, params)
    return _where(ended, fresh, running), outcome._replace(obs=_where(ended, first_obs, outcome.next_obs))


def advance(
    env: TensorEnv, running: Running, action: Tensor, noise: Tensors, params: Tensors, limit: Tensor
) -> tuple[Running, Outcome]:
    """See `TensorProgram.advance`. Pure and traceable: the body of a loop over steps within a program."""
    return restart(env, *take(env, running, action, noise, params, limit), noise, params)


def _not_views(running: Running) -> Running:
    """Return tensors with the same strides before and after each step, which a loop within a program needs. The last
    bit of a function such as the sine may depend on strides, too.
    """
    moved: Running = map_tree(Tensor.contiguous, running)
    return moved


def _where(mask: Tensor, chosen: Any, other: Any) -> Any:
    """Choose between two trees of tensors [..., *shape] by a mask [...]."""

    def select(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.reshape((*mask.shape, *[1] * (a.ndim - mask.ndim))), a, b)

    return map_tree(select, chosen, other)


def build_program(name: str, make: Callable[..., Any], kwargs: Mapping[str, Any], limit: int | None) -> TensorProgram:
    """Build a tensor environment.

    Args:
        name: Of the environment, for messages.
        make: The class, or a function that returns an object of it.
        kwargs: `max_episode_steps`, values of `params`, and arguments of the class.
        limit: Episode limit, if `kwargs` has none; None: that of the environment.

    Raises:
        UserError: it can't be built, or a value doesn't fit.
    """
    declared = getattr(make, "params", {})
    own = {key: value for key, value in kwargs.items() if key not in declared and key != "max_episode_steps"}
    _check_arguments(name, make, own, declared)
    try:
        env = make(**own)
    except Exception as error:
        raise UserError(f"environment {name} can't be created: {reason_of(error)}") from error
    if not isinstance(env, TensorEnv):
        raise UserError(f"environment {name} gave {shortened(env)}; env_backend tensor takes a tuneexp.TensorEnv")
    params = {key: _param(name, key, value, kwargs.get(key, value)) for key, value in env.params.items()}
    steps = kwargs.get("max_episode_steps", env.max_episode_steps if limit is None else limit)
    if steps is not None and (type(steps) is not int or steps < 1):
        raise UserError(f"environment {name}: max_episode_steps is a number of steps from 1, got {steps!r}")
    shapes = tuple((key, value.shape, value.dtype) for key, value in sorted(params.items()))
    kind = (make, repr(sorted(own.items())), shapes)
    return TensorProgram(name, env, params, torch.tensor(NO_LIMIT if steps is None else steps), kind)


def _check_arguments(env: str, make: Callable[..., Any], given: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """Check names of arguments. UserError with the nearest name."""
    try:
        accepted = signature(make).parameters
    except (TypeError, ValueError):
        return
    if any(one.kind is Parameter.VAR_KEYWORD for one in accepted.values()):
        return
    for key in given:
        if key not in accepted:
            raise unknown_name(f"argument of {env}", key, {*accepted, *params, "max_episode_steps"}, "env_kwargs")


def _param(env: str, name: str, default: Any, value: Any) -> Tensor:
    """Return a number as a tensor: float32 for floating point, other types as they are."""
    try:
        like, given = (torch.as_tensor(one).detach().cpu() for one in (default, value))
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"environment {env}: {name} is a number or a list of numbers, got {shortened(value)}") from None
    dtype = torch.float32 if like.is_floating_point() else like.dtype
    found = given.to(dtype)
    if like.ndim != given.ndim or not (like.is_floating_point() or bool((found == given).all())):
        raise UserError(f"environment {env}: {name} is as {shortened(default)}, got {shortened(value)}")
    return found
