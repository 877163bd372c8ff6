"""`tuneexp evaluate`: the deterministic policy of a checkpoint."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import moved_addresses, positive
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
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
from tuneexp.files.remote_folders import is_uri

EPILOG = examples(
    "tuneexp evaluate first",
    "tuneexp evaluate first/3 --episodes 100",
    "tuneexp evaluate models:/cartpole@champion",
    "tuneexp evaluate runs/train/ppo-CartPole-v1-.../checkpoint_000000100000 --seed 7 --json",
)


def evaluate(
    ctx: typer.Context,
    address: CheckpointArgument,
    episodes: Annotated[
        int, typer.Option("--episodes", parser=count, help="Episodes for each seed of the checkpoint.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", parser=count, help="Seed of the evaluation environments.")] = 10_000,
    storage: StorageOption = DEFAULT_STORAGE,
    moved: MovedOption = None,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Evaluate the deterministic policy of a checkpoint, each trained seed on its own episodes."""
    positive("--episodes", episodes)
    if seed < 0:
        raise UserError(f"--seed is 0 or more, got {seed}")
    with terminal(json, verbose) as screen, stoppable(saves=False):
        from tuneexp.files.checkpoint import read_header
        from tuneexp.sweep.stored_addresses import stored_checkpoint

        with stored_checkpoint(address, storage) as found:
            if found.sweep is not None:
                screen.note(str(found))
            if not is_uri(found.path):
                read_header(found.path)  # a path that is no checkpoint is refused before torch is imported
            if checks_only(ctx):
                return
            from tuneexp.trial.from_checkpoint import evaluate_checkpoint

            result = evaluate_checkpoint(
                found.path, episodes=episodes, seed=seed, trust=trust, moved=moved_addresses(moved or ())
            )
        if screen.json:
            screen.result(result)
        else:
            screen.show_text(_words(result))


def _words(result: dict[str, Any]) -> str:
    from tuneexp.report.formatting import score
    from tuneexp.report.learning_curves import interval

    bounds = interval(result["return_per_seed"])
    spread = f"\n95% interval over seeds {score(bounds[0])} to {score(bounds[1])}" if bounds else ""
    partial = result["partial_episodes"]
    stopped = f"\n{partial} episodes had no end: their returns are partial (evaluation.max_steps)" if partial else ""
    per_seed = ", ".join(map(score, result["return_per_seed"]))
    return (
        f"return {score(result['return_mean'])} (standard deviation {score(result['return_std'])}) "
        f"over {result['episodes']} episodes per seed\nper seed {per_seed}{spread}{stopped}"
    )
