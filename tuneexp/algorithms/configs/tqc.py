"""Hyperparameters of TQC."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.sac import SoftConfig
from tuneexp.config import structural


class TQCConfig(SoftConfig):
    """Defaults are those of sb3_contrib."""

    n_quantiles: int = structural(25, "Number of quantiles per critic.", ge=2)
    top_quantiles_to_drop_per_net: int = structural(2, "Number of largest target quantiles to drop, per critic.", ge=0)

    @model_validator(mode="after")
    def _some_are_left(self) -> Self:
        if self.top_quantiles_to_drop_per_net >= self.n_quantiles:
            raise ValueError(
                f"top_quantiles_to_drop_per_net={self.top_quantiles_to_drop_per_net} leaves none of "
                f"n_quantiles={self.n_quantiles}; write {self.n_quantiles - 1} or less"
            )
        return self
