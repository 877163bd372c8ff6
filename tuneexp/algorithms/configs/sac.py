"""Hyperparameters of SAC, and those that TQC shares with it."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.networks import SoftNetworksConfig, refuse_custom_network
from tuneexp.config import numeric, structural


class SoftConfig(OffPolicyConfig):
    """Hyperparameters that SAC and TQC share. Defaults are those of Stable-Baselines3."""

    tau: float = numeric(0.005, "Polyak coefficient of the target critics; 1 is a hard copy.", gt=0.0, le=1.0)
    target_update_interval: int = structural(1, "Gradient steps between target critic updates.", ge=1)
    ent_coef: float | None = numeric(None, "Entropy coefficient (temperature alpha); None (or auto): learned.", ge=0.0)
    initial_ent_coef: float = numeric(1.0, "Initial value of a learned entropy coefficient.", gt=0.0)
    target_entropy: float | None = numeric(
        None, "Target entropy of a learned ent_coef, in nats; None: -dim(A), or 0.98 log(n) for n discrete actions."
    )
    n_critics: int = structural(
        2, "Number of critics; SAC uses the minimum of their predictions, TQC pools their quantiles.", ge=1
    )
    use_sde: bool = structural(
        False,
        "State-dependent exploration (gSDE; Raffin et al. 2021, arXiv:2005.05719); continuous actions only.",
    )
    sde_sample_freq: int = structural(
        -1, "With use_sde: sample new exploration weights every n steps; -1: once every train_freq steps.", ge=-1
    )
    use_sde_at_warmup: bool = structural(
        False, "With use_sde: use gSDE instead of uniform random actions before learning_starts."
    )
    model: SoftNetworksConfig = structural(SoftNetworksConfig(), "Network architecture.")

    @model_validator(mode="after")
    def _exploration_fits(self) -> Self:
        refuse_custom_network(self.use_sde, self.model)
        return self


class SACConfig(SoftConfig):
    """Defaults are those of Stable-Baselines3."""
