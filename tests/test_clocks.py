"""A test that replaces a clock replaces it in one module: other threads, fixtures and pytest use `time`, too."""

from __future__ import annotations

import re
from pathlib import Path

OF_ALL = re.compile(r"""setattr\(\s*(?:time\b|["\w.]*\.time[.,]\s*"?\w+"?|["']time\.)""")


def test_no_test_replaces_functions_of_the_shared_time_module() -> None:
    assert all(map(OF_ALL.search, ['setattr(module.time, "monotonic", f)', 'setattr("a.b.time.sleep", f)']))
    files = [path for path in Path(__file__).parent.rglob("*.py") if path != Path(__file__)]
    assert len(files) > 100
    assert [str(path) for path in files if OF_ALL.search(path.read_text())] == []
