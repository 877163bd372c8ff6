"""Rules of the code base: imports between packages, sizes of files and functions."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tuneexp

PACKAGE = Path(tuneexp.__file__).parent
# Top first. A module may import from its own layer and from those below.
LAYERS: list[set[str]] = [
    {"cli", "testing", "__main__"},
    {"sweep", "report"},
    {"tracking"},
    {"trial"},
    {"algorithms"},
    {"training"},
    {"sampling"},
    {"learning"},
    {"models", "data", "envs"},
    {"rl"},
    {"spaces"},
    {"ray_support"},
    {"files", "security", "processes", "seeds"},
    {"addresses", "commands", "config", "documented", "extras", "nesting", "partition", "quiet_imports", "statistics"},
    {"errors", "tracebacks"},
]
# `AlgorithmSpec.build` returns a Trainable, and the name of a policy may not be that of a setting of its trial.
UPWARD = {("algorithms.spec", "trial.trainable"), ("algorithms.multi_agent_config", "trial.trial_config")}
MAY_IMPORT = {
    "ray": ("ray_support", "sampling.remote", "training.remote", "trial.trainable", "sweep", "tracking"),
    "mlflow": ("tracking",),
}


class Import(NamedTuple):
    module: str  # importing module without the leading "tuneexp."
    target: str  # imported module, absolute
    line: int


def modules() -> list[Path]:
    """Modules of the package, without the files that `tuneexp init` copies."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "starter")


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file, including those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{dotted(path)}:{node.lineno}: a relative import"
            targets = [
                f"{node.module}.{alias.name}" if node.module == "tuneexp" else str(node.module) for alias in node.names
            ]
        else:
            continue
        yield from (Import(dotted(path), target, node.lineno) for target in targets)


def layer(module: str) -> int:
    top = module.split(".")[0]
    return next(depth for depth, names in enumerate(LAYERS) if top in names)


def inside(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def all_imports() -> list[Import]:
    return [found for path in modules() for found in imports_of(path)]


def test_every_module_has_a_place_in_the_layers() -> None:
    tops = {dotted(path).split(".")[0] for path in modules()} - {"__init__"}
    assert tops <= set.union(*LAYERS)


def test_imports_point_down_only() -> None:
    wrong = []
    for found in all_imports():
        if not found.target.startswith("tuneexp.") or found.module == "__init__":
            continue
        target = found.target.removeprefix("tuneexp.")
        if target.split(".")[0] == "__version__" or (found.module, target) in UPWARD:
            continue
        if layer(target) < layer(found.module):
            wrong.append(f"{found.module}:{found.line} imports {target}")
    assert not wrong


@pytest.mark.parametrize("library", MAY_IMPORT)
def test_ray_and_mlflow_are_imported_only_where_they_belong(library: str) -> None:
    wrong = [
        f"{found.module}:{found.line}"
        for found in all_imports()
        if found.target.split(".")[0] == library and not inside(found.module, MAY_IMPORT[library])
    ]
    assert not wrong


HEAVY = ("torch", "ray", "mlflow", "optuna", "gymnasium")


@pytest.mark.parametrize(
    "program",
    [
        "import tuneexp",
        "import tuneexp.cli",
        "import tuneexp.cli\ntry: tuneexp.cli.main(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["import tuneexp", "import tuneexp.cli", "tuneexp --help"],
)
def test_torch_ray_and_mlflow_load_only_when_used(program: str) -> None:
    check = f"\nimport sys\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip().splitlines()[-1].split() == ["LOADED"], done.stderr


def test_a_trial_worker_needs_no_mlflow() -> None:
    check = "import sys, tuneexp.trial.trainable; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


def test_files_are_small_rooms() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in modules()}
    limits = {path: 199 if path.parent.name == "algorithms" else 300 for path in sizes}
    assert not [f"{dotted(path)}: {size} lines" for path, size in sizes.items() if size > limits[path]]


def first_statement(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    """The first statement after the docstring, if there is one."""
    documented = ast.get_docstring(function) is not None and len(function.body) > 1
    return function.body[int(documented)]


def test_functions_fit_on_a_screen() -> None:
    """Counts lines of statements: signatures of commands list their options, docstrings list arguments."""
    long = [
        f"{dotted(path)}.{node.name}: {length} lines"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - first_statement(node).lineno + 1) > 45
    ]
    assert not long


@pytest.mark.parametrize("package", [*tuneexp.PUBLIC, "tuneexp.sweep"])
def test_no_public_name_is_that_of_a_module_which_would_take_its_place(package: str) -> None:
    public = importlib.import_module(package)
    modules = {path.stem for path in Path(str(public.__file__)).parent.iterdir()}
    assert not modules & set(public.__all__)
