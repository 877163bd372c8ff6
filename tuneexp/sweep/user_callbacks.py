"""Callbacks of Ray Tune that the user gives a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuneexp.errors import UserError

if TYPE_CHECKING:
    from ray.tune import Callback


def callback_list(callbacks: Any) -> list[Callback]:
    """Return the callbacks as a list. UserError for anything else than Tune callbacks."""
    if not isinstance(callbacks, list | tuple):
        raise UserError(f"callbacks are a list, such as callbacks=[MyCallback()], got {callbacks!r}")
    if callbacks:  # else Tune is not needed yet
        from ray.tune import Callback

        for one in callbacks:
            if not isinstance(one, Callback):
                raise UserError(f"a callback is an instance of a subclass of ray.tune.Callback, got {one!r}")
    return list(callbacks)
