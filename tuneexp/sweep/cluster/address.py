"""Address of a Ray cluster: from the options or the environment, checked before Ray is loaded."""

from __future__ import annotations

import os
import socket

from tuneexp.errors import UserError
from tuneexp.ray_support.environment import ADDRESS
from tuneexp.security.masking import masked

ANSWER_LIMIT_S = 10.0


def check_port(address: str, timeout_s: float) -> None:
    """Open and close a TCP connection to `host:port`. Raises OSError, or OverflowError for a port above 65535."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()


def cluster_address(address: str | None) -> str | None:
    """Return the address of the cluster, from `address` or RAY_ADDRESS; None for a local Ray."""
    asked = address or os.environ.get(ADDRESS)
    return None if asked == "local" else asked or None


def refuse_unreachable(address: str | None) -> None:
    """Raise UserError if the port is closed (Ray itself would retry for minutes), or if `address` is no address."""
    if address is None or address == "auto":
        return  # Ray finds those itself
    if address.startswith("ray://"):
        raise UserError(
            f"Ray Client ({masked(address)!r}) is not supported, since the sweep's folder is on this machine: log in "
            "to a node, write --address auto\n"
            "or submit a job: ray job submit --address http://HEAD:8265 -- tuneexp sweep --address auto ..."
        )
    _, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise UserError(
            f"{masked(address)!r} is no address of a cluster; write --address HOST:6379, or auto on one of its nodes"
        )
    try:
        check_port(address, ANSWER_LIMIT_S)
    except (OSError, OverflowError) as error:
        raise no_cluster(address, error) from None


def no_cluster(address: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split()).split(" Please specify")[0].rstrip(".")
    return UserError(f"no Ray cluster at {address!r} ({reason}); start it, or leave out --address")


def token_advice() -> str:
    """Return advice on authentication tokens for the error message.

    With `auto`, Ray sends a token whenever there is one, such as an old file ~/.ray/auth_token. With another address it
    sends none unless configured. The cluster does not report which of the two it expects."""
    if os.environ.get("RAY_AUTH_MODE") == "token":  # set by a person, or by Ray for the time of the attempt
        return (
            "an authentication token was sent (RAY_AUTH_TOKEN, or ~/.ray/auth_token); if the cluster was started "
            "without one, set RAY_AUTH_MODE=disabled"
        )
    return (
        "if it was started with a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token to its token"
    )
