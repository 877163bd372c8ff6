"""Translation of RL Zoo's `policy_kwargs` to hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tuneexp.algorithms.rl_zoo.literals import Symbol, read_dict
from tuneexp.errors import shortened, unknown_name

Fields = Mapping[str, FieldInfo]
Values = dict[str, Any]

# Of the networks, by the name of the same field here.
_MODEL = {
    "ortho_init": "ortho_init",
    "log_std_init": "log_std_init",
    "use_expln": "use_expln",
    "full_std": "full_std",
    "squash_output": "squash_output",
    "clip_mean": "clip_mean",
    "lstm_hidden_size": "recurrent_size",
    "enable_critic_lstm": "enable_critic_lstm",
}
# Top-level hyperparameters of an algorithm here.
_OF_THE_ALGORITHM = ("n_critics", "n_quantiles")
# Values that equal the behaviour here, or repeat another name.
_AS_HERE: dict[str, tuple[Any, ...]] = {
    "full_std": (True,),
    "use_expln": (False,),
    "squash_output": (False,),
    "normalize_images": (True,),
    "n_lstm_layers": (1,),
    "share_features_extractor": (True,),
    "features_extractor_class": ("FlattenExtractor", "CombinedExtractor", "NatureCNN"),
    "shared_lstm": (False,),
}
# Without use_sde, Stable-Baselines3's sac and tqc leave them unused.
_OF_SDE = ("log_std_init", "use_expln", "full_std", "clip_mean")
_NETWORKS = ("net_arch", "activation_fn", "features_extractor_kwargs")
_OPTIMIZER = ("optimizer_class", "optimizer_kwargs")
KNOWN = (*_MODEL, *_OF_THE_ALGORITHM, *_AS_HERE, *_NETWORKS, *_OPTIMIZER)
_IN_TORCH = ("nn.", "th.nn.", "torch.nn.")
_OPTIMIZERS = ("", "optim.", "th.optim.", "torch.optim.")


def put_networks(own: Values, fields: Fields) -> None:
    """Replace `policy_kwargs` in `own` by its translation; explicit values in `own` take precedence.

    Raises ValueError of one line for entries without counterpart.
    """
    if "policy_kwargs" not in own:
        return
    given = read_dict("policy_kwargs", own.pop("policy_kwargs"))
    model = own.get("model", {})
    if isinstance(model, BaseModel):
        model = model.model_dump(exclude_unset=True)
    if given and not isinstance(model, Mapping):
        raise ValueError(f"policy_kwargs describes the built-in networks, model={model} is one of your own; keep one")
    for name in given:
        if name not in KNOWN:
            raise ValueError(str(unknown_name("name in policy_kwargs", name, KNOWN, "or describe it by model/...")))
    top, networks = _translated(given, own, fields)
    if networks:
        own["model"] = {**networks, **model}
    for name, value in top.items():
        own.setdefault(name, value)


def _translated(given: Values, own: Values, fields: Fields) -> tuple[Values, Values]:
    """(hyperparameters, fields of the model)."""
    of_model = _model_fields(fields)
    top: Values = _optimizer(given, fields)
    networks: Values = {}
    for name, value in given.items():
        if name in _OF_THE_ALGORITHM and name in fields:
            top[name] = value
        elif name in _TRANSLATED:
            networks |= _TRANSLATED[name](value, of_model)
        elif name in _MODEL and _MODEL[name] in of_model:
            networks[_MODEL[name]] = _plain(name, value)
        elif not (_says_nothing(name, value) or (name in _OF_SDE and not own.get("use_sde"))):
            raise ValueError(f"policy_kwargs {name}={_shown(value)} has no counterpart here; leave it out")
    return top, networks


def _model_fields(fields: Fields) -> Fields:
    kinds = (fields["model"].annotation, *get_args(fields["model"].annotation)) if "model" in fields else ()
    return next((kind.model_fields for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), {})


def _says_nothing(name: str, value: Any) -> bool:
    if name in _OPTIMIZER:
        return True  # read before
    return name in _AS_HERE and (value.last if isinstance(value, Symbol) else value) in _AS_HERE[name]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Symbol | list | dict):
        raise ValueError(f"policy_kwargs {name} is a number or true/false, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Symbol) else shortened(value)


def _sizes(value: Any, of_model: Fields) -> Values:
    """[64, 64] for all networks, dict(pi=..., vf=...) or dict(pi=..., qf=...) for actor and critic."""
    form = "write net_arch=[64, 64], or net_arch=dict(pi=[64], vf=[64]) (qf for a critic of actions)"
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]  # [dict(pi=[64], vf=[64])], as earlier versions have it
    if _is_sizes(value):
        return {"hidden_sizes": value}
    critic = "vf_hidden_sizes" if "vf_hidden_sizes" in of_model else "critic_hidden_sizes"
    name = "vf" if critic == "vf_hidden_sizes" else "qf"
    if not isinstance(value, dict) or set(value) != {"pi", name} or not all(map(_is_sizes, value.values())):
        raise ValueError(f"policy_kwargs net_arch={_shown(value)} is not known here; {form}")
    if critic not in of_model:
        raise ValueError("policy_kwargs net_arch: there is one network here; write net_arch=[64, 64]")
    return {"hidden_sizes": value["pi"], critic: value[name]}


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int for size in value)


def _activation(value: Any, of_model: Fields) -> Values:
    """`nn.ReLU`: by the same name in lower case."""
    known = get_args(of_model["activation"].annotation) if "activation" in of_model else ()
    name = value.last.lower() if isinstance(value, Symbol) else str(value)
    if name not in known or (isinstance(value, Symbol) and value.removesuffix(value.last) not in ("", *_IN_TORCH)):
        raise ValueError(f"policy_kwargs activation_fn={_shown(value)} is not known here; write {', '.join(known)}")
    return {"activation": name}


def _extractor(value: Any, of_model: Fields) -> Values:
    if not isinstance(value, dict) or set(value) - {"features_dim", "cnn_output_dim"} or len(value) > 1:
        raise ValueError(
            f"policy_kwargs features_extractor_kwargs={_shown(value)} is not known here; features_dim=256 is"
        )
    return dict.fromkeys(["cnn_features"], *value.values()) if value else {}


_TRANSLATED: dict[str, Callable[[Any, Fields], Values]] = {
    "net_arch": _sizes,
    "activation_fn": _activation,
    "features_extractor_kwargs": _extractor,
}


def _optimizer(given: Values, fields: Fields) -> Values:
    """`th.optim.Adam` by its last name; an unknown one is refused by the field."""
    chosen = {name: given[name] for name in _OPTIMIZER if given.get(name)}
    if chosen and not fields.keys() >= set(_OPTIMIZER):
        raise ValueError(f"policy_kwargs {', '.join(chosen)}: the optimizer can't be chosen here; leave it out")
    if "optimizer_class" in chosen:
        name = Symbol(chosen["optimizer_class"])
        if name.removesuffix(name.last) not in _OPTIMIZERS:
            raise ValueError(f"policy_kwargs optimizer_class={name} is not known here; write th.optim.Adam")
        chosen["optimizer_class"] = name.last
    return chosen
