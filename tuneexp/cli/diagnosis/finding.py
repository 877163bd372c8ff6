"""Finding of a check: what is there, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuneexp.errors import TuneexpError, reason_of

OK, WARN, FAIL = "ok", "warn", "fail"
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: Name of the check.
        status: "ok", "warn" (sweeps run, but slower or with less), or "fail" (sweeps can't run).
        found: What is there, in one line.
        advice: What to do about it; empty if nothing.
    """

    name: str
    status: str
    found: str
    advice: str = ""


Check = Callable[[], Finding]


def finding_of(name: str, check: Check) -> Finding:
    """Return the finding of a check. One that raises has failed."""
    try:
        return check()
    except TuneexpError as error:
        found, _, advice = " ".join(str(error).split("\n")).partition("; ")
        return Finding(name, FAIL, found, advice)
    except OSError as error:
        return Finding(name, FAIL, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        return Finding(name, FAIL, f"the check failed: {reason_of(error)}")


def existing(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists. Raises OSError for a file."""
    found = next(one for one in (path, *path.parents) if one.exists())
    if not found.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(found))
    return found
