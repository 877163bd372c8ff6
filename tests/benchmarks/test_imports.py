"""Scripts of the benchmark are started by hand: what they import from each other exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))


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
