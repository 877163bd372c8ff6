"""Errors of the functions that a user writes, in two lines: file, line and reason, then the function's signature."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tuneexp.errors import TuneexpError, UserError, nearest, reason_of

# Arguments and results of an algorithm's functions.
CALLED = {
    "build_model": ("observation_space, action_space, cfg", "a torch.nn.Module"),
    "act_fn": ("nets, obs, state, noise, cfg, explore", "(action, columns, state)"),
    "loss_fn": ("nets, batch, cfg", "(loss, metrics)"),
    "postprocess_fn": ("nets, fragment, cfg", "a dict of columns"),
    "optimizer_fn": ("named_parameters, cfg", "a torch.optim.Optimizer over named_parameters.values()"),
    "act_noise": ("model, action_space, cfg", "a dict of Noise"),
    "loss_noise": ("model, action_space, cfg", "a dict of Noise"),
    "training_step": ("training", "nothing"),
}


def called_as(role: str) -> str:
    """Return the signature of a function, as in `loss_fn(nets, batch, cfg) -> (loss, metrics)`."""
    arguments, returns = CALLED[role]
    return f"{role}({arguments}) -> {returns}"


def name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


@contextmanager
def wrap_errors(role: str, function: Any, known: Iterable[str] = ()) -> Iterator[None]:
    """Context of a call of a user's function, which turns its exceptions into a `UserError`.

    A `TuneexpError` and running out of memory pass unchanged.

    Args:
        role: name of the function's role, such as "loss_fn".
        function: the user's function.
        known: names that the function can read. The nearest is suggested for a missing one.

    Raises:
        UserError: the function raised something.
    """
    try:
        yield
    except (TuneexpError, MemoryError, torch.OutOfMemoryError, GeneratorExit):
        raise
    except BaseException as error:
        if "allocate memory" in str(error):  # torch's text; running out of memory is a failure of its own kind
            raise
        reason = reason_of(error)[:300]
        names = ", ".join(known)
        raise UserError(
            f"{role} {name_of(function)} failed{_location(function, error)}: {reason}"
            f"{_advice(error, known)}\nit is called as {called_as(role)}{f'; there are {names}' if names else ''}"
        ) from error


def _location(function: Any, error: BaseException) -> str:
    """Return ` at mine.py:12`: the last line of the traceback that is in the function's file."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" at {Path(file).name}:{lines[-1]}" if file and lines else ""


def _advice(error: BaseException, known: Iterable[str]) -> str:
    if isinstance(error, KeyError) and error.args:
        match = nearest(str(error.args[0]), known)
    elif isinstance(error, AttributeError) and error.name and error.obj is not None:
        match = nearest(error.name, [name for name in dir(error.obj) if not name.startswith("_")])
    else:
        match = None
    return f"; did you mean {match!r}?" if match else ""


def require_result(holds: bool, role: str, function: Any, gave: Any) -> None:
    """Check the result of a user's function.

    Args:
        holds: the result has the right form.
        role: name of the function's role.
        function: the user's function.
        gave: the result, for the message.

    Raises:
        UserError: `holds` is False.
    """
    if not holds:
        shown = f"a tuple of {len(gave)}" if isinstance(gave, tuple) else type(gave).__name__
        raise UserError(f"{role} {name_of(function)} gave {shown}; write {called_as(role)}")
