"""Scripts of the benchmark are started by hand: what they import from each other, or start, exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
SCRIPT = r"\w+\.py|benchmarks(\.(?!md$)\w+)+"


def names_in(path: Path) -> set[str]:
    """Names that a module defines or imports at its top level, in branches, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def imported(path: Path) -> Iterator[tuple[Path, str]]:
    """Modules of the benchmark and the names that a file imports from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("benchmarks"):
            yield from ((ROOT / node.module.replace(".", "/"), alias.name) for alias in node.names)


def test_what_scripts_import_from_each_other_exists() -> None:
    assert len(FILES) > 50
    wanted = [(path, *pair) for path in FILES for pair in imported(path)]
    assert len(wanted) > 100
    missing = []
    for path, module, name in wanted:
        file = module.with_suffix(".py")
        if file.exists():
            exists = name in names_in(file)
        else:
            exists = (
                (module / f"{name}.py").exists() or (module / name).is_dir() or name in names_in(module / "__init__.py")
            )
        if not exists:
            missing.append(f"{path.relative_to(ROOT)} imports {name}")
    assert missing == []


def test_scripts_that_are_started_exist() -> None:
    started = [
        (path, node.value)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(SCRIPT, node.value)
    ]
    assert len(started) > 10
    missing = []
    for path, name in started:
        places = (path.parent, path.parent / "peers") if name.endswith(".py") else (ROOT,)
        file = name if name.endswith(".py") else f"{name.replace('.', '/')}.py"
        if not any((place / file).exists() for place in places):
            missing.append(f"{path.relative_to(ROOT)} starts {name}")
    assert missing == []
