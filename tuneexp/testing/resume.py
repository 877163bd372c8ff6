"""`python -m tuneexp.testing.resume CHECKPOINT OUTPUT`: train to the end of the budget, in a new process."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tuneexp.testing.saving_facts import resume

if __name__ == "__main__":
    torch.set_num_threads(1)
    resume(*map(Path, sys.argv[1:3]))
