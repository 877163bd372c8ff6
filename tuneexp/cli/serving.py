"""Pages that a command serves to this machine: the sweep to open, the port, and the browser."""

from __future__ import annotations

import os
import signal
import socket
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tuneexp.cli import completion
from tuneexp.commands import command
from tuneexp.errors import UserError

HOST = "127.0.0.1"

NewestArgument = Annotated[
    str | None,
    typer.Argument(help="Name of a sweep; without it, the newest one.", autocompletion=completion.sweeps),
]


def check_port(port: int) -> None:
    """Raise UserError for a number that is no port."""
    if not 1 <= port <= 65535:
        raise UserError(f"--port is from 1 to 65535, got {port}")


def refuse_taken_port(port: int, verb: str, storage: str) -> None:
    """Raise UserError with the command for another port if this one can't be used."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            other = command(*verb.split(), "--port", min(port + 1, 65535), storage=storage)
            raise UserError(f"port {port} can't be used ({error.strerror}); choose another: {other}") from None


def sweep_to_open(name: str | None, storage: str) -> Path | None:
    """Return the folder of a sweep, by default the newest one. UserError for an unknown name, with the nearest one."""
    from tuneexp.sweep import list_sweeps
    from tuneexp.sweep.storage.folder import stored_folder
    from tuneexp.sweep.sweep_config import read_config

    if name is None:
        known = [row["name"] for row in list_sweeps(storage) if row["state"] != "unreadable"]
        return stored_folder(known[-1], storage).path.resolve() if known else None
    folder = stored_folder(name, storage)
    read_config(folder)
    return folder.path.resolve()


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, so that a server ends with its command."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sign) != signal.SIG_IGN:  # `nohup` means that the terminal's end doesn't end us
            signal.signal(sign, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def open_in_browser(link: str) -> None:
    """Open a page in the browser of the desktop, if there is one."""
    if _has_display():
        with suppress(webbrowser.Error):
            webbrowser.open(link)


def _has_display() -> bool:
    """Return True if a browser can open a window. Text browsers would take over the terminal."""
    if not sys.stderr.isatty():
        return False
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return named or sys.platform in ("darwin", "win32")
