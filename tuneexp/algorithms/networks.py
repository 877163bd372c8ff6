"""Hyperparameters of the network architectures."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from tuneexp.config import Config, structural

Activation = Literal["tanh", "relu", "elu", "gelu", "silu"]
Images = Literal["auto", "nature", "impala"]
Recurrent = Literal["none", "lstm", "gru"]


def refuse_custom_network(use_sde: bool, model: Config | str) -> None:
    """Check that state-dependent exploration has a built-in network, whose last hidden layer is known.

    Args:
        use_sde: The setting of that name.
        model: Network configuration, or the address of a custom network.

    Raises:
        ValueError: `use_sde` with a custom network.
    """
    if use_sde and isinstance(model, str):
        raise ValueError(
            "use_sde needs the last hidden layer of the built-in networks; leave out model=..., or write use_sde=false"
        )


class QNetworkConfig(Config):
    """Q-network of a value-based algorithm."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer; None: [64, 64], for images [512] after the convolutions (impala: [256])."
    )
    activation: Activation = structural("relu", "Activation function of hidden layers.")
    layer_norm: bool = structural(False, "Layer normalisation of each hidden layer.")
    cnn: Images = structural(
        "auto", "CNN for images: nature (Mnih et al. 2015) or impala; auto: nature, impala for images below 36x36."
    )
    cnn_features: int | None = structural(
        None,
        "Units of the linear layer after the CNN, 0: none; None: 256 in a Dict, else none before hidden_sizes.",
        ge=0,
    )


class OffPolicyNetworksConfig(Config):
    """Separate networks of an actor and its critics."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None,
        "Units of each hidden layer of the actor; None: [256, 256], for images with discrete actions [512].",
    )
    critic_hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer of the critics; None: hidden_sizes."
    )
    activation: Activation = structural("relu", "Activation function of hidden layers.")
    layer_norm: bool = structural(False, "Layer normalisation of each hidden layer.")
    cnn: Images = structural(
        "auto", "CNN for images: nature (Mnih et al. 2015) or impala; auto: nature, impala for images below 36x36."
    )
    cnn_features: int | None = structural(
        None,
        "Units of the linear layer after the CNN, 0: none; None: 512 (nature) or 256 (impala), in a Dict 256.",
        ge=0,
    )


class SoftNetworksConfig(OffPolicyNetworksConfig):
    """Networks of SAC and TQC, with the options of use_sde. Defaults are those of Stable-Baselines3."""

    log_std_init: float = structural(-3.0, "With use_sde: initial log standard deviation of the exploration weights.")
    full_std: bool = structural(
        True, "With use_sde: one standard deviation per pair of latent unit and action; false: one per latent unit."
    )
    use_expln: bool = structural(
        False, "With use_sde: standard deviation by expln instead of exp; expln grows slower above 1."
    )
    clip_mean: float = structural(
        2.0, "With use_sde: clipping bound of the mean before the tanh; 0: no clipping.", ge=0.0
    )


class ActorCriticConfig(Config):
    """Networks of an actor-critic: policy and value function."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer of the policy network; None: [64, 64], for images [] (linear after the CNN)."
    )
    vf_hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer of the value network; None: hidden_sizes."
    )
    activation: Activation = structural("tanh", "Activation function of hidden layers.")
    layer_norm: bool = structural(False, "Layer normalisation of each hidden layer.")
    cnn: Images = structural(
        "auto", "CNN for images: nature (Mnih et al. 2015) or impala; auto: nature, impala for images below 36x36."
    )
    cnn_features: int | None = structural(
        None,
        "Units of the linear layer after the CNN, 0: none; None: 512 (nature) or 256 (impala), in a Dict 256.",
        ge=0,
    )
    shared: bool = structural(False, "Share the hidden layers of policy and value network.")
    recurrent: Recurrent = structural(
        "none", "Recurrent cell after shared hidden layers; policy and value are linear in its output."
    )
    recurrent_size: int = structural(64, "Units of the recurrent cell.", ge=1)
    enable_critic_lstm: bool | None = structural(
        None,
        "With recurrent: cell before hidden layers (sb3_contrib); true: critic with own cell, false: linear layer.",
    )
    ortho_init: bool = structural(True, "Orthogonal initialisation, with gain 0.01 in the last policy layer.")
    log_std_init: float = structural(
        0.0, "Initial log standard deviation of continuous actions; with use_sde, of the exploration weights."
    )
    full_std: bool = structural(
        True, "With use_sde: one standard deviation per pair of latent unit and action; false: one per latent unit."
    )
    use_expln: bool = structural(
        False, "With use_sde: standard deviation by expln instead of exp; expln grows slower above 1."
    )
    squash_output: bool = structural(False, "With use_sde: squash actions by a tanh and rescale them to their bounds.")

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
