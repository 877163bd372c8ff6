"""Words that the shell completes: sweeps, trials, algorithms, environments. torch, Ray and MLflow are not loaded.

A completion never fails: without an answer there is none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer

from tuneexp.sweep import defaults

Complete = Callable[[typer.Context, str], list[str]]


def _words(words: Callable[[Path], Iterable[str]]) -> Complete:
    """Return the completion by the words that a function has for the storage folder of the command line."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        with suppress(Exception):
            return sorted(word for word in words(_storage(ctx)) if word.startswith(incomplete))
        return []

    return complete


def _storage(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("storage") or os.environ.get("TUNEEXP_STORAGE") or defaults.STORAGE).expanduser()


def _sweeps(storage: Path) -> list[str]:
    return [path.parent.name for path in storage.glob("*/sweep.json")]


def _trainings(storage: Path) -> list[str]:
    return [path.name for path in storage.glob("train/*")]


def _algorithms(storage: Path) -> Iterable[str]:
    from tuneexp.algorithms.registry import ALGORITHMS

    return ALGORITHMS


def _described(storage: Path) -> list[str]:
    from tuneexp.sweep.search.choice import SAMPLERS, SCHEDULERS

    return [*_algorithms(storage), *SCHEDULERS, *SAMPLERS]


def _environments(storage: Path) -> Iterable[str]:
    import gymnasium

    return gymnasium.registry


def _trials_of(name: str) -> Complete:
    from tuneexp.sweep.storage.folder import SweepFolder
    from tuneexp.sweep.storage.snapshot import read_records

    return _words(lambda storage: [f"{name}/{one.trial_number}" for one in read_records(SweepFolder(storage / name))])


def checkpoints(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the address of a checkpoint: a sweep or a training, and behind a slash a trial."""
    name, slash, _ = incomplete.partition("/")
    complete = _trials_of(name) if slash else _words(lambda storage: [*_sweeps(storage), *_trainings(storage)])
    return complete(ctx, incomplete)


def one_of(words: Iterable[str]) -> Complete:
    """Complete one of these words."""
    return _words(lambda storage: words)


sweeps = _words(_sweeps)
algorithms = _words(_algorithms)
described = _words(_described)
environments = _words(_environments)
