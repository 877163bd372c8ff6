"""The search spaces that come with the algorithms, `search_spaces/<algorithm>.yaml` beside the package."""

from __future__ import annotations

from pathlib import Path

import tuneexp
from tuneexp.errors import UserError

FOLDER = Path(tuneexp.__file__).parents[1] / "search_spaces"


def shipped_space(algorithm: str) -> Path:
    """Raises UserError for an algorithm that has none, such as one of the user's own."""
    path = FOLDER / f"{algorithm}.yaml"
    if ":" in algorithm or not path.is_file():
        raise UserError(f"no search space is shipped for {algorithm}; write --space FILE (docs/search_spaces.md)")
    return path
