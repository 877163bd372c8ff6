"""Trials that are trained in one process, without env runners and learners of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneexp.errors import UserError

PROCESSES = ("num_env_runners", "num_learners")
# Owner and what to write instead.
RACING = ("a trial that races on seeds", "leave out the option seeds")
STACKED = ("a stacked population", "population=workers")


def refuse_processes(hyperparameters: Mapping[str, Any], owner: str, instead: str) -> None:
    """Raise `UserError` for hyperparameters that move the work of a trial to other processes.

    Args:
        hyperparameters: of the trial, by name.
        owner: what is trained in one process, for the message.
        instead: what to write to keep the processes.
    """
    for name in PROCESSES:
        if hyperparameters.get(name):
            raise UserError(f"{owner} is trained in one process; write {name}=0, or {instead}")
