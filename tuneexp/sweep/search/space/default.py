"""The default search space of an algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tuneexp
from tuneexp.algorithms.registry import ALGORITHMS, load_spec
from tuneexp.errors import UserError

FOLDER = Path(tuneexp.__file__).parent / "search_spaces"
"""Package data. In a source checkout it is a link to the top-level `search_spaces/`."""


def default_space(algorithm: str) -> Any:
    """Return the space that a sweep of `algorithm` uses when none is given.

    Built-in algorithms have `search_spaces/<name>.yaml`, which is found without loading torch. Others have the
    `default_space` of their specification, which `dataclasses.replace` copies from the original.

    Args:
        algorithm: A built-in name or an address.

    Returns:
        A value that `SearchSpace.of` accepts.

    Raises:
        UserError: The algorithm has no default space, or there is no such algorithm.
    """
    space = algorithm if algorithm in ALGORITHMS else load_spec(algorithm).default_space
    if space is None:
        raise UserError(
            f"{algorithm} has no default search space; give one with --space FILE (in Python: Sweep(space=...)), "
            "or set default_space=... in its specification"
        )
    return shipped_file(space) if isinstance(space, str) and space in ALGORITHMS else space


def shipped_file(name: str) -> Path:
    """Path of the search space of the built-in algorithm `name`."""
    return FOLDER / f"{name}.yaml"
