"""Exceptions and their exit codes.

A message has one or two lines and the correction.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from tuneexp.tracebacks import ends_process, one_line, plain


class TuneexpError(Exception):
    """The work failed (exit code 1)."""

    exit_code = 1


class UserError(TuneexpError):
    """Bad input (exit code 2). Nothing was started and no stored file was changed."""

    exit_code = 2


class SeveralErrors(ValueError):
    """Several independent errors in a value. problems: one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class CheckpointError(UserError):
    """A checkpoint can't be loaded: it is damaged, of a newer version, or of another configuration."""


class LearnerLost(TuneexpError):
    """Learner processes exceeded their limit of restarts. The trial is retried from its checkpoint, or fails."""


class RunnerLost(TuneexpError):
    """Env runners exceeded their limit of restarts. The trial is retried from its checkpoint, or fails."""


class StorageFault(TuneexpError):
    """The retries of a failing storage timed out. The sweep stops with its trials unfinished."""


class EnvironmentFault(TuneexpError):
    """An environment raised or returned NaN during a trial. The trial fails with this reason."""


def reason_of(error: BaseException) -> str:
    """Return one line about an exception of the user's code. Re-raises one that ends the process (Ctrl-C, SIGTERM)."""
    if ends_process(error):
        raise error
    ended = " (it ended the program)" if isinstance(error, SystemExit) else ""
    return f"{one_line(error)}{ended}"


def sentence_of(error: BaseException) -> str:
    """Return one line about any exception. Messages of `TuneexpError` are used as they are."""
    return plain(str(error)) if isinstance(error, TuneexpError) else one_line(error)


def shortened(value: object) -> str:
    """Return `repr(value)`, shortened to about 120 characters."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`; None if none is close. `lr` is an alias of `learning_rate`."""
    names = list(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    matches = matches or [other for other in names if other.lower() == name.lower()]
    if not matches:
        matches = [other for other in names if "".join(word[0] for word in other.split("_") if word) == name]
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str], see: str = "") -> UserError:
    """Return an error such as `unknown hyperparameter 'lr' for ppo; did you mean 'learning_rate'?`"""
    names = sorted(known)
    match = nearest(name, names)
    more = f" and {len(names) - 60} more" if len(names) > 60 else ""
    advice = f"did you mean {match!r}?" if match else f"known: {', '.join(names[:60])}{more}"
    return UserError(f"unknown {kind} {shortened(name)}; {advice}{f' ({see})' if see else ''}")
