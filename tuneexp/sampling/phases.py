"""Training after whole episodes: `train_freq=[n, "episode"]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.learning.noise import Noise


class EpisodePhases:
    """Count of a seed's ended episodes and of its steps since its last update.

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


class HeldNoise:
    """The noise of acting where a phase spans many fragments of one step: what is to be held is held from the start of
    a seed's phase on, for `Noise.every` of its steps, or (-1) until the phase ends. As state-dependent exploration does
    in Stable-Baselines3, which draws anew where collecting starts."""

    def __init__(self, n_seeds: int, episodes: int) -> None:
        self._phases = EpisodePhases(n_seeds, episodes)
        self._steps = torch.zeros(n_seeds, dtype=torch.int64)
        self._held: dict[str, Tensor] = {}

    def draw(self, noises: Mapping[str, Noise], n_rows: int, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """One draw for the next step, [1, S, ...] a column."""
        return [
            noise.draw(1, n_rows, generators) if noise.every == 1 else self._of(name, noise, n_rows, generators)
            for name, noise in noises.items()
        ]

    def _of(self, name: str, noise: Noise, n_rows: int, generators: Sequence[torch.Generator]) -> Tensor:
        if name not in self._held:
            self._held[name] = noise.zeros(len(generators), n_rows)[None]
        column = self._held[name] = self._held[name].clone()  # the one of before may be under way
        for seed, step in enumerate(self._steps.tolist()):
            if step == 0 or (noise.every > 0 and step % noise.every == 0):
                column[:, seed] = noise.draw(1, n_rows, [generators[seed]])[:, 0]
        return column

    def follow(self, fragment: SampleBatch) -> None:
        """The step that was drawn for. One that only resets all environments of a seed doesn't count."""
        self._steps += fragment["valid"].any(2).any(0)
        self._steps.masked_fill_(self._phases.updates_after(fragment, 1) > 0, 0)

    def state_dict(self) -> dict[str, Any]:
        held = {name: column.clone() for name, column in self._held.items()}
        return {"phases": self._phases.state_dict(), "steps": self._steps.clone(), "held": held}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._phases.load_state_dict(state["phases"])
        self._steps.copy_(state["steps"])
        self._held = {name: column.clone() for name, column in state["held"].items()}


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
