"""Masking of secrets in addresses that are stored, logged or shown."""

from __future__ import annotations

import re
from urllib.parse import unquote

# user:password@, where the password may contain unquoted "/" and "@"; but not host:port/path@version.
_PASSWORD = re.compile(r"(://[^\s/@:?#\[]*):(?!\d*(?:[/?#\s]|$))([^\s@]+)@")
_USERINFO = re.compile(r"([a-z][\w+.-]*)://([^\s/?#]*)@", re.I)
# Schemes whose user name is no secret. In others a name without a password is a token or the key of an object store.
_NAMED_USERS = re.compile(r"(postgresql|mysql|mssql|ssh|sftp|ftp)\b", re.I)
_NAMES = r"[\w.%-]*(?:passw(?:or)?d|pwd|passphrase|secret)[\w.-]*"
_NAMES_IN_A_QUERY = (
    r"[\w.%-]*(?:token|signature|credential|authorization|(?:api|access|account|private)[_-]?key)[\w.-]*"
    r"|sig|key|pass|auth"
)
_VALUE = r"'[^']*'|\"[^\"]*\"|(?:(?!%3B|%26|;\s*[\w. ]+=)[^&\s'\"])+"
_PARAMETER = re.compile(
    rf"((?:(?<![\w.%-])(?:{_NAMES})|(?:[?&;]|%3B|%26)(?:{_NAMES_IN_A_QUERY}))(?:=|%3D))({_VALUE})", re.I
)
_SHORTEST = 4  # shortest secret that is replaced anywhere: a shorter one would mask parts of words


def masked(text: str, *secrets: str) -> str:
    """Replace passwords, tokens and keys by ***.

    Args:
        text: An address, or a message with addresses.
        secrets: Further texts to replace; see `secrets_of`.

    Returns:
        The masked text.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    text = _PASSWORD.sub(r"\1:***@", _USERINFO.sub(_masked_user, text))
    return _PARAMETER.sub(r"\1***", text)


def secrets_of(uri: str) -> set[str]:
    """Return the secrets in an address, both as written and decoded."""
    found = {match[2] for pattern in (_PASSWORD, _PARAMETER) for match in pattern.finditer(uri)}
    user = _USERINFO.search(uri)
    if user is not None:
        name, colon, password = user[2].partition(":")
        found.add(password if colon else name)
    shown = masked(uri)
    return {text for secret in found for text in (secret, unquote(secret)) if text and text not in shown}


def _masked_user(match: re.Match[str]) -> str:
    scheme, (name, colon, password) = match[1], match[2].partition(":")
    web = scheme.lower() in ("http", "https")
    keeps = password not in ("", "x-oauth-basic") if web else _NAMED_USERS.match(scheme) is not None
    return f"{scheme}://{name if keeps else '***'}{':***' if colon and keeps else ''}@"
