"""Training with tuneexp: `python -m benchmarks.ours_training SETUP ENV_STEPS SEEDS COMPILE [SETTING=VALUE ...]`.

It prints the measurement. ENV_STEPS is the budget of each of the SEEDS seeds; the rate is their sum. A setting is
one of the trial, such as env_backend=sync or device=cuda."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.clock import Tenths, hand_over, one_core, one_thread
from benchmarks.work import ALL_SETUPS, EVALUATION_EPISODES, FINAL_EPISODES

one_thread()

from tuneexp.algorithms.registry import load_spec


def trained(
    algorithm: str, env: str, env_steps: int, n_seeds: int, compile_mode: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Train once and return the measurement. settings: hyperparameters, and settings of the trial."""
    algo = load_spec(algorithm).build(
        env=env,
        seeds=list(range(n_seeds)),
        budget_env_steps=env_steps,
        evaluation={"episodes": EVALUATION_EPISODES, "final_episodes": FINAL_EPISODES},
        compile=compile_mode,
        **settings,
    )
    result = algo.train()
    group = algo.trial.group
    first = group.transitions
    source = algo.trial.source
    clock = Tenths(source.evaluate)
    source.evaluate = clock.evaluate
    clock.end_first()
    while not result["done"]:
        result = algo.train()
    # Without steps that only reset an environment: the environments of the peers have none.
    measured = clock.measurement(group.transitions - first, result["return_mean"])
    algo.stop()
    return {**measured, "compiled": result["compiled"], "cuda_graphs": result.get("cuda_graphs", False)}


def main() -> None:
    one_core()
    setup, env_steps, n_seeds, compile_mode = ALL_SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    settings = {**setup.hyperparameters(), **dict(one.split("=", 1) for one in sys.argv[5:])}
    hand_over(trained(setup.algorithm, setup.env, env_steps, n_seeds, compile_mode, settings))


if __name__ == "__main__":
    main()
