"""`python -m tuneexp.testing NAME --set NAME=VALUE`: a contract without a test file, of an algorithm or of a tensor
environment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated

import typer

from tuneexp.addresses import is_address, load_address
from tuneexp.cli.exit_codes import run_app
from tuneexp.cli.option_values import parse_settings, split_settings
from tuneexp.cli.options import JsonOption, SetOption, VerboseOption, examples
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.errors import TuneexpError, UserError

PROG = "python -m tuneexp.testing"
app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(
    epilog=examples(
        f"{PROG} experiments/custom_algorithm.py:REINFORCE --set learning_rate=0.005",
        f"{PROG} experiments/tensor_environment.py:Parking --set env_kwargs/wind=0.01",
    )
)
def check(
    algorithm: Annotated[
        str, typer.Argument(help="An algorithm or a tensor environment: a name or an address (path/file.py:NAME).")
    ],
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
    """Check that an algorithm learns the probe environments and keeps what every algorithm keeps, or a tensor
    environment."""
    hyperparameters, of_trial = split_settings(parse_settings(settings or []))
    if _is_tensor_env(algorithm):
        if unknown := [*hyperparameters, *({*of_trial} - {"env_kwargs"})]:
            raise UserError(f"--set {unknown[0]}: of an environment, set env_kwargs/NAME")
        with terminal(json, verbose) as screen:
            from tuneexp.testing.tensor_envs import env_facts

            _check_all(screen, ("environment", algorithm), env_facts(algorithm, of_trial.get("env_kwargs")), only)
        return
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
        _check_all(
            screen, ("algorithm", algorithm), {name: partial(fact, subject) for name, fact in facts.items()}, only
        )


def _is_tensor_env(name: str) -> bool:
    from tuneexp.envs.tensor.built_in import built_in_ids, is_tensor_env

    return is_tensor_env(load_address(name, "algorithm")) if is_address(name) else name in built_in_ids()


def _check_all(
    screen: Terminal, named: tuple[str, str], facts: Mapping[str, Callable[[], None]], only: str | None
) -> None:
    """named: kind and name of what is checked."""
    chosen = {fact: check for fact, check in facts.items() if only is None or only in fact}
    if not chosen:
        raise UserError(f"--only {only}: no fact is called so; there are {', '.join(facts)}")
    _show(screen, named, [_checked(screen, fact, check) for fact, check in chosen.items()])


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


def _show(screen: Terminal, named: tuple[str, str], rows: list[dict[str, object]]) -> None:
    broken = sum(not row["holds"] for row in rows)
    if screen.json:
        screen.result({named[0]: named[1], "broken": broken, "facts": rows})
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
        raise TuneexpError(f"{named[1]} breaks {broken} of {len(rows)} facts")


if __name__ == "__main__":
    sys.exit(run_app(app, sys.argv[1:], PROG))
