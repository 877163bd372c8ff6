"""Fixtures of all tests: one thread, no settings from outside, and one small Ray cluster for tests that use it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tuneexp.ray_support.environment import SENT_TO_WORKERS, SWEEP_SETTINGS, settings_in_environment

# Before torch or Ray are imported, so that they and every process they start see it.
os.environ.update({name: SWEEP_SETTINGS[name] for name in SENT_TO_WORKERS if name in SWEEP_SETTINGS})
# Trusted addresses and the key of this session, in place of the person's own. Deleted when the session's process ends.
_CONFIG_HOME = tempfile.TemporaryDirectory(prefix="tx-config-")
os.environ["XDG_CONFIG_HOME"] = _CONFIG_HOME.name

import hypothesis
import pytest

from tests.area_times import pytest_runtest_protocol, pytest_terminal_summary  # noqa: F401  pytest finds hooks here

# A machine that is busy with other work draws examples slowly, which is no failure.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

_SEED_VARIABLE = "TUNEEXP_TEST_SEED"
_SEED = int(os.environ.get(_SEED_VARIABLE, random.SystemRandom().randrange(2**32)))

# The settings a person may have in the shell: none of them may change what a test does.
_SETTINGS = ("MLFLOW_", "TUNEEXP_", "RAY_ADDRESS", "TUNE_")


def pytest_configure() -> None:
    """Compute as workers do: with one thread, and with the same kernels, before a module of tests multiplies."""
    import torch

    from tuneexp.learning.arithmetic import use_avx512

    torch.set_num_threads(1)
    use_avx512()


@pytest.fixture(scope="session", autouse=True)
def own_key() -> None:
    """Create the key that signs sweeps. A test without locks or with a full disk could not."""
    from tuneexp.security.signatures import require_key

    require_key()


@pytest.fixture(scope="session")
def program_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of compiled programs for this test run: each program is compiled once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def isolated_settings(monkeypatch: pytest.MonkeyPatch, program_cache: Path) -> None:
    for name in list(os.environ):
        if name.startswith(_SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TUNEEXP_CACHE", str(program_cache))


@pytest.fixture(scope="session", autouse=True)
def forked_deliveries() -> Iterator[None]:
    """Processes that deliver to MLflow are forked from one that has imported it."""
    from tests.forked_delivery import forked_deliveries

    with forked_deliveries():
        yield


@pytest.fixture
def chance() -> random.Random:
    """Random moments of a test. If it fails, pytest prints the seed and the variable that repeats it."""
    print(f"random moments: {_SEED_VARIABLE}={_SEED} draws them again")
    return random.Random(_SEED)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB that a test can fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def fresh_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without programs, with its counters at 0."""
    from tuneexp.learning.compile.compilation import Counter
    from tuneexp.trial import programs

    monkeypatch.setattr(programs, "_BUILT", OrderedDict())
    monkeypatch.setattr(Counter, "traced", 0)
    monkeypatch.setattr(Counter, "compiled", 0)


@pytest.fixture
def untraced(fresh_programs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run without tracing, which takes a second or more for each new algorithm."""
    from tuneexp.learning.compile import build, program

    monkeypatch.setattr(build, "_eager", lambda request, graph=None: program.eager(request.fn))


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's empty tables, to copy: creating them takes seconds."""
    from tuneexp.tracking.store import open_client

    folder = tmp_path_factory.mktemp("fresh")
    open_client(folder)
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_tables(tmp_path: Path, fresh_database: Path) -> None:
    """The storage `tmp_path`/runs with MLflow's tables, as after an earlier sweep."""
    (tmp_path / "runs").mkdir()
    shutil.copy(fresh_database, tmp_path / "runs" / "mlflow.db")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of this test run with 2 CPUs, shut down at its end.

    Other Rays on this machine are left alone: address "local" never joins them."""
    from tests.forked_workers import forked_workers
    from tuneexp.ray_support.start import local_ray
    from tuneexp.sweep import lifecycle

    # The delivering process has a lower priority: beside other parts of the tests it gets little of two cores.
    lifecycle.DELIVERY_TIMEOUT_S = 60.0
    with forked_workers(), ExitStack() as ray:
        with settings_in_environment(SWEEP_SETTINGS):  # as a sweep starts it: workers are not nice, and none is idle
            ray.enter_context(local_ray(2, object_store_memory=128 * 1024**2, logging_level="ERROR"))
        yield
