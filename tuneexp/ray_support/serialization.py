"""Pickling of functions for other processes."""

from __future__ import annotations

import warnings
from typing import Any

from ray import cloudpickle

from tuneexp.addresses import search_working_folder
from tuneexp.errors import UserError

# Arrays of the object store are read-only, and nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", module="tuneexp")


def pickled(recipe: Any, what: str, instead: str) -> bytes:
    """Pickle a function by value.

    Args:
        recipe: the function.
        what: its name in the error.
        instead: remedy, for the error.

    Raises:
        UserError: it can't be pickled.
    """
    try:
        return cloudpickle.dumps(recipe)
    except Exception as error:
        raise UserError(
            f"{what} can't be sent to another process ({type(error).__name__}: {error})\n{instead}"
        ) from None


def unpickled(recipe: bytes) -> Any:
    """Inverse of `pickled`. Modules in the working folder can be imported."""
    search_working_folder()
    return cloudpickle.loads(recipe)
