"""Writer of `docs/benchmarks.md`: ratios, targets and notes from the stored measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.running import HERE, RESULTS, ROOT
from benchmarks.work import PARTS

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
        close = abs(self.measured - self.wanted) < 0.05  # one digit would show the target itself
        factor = f"{self.measured:.{2 if self.measured < 2 or close else 1}f}x"
        return (
            self.what,
            factor if self.unit == "x" else f"{self.measured:,.2f} {self.unit}",
            f"{sign} {self.wanted:g}{self.unit if self.unit == 'x' else ' ' + self.unit}",
            "yes" if self.reached else "**no**",
        )


REPLAY_MS = 1.0


def store(part: str, measured: dict[str, Any], machine: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{part}.json"
    path.write_text(json.dumps({"machine": machine, **measured}, indent=1, sort_keys=True) + "\n")
    return path


def load(part: str) -> dict[str, Any] | None:
    path = RESULTS / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def paired_ratio(side: dict[str, Any], peer: dict[str, Any], by: str = "env_steps_per_s") -> float:
    """Return the median over repeats of the ratio within a repeat, in which drift of the machine affects both."""
    pairs = zip(side["runs"], peer["runs"], strict=True)
    return median(mine[by] / theirs[by] for mine, theirs in pairs)


def replay_targets(replay: dict[str, Any]) -> list[Target]:
    took = replay["rows"]["1"]["prioritized"]["median_ms"]
    return [Target(f"prioritized replay, {_rows_drawn(replay)}, S=1, median", took, REPLAY_MS, "ms")]


def targets() -> list[Target]:
    from benchmarks import report_commands, report_runners, report_training

    of_part: dict[str, Callable[[dict[str, Any]], list[Target]]] = {
        **{part: partial(report_training.targets, part) for part in PARTS},
        "commits": report_commands.commits_targets,
        "replay": replay_targets,
        "sweep": report_commands.sweep_targets,
        "starts": report_commands.starts_targets,
        "runners": report_runners.targets,
    }
    return [one for part, found in of_part.items() if (measured := load(part)) for one in found(measured)]


def write_page() -> Path:
    """Write docs/benchmarks.md from the stored measurements. Parts without a measurement are omitted."""
    from benchmarks import report_commands, report_gpu, report_runners, report_training

    sections: dict[str, Callable[[dict[str, Any]], str]] = {
        **{part: partial(report_training.section, part) for part in PARTS},
        "commits": report_commands.commits_section,
        "replay": _replay_section,
        "images": _images_section,
        "sweep": report_commands.sweep_section,
        "starts": report_commands.starts_section,
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

This page is written by `make bench`, or by one of its parts: `make bench-ppo`, `bench-dqn`, `bench-sac`, `bench-tqc`,
`bench-earlier`, `bench-replay`, `bench-images`, `bench-sweep`, `bench-starts`, `bench-runners` and `bench-gpu`. The
figures are in `benchmarks/results/`. Each process has one thread. All libraries do the same work, with the
hyperparameters of one declaration (`benchmarks/work.py`): the same environments, rollouts, minibatches, updates and
networks, and the same evaluation (the deterministic policy in separate environments: 5 episodes after each tenth of
the budget, 20 at the end). Libraries alternate within each repeat, so that a drift of the machine's speed affects all
of them. For returns of the algorithms see [proof of learning](learning.md).

The peers are Stable-Baselines3, RLlib, sbx (Stable-Baselines3 in JAX), a PPO in one file of PyTorch as CleanRL writes
it, and a PPO in JAX as PureJaxRL writes it: environment, rollout and updates in one program. The last two are in
`benchmarks/peers/`."""


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
