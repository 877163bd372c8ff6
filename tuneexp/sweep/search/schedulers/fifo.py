"""No early stopping."""

from __future__ import annotations

from tuneexp.sweep.search.schedulers.scheduler import Scheduler


class Fifo(Scheduler):
    """No early stopping: every trial gets its whole budget."""

    several_objectives = True
