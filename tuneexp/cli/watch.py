"""`tuneexp watch`: a policy in a window, or as a video."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.cli.exit_codes import stoppable
from tuneexp.cli.option_values import moved_addresses, positive
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
from tuneexp.errors import UserError

EPILOG = examples(
    "tuneexp watch first",
    "tuneexp watch first/3 --episodes 5 --seed 7",
    "tuneexp watch models:/first@champion --video champion.mp4",
)


def watch(
    address: CheckpointArgument,
    video: Annotated[
        str | None,
        typer.Option(
            "--video",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Write a video in place of a window: .gif, or .mp4 (needs tuneexp[video]).",
        ),
    ] = None,
    episodes: Annotated[
        int, typer.Option("--episodes", parser=count, metavar="N", rich_help_panel=WHAT, help="Number of episodes.")
    ] = 1,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            parser=count,
            metavar="SEED",
            rich_help_panel=WHAT,
            help="Seed of the environment: the episodes are those of evaluate with this seed.",
        ),
    ] = 10_000,
    training_seed: Annotated[
        int | None,
        typer.Option(
            "--training-seed",
            parser=count,
            metavar="SEED",
            rich_help_panel=WHAT,
            help="Training seed of the policy; by default the one with the best last evaluation.",
        ),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    moved: MovedOption = None,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show the deterministic policy of a checkpoint in a window, or write a video.

    Episode, step and score are drawn on the frames."""
    positive("--episodes", episodes)
    if seed < 0:
        raise UserError(f"--seed is 0 or more, got {seed}")
    with terminal(json, verbose) as screen, stoppable(saves=False):
        from tuneexp.sweep.watching.watch import watch_policy

        places = moved_addresses(moved or ())
        result = watch_policy(
            address, video, episodes, seed, training_seed, storage, trust, places, on_episode=screen.note
        )
        if screen.json:
            screen.result(result)
        elif result["video"]:
            from tuneexp.report.formatting import short_path

            screen.show_text(f"video       {short_path(result['video'])} ({result['frames']} frames)")
