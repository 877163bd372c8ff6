"""The package works when it is installed from its source archive, in an empty folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuneexp.algorithms.registry import ALGORITHMS

ROOT = Path(__file__).parents[1]
SOURCES = ("tuneexp", "search_spaces", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


def built(kind: str, source: Path, to: Path) -> Path:
    """The archive, `kind` "sdist" or "wheel", that the build backend makes from `source`."""
    program = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(to)!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return to / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive, as for a package index."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    with tarfile.open(built("sdist", source, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return built("wheel", unpacked, folder)


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Scripts of an environment with the wheel and the libraries of the test environment, without the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    # As a plain path: the .pth files in it, of which one leads to the checkout, are not read.
    (site / "libraries.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    done = subprocess.run(install, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    yield folder / "bin"
    shutil.rmtree(folder)


def answer(folder: Path, *program: str | Path) -> str:
    """Standard output of `program`."""
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    found = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tuneexp/")}
    files = [path for path in (ROOT / "tuneexp").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    spaces = [f"tuneexp/search_spaces/{name}.yaml" for name in ALGORITHMS]
    assert found == {str(path.relative_to(ROOT)) for path in files} | set(spaces)


@pytest.mark.timeout(300)
def test_an_installed_tuneexp_sweeps_what_init_has_written(bin_folder: Path, tmp_path: Path) -> None:
    where = answer(tmp_path, bin_folder / "python", "-c", "import tuneexp; print(tuneexp.__file__)")
    assert Path(where.strip()).is_relative_to(bin_folder.parent)
    tuneexp = bin_folder / "tuneexp"
    options = ["--trials", "2", "--seeds", "1", "--env-steps", "1200", "--compile", "off", "--name", "first"]
    answer(tmp_path, tuneexp, "init", "new")
    answer(tmp_path, tuneexp, "sweep", "new/experiment.yaml", *options)
    (listed,) = json.loads(answer(tmp_path, tuneexp, "list", "--json"))["sweeps"]
    assert (listed["name"], listed["finished"]) == ("first", 2)


def test_an_installed_tuneexp_describes_an_algorithm_with_its_space(bin_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run([bin_folder / "tuneexp", "describe", "dqn"], cwd=tmp_path, capture_output=True, text=True)
    (space,) = [word for word in done.stderr.split() if word.endswith(".yaml")]
    assert Path(space).is_relative_to(bin_folder.parent)
    assert (Path(space).name, Path(space).is_file()) == ("dqn.yaml", True)


def test_an_installed_mlflow_finds_the_pages_of_tuneexp(bin_folder: Path, tmp_path: Path) -> None:
    program = "from importlib.metadata import entry_points as e; print(*(p.value for p in e(group='mlflow.app')))"
    assert "tuneexp.tracking.ui_app:app" in answer(tmp_path, bin_folder / "python", "-c", program)
