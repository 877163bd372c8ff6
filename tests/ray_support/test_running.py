"""Ray in this process, while it is imported and before it is connected."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from tuneexp.ray_support.running import running_ray


def test_a_module_that_another_thread_is_importing_is_no_running_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())  # type: ignore[arg-type]
    assert running_ray() is None
    for initialized in (False, True):
        ray = SimpleNamespace(is_initialized=lambda now=initialized: now)
        monkeypatch.setitem(sys.modules, "ray", ray)  # type: ignore[arg-type]
        assert running_ray() is (ray if initialized else None)
    monkeypatch.delitem(sys.modules, "ray")
    assert running_ray() is None
