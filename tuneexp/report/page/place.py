"""File of the page of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tuneexp.errors import UserError, shortened

_SUFFIXES = (".html", ".htm")
_LONGEST_NAME = 100  # of a file, without its suffix


def page_path(names: Sequence[str], out: str | Path | None) -> Path:
    """Return the path of the page: `out`, or `NAME-report.html` in the working folder.

    Raises:
        UserError: It is no HTML file, or can't be written there.
    """
    if out is None:
        out = f"{'-'.join(names)[:_LONGEST_NAME]}-report.html"
    path = Path(os.path.expanduser(out))
    if path.suffix.lower() not in _SUFFIXES or "\0" in str(path):
        raise UserError(f"--out {shortened(str(out))}: write a file name that ends in .html")
    folder = path.parent
    if not os.path.isdir(folder):
        raise UserError(f"--out {shortened(str(out))}: there is no folder {shortened(str(folder))}; create it first")
    is_kept = os.path.exists(path) and not os.access(path, os.W_OK)
    if is_kept or os.path.isdir(path) or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {shortened(str(out))} can't be written; choose another with --out FILE.html")
    return path
