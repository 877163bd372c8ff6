"""Checkpoints of older versions with other default networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneexp.algorithms.configs.deterministic import DeterministicNetworksConfig
from tuneexp.algorithms.networks import ActorCriticConfig, QNetworkConfig, SoftNetworksConfig
from tuneexp.config import Config
from tuneexp.errors import CheckpointError

NETWORK_DEFAULTS = 2
"""Stored in checkpoints. 1, or nothing: networks behind a CNN had the hidden sizes of those for vectors."""

_SIZES = {
    QNetworkConfig.__name__: (64, 64),
    ActorCriticConfig.__name__: (64, 64),
    SoftNetworksConfig.__name__: (256, 256),
    DeterministicNetworksConfig.__name__: (400, 300),
}


def explicit_model(state: Mapping[str, Any], config_class: type[Config]) -> dict[str, Any]:
    """Return {"model": ...} with all sizes of the saved networks, for an older version with other defaults; else {}.

    Args:
        state: checkpoint of one policy.
        config_class: of the algorithm.

    Raises:
        CheckpointError: the version of the defaults is no number.
    """
    model = state["config"]["hyperparameters"].get("model") or {}
    field = config_class.model_fields.get("model")
    sizes = _SIZES.get(type(field.default).__name__) if field is not None else None
    if _defaults_of(state) >= NETWORK_DEFAULTS or sizes is None or not isinstance(model, Mapping):
        return {}
    parameters = state["learner"]["parameters"]
    kernels = {leaf.shape[-1] for leaf in parameters.values() if leaf.dim() == 5}  # [S, filters, channels, k, k]
    if not kernels:
        return {}
    hidden = model.get("hidden_sizes", sizes)
    # A network of values for each action left out the CNN's own layer where hidden layers followed.
    left_out = hidden and any("advantage" in name for name in parameters)
    features = 0 if left_out else 512 if 8 in kernels else 256
    return {"model": {**model, "hidden_sizes": list(hidden), "cnn_features": features}}


def _defaults_of(state: Mapping[str, Any]) -> int:
    defaults = state.get("network_defaults", 1)
    if not isinstance(defaults, int):
        raise CheckpointError("the checkpoint is damaged: network_defaults is no number")
    return defaults
