"""Writer of `docs/benchmarks.md`: ratios, targets and notes from the stored measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.running import HERE, RESULTS, ROOT
from benchmarks.work import CONCURRENCY, PARTS, SWEEP_ENV_STEPS, Setup

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


# setup -> (side, peer) -> the ratio to reach.
TRAINING_TARGETS: dict[str, dict[tuple[str, str], float]] = {
    "short": {("ours_1", "sb3"): 2.5, ("ours_1", "rllib"): 5.0, ("ours_8", "sb3"): 5.0, ("ours_8", "rllib"): 10.0},
    "long": {("ours_1", "sb3"): 2.0, ("ours_1", "rllib"): 4.0, ("ours_8", "sb3"): 5.0, ("ours_8", "rllib"): 10.0},
    "dqn_256": {("ours_1", "sb3"): 2.0, ("ours_8", "sb3"): 3.0},
    "dqn_64": {("ours_8", "sb3"): 5.0},
    "sac_256": {("ours_1", "sb3"): 1.3},
    "sac_64": {("ours_8", "sb3"): 3.0},
}
REPLAY_MS = 1.0
SIDES = {
    "ours_1": "tuneexp, S=1",
    "ours_8": "tuneexp, S=8, sum of seeds",
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


def training_targets(part: str, measured: dict[str, Any]) -> list[Target]:
    found = []
    for key, setup in PARTS[part].items():
        sides = measured["setups"][key]
        for (side, peer), wanted in TRAINING_TARGETS[key].items():
            what = f"{part.upper()}, {setup.title}: {SIDES[side]} against {SIDES[peer]}"
            found.append(Target(what, paired_ratio(sides[side], sides[peer]), wanted))
    return found


def paired_ratio(side: dict[str, Any], peer: dict[str, Any]) -> float:
    """Return the median over repeats of the ratio within a repeat, in which drift of the machine affects both."""
    pairs = zip(side["runs"], peer["runs"], strict=True)
    return median(mine["env_steps_per_s"] / theirs["env_steps_per_s"] for mine, theirs in pairs)


def sweep_targets(sweep: dict[str, Any]) -> list[Target]:
    rows = sweep["rows"]
    found = []
    for name, wanted in SWEEP_TARGETS.items():
        peer = "rllib_32" if "_32_" in name else "rllib_8"
        found.append(Target(SWEEP_ROWS[name], rows[peer]["command_s"] / rows[name]["command_s"], wanted))
    found.append(
        Target("one more trial beyond training, warm actors", sweep["beyond_training_s"], BEYOND_TRAINING_S, "s")
    )
    peak = max(row["worker_peak_mb"] for name, row in rows.items() if name.startswith("ours_8_seeds_1"))
    found.append(Target("peak memory of a trial's worker, S=1", peak, WORKER_MB, "MB"))
    return found


def replay_targets(replay: dict[str, Any]) -> list[Target]:
    took = replay["rows"]["1"]["prioritized"]["median_ms"]
    return [Target(f"prioritized replay, {_rows_drawn(replay)}, S=1, median", took, REPLAY_MS, "ms")]


def targets() -> list[Target]:
    from benchmarks import report_runners

    found: list[Target] = []
    for part in PARTS:
        if measured := load(part):
            found += training_targets(part, measured)
    if replay := load("replay"):
        found += replay_targets(replay)
    if sweep := load("sweep"):
        found += sweep_targets(sweep)
    if runners := load("runners"):
        found += report_runners.targets(runners)
    return found


def write_page() -> Path:
    """Write docs/benchmarks.md from the stored measurements. Parts without a measurement are omitted."""
    from benchmarks import report_gpu, report_runners

    sections: dict[str, Callable[[dict[str, Any]], str]] = {
        **{part: partial(_training_section, part) for part in PARTS},
        "replay": _replay_section,
        "images": _images_section,
        "sweep": _sweep_section,
        "runners": report_runners.section,
    }
    parts = [_HEAD, *(section(measured) for name, section in sections.items() if (measured := load(name)))]
    parts.append(report_gpu.section(load("gpu")))
    parts.append("## Targets\n\n" + table(("what", "measured", "target", "reached"), [t.row() for t in targets()]))
    if NOTES.exists():
        parts.append(NOTES.read_text().strip())
    PAGE.write_text("\n\n".join(parts) + "\n")
    return PAGE


_HEAD = """# Benchmarks

