"""Optional packages, which extras of tuneexp install."""

from __future__ import annotations

from importlib.util import find_spec

from tuneexp.errors import UserError


def require(*packages: str, needed_by: str, extra: str, instead: str = "") -> None:
    """Check that packages are installed, without importing them.

    Args:
        packages: Their names as modules.
        needed_by: What needs them, for the message.
        extra: The extra of tuneexp that has them.
        instead: What to do without them.

    Raises:
        UserError: One is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        other = f", or {instead}" if instead else ""
        raise UserError(f"{needed_by} needs {' and '.join(missing)}: pip install 'tuneexp[{extra}]'{other}")
