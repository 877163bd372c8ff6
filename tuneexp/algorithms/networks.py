"""What the networks of the algorithms can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from tuneexp.config import Config, structural

Activation = Literal["tanh", "relu", "elu", "gelu", "silu"]
Images = Literal["auto", "nature", "impala"]
Recurrent = Literal["none", "lstm", "gru"]


class QNetworkConfig(Config):
    """The network of a value-based algorithm."""

    hidden_sizes: tuple[PositiveInt, ...] = structural((64, 64), "Units of each hidden layer; for images [] or [512].")
    activation: Activation = structural("relu", "Nonlinearity of hidden layers.")
    layer_norm: bool = structural(False, "Normalise each hidden layer.")
    cnn: Images = structural("auto", "Convolutions for images; auto: nature, impala where they are below 36x36.")


class OffPolicyNetworksConfig(Config):
    """The networks of an actor and its critics, apart from each other."""

    hidden_sizes: tuple[PositiveInt, ...] = structural((256, 256), "Units of each hidden layer of the actor.")
    critic_hidden_sizes: tuple[PositiveInt, ...] | None = structural(None, "The same of each critic; None: as above.")
    activation: Activation = structural("relu", "Nonlinearity of hidden layers.")
    layer_norm: bool = structural(False, "Normalise each hidden layer.")
    cnn: Images = structural("auto", "Convolutions for images; auto: nature, impala where they are below 36x36.")


class ActorCriticConfig(Config):
    """The networks of an actor and a critic."""

    hidden_sizes: tuple[PositiveInt, ...] = structural(
        (64, 64), "Units of the policy network's hidden layers; for images []."
    )
    vf_hidden_sizes: tuple[PositiveInt, ...] | None = structural(None, "The same of the value network; None: as above.")
    activation: Activation = structural("tanh", "Nonlinearity of hidden layers.")
    layer_norm: bool = structural(False, "Normalise each hidden layer.")
    cnn: Images = structural("auto", "Convolutions for images; auto: nature, impala where they are below 36x36.")
    shared: bool = structural(False, "One trunk for policy and value instead of two separate networks.")
    recurrent: Recurrent = structural("none", "A cell with memory after one trunk for policy and value.")
    recurrent_size: int = structural(64, "Units of that cell.", ge=1)
    ortho_init: bool = structural(True, "Orthogonal initial weights, with a small last policy layer.")
    log_std_init: float = structural(0.0, "First log standard deviation of continuous actions.")

    @model_validator(mode="after")
    def _one_trunk_one_size(self) -> Self:
        option = "recurrent" if self.recurrent != "none" else "shared"
        if (self.shared or option == "recurrent") and self.vf_hidden_sizes not in (None, self.hidden_sizes):
            raise ValueError(f"a {option} network has one list of hidden sizes; leave out vf_hidden_sizes, or {option}")
        return self
