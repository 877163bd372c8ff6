"""`python -m tuneexp.testing ALGORITHM --set NAME=VALUE`: the contract of an algorithm, without a test file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from tuneexp.cli.exit_codes import run_app
from tuneexp.cli.option_values import parse_settings, split_settings
from tuneexp.cli.options import JsonOption, SetOption, VerboseOption, examples
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.errors import TuneexpError, UserError

PROG = "python -m tuneexp.testing"
app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(epilog=examples(f"{PROG} experiments/custom_algorithm.py:REINFORCE --set learning_rate=0.005"))
def check(
    algorithm: Annotated[str, typer.Argument(help="A name or an address (module:NAME, path/file.py:NAME).")],
    settings: SetOption = None,
    env_steps: Annotated[int, typer.Option("--env-steps", help="Steps per seed for each probe.")] = 3072,
    only: Annotated[str | None, typer.Option("--only", help="Facts whose name holds this text.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="discrete, continuous; default: what it acts in.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compiled", help="Compile it too, and compare.")] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check that an algorithm learns the probe environments and keeps what every algorithm keeps."""
    hyperparameters, of_trial = split_settings(parse_settings(settings or []))
    if of_trial:
        raise UserError(f"--set {next(iter(of_trial))}: the contract brings its own environments; set hyperparameters")
    with terminal(json, verbose) as screen:
        import torch

        from tuneexp.testing.config_facts import compiled_equals_eager
        from tuneexp.testing.suite import facts_for, subject_of

        torch.set_num_threads(1)
        subject = subject_of(algorithm, hyperparameters, budget_env_steps=env_steps, action_kinds=kind)
        facts = facts_for(subject)
        if compiled:
            facts["compiled_equals_eager"] = compiled_equals_eager
        chosen = {name: fact for name, fact in facts.items() if only is None or only in name}
        if not chosen:
            raise UserError(f"--only {only}: no fact is called so; there are {', '.join(facts)}")
        rows = [_checked(screen, name, partial(fact, subject)) for name, fact in chosen.items()]
        _show(screen, algorithm, rows)


def _checked(screen: Terminal, name: str, fact: Callable[[], None]) -> dict[str, object]:
    started, broken = time.perf_counter(), None
    try:
        fact()
    except UserError:
        raise
    except Exception as error:
        broken = " ".join(str(error).split()) or type(error).__name__
    row = {"fact": name.replace("_", " "), "holds": broken is None, "seconds": time.perf_counter() - started}
    screen.note(f"{'ok    ' if broken is None else 'broken'}  {row['fact']}")
    return {**row, "why": broken or ""}


def _show(screen: Terminal, algorithm: str, rows: list[dict[str, object]]) -> None:
    broken = sum(not row["holds"] for row in rows)
    if screen.json:
        screen.result({"algorithm": algorithm, "broken": broken, "facts": rows})
    else:
        from rich.table import Table

        from tuneexp.report.formatting import cell

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
        table.add_column("fact", no_wrap=True)
        table.add_column("holds")
        table.add_column("s", justify="right")
        table.add_column("why not", overflow="fold")
        for row in rows:
            facts = (row["fact"], "yes" if row["holds"] else "NO", f"{row['seconds']:.1f}", row["why"])
            table.add_row(*map(cell, facts))
        screen.show(table)
    if broken:
        raise TuneexpError(f"{algorithm} breaks {broken} of {len(rows)} facts")


if __name__ == "__main__":
    sys.exit(run_app(app, sys.argv[1:], PROG))
