"""`python -m benchmarks.commits [COMMIT]`: cost of training with this code beside the code of an earlier commit.

Both train the same in turns, each in a process of its own, and the CPU time of the training is compared, since other
processes share the machine. The default is the newest commit that is a day older than this one. `--compile on` measures
compiled programs; each side compiles its own first, if they are not in the cache."""

from __future__ import annotations

import argparse
import contextlib
import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.running import HERE, ROOT, last_json
from benchmarks.work import ALL_SETUPS

# Environment steps of each.
SETUPS = {"short": 8_192, "long": 20_480, "dqn_64": 5_120, "sac_64": 1_000, "tqc_64": 1_000}
DEFAULT_SETUPS = ["short", "dqn_64"]
TURNS = 3

say = functools.partial(print, flush=True)


class Work(NamedTuple):
    """Training that is compared. compilation: "on" or "off"; settings: of the trial, as SETTING=VALUE."""

    setup: str
    seeds: int
    compilation: str
    settings: tuple[str, ...] = ()

    def arguments(self) -> tuple[str, ...]:
        return self.setup, str(SETUPS[self.setup]), str(self.seeds), self.compilation, *self.settings

    def words(self) -> str:
        return ", ".join([ALL_SETUPS[self.setup].title, f"S={self.seeds}", *self.settings])


class NotThere(RuntimeError):
    """The code has no such algorithm."""


def _git(*args: str) -> str:
    done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"git {args[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def a_day_before() -> str:
    """Return the newest commit that is a day older than this one; "" if there is none."""
    newest_s = int(_git("log", "-1", "--format=%ct"))
    return _git("log", "-1", "--format=%h", f"--before={newest_s - 86_400}")


def date_of(commit: str) -> str:
    return _git("log", "-1", "--format=%cs", commit)


@contextlib.contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit, which is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        _git("worktree", "add", "--detach", folder, commit)
        try:
            yield Path(folder)
        finally:
            _git("worktree", "remove", "--force", folder)


def training_cpu_s(checkout: Path, work: Work) -> float:
    """Train with the code in a checkout. Returns the CPU seconds of the training, without evaluation."""
    command = [sys.executable, str(HERE / "one_commit.py"), *work.arguments()]
    # In the checkout: a compiler process that is started with `python -m` imports the code of the current folder.
    measured = last_json(command, {"PYTHONPATH": str(checkout)}, cwd=checkout)
    assert Path(measured["code"]).is_relative_to(checkout), measured["code"]
    if not measured["known"]:
        raise NotThere(work.setup)
    assert measured["compiled"] == (work.compilation == "on"), f"compile {work.compilation} has not worked: {checkout}"
    return float(measured["training_cpu_s"])


def compare(earlier: Path, work: Work, turns: int) -> list[float]:
    """Return the ratio of the CPU times, earlier code to this code, of each turn; above 1 this code is faster."""
    if work.compilation == "on":  # the compiler is not part of the comparison
        for checkout in (earlier, ROOT):
            training_cpu_s(checkout, work)
    ratios = []
    for turn in range(turns):
        sides = (ROOT, earlier) if turn % 2 else (earlier, ROOT)
        spent = {checkout: training_cpu_s(checkout, work) for checkout in sides}
        ratios.append(spent[earlier] / spent[ROOT])
        say(f"{work.words()}, turn {turn + 1}: {spent[earlier]:.2f} s before, {spent[ROOT]:.2f} s now")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__)
    parser.add_argument("commit", nargs="?", help="by default the newest one that is a day older")
    parser.add_argument("--setups", nargs="+", default=DEFAULT_SETUPS, choices=list(SETUPS), metavar="SETUP",
                        help=f"of {', '.join(SETUPS)}; default: {' '.join(DEFAULT_SETUPS)}")  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="S", help="numbers of seeds")
    parser.add_argument("--compile", default="off", choices=["on", "off"], dest="compilation")
    parser.add_argument("--turns", type=int, default=TURNS)
    asked = parser.parse_args()
    commit = asked.commit or a_day_before()
    if not commit:
        raise SystemExit("no commit is a day older than this one; name one: python -m benchmarks.commits COMMIT")
    with checkout_of(commit) as earlier:
        for setup in asked.setups:
            for seeds in asked.seeds:
                _report(earlier, commit, Work(setup, seeds, asked.compilation), asked.turns)


def _report(earlier: Path, commit: str, work: Work, turns: int) -> None:
    try:
        ratios = compare(earlier, work, turns)
    except NotThere:
        say(f"{work.words()}: {commit} has no such algorithm")
        return
    say(f"{work.words()}: {median(ratios):.2f} times as fast as {commit} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
