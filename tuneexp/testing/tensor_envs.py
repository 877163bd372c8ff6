"""The contract of tensor environments as a pytest class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tuneexp.addresses import lasting_address
from tuneexp.testing.tensor_env_facts import FACTS, TensorEnvSubject, episodes_end


def tensor_env_contract(
    env: str | type, env_kwargs: Mapping[str, Any] | None = None, *, episodes_end_by_chance: bool = True
) -> type:
    """Make a class of tests for pytest to collect: `TestMine = tensor_env_contract("path/mine.py:MyEnv")`.

    Args:
        env: A class of `TensorEnv`, its address, or the id of a built-in one.
        env_kwargs: Its arguments.
        episodes_end_by_chance: Random actions end an episode within 1,000 steps, or there is an episode limit.

    Returns:
        A class with one test for each fact.

    Raises:
        UserError: The class has no address.
    """
    subject = _subject(env, env_kwargs)
    facts = [fact for fact in FACTS if episodes_end_by_chance or fact is not episodes_end]
    tests = {f"test_{fact.__name__}": _test(fact, subject) for fact in facts}
    return type("TensorEnvContract", (), {"__doc__": f"The contract of {subject.env}.", **tests})


def env_facts(env: str | type, env_kwargs: Mapping[str, Any] | None = None) -> dict[str, Callable[[], None]]:
    """Return the facts by name, each a function that raises an `AssertionError` if it does not hold."""
    subject = _subject(env, env_kwargs)
    return {fact.__name__: partial(fact, subject) for fact in FACTS}


def _subject(env: str | type, env_kwargs: Mapping[str, Any] | None) -> TensorEnvSubject:
    return TensorEnvSubject(lasting_address(env, "environment"), dict(env_kwargs or {}))


def _test(fact: Callable[[TensorEnvSubject], None], subject: TensorEnvSubject) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        fact(subject)

    test.__doc__ = fact.__doc__
    return test
