"""Parameters with a leading seed axis, stored in one flat tensor.

Each leaf is a contiguous block `[S, ...]` of the flat storage, so that an elementwise optimizer
steps over one tensor instead of a dozen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.learning.devices import CPU
from tuneexp.learning.rng_streams import stream_seed
from tuneexp.learning.user_functions import called_as


class FlatStack:
    """Parameters of all seeds in one tensor.

    Attributes:
        flat: [P], on the device.
        leaves: name -> view [S, ...] of `flat`.
        seed_of: [P], the seed index of each number.
        spans: name -> slice of `flat`.

    Args:
        leaves: name -> [S, ...], copied.
        device: of `flat`.
    """

    def __init__(self, leaves: Mapping[str, Tensor], device: torch.device = CPU) -> None:
        self.n_seeds = next(iter(leaves.values())).shape[0]
        self.shapes = {name: tuple(leaf.shape) for name, leaf in leaves.items()}
        self.flat = torch.cat([leaf.detach().reshape(-1).float() for leaf in leaves.values()]).to(device)
        self.spans = _spans(self.shapes)
        self.leaves = self.split(self.flat)
        self.seed_of = torch.cat([_owners(shape) for shape in self.shapes.values()]).to(device)

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of `flat` [P] by the names of the leaves."""
        return {name: flat[self.spans[name]].view(shape) for name, shape in self.shapes.items()}

    def per_element(self, per_seed: Tensor) -> Tensor:
        """Spread values of seeds [S] over their numbers. Returns [P]."""
        return per_seed.to(self.seed_of.device)[self.seed_of]

    def elements_of(self, source: Tensor) -> Tensor:
        """Return the place that each number is copied from [P] if seed s gets the row `source[s]`. source: [S]."""
        places = self.split(torch.arange(self.flat.numel(), device=self.flat.device))
        rows = source.to(self.flat.device)
        return torch.cat([place[rows].reshape(-1) for place in places.values()])


def _spans(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, slice]:
    """Return the slice of each leaf in the flat storage."""
    spans, start = {}, 0
    for name, shape in shapes.items():
        spans[name] = slice(start, start + math.prod(shape))
        start = spans[name].stop
    return spans


def _owners(shape: tuple[int, ...]) -> Tensor:
    return torch.arange(shape[0]).repeat_interleave(math.prod(shape[1:]))


def initial_stack(
    build_model: Callable[[], nn.Module], seeds: Sequence[int], device: torch.device = CPU
) -> tuple[nn.Module, FlatStack]:
    """Build one model per seed and stack their parameters.

    Each is initialised from its own seed, on the CPU, so that the parameters are the same on every device.

    Args:
        build_model: builds one seed's model from torch's default generator.
        seeds: one model each.
        device: of the result.

    Returns:
        A model, for its structure and its buffers, and the stacked parameters.

    Raises:
        UserError: `build_model` returns no module, or one without parameters.
    """
    models = [_seeded(build_model, seed) for seed in seeds]
    names = [name for name, _ in models[0].named_parameters()]
    tables = [dict(model.named_parameters()) for model in models]
    stacked = {name: torch.stack([table[name].detach() for table in tables]) for name in names}
    return models[0].to(device), FlatStack(stacked, device)


def _seeded(build_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "networks"))
        model = build_model()
    if not isinstance(model, nn.Module):
        raise UserError(f"build_model gave {type(model).__name__}; write {called_as('build_model')}")
    if not any(True for _ in model.parameters()):
        raise UserError("build_model gave a model without parameters; assign its layers to self in __init__")
    return model
