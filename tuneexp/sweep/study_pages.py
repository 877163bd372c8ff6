"""optuna-dashboard on a stored sweep: a WSGI application over Optuna's study of its last snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tuneexp.errors import TuneexpError, UserError
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.stored_study import load_study
from tuneexp.sweep.sweep_config import objectives_of, read_config

if TYPE_CHECKING:
    import optuna

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_READ = ("GET", "HEAD")
_REFUSED = b'{"reason": "this is a copy of the study of a sweep, which can only be read"}'


class StudyPages:
    """Pages of a sweep's study, which follow its snapshot while the sweep runs. They can only be read.

    Args:
        folder: Folder of the sweep.
        trust: Unpickle a snapshot that this user did not sign.

    Raises:
        UserError: The package is missing, the sweep has no trials yet, or its snapshot is not trusted.
    """

    def __init__(self, folder: SweepFolder, trust: bool = False) -> None:
        require_dashboard()
        self._folder, self._trust, self._lock = folder, trust, threading.Lock()
        self._seen = self._mark()
        study = self._study()
        self.path = f"/dashboard/studies/{study._study_id}"
        self._application = _application(study)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in _READ:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [_REFUSED]
        return self._present()(environ, start_response)

    def _present(self) -> Application:
        with self._lock:
            mark = self._mark()
            if mark != self._seen:
                self._seen = mark
                try:
                    self._application = _application(self._study())
                except TuneexpError:  # a sweep that is being resumed or removed: the last state stays
                    pass
            return self._application

    def _mark(self) -> tuple[int, int]:
        try:
            found = self._folder.snapshot_file.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size

    def _study(self) -> optuna.Study:
        study = load_study(str(self._folder.path), trust=self._trust)
        with no_experimental_warnings():
            study.set_metric_names(list(objectives_of(read_config(self._folder)).names))
        return study


def require_dashboard() -> None:
    """Raise UserError if optuna-dashboard is not installed."""
    try:
        import optuna_dashboard  # noqa: F401
    except ImportError:
        raise UserError("dashboard needs another package: pip install 'tuneexp[dashboard]'") from None


def _application(study: optuna.Study) -> Application:
    import optuna_dashboard

    application: Application = optuna_dashboard.wsgi(study._storage)
    return application
