"""Parser that corrects the arguments of a refused command."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneexp.cli.corrections.other_tools import (
    ALGORITHM,
    ENV,
    EXPERIMENTS,
    GROUPED,
    NEEDLESS,
    OPTIONS,
    SETS,
    SETTINGS,
    TUNE_FLAGS,
    VALUES,
    WITH_VALUE,
)
from tuneexp.errors import nearest
from tuneexp.sweep import defaults


@dataclass
class Line:
    """A corrected command line."""

    positional: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    algorithm: str | None = None
    env: str | None = None
    why: str = ""
    is_whole: bool = True

    def because(self, reason: str) -> None:
        self.why = self.why or reason


def bare_of(word: str) -> str:
    """`--Total_Timesteps=3` -> `total-timesteps`."""
    return word.lstrip("-").partition("=")[0].replace("_", "-").lower() if word.startswith("-") else ""


def is_experiment(word: str) -> bool:
    return word.endswith((".yaml", ".yml", ".json"))


def _file_of(word: str) -> str | None:
    """Return the experiment file of a name without suffix, or of the sweep of this name."""
    if is_experiment(word):
        return None
    files = (f"{word}.yaml", f"{word}.yml", os.path.join(defaults.STORAGE, word, "experiment.yaml"))
    return next((file for file in files if os.path.isfile(file)), None)


def is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not re.fullmatch(r"-[\d.].*", word)


def _likeness(word: str, name: str) -> float:
    """Return how much alike two names are, from 0 to 1."""
    return difflib.SequenceMatcher(None, word, name.replace("_", "-")).ratio()


class Reader:
    """Reads the words after a command into a line that the command accepts."""

    def __init__(self, command: Any, name: str, line: Line, algorithm: str) -> None:
        self.name, self.line, self.algorithm = name, line, algorithm
        self.flags = {opt: param for param in command.params for opt in param.opts if opt.startswith("-")}
        self.trains = name in ("train", "sweep")

    def read(self, words: Sequence[str]) -> list[str] | None:
        left = list(words)
        while left:
            word = left.pop(0)
            if not is_option(word):
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
        """Read one option with its value. Returns False if it has no correction."""
        key, equals, text = word.partition("=")
        bare = bare_of(word)
        if self.trains and bare in SETS:
            self._take_settings("env_kwargs/" if bare == "env-kwargs" else "", key, [text] if equals else [], left)
            return True
        if bare in TUNE_FLAGS:
            return True
        known = self._known(key, bare)
        if known is not None and self.flags[known].is_flag:
            self._put_flag(known, left)
            if bare in WITH_VALUE:
                self.line.because(f"{known} takes no value")
                self._value(equals, text, left)
            return True
        value = self._value(equals, text, left)
        if self.name == "sweep" and bare in EXPERIMENTS and key not in self.flags and is_experiment(value or ""):
            self.line.because("an experiment file is an argument without an option")
            self.line.positional.insert(0, value or "")
            return True
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
        elif known is None and self.trains and (name := self._hyperparameter(SETTINGS.get(bare, key.lstrip("-")))):
            self._take_hyperparameter(key, name, value)
        else:
            return False
        return True

    def _take_hyperparameter(self, key: str, name: str, value: str | None) -> None:
        if value is None:
            self.line.because(f"{key} is no option and has no value; hyperparameters are fixed with --set {name}=VALUE")
            self.line.is_whole = False
        self.line.because(f"{key} is no option; hyperparameters are fixed with --set")
        self._put("--set", f"{name}={value}")

    def _take_name(self, bare: str, key: str, value: str) -> None:
        if key not in self.flags:
            self.line.because(f"unknown option {key!r}; algorithm and environment are arguments without an option")
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
        while left and not is_option(left[0]) and (several or not _is_whole(words)):
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
        """Return the intended option of the command."""
        if key in self.flags:
            return key
        if meant := next((one for one in OPTIONS.get(bare, ()) if one in self.flags), None):
            return meant
        if f"--{bare}" in self.flags:
            return f"--{bare}"
        close = nearest(bare, [flag.lstrip("-") for flag in self.flags]) if bare != "seed" else None
        if self.trains:
            hyperparameter = self._hyperparameter(SETTINGS.get(bare, key.lstrip("-")))
            closer = close and hyperparameter and _likeness(bare, close) > _likeness(bare, hyperparameter)
            if (hyperparameter and not closer) or bare in (*ALGORITHM, *ENV):
                return None
        return f"--{close}" if close else None

    def _hyperparameter(self, word: str) -> str | None:
        """Return the intended hyperparameter or setting: `learning_rate` for `learning-rate`."""
        from tuneexp.algorithms.registry import config_class_of
        from tuneexp.algorithms.rl_zoo import RL_ZOO_KEYS
        from tuneexp.cli.option_values import GROUPS
        from tuneexp.sweep.search.space.binding import hyperparameter_names

        names = hyperparameter_names(config_class_of(self.algorithm))
        plain = word.replace("-", "_").replace(".", "/")
        if plain in (*names, *RL_ZOO_KEYS) or plain.partition("/")[0] in GROUPS:
            return plain
        return nearest(plain, names)

    def _value(self, equals: str, text: str, left: list[str]) -> str | None:
        if equals:
            return text
        return left.pop(0) if left and not is_option(left[0]) else None

    def _put(self, *words: str) -> None:
        self.line.options += words

    def _ordered(self) -> list[str]:
        """Return the algorithm and the environment, in this order."""
        from tuneexp.algorithms.registry import ALGORITHMS

        line, given = self.line, list(self.line.positional)
        if line.algorithm:
            given.insert(0, line.algorithm)
        if line.env:
            given.append(line.env)
        if self.name == "sweep" and len(given) == 3:
            line.because("the name of a sweep is given with --name")
            self._put("--name", given.pop())
        named = [word for word in given if word.lower() in ALGORITHMS]
        if not named and len(given) == 1 and (file := _file_of(given[0])) and self.name == "sweep":
            line.because(f"there is no algorithm {given[0]!r}, but a file {file}")
            return [file]
        if not named and len(given) == 1 and not is_experiment(given[0]) and ":" not in given[0]:
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
