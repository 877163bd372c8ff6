"""Sweeps: many trials of one algorithm under one searcher and one scheduler; resumable, readable without Ray."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneexp.sweep.confirming.confirm import confirm
    from tuneexp.sweep.confirming.confirmation import Confirmation
    from tuneexp.sweep.events import SweepEvent
    from tuneexp.sweep.extending import extend
    from tuneexp.sweep.listing import list_sweeps
    from tuneexp.sweep.planning.plan import SweepPlan
    from tuneexp.sweep.results import SweepResult, TrialResult, load_sweep
    from tuneexp.sweep.resuming import resume
    from tuneexp.sweep.search.space import SearchSpace
    from tuneexp.sweep.signals import SweepInterrupted
    from tuneexp.sweep.stored_study import load_study
    from tuneexp.sweep.sweep import Sweep
    from tuneexp.sweep.sweep_config import SweepConfig, load_config
    from tuneexp.sweep.tuning.tune import tune

# Loaded on first use: `tuneexp list` needs no Ray.
_LAZY = {
    "Confirmation": "tuneexp.sweep.confirming.confirmation",
    "SearchSpace": "tuneexp.sweep.search.space",
    "Sweep": "tuneexp.sweep.sweep",
    "SweepConfig": "tuneexp.sweep.sweep_config",
    "SweepEvent": "tuneexp.sweep.events",
    "SweepInterrupted": "tuneexp.sweep.signals",
    "SweepPlan": "tuneexp.sweep.planning.plan",
    "SweepResult": "tuneexp.sweep.results",
    "TrialResult": "tuneexp.sweep.results",
    "confirm": "tuneexp.sweep.confirming.confirm",
    "list_sweeps": "tuneexp.sweep.listing",
    "load_config": "tuneexp.sweep.sweep_config",
    "extend": "tuneexp.sweep.extending",
    "load_study": "tuneexp.sweep.stored_study",
    "load_sweep": "tuneexp.sweep.results",
    "resume": "tuneexp.sweep.resuming",
    "tune": "tuneexp.sweep.tuning.tune",
}

__all__ = [
    "Confirmation",
    "SearchSpace",
    "Sweep",
    "SweepConfig",
    "SweepEvent",
    "SweepInterrupted",
    "SweepPlan",
    "SweepResult",
    "TrialResult",
    "confirm",
    "extend",
    "list_sweeps",
    "load_config",
    "load_study",
    "load_sweep",
    "resume",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tuneexp.sweep' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
