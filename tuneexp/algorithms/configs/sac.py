"""Hyperparameters of SAC, and those that it shares with TQC."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.networks import SoftNetworksConfig, refuse_own_network
from tuneexp.config import numeric, structural


class SoftConfig(OffPolicyConfig):
    """Hyperparameters that SAC and TQC share. Defaults are those of Stable-Baselines3."""

    tau: float = numeric(0.005, "Share of the way that the target critics move at each update.", gt=0.0, le=1.0)
    target_update_interval: int = structural(1, "Updates between moves of the target critics.", ge=1)
    ent_coef: float | None = numeric(None, "Weight of the entropy; None (or auto): learned.", ge=0.0)
    initial_ent_coef: float = numeric(1.0, "Where a learned weight of the entropy starts.", gt=0.0)
    target_entropy: float | None = numeric(
        None, "Entropy that a learned weight aims at; None: -dim(A), or 0.98 log(A) for discrete actions."
    )
    n_critics: int = structural(2, "Critics, of which the most pessimistic counts.", ge=1)
    use_sde: bool = structural(False, "State-dependent exploration (gSDE) of continuous actions.")
    sde_sample_freq: int = structural(
        -1, "With use_sde: steps between new exploration weights; -1: once every train_freq steps.", ge=-1
    )
    use_sde_at_warmup: bool = structural(
        False, "With use_sde: explore by it instead of uniformly before learning starts."
    )
    model: SoftNetworksConfig = structural(SoftNetworksConfig(), "The networks.")

    @model_validator(mode="after")
    def _exploration_fits(self) -> Self:
        refuse_own_network(self.use_sde, self.model)
        return self


class SACConfig(SoftConfig):
    pass
