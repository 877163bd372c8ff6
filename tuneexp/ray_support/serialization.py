"""What goes to other processes, and what comes back from them."""

from __future__ import annotations

import warnings
from typing import Any

from ray import cloudpickle

from tuneexp.addresses import search_working_folder
from tuneexp.errors import UserError

# Arrays that come from the object store can't be written to, and nobody here does.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", module="tuneexp")


def pickled(recipe: Any, what: str, instead: str) -> bytes:
    """what: is named where it can't be sent; instead: what to write then. Raises `UserError`."""
    try:
        return cloudpickle.dumps(recipe)
    except Exception as error:
        raise UserError(
            f"{what} can't be sent to another process ({type(error).__name__}: {error})\n{instead}"
        ) from None


def unpickled(recipe: bytes) -> Any:
    """Inverse of `pickled`: functions of modules beside a person's program are found in the same folder."""
    search_working_folder()
    return cloudpickle.loads(recipe)
