"""Correction of refused command lines.

Corrected are names of Stable-Baselines3, RL Zoo, Ray Tune or Optuna, swapped arguments, hyperparameters written as
options, and spaces around `=`.

A correction is parsed and checked by its command before it is printed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from tuneexp.cli.corrections.other_tools import ALGORITHM, COMMANDS, OF_SWEEPS, OPTIONS, TUNE_FLAGS
from tuneexp.cli.corrections.reader import Line, Reader, bare_of, is_experiment

# Typographic quotes and dashes of word processors and web pages.
TYPESET = str.maketrans({"\u201c": None, "\u201d": None, "\u2018": None, "\u2019": None, "\u2013": "-", "\u2014": "--"})


def correction_of(group: Any, args: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return a reason and the arguments to write instead (none if a value is missing), or None without a correction.

    group: the typer command with all commands."""
    unquoted = [re.sub(r"""(["'])(.+)\1""", r"\2", word) if word[:1] in "\"'" else word for word in args]
    words = [word.translate(TYPESET) for word in unquoted]
    line = Line()
    if unquoted != list(args):
        line.because("a word is in quotes twice")
    elif words != unquoted:
        line.because("typographic quotes and dashes are not valid on a command line")
    if words[:1] in (["help"], ["version"]):
        return f"there is no command {words[0]!r}", _help(words, group.commands)
    name, rest = _command(words, line, group.commands)
    if name not in group.commands:
        return None
    new = Reader(group.commands[name], name, line, _algorithm_in(rest)).read(rest)
    if new is None or not line.why:
        return None
    if not new and name in ("train", "sweep"):
        new = ["ppo", "CartPole-v1"]
    try:
        group.commands[name].make_context(name, list(new))
    except (typer.TyperException, typer.Exit):
        return None
    return line.why, [name, *new] if line.is_whole else []


def _help(words: list[str], known: Mapping[str, Any]) -> list[str]:
    return [*(word for word in words[1:2] if word in known), f"--{words[0]}"]


def _command(words: list[str], line: Line, known: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the name of the intended command, and the words after it."""
    from tuneexp.algorithms.registry import ALGORITHMS

    if not words:
        return "", []
    first, rest = words[0], words[1:]
    if first in known:
        name = first
    elif first.lower() in known or first.lower() in COMMANDS:
        name = COMMANDS.get(first.lower(), first.lower())
        line.because(f"there is no command {first!r}; did you mean {name!r}?")
    elif first.lower() in ALGORITHMS or bare_of(first) in ALGORITHM:
        name, rest = "train", words
        line.because("the command is missing")
    else:
        return "", []
    return ("sweep" if name == "train" and _tunes(rest, line) else name), rest


def _tunes(words: Sequence[str], line: Line) -> bool:
    if words and is_experiment(words[0]):
        line.because("an experiment file is run by the command sweep")
        return True
    for word in words:
        bare = bare_of(word)
        if bare in TUNE_FLAGS or f"--{bare}" in OF_SWEEPS or {*OPTIONS.get(bare, ())} & {*OF_SWEEPS}:
            line.because(f"{word.partition('=')[0]} is of the command sweep")
            return True
    return False


def _algorithm_in(words: Sequence[str]) -> str:
    """Return the first built-in algorithm among the words, else ppo."""
    from tuneexp.algorithms.registry import ALGORITHMS

    return next((word.lower() for word in words if word.lower() in ALGORITHMS), "ppo")
