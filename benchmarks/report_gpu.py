"""Section of `docs/benchmarks.md` on GPUs, with or without a measurement."""

from __future__ import annotations

from typing import Any

from benchmarks.report import machine_words, paired_ratio, table
from benchmarks.work import ALL_SETUPS

UNMEASURED = """## GPU

Not measured: no GPU was available, and all figures on this page are of CPUs. `make bench-gpu` measures the training
setups above with 1, 8 and 64 seeds on a GPU, with CUDA graphs, and on one CPU thread, and writes this section. Without
a GPU it prints a message and writes nothing. Learners on several GPUs (`num_gpus_per_learner`, NCCL) were not measured
either; learners on CPUs (Gloo) are tested."""


def section(measured: dict[str, Any] | None) -> str:
    """Return the section. measured: from `benchmarks.gpu`; None without a GPU."""
    if measured is None:
        return UNMEASURED
    parts = [
        "## GPU",
        machine_words(measured["machine"]),
        f"One {measured['gpu']}, compared with one thread of that CPU.",
    ]
    for key, sides in measured["setups"].items():
        rows = [_row(seeds, sides) for seeds in sorted({int(side.split()[0]) for side in sides})]
        heads = ("seeds", "CPU, env steps/s", "GPU, env steps/s", "ratio", "CUDA graphs")
        parts.append(f"### {ALL_SETUPS[key].title}\n\n{table(heads, rows)}")
    return "\n\n".join(parts)


def _row(seeds: int, sides: dict[str, Any]) -> tuple[str, ...]:
    cpu, gpu = (sides[f"{seeds} {device}"] for device in ("cpu", "cuda"))
    captured = all(run["cuda_graphs"] for run in gpu["runs"])
    rates = [f"{side['env_steps_per_s']:,.0f}" for side in (cpu, gpu)]
    return (str(seeds), *rates, f"{paired_ratio(gpu, cpu):.1f}x", "yes" if captured else "no")
