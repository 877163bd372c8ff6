"""Experience of an off-policy trial: the replay buffer, and the newest rows, whose n-step windows are incomplete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.replay import ReplayBuffer, Rows
from tuneexp.data.sample_batch import CONTINUES, FRAGMENT_AXES, SampleBatch, concat_samples
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.learning.devices import CPU
from tuneexp.sampling.episodic_train_freq import EpisodicTrainFreq

# Many minibatches are gathered at once, up to a size that fits into the processor's cache.
GATHER_BYTES = 16_000_000


class Experience:
    """Replay buffer with n-step windows.

    Rows are stored without normalisation, and normalised when they are sampled. A row is stored when its n-step window
    is complete, so the newest n_step - 1 rows of every environment are held back.

    Args:
        buffer: rows [S, C, ...], in the memory of the CPU.
        row_bytes: size of one sampled row.
        learning_starts: environment steps per seed to collect before the first update.
        n_step: rewards that one row sums up.
        normaliser: running statistics; None: nothing is normalised.
        save_buffer: keep the buffer in checkpoints.
        device: of minibatches.
        train_freq: updates due per seed, with `train_freq` in episodes; None: it counts steps.
    """

    def __init__(
        self,
        buffer: ReplayBuffer,
        row_bytes: int,
        learning_starts: int,
        n_step: int = 1,
        normaliser: RunningNormaliser | None = None,
        save_buffer: bool = True,
        device: torch.device = CPU,
        train_freq: EpisodicTrainFreq | None = None,
    ) -> None:
        self.buffer, self._normaliser, self._save_buffer, self._device = buffer, normaliser, save_buffer, device
        self._row_bytes = row_bytes
        self._learning_starts, self._n_step = learning_starts, n_step
        self.train_freq = train_freq
        self._open: SampleBatch | None = None
        self._collected = 0

    @property
    def ready(self) -> bool:
        """True if `learning_starts` steps were collected. Collection starts anew after a restore without the buffer."""
        return self._collected >= self._learning_starts

    def learn_at_once(self) -> None:
        """Ignore `learning_starts` from now on."""
        self._learning_starts = 0

    def windows(self, fragment: SampleBatch) -> SampleBatch:
        """Return the W rows that were held back and the fragment, encoded as the buffer stores it.

        Args:
            fragment: columns [T, S, N, ...].

        Returns:
            Columns [W + T, S, N, ...].
        """
        self._collected += fragment.size("time") * fragment.size("env")
        if CONTINUES in fragment:
            self._cut_windows(fragment[CONTINUES][0])
            fragment = fragment.drop(CONTINUES)
        encoded = fragment if self.buffer.frames is None else SampleBatch(self.buffer.encode(fragment), FRAGMENT_AXES)
        return encoded if self._open is None else concat_samples([self._open, encoded], axis="time")

    def _cut_windows(self, continues: Tensor) -> None:
        """Truncate the incomplete windows of episodes that were lost with their runner.

        They bootstrap from the last observation. continues: [S, N] bool, environments that were not restarted."""
        if self._open is None:
            return
        truncated = self._open["truncated"].clone()
        truncated[-1] |= ~continues & self._open["valid"][-1] & ~self._open["terminated"][-1]
        self._open = self._open.with_columns({"truncated": truncated})

    def add(self, windows: SampleBatch, columns: SampleBatch) -> None:
        """Store the rows whose windows are complete.

        Args:
            windows: from `windows`.
            columns: training columns of the same rows, from `postprocess`.
        """
        complete = max(0, columns.size("time") - self._n_step + 1)
        self._open = windows.slice(complete, None, "time") if self._n_step > 1 else None
        if complete:
            rows = (columns.slice(0, complete, "time") if self._n_step > 1 else columns).to_rows()
            rows = rows if self._device == CPU else rows.to(CPU)
            self.buffer.add(rows, rows["valid"])

    def minibatches(self, rows: Rows) -> Iterator[dict[str, Tensor]]:
        """Yield U minibatches, name -> [S, B, ...]. rows: [U, S, B]."""
        for part in self._parts(rows):
            gathered = {name: column.to(self._device) for name, column in self._gathered(part).items()}
            for update in range(len(part)):
                yield {name: column[update] for name, column in gathered.items()}

    def blocks(self, rows: Rows) -> Iterator[tuple[Mapping[str, Tensor], Rows]]:
        """Yield columns [R, ...] by name and minibatches as numbers of their rows, [U, S, B].

        One block is the storage itself, unless rows have to be normalised or made of frames. rows: [U, S, B]."""
        if self._normaliser is None and self.buffer.frames is None:
            yield self.buffer.flat, rows
            return
        for part in self._parts(rows):
            columns = {name: column.flatten(0, 2) for name, column in self._gathered(part).items()}
            yield columns, torch.arange(part.numel()).view(part.shape)

    def _parts(self, rows: Rows) -> Sequence[Rows]:
        return rows.split(max(1, GATHER_BYTES // (rows[0].numel() * self._row_bytes)))

    def _gathered(self, rows: Rows) -> dict[str, Tensor]:
        return self._scaled(self.buffer.gather(rows))

    def _scaled(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Normalise columns [U, S, B, ...] by the present running statistics, not by those of the time of storage."""
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
        """Return the state, or None if the buffer is not kept in checkpoints."""
        if not self._save_buffer:
            return None
        waiting = None if self._open is None else {name: column.clone() for name, column in self._open.items()}
        phases = None if self.train_freq is None else self.train_freq.state_dict()
        return {"buffer": self.buffer.state_dict(), "open": waiting, "collected": self._collected, "phases": phases}

    def load_state_dict(self, state: Mapping[str, Any] | None, same_episodes: bool) -> None:
        """Restore the state. Without a stored buffer, collection starts anew.

        Args:
            state: from `state_dict`.
            same_episodes: the environments continue their episodes. If not, rows of incomplete windows are dropped.
        """
        if state is None:
            return
        self.buffer.load_state_dict(state["buffer"])
        self._collected = int(state["collected"])
        if self.train_freq is not None and state.get("phases") is not None:
            self.train_freq.load_state_dict(state["phases"])
        waiting = state["open"]
        self._open = SampleBatch(waiting, FRAGMENT_AXES) if waiting is not None and same_episodes else None
