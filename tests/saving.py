"""Training in another process: `python tests/saving.py CHECKPOINT OUTPUT [CHECKPOINT OUTPUT ...]`.

Each checkpoint is loaded, trained to the end of its budget and saved again."""

from __future__ import annotations

import sys

import torch

from tuneexp.files import checkpoint
from tuneexp.trial.from_checkpoint import trial_from_checkpoint


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    for folder, output in zip(arguments[::2], arguments[1::2], strict=True):
        trial = trial_from_checkpoint(folder, trust=True)
        while not trial.done:
            trial.advance()
        checkpoint.write(output, trial.state_dict())
        trial.close()


if __name__ == "__main__":
    main(sys.argv[1:])
