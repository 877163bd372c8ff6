"""Share of diverging trials that each sampler suggests in a space of which a third diverges.

`python -m benchmarks.tuners.diverging` prints the table of docs/tuning.md. The searcher is that of a sweep; Tune's loop
and the trials are simulated. Before, a diverged trial was FAIL for the sampler; now it has the worst value so far and
violates a constraint."""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from tuneexp.sweep.search.choice import SamplerContext, build_sampler, build_scheduler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import StopRules
from tuneexp.testing.simulated_trial import Failure, Report, Script
from tuneexp.testing.tune_loop import TuneLoop

SPACE = {
    "learning_rate": {"loguniform": [1e-5, 1e-1]},
    "gamma": {"complement_loguniform": [0.9, 0.999]},
    "clip_range": {"uniform": [0.1, 0.4]},
    "vf_coef": {"uniform": [0.2, 1.0]},
    "n_epochs": {"int": [1, 20]},
    "hidden": {"logint": [16, 256]},
    "activation": {"choice": ["tanh", "relu", "elu"]},
    "ent_coef": {"choice": [0.0, {"loguniform": [1e-4, 1e-1]}]},
}
BORDER = 10 ** (-1 - 4 / 3)  # of the learning rate: the upper third of its logarithm diverges
BUDGET = 1000
SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {"name": "tpe"},
    "tpe with group": {"name": "tpe", "group": True},
    "gp": {"name": "gp"},
    "cmaes": {"name": "cmaes"},
    "nsga2": {"name": "nsga2"},
    "nsga3": {"name": "nsga3"},
    "random": {"name": "random"},
}
AS_FAIL, AS_WORST = "FAIL", "worst value"
LATE = 20  # the first trials are random


def score(values: Mapping[str, Any], noise: random.Random) -> float:
    """Return the objective: best at a learning rate of 1e-3, below the border; the other ones matter less."""
    off = [
        2 * (math.log10(values["learning_rate"]) + 3),
        math.log10(1 - values["gamma"]) + 2,
        (values["clip_range"] - 0.2) / 0.2,
        (values["vf_coef"] - 0.5) / 0.5,
        (values["n_epochs"] - 10) / 10,
        math.log2(values["hidden"] / 64) / 2,
        float(values["activation"] != "tanh"),
        math.log10(values["ent_coef"] + 1e-4) + 3,
    ]
    return 100 - 10 * sum(one * one for one in off) + noise.gauss(0, 5)


def diverges(values: Mapping[str, Any]) -> bool:
    return float(values["learning_rate"]) > BORDER


def search(sampler: Mapping[str, Any], how: str, seed: int, trials: int = 100) -> list[bool]:
    """Run one sweep. Returns for each trial, in order, if it diverged."""

    def script(config: Mapping[str, Any]) -> Script:
        values = config["hyperparameters"]
        if not diverges(values):
            noise = random.Random(f"{seed} {config['trial_number']}")
            return [Report({"env_steps": BUDGET, "objective": score(values, noise)})]
        if how == AS_FAIL:
            return [Failure(final=True, error="ValueError: diverged")]
        return [Report({"env_steps": BUDGET, "objective": math.nan})]

    space = SearchSpace.of(SPACE)
    of_tune = TuneScheduler(build_scheduler("fifo", SchedulerContext(BUDGET, seed, trials, 1)), 1)
    with tempfile.TemporaryDirectory() as folder:
        searcher = StudySearcher(
            space, build_sampler(sampler, SamplerContext(seed, trials, space)), "study", BUDGET,
            Path(folder) / "log.jsonl", limits=Limits(StopRules(trials), 1, of_tune),
        )  # fmt: skip
        loop = TuneLoop(of_tune, searcher, script, config={"budget_env_steps": BUDGET}, slots=1)
        loop.run()
    return [diverges(trial.config["hyperparameters"]) for trial in loop.trials]


def _job(job: tuple[str, str, int, int]) -> list[bool]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name, how, seed, trials = job
    return search(SAMPLERS[name], how, seed, trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--samplers", nargs="+", default=[*SAMPLERS], choices=[*SAMPLERS])
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    jobs = [*product(arguments.samplers, (AS_FAIL, AS_WORST), range(arguments.seeds), [arguments.trials])]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = dict(zip(jobs, pool.map(_job, jobs), strict=True))
    print(f"| sampler | {AS_FAIL} | {AS_WORST} | {AS_FAIL}, from trial {LATE} | {AS_WORST}, from trial {LATE} |")
    print("|---|---|---|---|---|")
    for name in arguments.samplers:
        table = {
            how: [found[name, how, seed, arguments.trials] for seed in range(arguments.seeds)]
            for how in (AS_FAIL, AS_WORST)
        }
        cells = [_cell(table[how], first) for first in (0, LATE) for how in (AS_FAIL, AS_WORST)]
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


def _cell(sweeps: list[list[bool]], first: int) -> str:
    """Return the mean share from trial `first` on, with its standard error over sweeps."""
    shares = [float(np.mean(sweep[first:])) for sweep in sweeps]
    return f"{np.mean(shares):.1%} ± {np.std(shares, ddof=1) / math.sqrt(len(shares)):.1%}"


if __name__ == "__main__":
    main()
