"""Sections of `docs/benchmarks.md` on sweeps, starts and training with earlier code, and their targets."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.report import Target, machine_words, table
from benchmarks.work import CONCURRENCY, SWEEP_ENV_STEPS

SWEEP_ROWS = {
    "rllib_8": "RLlib under Tune, 8 trials, 1 seed",
    "ours_8_seeds_1_cold": "tuneexp, 8 trials, S=1, cold caches",
    "ours_8_seeds_1_warm": "tuneexp, 8 trials, S=1, warm caches",
    "ours_8_seeds_4_cold": "tuneexp, 8 trials, S=4, cold caches",
    "ours_8_seeds_4_warm": "tuneexp, 8 trials, S=4, warm caches",
    "rllib_32": "RLlib under Tune, 32 trials, 1 seed",
    "ours_32_seeds_1_warm": "tuneexp, 32 trials, S=1, warm caches",
}
SWEEP_TARGETS = {
    "ours_8_seeds_1_cold": 4.0,
    "ours_8_seeds_1_warm": 8.0,
    "ours_8_seeds_4_cold": 2.0,
    "ours_8_seeds_4_warm": 2.0,
    "ours_32_seeds_1_warm": 15.0,
}
BEYOND_TRAINING_S, WORKER_MB, FIRST_RETURN_S, FROM_PYTHON = 0.5, 450.0, 15.0, 1.4
Runs = list[dict[str, Any]]


def sweep_targets(sweep: dict[str, Any]) -> list[Target]:
    rows = sweep["rows"]
    found = [Target(SWEEP_ROWS[name], _to_rllib(rows, name), wanted) for name, wanted in SWEEP_TARGETS.items()]
    beyond_s = sweep["beyond_training_s"]
    found.append(Target("one more trial beyond training, warm actors", beyond_s, BEYOND_TRAINING_S, "s"))
    peak_mb = max(_median(runs, "worker_peak_mb") for name, runs in rows.items() if name.startswith("ours_8_seeds_1"))
    found.append(Target("peak memory of a trial's worker, S=1", peak_mb, WORKER_MB, "MB"))
    return found


def _median(runs: Runs, name: str) -> float:
    return median(run[name] for run in runs)


def _to_rllib(rows: dict[str, Runs], name: str, by: str = "command_s") -> float:
    """Return the median over repeats of the ratio within a repeat."""
    peer = rows["rllib_32" if "_32" in name else "rllib_8"]
    return median(theirs[by] / mine[by] for mine, theirs in zip(rows[name], peer, strict=True))


def sweep_section(sweep: dict[str, Any]) -> str:
    rows = sweep["rows"]
    lines = [
        (
            title,
            f"{_median(rows[name], 'command_s'):.1f} s",
            f"{_median(rows[name], 'cpu_s'):.1f} s",
            f"{_to_rllib(rows, name):.1f}x",
            f"{_to_rllib(rows, name, 'cpu_s'):.1f}x",
            f"{_median(rows[name], 'best_return_mean'):.0f}",
            f"{_median(rows[name], 'worker_peak_mb'):.0f} MB",
        )
        for name, title in SWEEP_ROWS.items()
    ]
    heads = ("", "wall clock", "CPU", "RLlib to it", "the same by CPU", "best return", "worker's peak memory")
    return "\n\n".join(
        [
            "## A sweep, from the start of the command to its exit",
            machine_words(sweep["machine"]),
            f"{SWEEP_ENV_STEPS:,} environment steps per trial and seed, {CONCURRENCY} concurrent trials, no early "
            "stopping, Optuna's TPE over the same four hyperparameters; the others are those of the first setup above. "
            f"S=4 trains four seeds per trial. Medians of {sweep['repeats']} runs, ratios within a repeat. CPU time is "
            "that of all processes. The peer does slightly less: it sends nothing to MLflow. Cold: the caches of "
            "tuneexp and of Inductor, with its compiled headers, are empty. Warm: those of an earlier sweep.",
            table(heads, lines),
            f"One more trial takes {sweep['beyond_training_s']:.2f} s of a worker beyond training and evaluation "
            "(search, start, checkpoints, MLflow). This is the difference between 32 and 8 trials.",
        ]
    )


STARTS = {
    "script_cold": "first script, cold caches: first return",
    "script_warm": "first script, warm caches: first return",
    "describe": "`tuneexp describe ppo`",
    "mistake": "`tuneexp train` with a wrong name of an algorithm",
}


def starts_targets(measured: dict[str, Any]) -> list[Target]:
    first_s = _median(measured["rows"]["script_cold"], "shown_s")
    answers = [
        Target(STARTS[row], _median(measured["rows"][row], "shown_s"), 1.0, "s") for row in ("describe", "mistake")
    ]
    return [Target(STARTS["script_cold"], first_s, FIRST_RETURN_S, "s"), *answers]


def starts_section(measured: dict[str, Any]) -> str:
    rows = measured["rows"]
    names = ("shown_s", "command_s", "cpu_s")
    lines = [(title, *(f"{_median(rows[row], name):.1f} s" for name in names)) for row, title in STARTS.items()]
    return "\n\n".join(
        [
            "## Starts",
            machine_words(measured["machine"]),
            f"Medians of {measured['repeats']} runs. The first script is that of the [README](../README.md): "
            "`PPO.build`, and ten calls of `train()`. CPU time is that of all processes.",
            table(("", "until it is shown", "until the end", "CPU"), lines),
        ]
    )


def commits_targets(measured: dict[str, Any]) -> list[Target]:
    wanted = {"in Python": FROM_PYTHON}
    return [
        Target(f"{row['words']}, against {row['commit']}", median(row["ratios"]), wanted[row["key"]])
        for row in measured["rows"]
        if row["key"] in wanted
    ]


def commits_section(measured: dict[str, Any]) -> str:
    lines = [
        (row["words"], f"{row['commit']} ({row['date']})", f"{median(row['ratios']):.2f}x",
         f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}")
        for row in measured["rows"]
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## Earlier code",
            machine_words(measured["machine"]),
            "Training with this code beside training with the code of an earlier commit, in turns: ratios of the CPU "
            f"time without evaluation, compiled, {measured['turns']} turns. `make bench-commits` does the same for the "
            "newest commit that is a day older, without compilation.",
            table(("", "earlier code", "this code is faster by", "range"), lines),
        ]
    )
