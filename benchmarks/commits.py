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

from benchmarks.running import HERE, ROOT, last_json
from benchmarks.work import ALL_SETUPS

SETUPS = {"short": 8_192, "dqn_64": 5_120}  # environment steps of each
TURNS = 3

say = functools.partial(print, flush=True)


def _git(*args: str) -> str:
    done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"git {args[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def a_day_before() -> str:
    """Return the newest commit that is a day older than this one; "" if there is none."""
    newest_s = int(_git("log", "-1", "--format=%ct"))
    return _git("log", "-1", "--format=%h", f"--before={newest_s - 86_400}")


@contextlib.contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit, which is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        _git("worktree", "add", "--detach", folder, commit)
        try:
            yield Path(folder)
        finally:
            _git("worktree", "remove", "--force", folder)


def training_cpu_s(checkout: Path, setup: str, seeds: int, compilation: str) -> float:
    """Train with the code in a checkout. Returns the CPU seconds of the training, without evaluation."""
    command = [sys.executable, str(HERE / "one_commit.py"), setup, str(SETUPS[setup]), str(seeds), compilation]
    measured = last_json(command, {"PYTHONPATH": str(checkout)})
    assert Path(measured["code"]).is_relative_to(checkout), measured["code"]
    return float(measured["training_cpu_s"])


def compare(earlier: Path, setup: str, seeds: int, compilation: str, turns: int) -> list[float]:
    """Return the ratio of the CPU times, earlier code to this code, of each turn; above 1 this code is faster."""
    if compilation == "on":  # the compiler is not part of the comparison
        for checkout in (ROOT, earlier):
            training_cpu_s(checkout, setup, seeds, compilation)
    ratios = []
    for turn in range(turns):
        sides = (ROOT, earlier) if turn % 2 else (earlier, ROOT)
        spent = {checkout: training_cpu_s(checkout, setup, seeds, compilation) for checkout in sides}
        ratios.append(spent[earlier] / spent[ROOT])
        say(f"{setup} S={seeds} turn {turn + 1}: {spent[earlier]:.2f} s before, {spent[ROOT]:.2f} s now")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__)
    parser.add_argument("commit", nargs="?", help="by default the newest one that is a day older")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="S", help="numbers of seeds")
    parser.add_argument("--compile", default="off", choices=["on", "off"], dest="compilation")
    parser.add_argument("--turns", type=int, default=TURNS)
    asked = parser.parse_args()
    commit = asked.commit or a_day_before()
    if not commit:
        raise SystemExit("no commit is a day older than this one; name one: python -m benchmarks.commits COMMIT")
    with checkout_of(commit) as earlier:
        for setup in SETUPS:
            for seeds in asked.seeds:
                ratios = compare(earlier, setup, seeds, asked.compilation, asked.turns)
                say(f"{ALL_SETUPS[setup].title}, S={seeds}: {median(ratios):.2f} times as fast as {commit}"
                    f" ({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
