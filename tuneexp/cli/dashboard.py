"""`tuneexp dashboard`: optuna-dashboard on a sweep, on a server that only this machine can reach."""

from __future__ import annotations

from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Annotated, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import typer

from tuneexp.cli.options import DEFAULT_STORAGE, StorageOption, TrustOption, VerboseOption, examples
from tuneexp.cli.serving import (
    HOST,
    NewestArgument,
    check_port,
    end_like_ctrl_c,
    open_in_browser,
    refuse_taken_port,
    sweep_to_open,
)
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.errors import UserError

if TYPE_CHECKING:
    from tuneexp.sweep.study_pages import StudyPages

EPILOG = examples("tuneexp dashboard first", "tuneexp dashboard --storage /data/runs --port 8081")


def dashboard(
    name: NewestArgument = None,
    storage: StorageOption = DEFAULT_STORAGE,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 8080,
    trust: TrustOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Open a sweep in optuna-dashboard, also while it runs. It serves this machine only; Ctrl-C stops it."""
    check_port(port)
    with terminal(json=False, verbose=verbose) as screen:
        from tuneexp.sweep.storage.folder import SweepFolder

        folder = sweep_to_open(name, storage)
        if folder is None:
            raise UserError(
                f"no sweeps in {storage!r} yet; run one first, or name its folder: tuneexp dashboard --storage FOLDER"
            )
        from tuneexp.sweep.study_pages import StudyPages

        pages = StudyPages(SweepFolder(folder), trust)
        refuse_taken_port(port, f"dashboard {folder.name}", storage)
        _serve(screen, pages, port)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print no line for each request."""


def _serve(screen: Terminal, pages: StudyPages, port: int) -> None:
    end_like_ctrl_c()
    with make_server(HOST, port, pages, server_class=_Server, handler_class=_Quiet) as server:
        link = f"http://{HOST}:{port}{pages.path}"
        screen.note("optuna-dashboard (Ctrl-C stops it)")
        screen.show_text(link)
        open_in_browser(link)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            screen.note("stopped")
