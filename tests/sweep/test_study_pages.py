"""optuna-dashboard on a stored sweep: its present study, which can only be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from tests.faults.stored import store_sweep
from tuneexp.errors import UserError
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.study_pages import StudyPages


def answer(pages: StudyPages, path: str, method: str = "GET") -> tuple[str, Any]:
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path}
    setup_testing_defaults(environ)
    said: list[str] = []
    body = b"".join(pages(environ, lambda status, headers, *more: said.append(status)))
    return said[0], body


def trials(pages: StudyPages) -> dict[int, str]:
    path = pages.path.replace("/dashboard/", "/api/")
    status, body = answer(pages, f"{path}")
    assert status.startswith("200")
    found = json.loads(body)
    assert found["objective_names"] == ["objective"]
    return {one["number"]: one["state"] for one in found["trials"]}


def test_a_missing_package_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(store_sweep(tmp_path / "runs", "kept"))
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(UserError, match=r"^dashboard needs another package: pip install 'tuneexp\[dashboard\]'$"):
        StudyPages(folder)


def test_the_pages_follow_the_snapshot_and_can_only_be_read(tmp_path: Path) -> None:
    folder = SweepFolder(store_sweep(tmp_path / "runs", "kept"))
    other = SweepFolder(store_sweep(tmp_path / "runs", "longer", suggested=3))
    pages = StudyPages(folder)
    status, page = answer(pages, pages.path)
    assert status.startswith("200")
    assert b"<title>Optuna Dashboard" in page
    assert trials(pages) == {0: "Running", 1: "Running"}
    found = snapshot.load(other)
    assert found is not None
    snapshot.commit(folder, found)
    assert trials(pages) == {0: "Running", 1: "Running", 2: "Running"}
    folder.snapshot_file.write_bytes(b"damaged")
    assert len(trials(pages)) == 3
    assert answer(pages, "/api/studies/0", "DELETE")[0].startswith("403")
    assert len(trials(pages)) == 3
