"""The command line to write instead of a near miss: one in the words of Stable-Baselines3, RL Zoo, Ray Tune or Optuna,
or with a hyperparameter for an option, swapped arguments, spaces around `=`.

It is asked once a command line was refused. What it gives is parsed before it is shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from tuneexp.cli.slips.words import (
    ALGORITHM,
    COMMANDS,
    ENV,
    GROUPED,
    NEEDLESS,
    OF_SWEEPS,
    OPTIONS,
    SETS,
    SETTINGS,
    TUNE_FLAGS,
    VALUES,
)
from tuneexp.errors import nearest

# What word processors and web pages make of quotes and dashes.
TYPESET = str.maketrans({"\u201c": None, "\u201d": None, "\u2018": None, "\u2019": None, "\u2013": "-", "\u2014": "--"})


@dataclass
class _Line:
    """A command line as it is put together again."""

    positional: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    algorithm: str | None = None
    env: str | None = None
    why: str = ""

    def because(self, reason: str) -> None:
        self.why = self.why or reason


def line_instead(group: Any, args: Sequence[str]) -> tuple[str, str] | None:
    """Reason and command line to write instead of `args`; None where no near miss is seen.

    group: the typer command with all commands."""
    unquoted = [re.sub(r"""(["'])(.+)\1""", r"\2", word) if word[:1] in "\"'" else word for word in args]
    words = [word.translate(TYPESET) for word in unquoted]
    line = _Line()
    if unquoted != list(args):
        line.because("a word is in quotes twice")
    elif words != unquoted:
        line.because("typographic quotes and dashes are none of a command line")
    if words[:1] in (["help"], ["version"]):
        return f"there is no command {words[0]!r}", _help(words, group.commands)
    name, rest = _command(words, line, group.commands)
    if name not in group.commands:
        return None
    new = _Reader(group.commands[name], name, line, _algorithm_in(rest)).read(rest)
    if new is None or not line.why:
        return None
    if not new and name in ("train", "sweep"):
        new = ["ppo", "CartPole-v1"]
    try:
        group.commands[name].make_context(name, list(new))
    except (typer.TyperException, typer.Exit):
        return None
    return line.why, shlex.join(["tuneexp", name, *new])


def _help(words: list[str], known: Mapping[str, Any]) -> str:
    return " ".join(["tuneexp", *(word for word in words[1:2] if word in known), f"--{words[0]}"])


