"""A local Ray listens on the loopback interface only, has a private folder, and ends with its process."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from tests.process_sockets import listening_addresses
from tests.small import small_trial
from tuneexp.errors import UserError
from tuneexp.files.locks import locked
from tuneexp.files.temporary import RAY_PREFIX
from tuneexp.ray_support import private_session
from tuneexp.ray_support.private_session import private_surroundings

VARIABLES = ("RAY_TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short folder, the only one available for Ray's folders; no variable of Ray is set."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(private_session, "_SOCKET_LIMIT", 400)
    monkeypatch.setattr(private_session, "_bases", lambda: [tmp_path])
    return tmp_path


@pytest.mark.usefixtures("ray_cluster")
def test_every_process_of_a_trial_listens_on_the_loopback_interface_only() -> None:
    trial = small_trial([0], num_learners=2)  # they split rows, so they meet
    trial.training_step()
    addresses = listening_addresses(os.getpid())
    trial.close()
    assert {"gcs_server", "raylet", "ray::LearnerAct"} <= {name for name, _ in addresses}
    assert {address for _, address in addresses} <= {"127.0.0.1"}


@pytest.mark.usefixtures("ray_cluster")
def test_no_other_user_can_enter_the_session_s_folder() -> None:
    import ray

    session = Path(ray._private.worker._global_node.get_session_dir_path())
    above = [folder for folder in session.parents if folder != Path(tempfile.gettempdir())]
    assert any(
        stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.geteuid() for folder in above
    )


@pytest.mark.usefixtures("base")
def test_nothing_stays_in_the_environment_or_on_the_disk(base: Path) -> None:
    tokens = set()
    for _ in range(2):
        with private_surroundings() as temporary:
            assert temporary.parent.parent == base
            assert os.environ["RAY_TMPDIR"] == str(temporary.parent)
            tokens.add(os.environ["RAY_AUTH_TOKEN"])
        assert not [name for name in VARIABLES if name in os.environ]
        assert not list(base.iterdir())
    assert len(tokens) == 2


def test_a_token_of_one_s_own_stays(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    with private_surroundings():
        assert os.environ["RAY_AUTH_TOKEN"] == "mine"
    assert os.environ["RAY_AUTH_TOKEN"] == "mine"


def test_folders_of_dead_processes_are_removed_at_the_next_start_and_no_others(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(name: str) -> Path:
        (base / name / "r" / "session").mkdir(parents=True)
        (base / name / "lock").touch()
        return base / name

    dead, alive, foreign = (folder(f"{RAY_PREFIX}{name}") for name in ("dead", "alive", "foreign"))
    others = [folder(name) for name in ("ray", "tx0000000-machine")]
    link = base / f"{RAY_PREFIX}link"
    link.symlink_to(others[0])
    os.chown(foreign, 12345, -1) if os.geteuid() == 0 else foreign.rename(base / "foreign")
    with locked(alive / "lock"), private_surroundings():
        assert not dead.exists()
    assert alive.exists()
    assert all((other / "r" / "session").exists() for other in others)
    assert link.is_symlink()
    assert foreign.exists() or os.geteuid() != 0


def test_a_long_temporary_folder_is_passed_over_for_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with private_surroundings() as temporary:
        socket = temporary / "session_2026-11-28_16-53-49_123456_1234567" / "sockets" / "plasma_store"
        assert len(str(socket)) <= 107
    assert not list(long.iterdir())


@pytest.mark.parametrize("problem", ["too long", "No such file"])
def test_a_temporary_folder_that_will_not_do_is_refused_with_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    long = tmp_path / ("x" * 100)
    monkeypatch.setenv("RAY_TMPDIR", str(long) if problem == "too long" else "/nowhere")
    with (
        pytest.raises(UserError, match=rf"{problem}.*RAY_TMPDIR.* \d+ characters"),
        private_surroundings(),
    ):
        pass


def test_a_program_that_a_sweep_has_started_gets_a_folder_beside_the_sweep_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(private_session, "_SOCKET_LIMIT", 400)
    with private_surroundings() as outer, private_surroundings() as inner:
        assert outer.parent.parent == inner.parent.parent == tmp_path
