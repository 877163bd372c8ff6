"""What can go wrong, and the exit code that tells it.

A message is one or two lines that say what to write instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tuneexp.tracebacks import ends_process, one_line, plain


class TuneexpError(Exception):
    """The work failed (exit code 1)."""

    exit_code = 1


class UserError(TuneexpError):
    """Bad input: nothing was started and nothing stored was touched (exit code 2)."""

    exit_code = 2


class CheckpointError(UserError):
    """A checkpoint that can't be loaded here: damaged, newer, or of something else."""


class LearnerLost(TuneexpError):
    """Learner processes died more often than is forgiven: the trial goes on from its checkpoint, or fails."""


class RunnerLost(TuneexpError):
    """Env runners died or hung more often than is forgiven: the trial goes on from its checkpoint, or fails."""


class StorageFault(TuneexpError):
    """A storage failed for longer than it is waited for: the sweep stops with its trials unfinished."""


class EnvironmentFault(TuneexpError):
    """An environment raised or returned NaN in the middle of a trial: the trial fails with this reason."""


def reason_of(error: BaseException) -> str:
    """One line for an exception of the user's code. Raises it again where it is an order to end."""
    if ends_process(error):
        raise error
    ended = " (it ended the program)" if isinstance(error, SystemExit) else ""
    return f"{one_line(error)}{ended}"


def sentence_of(error: BaseException) -> str:
    """One line for any exception. Our own errors are sentences already."""
    return plain(str(error)) if isinstance(error, TuneexpError) else one_line(error)


def shortened(value: object) -> str:
    """`repr(value)` as part of a line: a long one is cut."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None where nothing is close. `lr` means `learning_rate`."""
    names = list(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    matches = matches or [other for other in names if other.lower() == name.lower()]
    if not matches:
        matches = [other for other in names if "".join(word[0] for word in other.split("_") if word) == name]
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str], see: str = "") -> UserError:
    """`unknown hyperparameter 'lr' for ppo; did you mean 'learning_rate'? (tuneexp describe ppo)`"""
    names = sorted(known)
    match = nearest(name, names)
    more = f" and {len(names) - 60} more" if len(names) > 60 else ""
    advice = f"did you mean {match!r}?" if match else f"known: {', '.join(names[:60])}{more}"
    return UserError(f"unknown {kind} {shortened(name)}; {advice}{f' ({see})' if see else ''}")
