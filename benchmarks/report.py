"""From the stored measurements to `docs/benchmarks.md`: ratios, targets, and what stands in the way of a miss."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.learning import BUDGET_ENV_STEPS, SEEDS, TASKS
from benchmarks.running import HERE, ROOT
from benchmarks.work import CONCURRENCY, SETUPS, SWEEP_ENV_STEPS

RESULTS = HERE / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
NOTES = HERE / "notes.md"


class Target(NamedTuple):
    what: str
    measured: float
    wanted: float
    unit: str = "x"

    @property
    def reached(self) -> bool:
        return self.measured >= self.wanted if self.unit == "x" else self.measured <= self.wanted

    def row(self) -> tuple[str, ...]:
        sign = "at least" if self.unit == "x" else "at most"
        return (
            self.what,
            f"{self.measured:.1f}{self.unit}" if self.unit == "x" else f"{self.measured:,.2f} {self.unit}",
            f"{sign} {self.wanted:g}{self.unit if self.unit == 'x' else ' ' + self.unit}",
            "yes" if self.reached else "**no**",
        )


# (side, peer) -> the ratio to reach, for the short and the long setup.
PPO_TARGETS = {
    ("ours_1", "sb3"): (2.5, 2.0),
    ("ours_1", "rllib"): (5.0, 4.0),
    ("ours_8", "sb3"): (5.0, 5.0),
    ("ours_8", "rllib"): (10.0, 10.0),
}
SIDES = {
    "ours_1": "tuneexp, S=1",
    "ours_8": "tuneexp, S=8, seeds added up",
    "sb3": "Stable-Baselines3",
    "rllib": "RLlib",
}
SWEEP_ROWS = {
    "rllib_8": "RLlib under Tune, 8 trials, 1 seed",
    "ours_8_seeds_1_cold": "tuneexp, 8 trials, S=1, cold cache",
    "ours_8_seeds_1_warm": "tuneexp, 8 trials, S=1, warm cache",
    "ours_8_seeds_4_cold": "tuneexp, 8 trials, S=4, cold cache",
    "ours_8_seeds_4_warm": "tuneexp, 8 trials, S=4, warm cache",
    "rllib_32": "RLlib under Tune, 32 trials, 1 seed",
    "ours_32_seeds_1_cold": "tuneexp, 32 trials, S=1, cold cache",
    "ours_32_seeds_1_warm": "tuneexp, 32 trials, S=1, warm cache",
}
SWEEP_TARGETS = {
    "ours_8_seeds_1_cold": 3.0,
    "ours_8_seeds_1_warm": 3.0,
    "ours_8_seeds_4_cold": 2.0,
    "ours_8_seeds_4_warm": 2.0,
    "ours_32_seeds_1_cold": 5.0,
    "ours_32_seeds_1_warm": 5.0,
}
BEYOND_TRAINING_S, WORKER_MB = 0.5, 650.0


def store(part: str, measured: dict[str, Any], machine: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{part}.json"
    path.write_text(json.dumps({"machine": machine, **measured}, indent=1, sort_keys=True) + "\n")
    return path


def load(part: str) -> dict[str, Any] | None:
    path = RESULTS / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def ppo_targets(ppo: dict[str, Any]) -> list[Target]:
    found = []
    for index, (key, setup) in enumerate(SETUPS.items()):
        sides = ppo["setups"][key]
        for (side, peer), wanted in PPO_TARGETS.items():
            ratio = paired_ratio(sides[side], sides[peer])
            found.append(Target(f"PPO, {setup.title}: {SIDES[side]} against {SIDES[peer]}", ratio, wanted[index]))
    return found


def paired_ratio(side: dict[str, Any], peer: dict[str, Any]) -> float:
    """Median over repeats of the ratio within a repeat: what slows the machine for minutes strikes both."""
    pairs = zip(side["runs"], peer["runs"], strict=True)
    return median(mine["env_steps_per_s"] / theirs["env_steps_per_s"] for mine, theirs in pairs)


def sweep_targets(sweep: dict[str, Any]) -> list[Target]:
    rows = sweep["rows"]
    found = []
    for name, wanted in SWEEP_TARGETS.items():
        peer = "rllib_32" if "_32_" in name else "rllib_8"
        found.append(Target(SWEEP_ROWS[name], rows[peer]["command_s"] / rows[name]["command_s"], wanted))
    found.append(
        Target("one more trial beyond its training, actors warm", sweep["beyond_training_s"], BEYOND_TRAINING_S, "s")
    )
    peak = max(row["worker_peak_mb"] for name, row in rows.items() if name.startswith("ours_8_seeds_1"))
    found.append(Target("peak memory of a trial's worker, S=1", peak, WORKER_MB, "MB"))
    return found


def targets() -> list[Target]:
    ppo, sweep = load("ppo"), load("sweep")
    return [*(ppo_targets(ppo) if ppo else []), *(sweep_targets(sweep) if sweep else [])]


def write_page() -> Path:
    """docs/benchmarks.md from what is stored; a part that was never measured is left out."""
    ppo, sweep = load("ppo"), load("sweep")
    parts = [_HEAD]
    learned = load("learning")
    if learned:
        parts.append(_learning_section(learned))
    if ppo:
        parts.append(_ppo_section(ppo))
    if sweep:
        parts.append(_sweep_section(sweep))
    parts.append("## Targets\n\n" + table(("what", "measured", "target", "reached"), [t.row() for t in targets()]))
    if NOTES.exists():
        parts.append(NOTES.read_text().strip())
    PAGE.write_text("\n\n".join(parts) + "\n")
    return PAGE


_HEAD = """# Benchmarks

