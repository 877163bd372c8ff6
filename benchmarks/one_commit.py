"""Training with the code on PYTHONPATH: `one_commit.py SETUP ENV_STEPS SEEDS COMPILE [SETTING=VALUE ...]`.

That code may be older than this file, which uses nothing else of the project but clock.py and work.py beside it. Prints
the CPU seconds of the training after its first report, without evaluation."""

from __future__ import annotations

import sys
from typing import Any

from clock import Stopwatch, hand_over, now, one_thread
from work import ALL_SETUPS

one_thread()

from tuneexp.algorithms.registry import ALGORITHMS, load_spec


def trained(setup: str, env_steps: int, n_seeds: int, compilation: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Train once. Returns the CPU seconds, and whether the programs were compiled."""
    what = ALL_SETUPS[setup]
    algo = load_spec(what.algorithm).build(
        env=what.env, seeds=list(range(n_seeds)), budget_env_steps=env_steps,
        evaluation={"episodes": 1, "final_episodes": 1}, compile=compilation, **what.hyperparameters(), **settings,
    )  # fmt: skip
    result = algo.train()
    # A trial of earlier code evaluates itself, not its source.
    evaluator = getattr(algo.trial, "source", algo.trial)
    evaluator.evaluate = watch = Stopwatch(evaluator.evaluate)
    started = now()
    while not result["done"]:
        result = algo.train()
    spent_s = started.spent().cpu_s - watch.cpu_s
    assert watch.cpu_s > 0, "no evaluation was timed: this code calls another function"
    algo.stop()
    return {"training_cpu_s": spent_s, "compiled": result["compiled"]}


def main() -> None:
    setup, env_steps, n_seeds, compilation = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    settings = dict(one.split("=", 1) for one in sys.argv[5:])
    known = ALL_SETUPS[setup].algorithm in ALGORITHMS
    measured = trained(setup, env_steps, n_seeds, compilation, settings) if known else {}
    hand_over({"code": str(sys.modules["tuneexp"].__file__), "known": known, **measured})


if __name__ == "__main__":
    main()
