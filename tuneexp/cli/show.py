"""`tuneexp list` and `tuneexp show`: read stored sweeps from their folders, also while they run."""

from __future__ import annotations

import json as json_text
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneexp.cli.exit_codes import checks_only
from tuneexp.cli.option_values import GROUPS, option_of, parse_value, positive
from tuneexp.cli.options import DEFAULT_STORAGE, JsonOption, StorageOption, VerboseOption, count, examples
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.commands import command
from tuneexp.errors import UserError, shortened

if TYPE_CHECKING:
    from tuneexp.report.leaderboard import LeaderboardRow
    from tuneexp.sweep import SweepConfig, SweepResult, TrialResult
    from tuneexp.trial.trial_config import TrialConfig

LIST_EPILOG = examples("tuneexp list", "tuneexp list --storage /data/runs --json")
SHOW_EPILOG = examples("tuneexp show first", "tuneexp show first --plot curves.png", "tuneexp show first --json")

FIGURE_FORMATS = (".png", ".pdf", ".svg")
PLOTTED_TRIALS = 5

NameArgument = Annotated[str, typer.Argument(help="Name of a sweep (tuneexp list shows them), or its folder.")]


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
    storage: StorageOption = DEFAULT_STORAGE,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show the leaderboard of a sweep: outcome and varied hyperparameters of each trial, and the best configuration."""
    if top is not None:
        positive("--top", top)
    if plot is not None and plot.suffix.lower() not in FIGURE_FORMATS:
        raise UserError(f"--plot {str(plot)!r}: write a file name that ends in {', '.join(FIGURE_FORMATS)}")
    with terminal(json, verbose) as screen:
        from tuneexp.sweep import load_sweep

        result = load_sweep(name, storage)
        if checks_only(ctx):
            return
        if screen.json:
            screen.result(result.as_json())
        else:
            show_result(screen, result, top)
        if plot is not None:
            _plot(screen, result, plot)


def show_result(screen: Terminal, result: SweepResult, top: int | None = None) -> None:
    """Print the leaderboard and the best trial to standard output."""
    from tuneexp.report.formatting import cell, short_path
    from tuneexp.report.leaderboard import INFEASIBLE, hidden_parameters, render_leaderboard

    if not result.trials:
        screen.note(f"sweep {result.name} has no trials yet")
        return
    rows, names = _rows(result), [one["name"] for one in result.objectives]
    title = cell(f"{result.name} ({result.state}): {len(rows)} trial{'s' if len(rows) > 1 else ''}")
    screen.show(render_leaderboard(rows, title=title, limit=top, width=screen.width, objectives=names))
    if hidden := hidden_parameters(rows[:top], screen.width, names):
        screen.note(f"(no room for {', '.join(hidden)}: a wider window or --json shows them)")
    for row in rows[:top]:
        if row.reason and row.outcome != "pruned":
            screen.show_text(f"trial {row.trial} {row.outcome}: {row.reason}")
        if row.standing == INFEASIBLE:
            screen.show_text(f"trial {row.trial} infeasible: it violates {', '.join(row.violated)}")
    if result.best is not None:
        screen.show_text("\n" + _best_words(result, result.best))
    elif result.front:
        screen.show_text("\n" + front_words(result))
    if result.ended_by not in (None, "trials"):
        screen.show_text(f"ended       {_reason_of_end(result)}")
    if result.state in ("interrupted", "failed"):
        screen.note(f"\ncontinue it: {command('resume', result.name, storage=short_path(result.storage))}")


def _reason_of_end(result: SweepResult) -> str:
    from tuneexp.sweep import load_config
    from tuneexp.sweep.search.stopping_rules import reason

    assert result.ended_by is not None
    return reason(result.ended_by, load_config(result.name, result.storage))


def _rows(result: SweepResult) -> list[LeaderboardRow]:
    from tuneexp.report.leaderboard import TrialState, leaderboard_rows
    from tuneexp.sweep import load_config
    from tuneexp.sweep.sweep_config import objectives_of

    config = load_config(result.name, result.storage)
    return leaderboard_rows(map(TrialState.of, result.trials), varied_names(config), objectives_of(config))


def varied_names(config: SweepConfig) -> list[str] | None:
    """Return the hyperparameters that the search space varies; None for a define-by-run space."""
    from tuneexp.sweep import SearchSpace

    if "function" in config.space:  # define-by-run: the user's file is not imported here
        return None
    try:
        return SearchSpace.of(config.space).names or None
    except UserError:  # damaged: the rest can still be shown
        return None


def _best_words(result: SweepResult, best: TrialResult) -> str:
    from tuneexp.nesting import flat
    from tuneexp.report.formatting import number, score, short_path
    from tuneexp.report.learning_curves import final_returns, interval

    settings = " ".join(f"{name}={number(value)}" for name, value in flat(best.config).items())
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
    if retrain := _retrain_command(result, best):
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
    evaluate = command("evaluate", result.name, "--trial", trial, storage=short_path(result.storage))
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


def _retrain_command(result: SweepResult, best: TrialResult) -> str | None:
    """Return the command that trains the best configuration on fresh seeds, which the sweep was not tuned on.

    None if no command can name the environment."""
    from tuneexp.nesting import flat
    from tuneexp.report.formatting import short_path
    from tuneexp.sweep import load_config

    trial = _by_entry_point(load_config(result.name, result.storage).trial)
    if trial is None:
        return None
    first = max(trial.seeds) + 1
    fresh = ",".join(str(first + n) for n in range(max(5, len(trial.seeds))))
    settings = flat(best.config)
    budget = settings.pop("budget_env_steps", trial.budget_env_steps)
    options = [f"{name}={_as_typed(value)}" for name, value in settings.items()]
    groups, words = _other_settings(trial)
    options += [f"{name}={_as_typed(value)}" for name, value in groups.items()]
    return command(
        "train",
        short_path(trial.algorithm),
        short_path(trial.env),
        *("--env-steps", budget, "--seeds", fresh),
        *(word for option in options for word in ("--set", option)),
        *words,
        storage=short_path(result.storage),
    )


def _by_entry_point(config: TrialConfig) -> TrialConfig | None:
    """Replace an environment id that a script registered by its entry point, which the command line can load.

    None if the entry point alone is another environment."""
    registered = config.env_registration
    if registered is None:
        return config
    if not registered.get("entry_point") or registered.get("vector_entry_point"):
        return None
    steps = registered.get("max_episode_steps")
    limit: list[str | dict[str, Any]] = [{"TimeLimit": {"max_episode_steps": steps}}] if steps else []
    same = {
        "env": registered["entry_point"],
        "env_kwargs": {**(registered.get("kwargs") or {}), **config.env_kwargs},
        "wrappers": [*limit, *config.wrappers],
    }
    return config.model_copy(update=same)


def _other_settings(config: TrialConfig) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that differ from their defaults: groups for `--set`, and the words of options."""
    from tuneexp.cli.settings import declared
    from tuneexp.trial.trial_config import settings_in, without_defaults

    fields, values = settings_in(type(config).model_fields), config.model_dump(mode="json")
    changed = {name: without_defaults(field, values[name]) for name, field in fields.items()}
    groups = {name: changed[name] for name in GROUPS if changed[name] is not None}
    options = {option_of(name): changed[name] for name in declared(fields) if changed[name] is not None}
    return groups, [*(word for pair in options.items() for word in pair), *_wrapper_options(config)]


def _wrapper_options(config: TrialConfig) -> list[str]:
    parts = [(one, None) if isinstance(one, str) else next(iter(one.items())) for one in config.wrappers]
    named = [name if not arguments else f"{name}={json_text.dumps(arguments)}" for name, arguments in parts]
    return [word for text in named for word in ("--wrapper", text)]


def _as_typed(value: Any) -> str:
    """Return a value as `--set` parses it."""
    if isinstance(value, str) and _reads_as_itself(value):
        return value
    return json_text.dumps(value, ensure_ascii=False)


def _reads_as_itself(text: str) -> bool:
    try:
        return bool(parse_value(text) == text)
    except UserError:
        return False


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
