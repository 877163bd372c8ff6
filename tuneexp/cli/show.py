"""`tuneexp list` and `tuneexp show`: read stored sweeps from their folders, also while they run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuneexp.cli import completion
from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import positive
from tuneexp.cli.options import DEFAULT_STORAGE, JsonOption, StorageOption, VerboseOption, count, examples
from tuneexp.cli.retrain import retrain_command
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.commands import command
from tuneexp.errors import UserError, shortened

if TYPE_CHECKING:
    from tuneexp.report.leaderboard import LeaderboardRow
    from tuneexp.sweep import SweepResult, TrialResult
    from tuneexp.sweep.confirming.confirmation import Confirmation

LIST_EPILOG = examples("tuneexp list", "tuneexp list --storage /data/runs --json")
SHOW_EPILOG = examples(
    "tuneexp show first",
    "tuneexp show first --watch",
    "tuneexp show first --plot curves.png",
    "tuneexp show first --json",
)

FIGURE_FORMATS = (".png", ".pdf", ".svg")
PLOTTED_TRIALS = 5

NameArgument = Annotated[
    str,
    typer.Argument(help="Name of a sweep (tuneexp list shows them), or its folder.", autocompletion=completion.sweeps),
]


def list_(storage: StorageOption = DEFAULT_STORAGE, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """List the sweeps of a storage folder, the newest last."""
    with terminal(json, verbose) as screen:
        from tuneexp.report.leaderboard import sweep_table
        from tuneexp.sweep import list_sweeps
        from tuneexp.sweep.storage.folder import storage_folder

        folder = storage_folder(storage)
        if storage != DEFAULT_STORAGE and not os.path.isdir(folder):  # a name that is too long is none, too
            raise UserError(f"there is no folder {shortened(str(folder))}; name one that holds sweeps with --storage")
        sweeps = list_sweeps(folder)
        if screen.json:
            screen.result({"storage": str(folder.resolve()), "sweeps": sweeps})
        elif sweeps:
            screen.show(sweep_table(sweeps))
        else:
            screen.note(f"no sweeps in {storage!r} yet; start one with: tuneexp sweep --help")


def show(
    ctx: typer.Context,
    name: NameArgument,
    top: Annotated[int | None, typer.Option("--top", parser=count, help="Show only the best N trials.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Also draw the seeds' learning curves of the best trials (.png, .pdf, .svg)."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", metavar="", help="Show a running sweep until it stops; Ctrl-C leaves it running."),
    ] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show the leaderboard of a sweep: outcome and varied hyperparameters of each trial, and the best configuration."""
    if top is not None:
        positive("--top", top)
    if plot is not None and plot.suffix.lower() not in FIGURE_FORMATS:
        raise UserError(f"--plot {str(plot)!r}: write a file name that ends in {', '.join(FIGURE_FORMATS)}")
    if watch and json:
        raise UserError("--json prints one object, the present state; leave out --watch")
    with terminal(json, verbose) as screen, stoppable(saves=False):
        from tuneexp.cli.watching import watch_stored
        from tuneexp.sweep import load_sweep

        watched = watch and not checks_only(ctx)
        result = watch_stored(screen, name, storage, top) if watched else load_sweep(name, storage)
        if checks_only(ctx):
            return
        if screen.json:
            screen.result(result.as_json())
        elif not watch:
            show_result(screen, result, top)
        if plot is not None:
            _plot(screen, result, plot)


def show_result(screen: Terminal, result: SweepResult, top: int | None = None, is_last: bool = True) -> None:
    """Print the leaderboard and the best trial to standard output. is_last: also the latest confirmation."""
    from tuneexp.report.confirmation import confirmation_table, confirmation_text
    from tuneexp.report.formatting import cell, short_path
    from tuneexp.report.leaderboard import hidden_parameters, render_leaderboard

    if not result.trials:
        screen.note(f"sweep {result.name} has no trials yet")
        return
    confirmations = result.confirmations
    rows, names = _rows(result, confirmations), [one["name"] for one in result.objectives]
    title = cell(f"{result.name} ({result.state}): {len(rows)} trial{'s' if len(rows) > 1 else ''}")
    screen.show(render_leaderboard(rows, title=title, limit=top, width=screen.width, objectives=names))
    if hidden := hidden_parameters(rows[:top], screen.width, names):
        screen.note(f"(no room for {', '.join(hidden)}: a wider window or --json shows them)")
    for line in _remarks(rows[:top]):
        screen.show_text(line)
    if result.best is not None:
        screen.show_text("\n" + _best_words(result, result.best))
    elif result.front:
        screen.show_text("\n" + front_words(result))
    if confirmations and is_last:
        screen.show_text("")
        screen.show(confirmation_table(confirmations[-1]))
        screen.show_text("\n" + confirmation_text(confirmations[-1]))
    if result.ended_by not in (None, "trials"):
        screen.show_text(f"ended       {_reason_of_end(result)}")
    if result.state in ("interrupted", "failed"):
        screen.note(f"\ncontinue it: {command('resume', result.name, storage=short_path(result.storage))}")


