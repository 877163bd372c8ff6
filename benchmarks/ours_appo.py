"""APPO of tuneexp: `python -m benchmarks.ours_appo ENV_STEPS SEEDS` prints its measurement.

ENV_STEPS is the budget of each of the SEEDS seeds; the rate is their sum."""

from __future__ import annotations

import sys

from benchmarks.clock import hand_over
from benchmarks.ours_training import trained
from benchmarks.work import APPO_WORK, ENV


def main() -> None:
    env_steps, n_seeds = int(sys.argv[1]), int(sys.argv[2])
    hand_over(trained("appo", ENV, env_steps, n_seeds, "on", {**APPO_WORK, "batch_size": 512}))


if __name__ == "__main__":
    main()
