"""Custom networks: construction, and validation of the methods that an algorithm needs.

The network is a class, called as `MyNet(observation_space, action_space, **kwargs)`. Its *heads* are methods,
submodules or parameters with fixed names and shapes. Their inputs have one batch axis, `[B, ...]`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from tuneexp.addresses import load_class
from tuneexp.errors import UserError, nearest, reason_of
from tuneexp.rl.distributions import action_head
from tuneexp.spaces.packing import packed_dtype, packed_size

_BATCH = 2


@dataclass(frozen=True)
class Head:
    """Specification of one head; each output has shape [*lead, B, *shape].

    Args:
        inputs: Examples of the arguments without batch axis, by name.
        shape: Shape of the output after the batch axis.
        lead: Axes before the batch axis.
        outputs: Number of output tensors.
        kind: "method" of the network; "part", a submodule whose parameters one part of the loss trains; or "parameter"
            of `shape`, without batch.
    """

    inputs: Mapping[str, Tensor]
    shape: tuple[int, ...]
    lead: tuple[int, ...] = ()
    outputs: int = 1
    kind: Literal["method", "part", "parameter"] = "method"

    def signature(self, name: str) -> str:
        """Signature for error messages: `value(obs) -> [B]`."""
        if self.kind == "parameter":
            return f"{name} = torch.nn.Parameter of shape {list(self.shape)}"
        one = f"[{', '.join(str(n) for n in (*self.lead, 'B', *self.shape))}]"
        part = " (a torch.nn.Module)" if self.kind == "part" else ""
        several = f"{self.outputs} tensors " if self.outputs > 1 else ""
        return f"{name}({', '.join(self.inputs)}){part} -> {several}{one}"


def build_custom(
    model: str | type, observation_space: gym.Space[Any], action_space: gym.Space[Any], kwargs: Mapping[str, Any]
) -> nn.Module:
    """Build a custom network.

    Args:
        model: Class, or its address ("my_package.models:MyNet", "path/file.py:MyNet").
        observation_space: A gymnasium space.
        action_space: A gymnasium space.
        kwargs: Further arguments.

    Returns:
        The network.

    Raises:
        UserError: it can't be built, or has layers that can't be trained with a seed axis.
    """
    found = load_class(model, "model", (nn.Module,), "a torch.nn.Module class") if isinstance(model, str) else model
    name = model if isinstance(model, str) else getattr(model, "__name__", repr(model))
    call = f"{name}(observation_space, action_space{''.join(f', {key}=...' for key in kwargs)})"
    if not callable(found) or isinstance(found, nn.Module):
        raise UserError(f"model {name} is {type(found).__name__}, not a class; name a torch.nn.Module class")
    try:
        module = found(observation_space, action_space, **kwargs)
    except UserError:
        raise
    except BaseException as error:
        raise UserError(f"model {name}: {call} failed: {reason_of(error)[:300]}") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"model {name}: {call} gave {type(module).__name__}; it must give a torch.nn.Module")
    _require_trainable(module, name)
    return module


# Layers that can't have a seed axis, and their replacement.
_REFUSED: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.modules.batchnorm._NormBase, "keeps statistics of the batch; use torch.nn.LayerNorm or GroupNorm"),
    (nn.modules.dropout._DropoutNd, "draws random numbers of its own; leave it out"),
    (nn.RNNBase, "has no seed axis; use tuneexp.models.recurrent.LSTMCell or GRUCell"),
)


def _require_trainable(module: nn.Module, name: str) -> None:
    for path, layer in module.named_modules():
        for kind, advice in _REFUSED:
            if isinstance(layer, kind):
                raise UserError(f"model {name}: {path or 'it'} is a {type(layer).__name__}, which {advice}")
    if buffers := [path for path, _ in module.named_buffers()]:
        raise UserError(
            f"model {name} has buffers ({', '.join(buffers)}), which no seed has of its own; compute constants in "
            "forward, or make each a torch.nn.Parameter that forward reads by .detach()"
        )
    parameters = dict(module.named_parameters())
    if not parameters:
        raise UserError(f"model {name} has no parameters to learn; assign its layers to self in __init__")
    for path, parameter in parameters.items():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise UserError(f"model {name}: {path} has no shape yet; use a layer that is not lazy, with its input size")
        if parameter.dtype != torch.float32:
            raise UserError(f"model {name}: {path} is {parameter.dtype}; parameters are torch.float32 here")
        if not parameter.requires_grad:  # every parameter is a column of one array that is trained
            raise UserError(
                f"model {name}: {path} is frozen by requires_grad=False, which is not kept here; leave it as it is and "
                "read it by .detach() in forward"
            )


def example_observation(space: gym.Space[Any]) -> Tensor:
    """One observation of zeros as networks see it: no batch axis, a Dict packed (`spaces/packing.py`)."""
    if isinstance(space, gym.spaces.Dict):
        dtype = torch.uint8 if packed_dtype(space) is np.uint8 else torch.float32
        return torch.zeros(packed_size(space), dtype=dtype)
    if isinstance(space, gym.spaces.Box):
        kept = not np.issubdtype(space.dtype, np.floating)
        return torch.as_tensor(np.zeros(space.shape, space.dtype if kept else np.float32))
    return torch.zeros(space.shape or (), dtype=torch.int64)


def check_heads(module: nn.Module, owner: str, heads: Mapping[str, Head]) -> None:
    """Run every head on a batch of two.

    Args:
        module: The network.
        owner: Name of the algorithm, for error messages.
        heads: Required heads by name.

    Raises:
        UserError: heads are missing, or one returns another shape.
    """
    name = type(module).__name__
    missing = [head.signature(key) for key, head in heads.items() if not _has(module, key, head)]
    if missing:
        others = [key for key in (*vars(type(module)), *module._modules) if not key.startswith("_")]
        absent = [key for key, head in heads.items() if not _has(module, key, head)]
        guesses = [f"{match!r} as {key!r}" for key in absent if (match := nearest(key, others)) and match not in heads]
        advice = f" (did you mean {', '.join(guesses)}?)" if guesses else ""
        raise UserError(f"{name} lacks what {owner} needs{advice}; add\n" + "; ".join(missing))
    for key, head in heads.items():
        _check_head(module, name, owner, key, head)


def _has(module: nn.Module, key: str, head: Head) -> bool:
    found = getattr(module, key, None)
    if head.kind == "parameter":
        return isinstance(found, nn.Parameter)
    return isinstance(found, nn.Module) if head.kind == "part" else callable(found)


def _check_head(module: nn.Module, name: str, owner: str, key: str, head: Head) -> None:
    needed: tuple[int, ...]
    if head.kind == "parameter":
        outputs, needed = (getattr(module, key),), head.shape
    else:
        inputs = [example.expand(_BATCH, *example.shape) for example in head.inputs.values()]
        shapes = ", ".join(f"{arg}: {_described(x)}" for arg, x in zip(head.inputs, inputs, strict=True))
        try:
            with torch.no_grad():
                found = getattr(module, key)(*inputs)
        except BaseException as error:
            raise UserError(f"{name}.{key}({shapes}) failed: {reason_of(error)[:300]}") from error
        outputs = (found,) if head.outputs == 1 else tuple(found) if isinstance(found, tuple | list) else (found,)
        needed = (*head.lead, _BATCH, *head.shape)
    if len(outputs) != head.outputs or not all(isinstance(out, Tensor) for out in outputs):
        given = ", ".join(type(out).__name__ for out in outputs)
        raise UserError(f"{name}.{key} gave ({given}); {owner} needs {head.signature(key)}")
    for out in outputs:
        if tuple(out.shape) != needed:
            of = "" if head.kind == "parameter" else f" for a batch of {_BATCH}"
            raise UserError(
                f"{name}.{key} has shape {list(out.shape)}{of}, {owner} needs {list(needed)}: {head.signature(key)}"
            )
        if not out.is_floating_point():
            raise UserError(f"{name}.{key} gives {out.dtype}; {owner} needs floats")


def _described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {list(x.shape)}"


# -- heads of each kind of algorithm


def _obs(space: gym.Space[Any]) -> dict[str, Tensor]:
    return {"obs": example_observation(space)}


def _obs_action(observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> dict[str, Tensor]:
    return {**_obs(observation_space), "action": torch.zeros(action_head(action_space).shape)}


def actor_critic_heads(observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> dict[str, Head]:
    """Heads of A2C, PPO, IMPALA and APPO: `policy` (logits, or means with a parameter `log_std`) and `value`."""
    head, obs = action_head(action_space), _obs(observation_space)
    table = {"policy": Head(obs, (head.size,)), "value": Head(obs, ())}
    if head.has_log_std:
        table["log_std"] = Head({}, (head.size,), kind="parameter")
    return table


def q_heads(observation_space: gym.Space[Any], action_space: gym.Space[Any], atoms: int = 1) -> dict[str, Head]:
    """Head of DQN and QR-DQN: `q`, one or `atoms` numbers per action."""
    shape = (action_head(action_space).size,) if atoms == 1 else (action_head(action_space).size, atoms)
    return {"q": Head(_obs(observation_space), shape)}


def soft_actor_critic_heads(
    observation_space: gym.Space[Any], action_space: gym.Space[Any], n_critics: int = 2, n_quantiles: int = 1
) -> dict[str, Head]:
    """Heads of SAC and TQC.

    Submodules `actor` (mean and log standard deviation before the tanh; logits of Discrete actions) and `critic` (all
    critics in one call; for Discrete actions without the argument `action`).
    """
    head, obs = action_head(action_space), _obs(observation_space)
    if head.kind == "discrete":
        return {
            "actor": Head(obs, (head.size,), kind="part"),
            "critic": Head(obs, (head.size,), lead=(n_critics,), kind="part"),
        }
    return {
        "actor": Head(obs, (math.prod(head.shape),), outputs=2, kind="part"),
        "critic": _critic(observation_space, action_space, n_critics, n_quantiles),
    }


def deterministic_heads(
    observation_space: gym.Space[Any], action_space: gym.Space[Any], n_critics: int = 2
) -> dict[str, Head]:
    """Heads of DDPG and TD3: submodules `actor` (actions before the tanh) and `critic` (all critics in one call)."""
    size = math.prod(action_head(action_space).shape)
    return {
        "actor": Head(_obs(observation_space), (size,), kind="part"),
        "critic": _critic(observation_space, action_space, n_critics, 1),
    }


def _critic(observation_space: gym.Space[Any], action_space: gym.Space[Any], n_critics: int, quantiles: int) -> Head:
    shape = () if quantiles == 1 else (quantiles,)
    return Head(_obs_action(observation_space, action_space), shape, lead=(n_critics,), kind="part")
