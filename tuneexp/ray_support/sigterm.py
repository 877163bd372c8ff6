"""SIGTERM in a worker of Ray."""

from __future__ import annotations

import signal

from tuneexp.ray_support.worker_logs import in_worker


def restore_default_sigterm() -> None:
    """In an actor: SIGTERM ends the process at once, so that its work is done again elsewhere or after a resume.

    Ray's own handler raises SystemExit in whatever runs there, which would be taken for a fault of the environment.
    SLURM sends SIGTERM to every process of a job."""
    if in_worker():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
