"""Training after whole episodes: `train_freq=[n, "episode"]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch


class EpisodePhases:
    """How many episodes of a seed have ended, and how many steps it took, since it learned last.

    Seeds end their episodes at steps of their own, so each learns at steps of its own. With several environments the
    episodes of all of them count, and those that are under way go on by the new policy."""

    def __init__(self, n_seeds: int, episodes: int) -> None:
        self._episodes = episodes
        self._ended, self._steps = (torch.zeros(n_seeds, dtype=torch.int64) for _ in range(2))

    def updates_after(self, fragment: SampleBatch, gradient_steps: int) -> Tensor:
        """int64 [S]: updates that are due now; gradient_steps -1: as many as steps were taken, without those that only
        reset. The fragment is the newest step of every environment."""
        valid = fragment["valid"]
        self._steps += valid.sum((0, 2))
        self._ended += (valid & (fragment["terminated"] | fragment["truncated"])).sum((0, 2))
        complete = self._ended >= self._episodes
        wanted = self._steps if gradient_steps == -1 else torch.full_like(self._steps, gradient_steps)
        due = torch.where(complete, wanted, 0)
        self._ended.masked_fill_(complete, 0)
        self._steps.masked_fill_(complete, 0)
        return due

    def state_dict(self) -> dict[str, Tensor]:
        return {"ended": self._ended.clone(), "steps": self._steps.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._ended.copy_(state["ended"])
        self._steps.copy_(state["steps"])


@contextmanager
def unmoved(generators: Sequence[torch.Generator], which: Tensor) -> Iterator[None]:
    """The generators of `which` seeds, [S] bool, are afterwards as they were: what a seed draws must not depend on when
    others learn."""
    kept = [(own, own.get_state()) for own, keep in zip(generators, which.tolist(), strict=True) if keep]
    try:
        yield
    finally:
        for own, state in kept:
            own.set_state(state)
