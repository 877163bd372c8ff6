"""Searchers and schedulers by name, as addresses: checking a name loads neither Ray nor Optuna."""

from __future__ import annotations

import importlib
from typing import Any

from tuneexp.errors import unknown_name

# (seed, trials) -> an Optuna sampler.
SEARCHERS = {
    "random": "tuneexp.sweep.search.searchers:random_sampler",
    "tpe": "tuneexp.sweep.search.searchers:tpe_sampler",
}

# (budget_env_steps) -> a Tune scheduler with `state` and `set_state`.
SCHEDULERS = {
    "asha": "tuneexp.sweep.search.schedulers:Asha",
    "fifo": "tuneexp.sweep.search.schedulers:Fifo",
}


def check_names(searcher: str, scheduler: str) -> None:
    """Raise UserError for an unknown name, with the nearest one."""
    if searcher not in SEARCHERS:
        raise unknown_name("searcher", searcher, SEARCHERS)
    if scheduler not in SCHEDULERS:
        raise unknown_name("scheduler", scheduler, SCHEDULERS)


def build(address: str, *arguments: Any) -> Any:
    """Call the function or class at `module:NAME`."""
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)(*arguments)
