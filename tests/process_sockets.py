"""Listening TCP sockets of a process and its descendants."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from tests.faults.process_tree import descendants

_LISTEN = "0A"


def listening_addresses(pid: int) -> set[tuple[str, str]]:
    """(process, IP address) of each socket. An IPv4 address mapped into IPv6 is returned as IPv4."""
    addresses = {inode: address for name in ("tcp", "tcp6") for inode, address in _sockets(Path("/proc/net") / name)}
    found = set()
    for member in [pid, *descendants(pid)]:
        with suppress(OSError):
            name = Path(f"/proc/{member}/comm").read_text().strip()
            for handle in Path(f"/proc/{member}/fd").iterdir():
                with suppress(OSError):
                    inode = str(handle.readlink()).removeprefix("socket:[").rstrip("]")
                    if inode in addresses:
                        found.add((name, addresses[inode]))
    return found


def _sockets(table: Path) -> list[tuple[str, str]]:
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [(row[9], _address(row[1].partition(":")[0])) for row in rows if row[3] == _LISTEN]


def _address(hexadecimal: str) -> str:
    """The kernel writes an address as 32-bit words in the byte order of the machine."""
    words = [int(hexadecimal[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(hexadecimal), 8)]
    packed = b"".join(words).removeprefix(b"\0" * 10 + b"\xff\xff")
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
