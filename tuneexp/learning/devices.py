"""Device of the networks: the CPU, or one GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from tuneexp.errors import UserError

CPU = torch.device("cpu")


def device_of(setting: str) -> torch.device:
    """Return the torch device of a setting.

    Args:
        setting: `cpu`, `cuda`, `cuda:1` or `auto`: a GPU if there is one, else the CPU.

    Raises:
        UserError: the device does not exist.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if setting == "cpu" or (setting == "auto" and not n_gpus):
        return CPU
    device = torch.device("cuda" if setting == "auto" else setting)
    if not n_gpus:
        raise UserError(f"device={setting}: torch {torch.__version__} sees no GPU here; write device=cpu")
    if (device.index or 0) >= n_gpus:
        last = f" to cuda:{n_gpus - 1}" if n_gpus > 1 else ""
        raise UserError(f"device={setting}: there are {n_gpus} GPU(s) here; write cuda:0{last}")
    return device


def stored(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU. Checkpoints load on any device that way."""
    return tensor.detach().to(CPU, copy=True)
