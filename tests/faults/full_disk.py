"""A full disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def fill(disk: Path) -> Path:
    """Fill `disk` with one file, which is returned."""
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))
    return filling