This page is written by `make bench`, or by one of its parts: `make bench-ppo`, `bench-dqn`, `bench-sac`,
`bench-replay`, `bench-images`, `bench-sweep`, `bench-runners` and `bench-gpu`. The figures are in
`benchmarks/results/`. Each process has one thread. All libraries do the same work: the same environments, rollouts,
minibatches, updates and networks, and the same evaluation (the deterministic policy in separate environments: 5
episodes after each tenth of the budget, 20 at the end). Wall-clock time includes the evaluation. Libraries alternate
within each repeat, so that a drift of the machine's speed affects all of them. For returns of the algorithms see
[proof of learning](learning.md)."""
_TITLES = {"ppo": "PPO", "dqn": "DQN", "sac": "SAC"}


def _training_section(part: str, measured: dict[str, Any]) -> str:
    lines = [
        f"## {_TITLES[part]}, one process",
        machine_words(measured["machine"]),
        f"{measured['env_steps_per_seed']:,} environment steps per seed; medians of {measured['repeats']} runs, ratios "
        "within a repeat. Rates are those of the last nine tenths of the budget. The first tenth includes everything "
        "that is done once (building; tuneexp also loads the compiled programs from a warm cache), and has a separate "
        'column. "Training only" is the same time without the evaluations.',
    ]
    for key, setup in PARTS[part].items():
        minibatch = f", minibatch {setup.batch_size}, CartPole-v1, 64x64" if isinstance(setup, Setup) else ""
        lines.append(f"### {setup.title}{minibatch}\n\n" + _sides_table(measured["setups"][key]))
    return "\n\n".join(lines)


def _sides_table(sides: dict[str, Any]) -> str:
    peers = {"sb3": "to SB3", "rllib": "to RLlib"}
    there = [peer for peer in peers if peer in sides]
    rows = [
        (
            title,
            f"{sides[side]['env_steps_per_s']:,.0f}",
            *(f"{paired_ratio(sides[side], sides[peer]):.1f}x" for peer in there),
            f"{sides[side]['training_env_steps_per_s']:,.0f}",
            f"{sides[side]['first_tenth_s']:.1f} s",
            f"{sides[side]['return_mean']:.0f}",
            f"{sides[side]['peak_rss_mb']:.0f} MB",
        )
        for side, title in SIDES.items()
        if side in sides
    ]
    ratios = (peers[peer] for peer in there)
    return table(("", "env steps/s", *ratios, "training only", "first tenth", "return", "peak memory"), rows)


def _rows_drawn(replay: dict[str, Any]) -> str:
    return f"{replay['drawn']} of {replay['capacity']:,} rows"


def _replay_section(replay: dict[str, Any]) -> str:
    rows = [
        (f"{kind}, S={seeds}", f"{found[kind]['median_ms']:.2f} ms", f"{found[kind]['p95_ms']:.2f} ms")
        for seeds, found in replay["rows"].items()
        for kind in ("prioritized", "uniform")
    ]
    return "\n\n".join(
        [
            "## Replay",
            machine_words(replay["machine"]),
            f"Time to sample and gather one minibatch of {_rows_drawn(replay)} for every seed, each with its own full "
            "buffer. Prioritized replay includes importance weights and the update of priorities.",
            table(("", "median", "95th percentile"), rows),
        ]
    )


def _images_section(images: dict[str, Any]) -> str:
    took = images["ms"]
    forms = {"vmap": "vmap over seeds", "loop": "loop over seeds"}
    rows = [
        (words, f"{took[f'{form}_eager']:.0f} ms", f"{took[f'{form}_compiled']:.0f} ms")
        for form, words in forms.items()
    ]
    return "\n\n".join(
        [
            "## Images",
            machine_words(images["machine"]),
            f"One gradient step of DQN with the Nature CNN on 4x84x84 images, S={images['seeds']}, {images['rows']} "
            "rows per seed, with the programs of tuneexp.",
            table(("loss", "eager", "compiled"), rows),
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
            machine_words(sweep["machine"]),
            f"{SWEEP_ENV_STEPS:,} environment steps per trial and seed, {CONCURRENCY} concurrent trials, no early "
            "stopping, Optuna's TPE over the same four hyperparameters; the others are those of the first setup above. "
            "S=4 trains four seeds per trial. The peer does slightly less: it sends nothing to MLflow. A cold cache "
            "contains no compiled program; a warm cache contains those of an earlier sweep.",
            table(("", "wall clock", "to RLlib", "best return", "worker's peak memory"), rows),
            f"One more trial takes {sweep['beyond_training_s']:.2f} s of a worker beyond training and evaluation "
            "(search, start, checkpoints, MLflow). This is the difference between 32 and 8 trials.",
        ]
    )


def machine_words(machine: dict[str, Any]) -> str:
    def versions(of: dict[str, str]) -> str:
        return ", ".join(f"{name} {number}" for name, number in of.items())

    peers = f" Peers: {versions(machine['peer_versions'])}." if "peer_versions" in machine else ""
    return (
        f"Measured {machine['date']} on {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"Python {machine['python']}; load before the start {machine['load_before']}. "
        f"Here: {versions(machine['versions'])}.{peers}"
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
