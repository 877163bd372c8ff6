"""Clocks of tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **functions: Callable[[], float]) -> None:
    """Replace functions of `time` in one module. `time` itself is shared by all threads and by pytest."""
    monkeypatch.setattr(module, "time", SimpleNamespace(**{**vars(time), **functions}))
