"""User, source, git state and versions of a sweep, as the tags that MLflow's own columns show."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tuneexp
from tuneexp.security.masking import masked

_GIT_LIMIT_S = 5.0
_PACKAGES = ("torch", "ray", "optuna", "mlflow", "gymnasium")


def origin_tags(own_files: Iterable[str] = ()) -> dict[str, str]:
    """Tags of user, source and git state.

    Args:
        own_files: The user's files that the sweep names. Their repository is recorded; without any, that of the script
            or of the working folder."""
    name, kind = _source()
    tags = {"mlflow.user": _user(), "mlflow.source.name": name, "mlflow.source.type": kind}
    folder = next((Path(file).parent for file in own_files), None) or _script_folder() or Path.cwd()
    return {name: value for name, value in {**tags, **git_tags(folder)}.items() if value}


def git_tags(folder: Path) -> dict[str, str]:
    """Tags of commit, branch, repository and uncommitted changes; empty without git or a repository."""
    state = _git(folder, "status", "--porcelain=2", "--branch", "--untracked-files=no")
    if state is None:
        return {}
    lines = state.splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = head.get("branch.oid", ""), head.get("branch.head", "")
    if commit in ("", "(initial)"):
        return {}
    return {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": "" if branch == "(detached)" else branch,
        "mlflow.source.git.dirty": str(any(not line.startswith("#") for line in lines)).lower(),
        "mlflow.source.git.repoURL": masked((_git(folder, "config", "--get", "remote.origin.url") or "").strip()),
    }


def version_tags() -> dict[str, str]:
    known = {"tuneexp": tuneexp.__version__, "python": platform.python_version(), "platform": platform.platform()}
    return {f"version.{name}": text for name, text in {**known, **_packages()}.items()}


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # mlflow-skinny, or a build of one's own
            continue
    return found


def _git(folder: Path, *words: str) -> str | None:
    """Output of a read-only git command that runs no hook of the repository; None if it fails."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    line = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(
            line, env=quiet, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return ""


def _source() -> tuple[str, str]:
    """Name and type of the sweep's source: a command, a script or a notebook."""
    if "ipykernel" in sys.modules:
        return os.environ.get("JPY_SESSION_NAME", "notebook"), "NOTEBOOK"
    script = _script()
    if script is None:
        return " ".join(["tuneexp", *sys.argv[1:2]]) if _is_command() else "python", "LOCAL"
    return str(script), "LOCAL"


def _is_command() -> bool:
    package = Path(tuneexp.__file__).parent
    return Path(sys.argv[0]).stem == "tuneexp" or Path(sys.argv[0]).is_relative_to(package)


def _script() -> Path | None:
    """The user's script that this process runs."""
    file: Any = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if file is None or _is_command() else Path(file).resolve()


def _script_folder() -> Path | None:
    script = None if "ipykernel" in sys.modules else _script()
    return None if script is None else script.parent
