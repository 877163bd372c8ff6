"""Limit of concurrent trials."""

from __future__ import annotations

from typing import Any

from ray.tune import search


class ConcurrencyLimiter(search.ConcurrencyLimiter):
    """Tune's `ConcurrencyLimiter`, except that a restore keeps the new limit: a resume may find more cores.

    It has the name of Tune's class, by which Tune stores and finds its state."""

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state({**state, "max_concurrent": self.max_concurrent})
