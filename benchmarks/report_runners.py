"""Section of `docs/benchmarks.md` on env runner processes, and its targets."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import report

SPEEDUP, SYNC_MS, CALL_MS, TO_RLLIB = 3.5, 20.0, 5.0, 4.0
SIDES = {"ours_1": "tuneexp, S=1", "ours_5": "tuneexp, S=5, sum of seeds", "rllib": "RLlib"}


def targets(measured: dict[str, Any]) -> list[report.Target]:
    pieces, appo = measured["pieces"], measured["appo"]
    return [
        report.Target(
            "sampling with 4 env runners against 1, environments with 1 ms per step", pieces["speedup"], SPEEDUP
        ),
        report.Target("sync of 1 M parameters to 4 env runners", pieces["sync_ms"], SYNC_MS, "ms"),
        report.Target("overhead of a call, 2 env runners", pieces["call_cost_ms"], CALL_MS, "ms"),
        report.Target("APPO, S=1, 2 env runners, against RLlib's APPO", _ratio(appo, "ours_1"), TO_RLLIB),
    ]


def _ratio(appo: dict[str, Any], side: str) -> float:
    return report.paired_ratio({"runs": appo[side]}, {"runs": appo["rllib"]})


def section(measured: dict[str, Any]) -> str:
    pieces, appo = measured["pieces"], measured["appo"]
    store = ", ".join(
        f"{held['mb']:.0f} MB after {int(iteration):,}"
        for iteration, held in sorted(pieces["object_store"].items(), key=lambda pair: int(pair[0]))
    )
    rows = [
        (
            title,
            f"{median(run['env_steps_per_s'] for run in appo[side]):,.0f}",
            f"{_ratio(appo, side):.1f}x",
            f"{median(run['return_mean'] for run in appo[side]):.0f}",
        )
        for side, title in SIDES.items()
    ]
    return "\n\n".join(
        [
            "## Env runner processes",
            report.machine_words(measured["machine"]),
            f"Medians of {measured['repeats']} runs. With four environments whose steps wait for 1 ms each: "
            f"{pieces['slow_rates']['1']:,.0f} environment steps per second with one env runner, "
            f"{pieces['slow_rates']['4']:,.0f} with four. With {pieces['parameters']:,} new parameters, the time from "
            f"`sync_weights` until four env runners have acted is {pieces['sync_ms']:.1f} ms longer than without new "
            f"ones. A call of `sample(1)` takes {pieces['call_cost_ms']:.1f} ms longer with two env runners than with "
            "the local one. Shared memory in use while fragments and weights go through the object store: "
            f"{store} iterations.",
            f"APPO on CartPole-v1, {measured['env_steps']:,} environment steps per seed, two env runners of four "
            "environments each, batches of 512 rows that are used twice (RLlib's default), 64x64 networks; ratios "
            "within a repeat. The rate of RLlib counts sampled steps, that of tuneexp steps that were used in updates.",
            report.table(("", "env steps/s", "to RLlib", "return"), rows),
        ]
    )
