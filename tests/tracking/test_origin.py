"""Source and git state, in real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tuneexp.tracking.origin import git_tags, origin_tags, version_tags


def git(folder: Path, *words: str) -> str:
    line = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-C", str(folder), *words]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "mine.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_git_state_is_commit_branch_repository_and_whether_files_differ(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "remote", "add", "origin", "https://ada:ghp_secret@example.org/ada/mine.git")
    tags = git_tags(repository)
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["mlflow.source.git.branch"] == "trunk"
    assert tags["mlflow.source.git.dirty"] == "false"
    assert tags["mlflow.source.git.repoURL"].endswith("example.org/ada/mine.git")
    assert "ghp_secret" not in str(tags)
    (repository / "mine.py").write_text("x = 2\n")
    assert git_tags(repository)["mlflow.source.git.dirty"] == "true"
    git(repository, "checkout", "-q", "--detach")
    assert git_tags(repository)["mlflow.source.git.branch"] == ""


def test_the_repository_is_that_of_the_users_own_file(repository: Path) -> None:
    tags = origin_tags([str(repository / "mine.py")])
    assert tags["mlflow.source.git.commit"] == git(repository, "rev-parse", "HEAD")
    assert "mlflow.source.git.repoURL" not in tags  # there is none


def test_without_git_or_a_repository_there_is_no_git_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert git_tags(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert git_tags(tmp_path) == {}  # no commit yet
    monkeypatch.setenv("PATH", "")
    assert git_tags(tmp_path) == {}
    assert capfd.readouterr() == ("", "")


def test_source_and_versions_are_known_everywhere(tmp_path: Path) -> None:
    tags = origin_tags([str(tmp_path / "mine.py")])
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.source.name"]
    assert {"version.tuneexp", "version.python", "version.torch", "version.mlflow", "version.platform"} <= set(
        version_tags()
    )
