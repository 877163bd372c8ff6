"""Copies of rows of a learner, for populations: a member continues from the state of another."""

from __future__ import annotations

import torch
from torch import Tensor

from tuneexp.learning.learner import Learner


@torch.no_grad()
def copy_rows(learner: Learner, source: Tensor) -> None:
    """Copy parameters, the optimizer's moments, target networks and `failed` between seeds, bit for bit.

    The generators stay: the random numbers of a seed are its own.

    Args:
        learner: changed in place. Programs that are built stay valid.
        source: int64 [S], for each seed the one whose state it gets; its own index: it stays as it is.
    """
    elements = learner.stack.elements_of(source)
    learner.stack.flat.copy_(learner.stack.flat[elements])
    if learner.target is not None:
        learner.target.flat.copy_(learner.target.flat[elements])
    learner.optimizer.copy_elements(elements)
    learner.failed.copy_(learner.failed[source])
    learner.skipped.copy_(learner.skipped[source])
