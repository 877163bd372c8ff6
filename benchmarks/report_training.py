"""Sections of `docs/benchmarks.md` on training in one process, and their targets."""

from __future__ import annotations

from typing import Any

from benchmarks import report
from benchmarks.work import PARTS, Setup

TITLES = {"ppo": "PPO", "dqn": "DQN", "sac": "SAC", "tqc": "TQC"}
SIDES = {
    "ours_1": "tuneexp, S=1",
    "ours_8": "tuneexp, S=8, sum of seeds",
    "ours_native_1": "tuneexp, S=1, environment in numpy",
    "ours_native_8": "tuneexp, S=8, environment in numpy",
    "ours_python_1": "tuneexp, S=1, environment in Python",
    "jax_1": "whole program in JAX, S=1",
    "jax_8": "whole program in JAX, S=8, sum of seeds",
    "sbx": "sbx",
    "torch": "one file of PyTorch",
    "sb3": "Stable-Baselines3",
    "rllib": "RLlib",
}
# setup -> (side, peer) -> the ratio to reach.
TARGETS: dict[str, dict[tuple[str, str], float]] = {
    "short": {("ours_1", "jax_1"): 0.9, ("ours_8", "jax_8"): 0.9, ("ours_1", "sb3"): 10.0, ("ours_8", "sb3"): 5.0,
              ("ours_1", "rllib"): 5.0, ("ours_8", "rllib"): 10.0},
    "long": {("ours_1", "jax_1"): 0.9, ("ours_8", "jax_8"): 1.3, ("ours_1", "sb3"): 2.0, ("ours_8", "sb3"): 5.0,
             ("ours_1", "rllib"): 4.0, ("ours_8", "rllib"): 10.0},
    "dqn_256": {("ours_1", "sb3"): 2.0, ("ours_8", "sb3"): 3.0},
    "dqn_64": {("ours_1", "sbx"): 2.0, ("ours_8", "sbx"): 5.0, ("ours_8", "sb3"): 5.0},
    "sac_256": {("ours_1", "sb3"): 1.3},
    "sac_64": {("ours_1", "sbx"): 3.0, ("ours_8", "sb3"): 3.0},
    "tqc_64": {("ours_1", "sbx"): 3.0},
}  # fmt: skip
EVALUATION_PERCENT = 8.0
WALL, CPU = "training_env_steps_per_s", "training_env_steps_per_cpu_s"

_RULES = """Rates are those of the last nine tenths of the budget. "Training only" is without the evaluations, "per
CPU-second" is the same divided by the CPU time of the process instead of the wall-clock time.
"Evaluation" is its share of the CPU time. The ratios are of training only, by wall-clock time and by CPU
time: tuneexp with one seed, and with eight, to this row. "Start" is the time from the start of the
process to the end of the first tenth, less a ninth of the rest: imports, building, compiling (tuneexp
loads compiled programs from a warm cache). Each process has one core."""

_ENVIRONMENTS = """The environment of tuneexp is a tensor program (`env_backend: tensor`), as that of the program in
JAX. "In numpy" is gymnasium's vectorised CartPole (`native`), "in Python" one environment of gymnasium after the other
(`sync`), as in the other libraries."""


def targets(part: str, measured: dict[str, Any]) -> list[report.Target]:
    """Return the targets of a part. Ratios are of training only, by wall-clock time."""
    found = []
    for key, setup in PARTS[part].items():
        sides = measured["setups"][key]
        for (side, peer), wanted in TARGETS[key].items():
            what = f"{TITLES[part]}, {setup.title}: {SIDES[side]} against {SIDES[peer]}"
            found.append(report.Target(what, report.paired_ratio(sides[side], sides[peer], WALL), wanted))
        if part == "ppo":
            what, share = f"PPO, {setup.title}: share of evaluation, S=1", sides["ours_1"]["evaluation_share"]
            found.append(report.Target(what, 100 * share, EVALUATION_PERCENT, "%"))
    return found


def section(part: str, measured: dict[str, Any]) -> str:
    steps = sorted(set(measured["env_steps_per_seed"].values()))
    lines = [
        f"## {TITLES[part]}, one process",
        report.machine_words(measured["machine"]),
        f"{' and '.join(f'{number:,}' for number in steps)} environment steps per seed; medians of "
        f"{measured['repeats']} runs, ratios within a repeat. " + _RULES.replace("\n", " "),
    ]
    if part == "ppo":
        lines.append(_ENVIRONMENTS.replace("\n", " "))
    for key, setup in PARTS[part].items():
        minibatch = f", minibatch {setup.batch_size}, CartPole-v1, 64x64" if isinstance(setup, Setup) else ""
        lines.append(f"### {setup.title}{minibatch}\n\n" + sides_table(measured["setups"][key]))
    return "\n\n".join(lines)


def sides_table(sides: dict[str, Any]) -> str:
    heads = ("", "env steps/s", "training only", "per CPU-second", "evaluation", "S=1 to it, wall / CPU",
             "S=8 to it, wall / CPU", "start", "return", "peak memory")  # fmt: skip
    return report.table(heads, [_row(sides, side) for side in SIDES if side in sides])


def _row(sides: dict[str, Any], side: str) -> tuple[str, ...]:
    row = sides[side]
    return (
        SIDES[side],
        f"{row['env_steps_per_s']:,.0f}",
        f"{row[WALL]:,.0f}",
        f"{row[CPU]:,.0f}",
        f"{100 * row['evaluation_share']:.0f} %",
        *(_ratios(sides, mine, side) for mine in ("ours_1", "ours_8")),
        f"{row['start_s']:.1f} s",
        f"{row['return_mean']:.0f}",
        f"{row['peak_rss_mb']:.0f} MB",
    )


def _ratios(sides: dict[str, Any], mine: str, side: str) -> str:
    if mine not in sides:
        return ""
    return " / ".join(f"{report.paired_ratio(sides[mine], sides[side], by):.2f}x" for by in (WALL, CPU))
