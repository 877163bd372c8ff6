"""Checks of packages, the compiler, the GPU and Ray."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tuneexp.cli.diagnosis.finding import FAIL, OK, WARN, Finding, existing
from tuneexp.errors import UserError
from tuneexp.files.temporary import temporary_folder
from tuneexp.report.formatting import size

SHOWN = ("torch", "ray", "optuna", "mlflow", "gymnasium", "numpy")
COMPILE_LIMIT_S = 60.0
ONE_LINE = '#include <omp.h>\nextern "C" int threads() { return omp_get_max_threads(); }\n'


def packages() -> Finding:
    """Installed versions against those that tuneexp requires."""
    if _version("tuneexp") is None:
        return Finding("packages", WARN, "tuneexp is not installed, so versions are not checked", "pip install -e .")
    wrong = [one for one in _required() if _version(one.name) not in (None, "") and not _fits(one)]
    missing = [one for one in _required() if _version(one.name) is None]
    if wrong or missing:
        found = [f"{one.name} {_version(one.name)}" for one in wrong] + [f"{one.name} is missing" for one in missing]
        advice = "pip install " + " ".join(shlex.quote(f"{one.name}{one.specifier}") for one in [*wrong, *missing])
        return Finding("packages", FAIL, ", ".join(found), advice)
    return Finding("packages", OK, ", ".join(f"{name} {_version(name)}" for name in SHOWN))


def extras() -> Finding:
    """Extras that are installed. None of them is needed."""
    of_extra: dict[str, list[Requirement]] = {}
    for one in _asked():
        for extra in re.findall(r"extra == ['\"]([\w-]+)['\"]", str(one.marker or "")):
            of_extra.setdefault(extra, []).append(one)
    of_extra.pop("dev", None)
    there = [name for name, asked in of_extra.items() if all(_version(one.name) for one in asked)]
    others = [name for name in of_extra if name not in there]
    more = f"; others: {', '.join(others)} (pip install 'tuneexp[{others[0]}]')" if others else ""
    return Finding("extras", OK, f"installed: {', '.join(there) or 'none'}{more}")


def _asked() -> list[Requirement]:
    return [] if _version("tuneexp") is None else [*map(Requirement, metadata.requires("tuneexp") or ())]


def _required() -> list[Requirement]:
    return [one for one in _asked() if one.marker is None or one.marker.evaluate({"extra": ""})]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(asked: Requirement) -> bool:
    return asked.specifier.contains(_version(asked.name) or "", prereleases=True)


def compiler() -> Finding:
    """The C++ compiler, which compiles one line."""
    from tuneexp.learning.compile.compilation import CannotCompile
    from tuneexp.learning.compile.compilation import compiler as compiler_here

    advice = "install g++ (apt-get install g++); without it training runs eagerly, slower"
    try:
        name, began_s = compiler_here(), time.monotonic()
    except CannotCompile as error:
        return Finding("compiler", WARN, str(error).partition(";")[0], f"{advice}, or name one in CXX")
    with temporary_folder() as folder:
        command = [name, "-x", "c++", "-shared", "-fPIC", "-fopenmp", "-", "-o", str(folder / "one.so")]
        done = subprocess.run(command, input=ONE_LINE, capture_output=True, text=True, timeout=COMPILE_LIMIT_S)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), f"exit code {done.returncode}")
        return Finding("compiler", WARN, f"{name} does not compile one line: {' '.join(first.split())}", advice)
    return Finding("compiler", OK, f"{shutil.which(name)} compiled a line in {time.monotonic() - began_s:.1f} s")


def program_cache() -> Finding:
    """Folder of compiled programs."""
    from tuneexp.learning.compile.cache import cache_folder

    folder = cache_folder()
    if not os.access(existing(folder), os.W_OK | os.X_OK):
        return Finding("program cache", WARN, f"{folder} can't be written", "set TUNEEXP_CACHE to a folder of yours")
    programs = list(folder.glob("*.pt2")) if folder.is_dir() else []
    room = size(sum(one.stat().st_size for one in programs))
    return Finding("program cache", OK, f"{len(programs)} compiled programs, {room}, in {folder}")


def gpu() -> Finding:
    """GPUs that torch can use."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("GPU", OK, f"{', '.join(names)}; used with --device cuda")
    if not (Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi")):
        return Finding("GPU", OK, "none; networks train on the CPU")
    of = "is built for the CPU" if torch.version.cuda is None else f"(CUDA {torch.version.cuda}) can't use it"
    advice = "install another build: https://pytorch.org/get-started"
    return Finding("GPU", WARN, f"there is an NVIDIA driver, but torch {torch.__version__} {of}", advice)


def ray(start: bool) -> Finding:
    """Ray: the cluster of RAY_ADDRESS, or a start on this machine. start: try that start, which takes seconds."""
    from tuneexp.sweep.cluster.address import cluster_address, refuse_unreachable

    address = cluster_address(None)
    if address is not None:
        try:
            refuse_unreachable(address)
        except UserError as error:
            return Finding("Ray", FAIL, str(error).partition(";")[0], "start the cluster, or unset RAY_ADDRESS")
        return Finding("Ray", OK, f"the cluster at RAY_ADDRESS={address} answers")
    if not start:
        return Finding("Ray", OK, "starts on this machine with each sweep; to try it: tuneexp doctor --ray")
    from tuneexp.ray_support.start import local_ray

    began_s = time.monotonic()
    with local_ray(1, logging_level="CRITICAL"):
        return Finding("Ray", OK, f"started on this machine in {time.monotonic() - began_s:.1f} s")