def _remarks(rows: Sequence[LeaderboardRow]) -> Iterator[str]:
    """Yield lines about failed trials and violated constraints."""
    from tuneexp.report.leaderboard import INFEASIBLE

    for row in rows:
        if row.reason and row.outcome != "pruned":
            yield f"trial {row.trial} {row.outcome}: {row.reason}"
        if row.standing == INFEASIBLE:
            yield f"trial {row.trial} infeasible: it violates {', '.join(row.violated)}"


def _reason_of_end(result: SweepResult) -> str:
    from tuneexp.sweep import load_config
    from tuneexp.sweep.search.stopping_rules import reason

    assert result.ended_by is not None
    return reason(result.ended_by, load_config(result.name, result.storage))


def _rows(result: SweepResult, confirmations: Sequence[Confirmation] = ()) -> list[LeaderboardRow]:
    from tuneexp.report.stored_leaderboard import stored_leaderboard
    from tuneexp.sweep import load_config

    return stored_leaderboard(result, load_config(result.name, result.storage), confirmations)


def _best_words(result: SweepResult, best: TrialResult) -> str:
    from tuneexp.report.formatting import course_words, score, short_path
    from tuneexp.report.learning_curves import final_returns, interval
    from tuneexp.sweep.member_training import training_of

    training = training_of(result, best)
    settings = course_words(training.hyperparameters, training.schedule)
    lines = [
        f"best        trial {best.trial_number}, {values_words(best)}",
        f"config      {settings}",
    ]
    returns = final_returns(Path(result.storage) / result.name, best.trial_number)
    if returns:
        bounds = interval(list(returns.values()))
        spread = f" (95% interval {score(bounds[0])} to {score(bounds[1])})" if bounds else ""
        lines.append("per seed    " + ", ".join(f"{seed}: {score(value)}" for seed, value in returns.items()) + spread)
    if best.checkpoint:
        lines.append(f"evaluate    {command('evaluate', result.name, storage=short_path(result.storage))}")
    if retrain := retrain_command(result, best):
        lines.append(f"retrain     {retrain}")
    if link := result.mlflow.get("link"):
        lines += _compare_words(result, link)
    return "\n".join(lines)


def values_words(trial: TrialResult) -> str:
    """Return the values of the objectives: `return_mean 490.0, wall_s 12.3`."""
    from tuneexp.report.formatting import score

    return ", ".join(f"{name} {score(value)}" for name, value in trial.objectives.items())


def front_words(result: SweepResult) -> str:
    """Return the Pareto front, one trial a line, and how to evaluate one of its trials."""
    from tuneexp.report.formatting import short_path

    lines = [f"front       trial {trial.trial_number}: {values_words(trial)}" for trial in result.front]
    trial = result.front[0].trial_number
    evaluate = command("evaluate", f"{result.name}/{trial}", storage=short_path(result.storage))
    link = result.mlflow.get("link")
    return "\n".join([*lines, f"evaluate    {evaluate}", *(_compare_words(result, link) if link else [])])


def _compare_words(result: SweepResult, link: str) -> list[str]:
    """Return the link of the sweep in MLflow, and the command that serves it unless the store is on a server."""
    from tuneexp.report.formatting import short_path
    from tuneexp.tracking.links import is_server

    if is_server(result.mlflow["tracking_uri"]):
        return [f"compare     {link}"]
    return [
        f"compare     {command('ui', result.name, storage=short_path(result.storage))}",
        f"            opens {link}",
    ]


def _plot(screen: Terminal, result: SweepResult, path: Path) -> None:
    from tuneexp.report.leaderboard import trial_names
    from tuneexp.report.learning_curves import save_seed_plot, stored_curves

    rows = _rows(result)[:PLOTTED_TRIALS]
    curves = stored_curves(Path(result.storage) / result.name)
    drawn = {name: curves[trial] for trial, name in trial_names(rows).items() if trial in curves}
    if not drawn:
        raise UserError(f"sweep {result.name!r} has no reports yet, so there is nothing to draw")
    try:
        save_seed_plot(drawn, path, f"{result.name}: the best {len(drawn)} trials, thin lines are seeds")
    except OSError as error:
        raise UserError(f"--plot {str(path)!r} can't be written: {error.strerror}") from None
    screen.note(f"drew {path}")
