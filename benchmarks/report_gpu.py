"""The section on GPUs of `docs/benchmarks.md`; where none was measured it says so."""

from __future__ import annotations

from typing import Any

from benchmarks.report import machine_words, paired_ratio, table
from benchmarks.work import ALL_SETUPS

UNMEASURED = """## GPU

Unmeasured: no GPU was at hand, and no figure or ratio on this page is of one. `make bench-gpu` measures the training
setups above at 1, 8 and 64 seeds on a GPU, whose programs are captured as CUDA graphs, beside one CPU thread, and
writes this section; where torch sees no GPU it says so and writes nothing. Learners on several GPUs
(`num_gpus_per_learner`, joined by NCCL) are unmeasured too; under test are learners on CPUs, joined by Gloo."""


def section(measured: dict[str, Any] | None) -> str:
    """measured: from `benchmarks.gpu`; None where there was no GPU."""
    if measured is None:
        return UNMEASURED
    parts = ["## GPU", machine_words(measured["machine"]), f"On one {measured['gpu']}, beside one thread of that CPU."]
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