Written by `make bench` (`make bench-ppo` and `make bench-sweep` for one half); the figures are in
`benchmarks/results/`. Everything runs on CartPole-v1, one thread a process, and does the same work: the same
number of environments, rollouts, minibatches and epochs, two separate 64x64 tanh networks, and the same evaluation
(the deterministic policy in environments of its own: 5 episodes after each tenth of the budget, 20 at the end).
Wall-clock time includes that evaluation. Libraries alternate within each repeat, so that what drifts on the machine
strikes all of them."""


def _ppo_section(ppo: dict[str, Any]) -> str:
    lines = [
        "## PPO, one process",
        _machine_words(ppo["machine"]),
        f"{ppo['env_steps_per_seed']:,} environment steps a seed; medians of {ppo['repeats']} runs, ratios within a "
        "repeat. The rate is over the last nine tenths of the budget; the first tenth, with everything that is done "
        "once (building, and here loading the compiled programs from a warm cache), has a column of its own. Training "
        "alone is the same time without the evaluations.",
    ]
    for key, setup in SETUPS.items():
        sides = ppo["setups"][key]
        rows = [
            (
                title,
                f"{sides[side]['env_steps_per_s']:,.0f}",
                f"{paired_ratio(sides[side], sides['sb3']):.1f}x",
                f"{paired_ratio(sides[side], sides['rllib']):.1f}x",
                f"{sides[side]['training_env_steps_per_s']:,.0f}",
                f"{sides[side]['first_tenth_s']:.1f} s",
                f"{sides[side]['return_mean']:.0f}",
                f"{sides[side]['peak_rss_mb']:.0f} MB",
            )
            for side, title in SIDES.items()
        ]
        heads = ("", "env steps/s", "to SB3", "to RLlib", "training alone", "first tenth", "return", "peak memory")
        lines.append(f"### {setup.title}, minibatch {setup.batch_size}\n\n" + table(heads, rows))
    return "\n\n".join(lines)


def _learning_section(learned: dict[str, Any]) -> str:
    rows = []
    for name, task in TASKS.items():
        row = learned["rows"][name]
        scores = ", ".join(f"{score:.0f}" for score in row["return_per_seed"])
        rows.append(
            (
                task.env,
                task.title,
                scores,
                f"{row['return_mean']:.0f}",
                task.asked(),
                "yes" if row["reached"] else "**no**",
            )
        )
    return "\n\n".join(
        [
            "## Does it learn?",
            _machine_words(learned["machine"]),
            f"{len(SEEDS)} seeds at once, {BUDGET_ENV_STEPS:,} environment steps each. The score of a seed is the mean "
            "return of its final deterministic policy over 20 episodes that training never saw.",
            table(("environment", "configuration", "score of each seed", "mean", "asked", "reached"), rows),
        ]
    )


def _sweep_section(sweep: dict[str, Any]) -> str:
    rows = []
    for name, title in SWEEP_ROWS.items():
        row = sweep["rows"][name]
        peer = sweep["rows"]["rllib_32" if "_32" in name else "rllib_8"]
        ratio = peer["command_s"] / row["command_s"]
        rows.append(
            (
                title,
                f"{row['command_s']:.1f} s",
                f"{ratio:.1f}x",
                f"{row['best_return_mean']:.0f}",
                f"{row['worker_peak_mb']:.0f} MB",
            )
        )
    return "\n\n".join(
        [
            "## A sweep, from the start of the command to its exit",
            _machine_words(sweep["machine"]),
            f"{SWEEP_ENV_STEPS:,} environment steps a trial and seed, {CONCURRENCY} trials at a time, no early "
            "stopping, Optuna's TPE over the same four hyperparameters, the first setup above for the rest. S=4 trains "
            "four seeds a trial: four times the evidence. The peer does a little less: it sends nothing to MLflow. A "
            "cold cache holds no compiled program; a warm one has those of an earlier sweep.",
            table(("", "wall clock", "to RLlib", "best return", "worker's peak memory"), rows),
            f"One more trial costs {sweep['beyond_training_s']:.2f} s of a worker beyond its training and evaluation "
            "(search, start, checkpoints, MLflow), measured as the difference between 32 and 8 trials.",
        ]
    )


def _machine_words(machine: dict[str, Any]) -> str:
    def versions(of: dict[str, str]) -> str:
        return ", ".join(f"{name} {number}" for name, number in of.items())

    return (
        f"Measured {machine['date']} on {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"Python {machine['python']}; load before the start {machine['load_before']}. "
        f"Here: {versions(machine['versions'])}. Peers: {versions(machine['peer_versions'])}."
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
