"""Cost of training with this code beside that of another commit."""

from __future__ import annotations

import pytest

from benchmarks import commits


@pytest.mark.skipif(not (commits.ROOT / ".git").exists(), reason="not a clone")
def test_a_commit_is_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "SETUPS", {"short": 2048})
    with commits.checkout_of("HEAD") as earlier:
        assert (earlier / "pyproject.toml").is_file()
        (ratio,) = commits.compare(earlier, commits.Work("short", 1, "off"), 1)
    assert 0.2 < ratio < 5.0
    assert not earlier.exists()
