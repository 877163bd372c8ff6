"""`tuneexp export`: a policy as a file that acts without tuneexp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuneexp.cli.exit_codes import stoppable
from tuneexp.cli.option_values import moved_addresses
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    OUTPUT,
    WHAT,
    CheckpointArgument,
    JsonOption,
    MovedOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    count,
    examples,
)
from tuneexp.cli.terminal import terminal
from tuneexp.commands import command

EPILOG = examples(
    "tuneexp export first",
    "tuneexp export first/3 --seed 1 --output trial3.pt2",
    "tuneexp export first --to onnx",
    "tuneexp export models:/first@champion --to mlflow",
    "tuneexp export first --to schedule",
)


_USES = {
    "torch": "torch.export.load({path}).module()",
    "onnx": "onnxruntime.InferenceSession({path}).run(None, {{'obs': obs}})",
    "mlflow": "mlflow.pyfunc.load_model({path}).predict",
}


def export(
    address: CheckpointArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            rich_help_panel=OUTPUT,
            help="Format: torch (torch.export), onnx (needs tuneexp[onnx]), mlflow (pyfunc), or schedule: instead of "
            "the policy, the hyperparameters of a member of a population by environment steps.",
        ),
    ] = "torch",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PATH",
            rich_help_panel=OUTPUT,
            help="File to write, by default policy.pt2 or policy.onnx, or new folder of an MLflow model, by default "
            "policy_model.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            parser=count,
            metavar="SEED",
            rich_help_panel=WHAT,
            help="Training seed; by default the one with the best last evaluation.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="NAME", rich_help_panel=WHAT, help="Name of the policy among several."),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    moved: MovedOption = None,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Export the deterministic policy of a checkpoint to a file, and compare both on 1,000 observations."""
    with terminal(json, verbose) as screen, stoppable(saves=False):
        if to == "schedule":
            from tuneexp.sweep.schedule_file import export_schedule

            written = export_schedule(address, output, storage)
            screen.result(written) if screen.json else screen.show_text(_words_of_schedule(written))
            return
        from tuneexp.sweep.exporting import export as exported

        result = exported(address, to, output, seed, policy, storage, trust, moved_addresses(moved or ()))
        if screen.json:
            screen.result(result)
        else:
            screen.show_text(_words(result))


def _words_of_schedule(written: dict[str, Any]) -> str:
    from tuneexp.report.formatting import short_path

    path, segments = short_path(written["path"]), written["segments"]
    members = ", then ".join(f"{one['member']} from step {one['env_steps']:,}" for one in segments)
    sets = "1 set" if len(segments) == 1 else f"{len(segments)} sets"
    return "\n".join([
        f"exported    {path}: trial {written['trial']}, {sets} of hyperparameters",
        f"lineage     trained by member {members}",
        f"replay it   {command('train', '--schedule', path, '--seeds', 10)}",
    ])  # fmt: skip


def _words(result: dict[str, Any]) -> str:
    from tuneexp.report.formatting import short_path

    state = f", recurrent state of {result['state_size']}" if result["state_size"] else ""
    path = short_path(result["path"])
    return "\n".join([
        f"exported    {path} (seed {result['seed']}{state})",
        f"compared    on {result['compared']} observations: largest difference {result['largest_difference']:g}",
        f"use it      {_USES[result['to']].format(path=repr(path))}",
    ])  # fmt: skip
