"""A tensor environment before it is built: its class or address, and arguments. Imports torch only to build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gymnasium import Env
from gymnasium.envs.registration import EnvSpec

from tuneexp.addresses import load_address
from tuneexp.envs.tensor.built_in import built_in_address, without_program
from tuneexp.errors import UserError

if TYPE_CHECKING:
    from tuneexp.envs.tensor.program import TensorProgram


@dataclass(frozen=True)
class TensorSource:
    """A tensor environment that is not built.

    Args:
        name: Of the environment, for messages.
        make: Its class, a function that returns an object of it, or an address in tuneexp.
        kwargs: Its `env_kwargs`.
        limit: Episode limit of the registered id; None: that of the class.
    """

    name: str
    make: Callable[..., Any] | str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None

    def program(self) -> TensorProgram:
        """Build and check the environment. UserError: an argument, shape or type is wrong."""
        from tuneexp.envs.tensor.checking import check_program
        from tuneexp.envs.tensor.program import build_program

        make = load_address(self.make, "environment") if isinstance(self.make, str) else self.make
        program = build_program(self.name, make, self.kwargs, self.limit)
        if not isinstance(self.make, str):  # tests check the library's own; the check imports a second of torch
            check_program(program)
        return program

    def single(self) -> Env[Any, Any]:
        """Build one environment as a `gymnasium.Env`; `render_mode` is one of its arguments."""
        from tuneexp.envs.tensor.single import SingleTensorEnv

        others = {name: value for name, value in self.kwargs.items() if name != "render_mode"}
        return SingleTensorEnv(replace(self, kwargs=others).program(), self.kwargs.get("render_mode"))


def source_of(
    name: str, spec: EnvSpec | None, factory: Callable[..., Any] | None, kwargs: Mapping[str, Any]
) -> TensorSource:
    """Return the tensor program of a registered environment, or of a function of the user.

    Args:
        name: Of the environment, for messages.
        spec: Its registration; None: it has none.
        factory: The function, if it is not registered.
        kwargs: Its `env_kwargs`.

    Raises:
        UserError: it has no tensor program; the message names the nearest id that has one.
    """
    if spec is not None:
        address = built_in_address(spec)
        if address is None:
            raise without_program(name)
        return TensorSource(name, address, {**spec.kwargs, **kwargs}, spec.max_episode_steps)
    if factory is None or isinstance(factory, type):  # a gymnasium.Env
        raise without_program(name)
    return TensorSource(name, factory, kwargs)


def no_wrappers(name: str) -> UserError:
    return UserError(
        f"environment {name}: wrappers go around single environments, not around a tensor program; "
        "use env_backend auto, sync or async, or leave out the wrappers"
    )
