"""SIGTERM in Ray workers."""

from __future__ import annotations

import signal

from tuneexp.ray_support.worker_logs import in_worker


def restore_default_sigterm() -> None:
    """In an actor: restore the default handler, which ends the process at once. Its work is retried or resumed.

    Ray's handler raises SystemExit in the running code, which looks like an error of the environment. SLURM sends
    SIGTERM to every process of a job."""
    if in_worker():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