def _command(words: list[str], line: _Line, known: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Name of the command that is meant, and the words after it."""
    from tuneexp.algorithms.registry import ALGORITHMS

    if not words:
        return "", []
    first, rest = words[0], words[1:]
    if first in known:
        name = first
    elif first.lower() in known or first.lower() in COMMANDS:
        name = COMMANDS.get(first.lower(), first.lower())
        line.because(f"there is no command {first!r}")
    elif first.lower() in ALGORITHMS or _bare(first) in ALGORITHM:
        name, rest = "train", words
        line.because("the command is missing")
    else:
        return "", []
    return ("sweep" if name == "train" and _tunes(rest, line) else name), rest


def _tunes(words: Sequence[str], line: _Line) -> bool:
    for word in words:
        bare = _bare(word)
        if bare in TUNE_FLAGS or f"--{bare}" in OF_SWEEPS or {*OPTIONS.get(bare, ())} & {*OF_SWEEPS}:
            line.because(f"{word.partition('=')[0]} is of the command sweep")
            return True
    return False


def _algorithm_in(words: Sequence[str]) -> str:
    """The built-in algorithm that is named anywhere; ppo where none is."""
    from tuneexp.algorithms.registry import ALGORITHMS

    return next((word.lower() for word in words if word.lower() in ALGORITHMS), "ppo")


def _bare(word: str) -> str:
    """`--Total_Timesteps=3` -> `total-timesteps`."""
    return word.lstrip("-").partition("=")[0].replace("_", "-").lower() if word.startswith("-") else ""


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not re.fullmatch(r"-[\d.].*", word)


class _Reader:
    """Reads the words after a command into a line that the command accepts."""

    def __init__(self, command: Any, name: str, line: _Line, algorithm: str) -> None:
        self.name, self.line, self.algorithm = name, line, algorithm
        self.flags = {opt: param for param in command.params for opt in param.opts if opt.startswith("-")}
        self.trains = name in ("train", "sweep")

    def read(self, words: Sequence[str]) -> list[str] | None:
        left = list(words)
        while left:
            word = left.pop(0)
            if not _is_option(word):
                self._take_positional(word)
            elif not self._take_option(word, left):
                return None
        positional = self._ordered() if self.trains else self.line.positional
        return [*positional, *self.line.options]

    def _take_positional(self, word: str) -> None:
        key, equals, value = word.partition("=")
        if self.trains and equals and self._hyperparameter(key):
            self.line.because("hyperparameters are fixed with --set")
            self._put("--set", f"{self._hyperparameter(key)}={value}")
        else:
            self.line.positional.append(word)

    def _take_option(self, word: str, left: list[str]) -> bool:
        """Read one option with its value. False where nothing is known that it could mean."""
        key, equals, text = word.partition("=")
        bare = _bare(word)
        if self.trains and bare in SETS:
            self._take_settings("env_kwargs/" if bare == "env-kwargs" else "", key, [text] if equals else [], left)
            return True
        if bare in TUNE_FLAGS:
            return True
        known = self._known(key, bare)
        if known is not None and self.flags[known].is_flag:
            self._put_flag(known, left)
            return True
        value = self._value(equals, text, left)
        if bare in NEEDLESS and key not in self.flags:
            self.line.because(f"{key} is not needed")
            return True
        return self._take_valued(key, bare, known, value)

    def _take_valued(self, key: str, bare: str, known: str | None, value: str | None) -> bool:
        if self.trains and bare in (*ALGORITHM, *ENV) and value:
            self._take_name(bare, key, value)
        elif known is not None and value:
            self._take_known(known, key, value)
        elif bare == "seed" and "--seeds" in self.flags and value:
            self.line.because("--seeds 4 trains the seeds 0 to 3, --seeds 3, trains seed 3 alone")
            self._put("--seeds", f"{value.rstrip(',')},")
        elif self.trains and (name := self._hyperparameter(SETTINGS.get(bare, key.lstrip("-")))):
            self.line.because(f"{key} is no option; hyperparameters are fixed with --set")
            self._put("--set", f"{name}={value or 'VALUE'}")
        else:
            return False
        return True

    def _take_name(self, bare: str, key: str, value: str) -> None:
        if key not in self.flags:
            self.line.because(f"unknown option {key!r}; algorithm and environment stand behind the command")
        if bare in ALGORITHM:
            self.line.algorithm = value
        else:
            self.line.env = value

    def _take_known(self, known: str, key: str, value: str) -> None:
        if known != key:
            self.line.because(f"unknown option {key!r}; did you mean {known!r}?")
        if GROUPED.fullmatch(value) and known in ("--env-steps", "--trials", "--episodes"):
            self.line.because(f"{known} is a number without separators")
            value = re.sub(r"\D", "", value)
        meant = VALUES.get(known, {}).get(value.lower(), value)
        if meant != value:
            self.line.because(f"unknown value {value!r} for {known}")
        self._put(known, meant)

    def _put_flag(self, known: str, left: list[str]) -> None:
        self._put(known)
        if left and left[0] in ("0", "1", "2", "true", "True"):
            self.line.because(f"{known} takes no value")
            left.pop(0)

    def _take_settings(self, group: str, key: str, first: list[str], left: list[str]) -> None:
        """`a=1`, `a = 1`, `a 1`, `a:1`, and several of them behind --hyperparams."""
        words, several = first, key != "--set"
        while left and not _is_option(left[0]) and (several or not _is_whole(words)):
            words.append(left.pop(0))
        text = " ".join(words)
        text = re.sub(r"\s*=\s*", "=", text)
        for one in text.split(" ") if several else [text]:
            name, sign, value = re.match(r"([^=:\s]*)([=:\s]?)(.*)", one, re.S).groups()  # type: ignore[union-attr]
            if sign != "=" or several:
                self.line.because("a hyperparameter is fixed with --set name=value")
            plain = value.strip(" '\"") if sign == ":" else value
            meant = name if group else self._hyperparameter(name) or name
            if meant != name.replace(".", "/"):
                self.line.because(f"unknown hyperparameter {name!r}; did you mean {meant!r}?")
            self._put("--set", f"{group}{meant}={plain}")
        if words != [text]:
            self.line.because("--set takes name=value, without spaces")

    def _known(self, key: str, bare: str) -> str | None:
        """The option of the command that is meant."""
        if key in self.flags:
            return key
        if meant := next((one for one in OPTIONS.get(bare, ()) if one in self.flags), None):
            return meant
        if f"--{bare}" in self.flags:
            return f"--{bare}"
        if self.trains and (self._hyperparameter(SETTINGS.get(bare, key.lstrip("-"))) or bare in (*ALGORITHM, *ENV)):
            return None
        close = nearest(bare, [flag.lstrip("-") for flag in self.flags]) if bare != "seed" else None
        return f"--{close}" if close else None

    def _hyperparameter(self, word: str) -> str | None:
        """Name of the hyperparameter or setting that is meant: `learning-rate` and `lr` are `learning_rate`."""
        from tuneexp.algorithms.registry import config_class_of
        from tuneexp.algorithms.rl_zoo import RL_ZOO_KEYS
        from tuneexp.cli.parsing import TRIAL_SETTINGS
        from tuneexp.sweep.space.binding import hyperparameter_names

        names = hyperparameter_names(config_class_of(self.algorithm))
        plain = word.replace("-", "_").replace(".", "/")
        if plain in (*names, *RL_ZOO_KEYS) or plain.partition("/")[0] in TRIAL_SETTINGS:
            return plain
        return nearest(plain, names)

    def _value(self, equals: str, text: str, left: list[str]) -> str | None:
        if equals:
            return text
        return left.pop(0) if left and not _is_option(left[0]) else None

    def _put(self, *words: str) -> None:
        self.line.options += words

    def _ordered(self) -> list[str]:
        """Algorithm and environment, in this order."""
        from tuneexp.algorithms.registry import ALGORITHMS

        line, given = self.line, list(self.line.positional)
        if line.algorithm:
            given.insert(0, line.algorithm)
        if line.env:
            given.append(line.env)
        named = [word for word in given if word.lower() in ALGORITHMS]
        if not named and len(given) == 1 and not given[0].endswith((".yaml", ".yml")) and ":" not in given[0]:
            if self.name == "train" or not line.env:  # sweep --env ID tunes ppo
                line.because("an algorithm is missing, such as ppo")
            return ["ppo", *given]
        if named and given[0] != named[0] and len(given) == 2:
            line.because("the algorithm comes first")
            given = [named[0], *(word for word in given if word is not named[0])]
        if named and named[0] not in ALGORITHMS:
            line.because(f"unknown algorithm {named[0]!r}; did you mean {named[0].lower()!r}?")
            given[0] = named[0].lower()
        return given


def _is_whole(words: list[str]) -> bool:
    """`a=1` and `a:1` are whole; `a`, `a=` and `a =` are not."""
    text = "".join(words)
    return bool(re.fullmatch(r"[^=:]+[=:].+", text, re.S)) or len(words) > 2 or (len(words) == 2 and "=" not in text)
