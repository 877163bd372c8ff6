"""Sizes in bytes, written as 500MB or 2GB."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, TypeAdapter, ValidationError

from tuneexp.errors import shortened

_SIZE = TypeAdapter(ByteSize)


def bytes_of(text: str) -> int:
    """Parse a size: `"2GB"`, `"1.5 GiB"`, `"500MB"`, `"4096"` (bytes).

    Args:
        text: A number with a unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024).

    Returns:
        The number of bytes.

    Raises:
        ValueError: It is no size.
    """
    try:
        return int(_SIZE.validate_python(text.strip()))
    except (ValidationError, OverflowError):
        raise ValueError(f"{shortened(text)} is no size; write for example 500MB or 2GB") from None


def _as_bytes(value: Any) -> Any:
    return bytes_of(value) if isinstance(value, str) else value


# A size in bytes; texts such as 2GB are accepted. The names of such settings end with _bytes.
Size = Annotated[int, BeforeValidator(_as_bytes)]
