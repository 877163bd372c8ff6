"""What the networks of the algorithms can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from tuneexp.config import Config, structural

Activation = Literal["tanh", "relu", "elu", "gelu", "silu"]
Images = Literal["auto", "nature", "impala"]
Recurrent = Literal["none", "lstm", "gru"]


def refuse_own_network(use_sde: bool, model: Config | str) -> None:
    """Raises `ValueError` where state-dependent exploration is asked of a network whose hidden layers are unknown."""
    if use_sde and isinstance(model, str):
        raise ValueError(
            "use_sde needs the last hidden layer of the built-in networks; leave out model=..., or write use_sde=false"
        )


class QNetworkConfig(Config):
    """The network of a value-based algorithm."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer; None: [64, 64], behind the convolutions of images [512] (impala: [256])."
    )
    activation: Activation = structural("relu", "Nonlinearity of hidden layers.")
    layer_norm: bool = structural(False, "Normalise each hidden layer.")
    cnn: Images = structural("auto", "Convolutions for images; auto: nature, impala where they are below 36x36.")
    cnn_features: int | None = structural(
        None, "Units of the hidden layer that ends a CNN, 0: none; None: 256 in a Dict, else hidden_sizes follow.", ge=0
    )


class OffPolicyNetworksConfig(Config):
    """The networks of an actor and its critics, apart from each other."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer of the actor; None: [256, 256], for images and discrete actions [512]."
    )
    critic_hidden_sizes: tuple[PositiveInt, ...] | None = structural(None, "The same of each critic; None: as above.")
    activation: Activation = structural("relu", "Nonlinearity of hidden layers.")
    layer_norm: bool = structural(False, "Normalise each hidden layer.")
    cnn: Images = structural("auto", "Convolutions for images; auto: nature, impala where they are below 36x36.")
    cnn_features: int | None = structural(
        None,
        "Units of the hidden layer that ends a CNN, 0: none; None: 512 (nature) or 256 (impala), in a Dict 256.",
        ge=0,
    )


class SoftNetworksConfig(OffPolicyNetworksConfig):
    """The networks of SAC and TQC. What follows matters with use_sde only; defaults are those of Stable-Baselines3."""

    log_std_init: float = structural(-3.0, "With use_sde: first log standard deviation of the exploration weights.")
    full_std: bool = structural(True, "With use_sde: a deviation for each pair of latent unit and action; else a unit.")
    use_expln: bool = structural(False, "With use_sde: a deviation that grows slower than exp above 1.")
    clip_mean: float = structural(2.0, "With use_sde: bound on the mean before the tanh; 0: none.", ge=0.0)


class ActorCriticConfig(Config):
    """The networks of an actor and a critic."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of the policy network's hidden layers; None: [64, 64], for images [] (behind the CNN's own layer)."
    )
    vf_hidden_sizes: tuple[PositiveInt, ...] | None = structural(None, "The same of the value network; None: as above.")
    activation: Activation = structural("tanh", "Nonlinearity of hidden layers.")
    layer_norm: bool = structural(False, "Normalise each hidden layer.")
    cnn: Images = structural("auto", "Convolutions for images; auto: nature, impala where they are below 36x36.")
    cnn_features: int | None = structural(
        None,
        "Units of the hidden layer that ends a CNN, 0: none; None: 512 (nature) or 256 (impala), in a Dict 256.",
        ge=0,
    )
    shared: bool = structural(False, "One trunk for policy and value instead of two separate networks.")
    recurrent: Recurrent = structural("none", "A cell with memory after one trunk for policy and value.")
    recurrent_size: int = structural(64, "Units of that cell.", ge=1)
    enable_critic_lstm: bool | None = structural(
        None,
        "With recurrent, hidden layers behind the cell, and for the value a cell (true) or a linear layer (false).",
    )
    ortho_init: bool = structural(True, "Orthogonal initial weights, with a small last policy layer.")
    log_std_init: float = structural(
        0.0, "First log standard deviation of continuous actions; with use_sde, of the exploration weights."
    )
    full_std: bool = structural(True, "With use_sde: a deviation for each pair of latent unit and action; else a unit.")
    use_expln: bool = structural(False, "With use_sde: a deviation that grows slower than exp above 1.")
    squash_output: bool = structural(False, "With use_sde: tanh of the actions, scaled to their bounds.")

    @model_validator(mode="after")
    def _one_trunk_one_size(self) -> Self:
        recurrent, apart = self.recurrent != "none", self.enable_critic_lstm is not None
        if apart and (self.shared or not recurrent):
            raise ValueError("enable_critic_lstm is for a recurrent network that isn't shared; write recurrent=lstm")
        options = [name for name, on in (("shared", self.shared), ("recurrent", recurrent and not apart)) if on]
        if options and self.vf_hidden_sizes not in (None, self.hidden_sizes):
            option = " and ".join(options)
            raise ValueError(f"a {option} network has one list of hidden sizes; leave out vf_hidden_sizes, or {option}")
        return self
