"""Tables of a comparison, as Markdown and as rows of a CSV file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.tuners.methods import DEFAULT, Method


def markdown(compared: Mapping[str, Any]) -> str:
    """Return the facts of a table and the results of the methods as Markdown."""
    rungs = [_rungs(compared["rungs"])] if compared["rungs"] else []
    return "\n\n".join([_facts(compared["table"]), *rungs, _methods(compared)])


def summary_markdown(summary: Mapping[str, Any]) -> str:
    """Return the means over several tables as Markdown."""
    first = summary["methods"][0]
    regrets = [name for name in first["mean"] if name.startswith("regret")]
    differences = [f"{name}, minus {DEFAULT}" for name in regrets]
    heads = [
        "sampler + scheduler",
        *(f"beats random at {cost}" for cost in first["beats_random"]),
        *regrets,
        *differences,
    ]
    rows = [
        [
            str(Method(method["sampler"], method["scheduler"])),
            *(interval(value) for value in method["beats_random"].values()),
            *(percent(method["mean"][name]) for name in regrets),
            *(percent(found) if (found := method["from_default"].get(name)) else "" for name in regrets),
        ]
        for method in summary["methods"]
    ]
    rule = [f"Rule `stagnation`, {DEFAULT}:", stagnation_markdown(summary)] if summary["stagnation"] else []
    title = f"**Mean over {', '.join(summary['tables'])}**: regret in % of each table's range of scores."
    return "\n\n".join([title, grid(heads, rows), *rule])


def stagnation_markdown(summary: Mapping[str, Any]) -> str:
    """Return the rows of `stagnation_rows` as Markdown."""
    heads = ["`stagnation`", "trials", "share of the environment steps", "regret, %", "regret given up, %"]
    return grid(
        heads,
        [
            [
                "none" if row["stagnation"] is None else str(row["stagnation"]),
                f"{row['trials']:.0f}", f"{row['share']:.2f}", percent(row["regret"]),
                "" if row["stagnation"] is None else percent(row["given_up"]),
            ]
            for row in summary["stagnation"]
        ],
    )  # fmt: skip


def csv_rows(compared: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one row for each method, measure and cost in full trainings."""
    for method in compared["methods"]:
        for measure in ("regret", "regret_by_time", "beats_random"):
            for cost, (mean, low, high) in method[measure].items():
                yield {
                    "table": compared["table"]["name"],
                    "sampler": method["sampler"],
                    "scheduler": method["scheduler"],
                    "measure": measure,
                    "full_trainings": int(cost),
                    "mean": mean,
                    "low": low,
                    "high": high,
                }


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with padded cells, which is readable in a terminal, too."""
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _facts(table: Mapping[str, Any]) -> str:
    space = ", ".join(f"`{name}` {_spelled(values)}" for name, values in table["space"].items())
    return (
        f"**{table['name']}**: {table['configurations']} configurations x {table['seeds']} seeds, "
        f"{table['evaluations']} evaluations up to {table['budget_env_steps']:,} environment steps. Scores: best "
        f"{number(table['best'])}, median {number(table['median'])}, worst {number(table['worst'])}. "
        f"{table['repetitions']} searches of each method; {table['drawn_seeds']} seeds a trial; "
        f"{table['concurrency']} trials at a time. Space: {space}."
    )


def _spelled(values: Mapping[str, Any]) -> str:
    kind, bounds = next(iter(values.items()))
    return f"{kind} {bounds}"


def _rungs(rungs: Sequence[Mapping[str, Any]]) -> str:
    found = ", ".join(f"{interval(rung['correlation'])} at {rung['env_steps']:,} steps" for rung in rungs)
    return f"Rank correlation with the score: {found}."


def _methods(compared: Mapping[str, Any]) -> str:
    first = compared["methods"][0]
    costs = list(first["regret"])[-3:]
    heads = [
        "sampler + scheduler", "trials",
        *(f"beats random at {cost}" for cost in first["beats_random"]),
        *(f"regret at {cost}" for cost in costs),
        *(f"in the time of {cost}" for cost in costs[-2:]),
    ]  # fmt: skip
    rows = [
        [
            str(Method(method["sampler"], method["scheduler"])), f"{method['trials']:.0f}",
            *(interval(value) for value in method["beats_random"].values()),
            *(interval(method["regret"][cost]) for cost in costs),
            *(interval(method["regret_by_time"][cost]) for cost in costs[-2:]),
        ]
        for method in compared["methods"]
    ]  # fmt: skip
    return grid(heads, rows)


def interval(values: Sequence[float]) -> str:
    """Return a mean and its interval, such as `0.62 (0.51 to 0.73)`."""
    mean, low, high = values
    return f"{number(mean)} ({number(low)} to {number(high)})"


def percent(values: Sequence[float]) -> str:
    """Return a mean and its interval, shares of 1, in percent: `5.4 (4.1 to 6.8)`."""
    mean, low, high = (100 * value for value in values)
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"


def number(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
