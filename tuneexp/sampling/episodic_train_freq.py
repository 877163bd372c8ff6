"""Training after whole episodes: `train_freq=[n, "episode"]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.rl.noise import Noise


class EpisodicTrainFreq:
    """Ended episodes and steps of each seed since its last update.

    Seeds end their episodes at different steps, so they are updated at different steps. With several environments the
    episodes of all of them count. Episodes that have not ended continue with the new policy.

    Args:
        n_seeds: number of seeds (S).
        episodes: episodes per update, n of `train_freq=[n, "episode"]`.
    """

    def __init__(self, n_seeds: int, episodes: int) -> None:
        self._episodes = episodes
        self._ended, self._steps = (torch.zeros(n_seeds, dtype=torch.int64) for _ in range(2))

    def updates_after(self, fragment: SampleBatch, gradient_steps: int) -> Tensor:
        """Count a fragment of one step and return the number of updates that are due for each seed, int64 [S].

        Args:
            fragment: the newest step of every environment.
            gradient_steps: updates when enough episodes have ended; -1: the number of valid steps since the last one.
        """
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
    """Exploration noise that is held across fragments of one step, with `train_freq` in episodes.

    A seed's draw is held for `Noise.every` of its steps, counted from its last update, or (-1) until its next update.
    State-dependent exploration of Stable-Baselines3 does the same: it draws new noise at the start of each rollout.

    Args:
        n_seeds: number of seeds (S).
        episodes: episodes per update.
    """

    def __init__(self, n_seeds: int, episodes: int) -> None:
        self._phases = EpisodicTrainFreq(n_seeds, episodes)
        self._steps = torch.zeros(n_seeds, dtype=torch.int64)
        self._held: dict[str, Tensor] = {}

    def draw(self, noises: Mapping[str, Noise], n_rows: int, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Return the noise of the next step, columns [1, S, ...].

        Args:
            noises: name -> column.
            n_rows: environments per seed.
            generators: one per seed.
        """
        return [
            noise.draw(1, n_rows, generators) if noise.every == 1 else self._of(name, noise, n_rows, generators)
            for name, noise in noises.items()
        ]

    def _of(self, name: str, noise: Noise, n_rows: int, generators: Sequence[torch.Generator]) -> Tensor:
        if name not in self._held:
            self._held[name] = noise.zeros(len(generators), n_rows)[None]
        column = self._held[name] = self._held[name].clone()  # the previous tensor may still be in use
        for seed, step in enumerate(self._steps.tolist()):
            if step == 0 or (noise.every > 0 and step % noise.every == 0):
                column[:, seed] = noise.draw(1, n_rows, [generators[seed]])[:, 0]
        return column

    def follow(self, fragment: SampleBatch) -> None:
        """Count the step that the noise was drawn for. Steps that only reset all environments of a seed don't count."""
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
    """Restore the generators of some seeds at the end: a seed's draws must not depend on the updates of others.

    Args:
        generators: one per seed.
        which: [S] bool, the seeds to restore.
    """
    kept = [(own, own.get_state()) for own, keep in zip(generators, which.tolist(), strict=True) if keep]
    try:
        yield
    finally:
        for own, state in kept:
            own.set_state(state)
