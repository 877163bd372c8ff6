"""Spaces, observations and the seed-axis check for tests of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.spaces.packing import layout, packed_dtype

VECTOR = gym.spaces.Box(-1.0, 1.0, (4,))
ATARI = gym.spaces.Box(0, 255, (2, 36, 40), dtype=np.uint8)
GRID = gym.spaces.Box(0, 255, (7, 7, 3), dtype=np.uint8)
MIXED = gym.spaces.Dict(
    {
        "camera": GRID,
        "body": gym.spaces.Dict({"speed": gym.spaces.Box(-1.0, 1.0, (2,)), "gear": gym.spaces.Discrete(4, start=1)}),
        "allowed": gym.spaces.MultiBinary(3),
    }
)
CHOICE = gym.spaces.Discrete(3)
TORQUE = gym.spaces.Box(np.array([-1.0, -2.0], np.float32), np.array([1.0, 6.0], np.float32))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def observe(space: gym.Space[Any], *lead: int, seed: int = 0) -> Tensor:
    """Random observations [*lead, *shape], or packed ones of a Dict."""
    space.seed(seed)
    rows = [_packed(space, space.sample()) for _ in range(int(np.prod(lead)))]
    obs = torch.as_tensor(np.stack(rows))
    return obs.view(*lead, *obs.shape[1:])


def _packed(space: gym.Space[Any], sample: Any) -> Any:
    if not isinstance(space, gym.spaces.Dict):
        return sample
    numbers = []
    for leaf in layout(space):
        value = sample
        for key in leaf.name.split("/"):
            value = value[key]
        if isinstance(leaf.space, gym.spaces.Discrete):
            value = value - leaf.space.start
        numbers.append(np.asarray(value).reshape(-1))
    return np.concatenate(numbers).astype(packed_dtype(space))


class _Call(nn.Module):
    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *args: Tensor) -> Any:
        return self.call(self.model, *args)


def assert_near(found: Tensor, wanted: Tensor, name: str) -> None:
    """Equal up to float32 rounding of sums, relative to their largest terms."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * max(1.0, float(wanted.abs().max())), msg=name)


def check_seed_axis(
    make: Callable[[torch.Generator], nn.Module], call: Callable[..., Sequence[Tensor]], args: Sequence[Tensor]
) -> None:
    """Check the gradients of three models under vmap, and of the traced program.

    Under vmap with `args` [3, ...] each, they equal those of each model alone. Those of the program, traced with fake
    tensors and called with other inputs of the same shapes, equal those of the function."""
    models = [make(seeded(seed)) for seed in range(3)]
    assert not list(models[0].buffers())
    tables = [dict(model.named_parameters()) for model in models]
    params = {name: torch.stack([table[name].detach() for table in tables]) for name in tables[0]}

    def loss(params: dict[str, Tensor], *args: Tensor) -> Tensor:
        named = {f"model.{name}": value for name, value in params.items()}
        outputs = functional_call(_Call(models[0], call), named, tuple(args))
        return torch.stack([(out.sin() + out.square()).mean() for out in outputs]).sum()

    together = vmap(grad(loss))
    gradients = together(params, *args)
    for seed, table in enumerate(tables):
        alone = grad(loss)({n: p.detach() for n, p in table.items()}, *(arg[seed] for arg in args))
        for name, gradient in alone.items():
            assert_near(gradients[name][seed], gradient, f"{name} {seed}")
    other = {name: value.flip(0) for name, value in params.items()}
    flipped = [arg.flip(0) for arg in args]
    traced = make_fx(together, tracing_mode="fake")(params, *args)(other, *flipped)
    for name, gradient in together(other, *flipped).items():
        assert_near(traced[name], gradient, name)
