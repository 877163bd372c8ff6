"""What an off-policy trial remembers: the replay buffer, and the newest rows whose n-step windows are still open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.replay import ReplayBuffer, Rows
from tuneexp.data.sample_batch import CONTINUES, FRAGMENT_AXES, SampleBatch, concat_samples
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.learning.devices import CPU
from tuneexp.sampling.phases import EpisodePhases

# One gather for many minibatches, but no more than stays in a cache.
GATHER_BYTES = 16_000_000


class Experience:
    """`buffer`: rows [S, C, ...] as the environment gave them; they are scaled when they are drawn.

    row_bytes: of one row when it is drawn. learning_starts: environment steps per seed to collect before anything is
    learned. n_step: rewards that one row sums up. A row is stored once its window is complete, so the newest
    n_step - 1 rows of every environment wait. device: of minibatches; rows are stored in the memory of the CPU.
    phases: of learning, where they are counted in episodes."""

    def __init__(
        self,
        buffer: ReplayBuffer,
        row_bytes: int,
        learning_starts: int,
        n_step: int = 1,
        normaliser: RunningNormaliser | None = None,
        save_buffer: bool = True,
        device: torch.device = CPU,
        phases: EpisodePhases | None = None,
    ) -> None:
        self.buffer, self._normaliser, self._save_buffer, self._device = buffer, normaliser, save_buffer, device
        self._row_bytes = row_bytes
        self._learning_starts, self._n_step = learning_starts, n_step
        self.phases = phases
        self._open: SampleBatch | None = None
        self._collected = 0

    @property
    def ready(self) -> bool:
        """Whether enough was collected; again after a restore without the buffer."""
        return self._collected >= self._learning_starts

    def windows(self, fragment: SampleBatch) -> SampleBatch:
        """The fragment, encoded as the buffer stores it, behind the rows that still wait: [T + W, S, N, ...]."""
        self._collected += fragment.size("time") * fragment.size("env")
        if CONTINUES in fragment:
            self._cut_windows(fragment[CONTINUES][0])
            fragment = fragment.drop(CONTINUES)
        encoded = SampleBatch(self.buffer.encode(fragment), FRAGMENT_AXES)
        return encoded if self._open is None else concat_samples([self._open, encoded], axis="time")

    def _cut_windows(self, continues: Tensor) -> None:
        """continues: [S, N] bool. Where an episode was lost with its runner, its open windows end as if it had been
        truncated: with what they hold, and the value of the last observation that was seen."""
        if self._open is None:
            return
        truncated = self._open["truncated"].clone()
        truncated[-1] |= ~continues & self._open["valid"][-1] & ~self._open["terminated"][-1]
        self._open = self._open.with_columns({"truncated": truncated})

    def add(self, windows: SampleBatch, columns: SampleBatch) -> None:
        """columns: what postprocessing made of `windows`, row for row. Stores the rows whose windows are complete."""
        complete = max(0, columns.size("time") - self._n_step + 1)
        self._open = windows.slice(complete, None, "time") if self._n_step > 1 else None
        if complete:
            rows = columns.slice(0, complete, "time").to_rows()
            rows = rows if self._device == CPU else rows.to(CPU)
            self.buffer.add(rows, rows["valid"])

    def minibatches(self, rows: Rows) -> Iterator[dict[str, Tensor]]:
        """rows: [U, S, B]. Yields U minibatches, name -> [S, B, ...]."""
        bytes_each = rows[0].numel() * self._row_bytes
        for part in rows.split(max(1, GATHER_BYTES // bytes_each)):
            scaled = self._scaled(self.buffer.gather(part))
            gathered = {name: column.to(self._device) for name, column in scaled.items()}
            for update in range(len(part)):
                yield {name: column[update] for name, column in gathered.items()}

    def _scaled(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """columns: [U, S, B, ...]. By the statistics of now, not of when the row was stored."""
        if self._normaliser is None:
            return columns
        scaled = dict(columns)
        for name, scale in {
            "obs": self._normaliser.normalise, "next_obs": self._normaliser.normalise,
            "reward": self._normaliser.scale_rewards,
        }.items():  # fmt: skip
            by_seed = scale(columns[name].transpose(0, 1).numpy())
            scaled[name] = torch.from_numpy(by_seed).transpose(0, 1).contiguous()
        return scaled

    def state_dict(self) -> dict[str, Any] | None:
        """None where the buffer isn't kept in checkpoints."""
        if not self._save_buffer:
            return None
        waiting = None if self._open is None else {name: column.clone() for name, column in self._open.items()}
        phases = None if self.phases is None else self.phases.state_dict()
        return {"buffer": self.buffer.state_dict(), "open": waiting, "collected": self._collected, "phases": phases}

    def load_state_dict(self, state: Mapping[str, Any] | None, same_episodes: bool) -> None:
        """Without a stored buffer, collecting starts again. same_episodes: whether the environments go on where they
        were; if not, the windows that were open can't be completed, and their rows are given up."""
        if state is None:
            return
        self.buffer.load_state_dict(state["buffer"])
        self._collected = int(state["collected"])
        if self.phases is not None and state.get("phases") is not None:
            self.phases.load_state_dict(state["phases"])
        waiting = state["open"]
        self._open = SampleBatch(waiting, FRAGMENT_AXES) if waiting is not None and same_episodes else None
