"""Code that a stored file names is imported only if the user trusts it."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, tuneexp  # noqa: F401
from tuneexp import PPO, UserError
from tuneexp.errors import CheckpointError
from tuneexp.files import checkpoint
from tuneexp.security.trust import Named, addresses_in, list_file, remember, require_trusted
from tuneexp.trial.from_checkpoint import evaluate_checkpoint, trial_from_checkpoint

Command = Callable[..., Done]

ENV_FILE = """
import pathlib
from gymnasium.envs.classic_control import CartPoleEnv
pathlib.Path(__file__).with_suffix(".imported").touch()
class Env(CartPoleEnv): pass
class Wrapped: pass
def make(**kwargs): return CartPoleEnv()
"""


@pytest.fixture(autouse=True)
def fresh_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "tuneexp" / "trusted.json"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that needs no trust."""
    algo = PPO.build(env="CartPole-v1", budget_env_steps=64, compile="off", n_steps=8, n_envs=2, batch_size=16)
    path = algo.save(str(tmp_path_factory.mktemp("plain") / "checkpoint")).checkpoint.path
    algo.stop()
    return Path(path)


def foreign(plain: Path, folder: Path, **config: object) -> Path:
    """A checkpoint of another user, with a changed configuration."""
    state = checkpoint.read(plain)
    changed = {"env": config.get("env", state["env"]), "config": {**state["config"], **config}}
    return checkpoint.write(folder / "foreign", {**state, **changed})


def own_file(folder: Path, name: str = "mine.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(ENV_FILE)
    return folder / name


def was_imported(file: Path) -> bool:
    return file.with_suffix(".imported").exists()


def test_a_checkpoint_runs_no_command_that_its_header_names(
    plain: Path,
    tmp_path: Path,
    tuneexp: Command,  # noqa: F811
) -> None:
    command = {"args": ["touch", str(tmp_path / "ran")]}
    path = foreign(plain, tmp_path, env="subprocess:check_call", env_kwargs=command)
    for words in (["evaluate"], ["train", "--env-steps", "999", "--resume"]):
        done = tuneexp(*words, str(path))
        assert done.code == 2
        assert "'subprocess:check_call'" in done.err
        (again,) = re.findall("write: tuneexp (.*) \\(in Python", done.err)
        assert shlex.split(again)[0] == words[0]
        assert "--trust" in shlex.split(again)
        assert str(path) in shlex.split(again)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "field",
    [
        {"algorithm": "{}:ALGORITHM"},
        {"env": "{}:Env"},
        {"wrappers": [{"{}:Wrapped": None}]},
        {"hyperparameters": {"model": "{}:Net"}},
        {"hyperparameters": {"red": {"model": "{}:Net"}}},
    ],
)
def test_no_address_of_a_checkpoint_is_imported_before_it_is_trusted(
    field: dict[str, object], plain: Path, tmp_path: Path
) -> None:
    file = own_file(tmp_path)
    path = foreign(plain, tmp_path, **json.loads(json.dumps(field).replace("{}", str(file))))
    with pytest.raises(UserError, match=r"mine\.py"):
        evaluate_checkpoint(path, episodes=1)
    assert not was_imported(file)


@pytest.mark.parametrize("env", ["antigravity", "this.that", "no_such_module:Mine-v0", "tuneexp.d/evil.py:Env"])
def test_a_module_is_not_imported_to_find_an_environment_in_it(env: str, plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trusted|there is no file"):
        trial_from_checkpoint(foreign(plain, tmp_path, env=env))


def test_trust_once_is_kept_for_the_file_and_not_for_another_of_its_name(plain: Path, tmp_path: Path) -> None:
    mine, other = own_file(tmp_path / "a"), own_file(tmp_path / "b")
    path = foreign(plain, tmp_path, env=f"{mine}:Env")
    assert evaluate_checkpoint(path, episodes=1, trust=True)["episodes"] == 1
    mine.write_text(ENV_FILE + "# edited\n")
    assert evaluate_checkpoint(path, episodes=1)["episodes"] == 1
    assert stat.S_IMODE(list_file().stat().st_mode) == 0o600
    with pytest.raises(UserError, match="trusted"):
        evaluate_checkpoint(foreign(plain, tmp_path, env=f"{other}:Env"), episodes=1)


def test_naming_an_address_to_train_adds_it(tmp_path: Path, fresh_list: Path) -> None:
    file = own_file(tmp_path)
    algo = PPO.build(env=f"{file}:Env", budget_env_steps=64, compile="off", n_steps=8, n_envs=2, batch_size=16)
    path = algo.save(str(tmp_path / "saved")).checkpoint.path
    algo.stop()
    assert json.loads(fresh_list.read_text())["addresses"] == [f"{file}:Env"]
    assert evaluate_checkpoint(path, episodes=1)["episodes"] == 1


def test_going_on_from_a_checkpoint_adds_only_what_was_typed(plain: Path, tmp_path: Path, tuneexp: Command) -> None:  # noqa: F811
    file = own_file(tmp_path)
    path = foreign(plain, tmp_path, env=f"{file}:Env", hyperparameters={"model": f"{file}:Net"})
    assert tuneexp("train", "ppo", f"{file}:make", "--resume", str(path), "--env-steps", "999").code == 2
    assert json.loads(list_file().read_text())["addresses"] == [f"{file}:make"]


def test_a_container_trusts_everything_and_remembers_nothing(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_list: Path
) -> None:
    monkeypatch.setenv("TUNEEXP_TRUST", "1")
    assert evaluate_checkpoint(foreign(plain, tmp_path, env=f"{own_file(tmp_path)}:Env"), episodes=1)
    assert not fresh_list.exists()


def test_a_function_of_this_package_is_no_environment(plain: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    for env in ("tuneexp.files.atomic:remove", "tuneexp.sweep.storage.folder:Path"):
        path = foreign(plain, tmp_path, env=env, env_kwargs={"path": str(victim)})
        with pytest.raises(UserError, match=r"gymnasium\.Env"):
            evaluate_checkpoint(path, episodes=1)
    assert victim.exists()


def test_a_module_is_trusted_with_the_place_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder / "trusted_pkg").mkdir(parents=True)
        (tmp_path / folder / "trusted_pkg" / "__init__.py").touch()
    named = [Named("environment", "trusted_pkg.envs:Env")]
    monkeypatch.chdir(tmp_path / "here")
    remember(named)
    require_trusted(named, "it", ("evaluate", "it"))
    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(UserError):
        require_trusted(named, "it", ("evaluate", "it"))


def test_a_list_that_others_can_write_is_refused(fresh_list: Path) -> None:
    named = [Named("environment", "a:B")]
    remember(named)
    fresh_list.chmod(0o666)
    with pytest.raises(UserError, match="chmod 600"):
        require_trusted(named, "it", ("evaluate", "it"))


ADD = "import sys\nfrom tuneexp.security.trust import *\n"
ADD += "[remember([Named('model', f'{sys.argv[1]}.x:N{i}')]) for i in range(20)]"


def test_processes_that_add_at_once_lose_nothing(fresh_list: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", ADD, f"m{k}"]) for k in range(3)]
    assert [other.wait(60) for other in others] == [0, 0, 0]
    assert len(json.loads(fresh_list.read_text())["addresses"]) == 60


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_restore_unpickles_nothing(plain: Path, tmp_path: Path) -> None:
    path = foreign(plain, tmp_path)
    (path / "_dict_checkpoint.pkl").write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    algo = PPO.build(env="CartPole-v1", budget_env_steps=64, compile="off", n_steps=8, n_envs=2, batch_size=16)
    with pytest.raises(CheckpointError, match="pkl"):
        algo.restore(path)
    algo.stop()
    assert not (tmp_path / "ran").exists()


def test_what_a_sweep_would_run_is_found_in_all_its_fields() -> None:
    config = {
        "algorithm": "a.py:A",
        "env": "CartPole-v1",
        "wrappers": ["ClipAction", {"w.py:W": {"x": 1}}],
        "fixed": {"blue": {"model": "m.py:M"}},
        "space": {"model": {"choice": ["n.py:N", "o.py:O"]}, "initial": [{"red/model": "p.py:P"}]},
        "scheduler": {"name": "s.py:S", "threshold": 3},
        "searcher": "tpe",
        "address": "ray://elsewhere:10001",
    }
    found = [address for _, address in addresses_in(config)]
    assert found == ["a.py:A", "w.py:W", "m.py:M", "n.py:N", "o.py:O", "p.py:P", "s.py:S", "ray://elsewhere:10001"]


def foreign_sweep(storage: Path, **fields: object) -> Path:
    """A sweep of another user that has not started."""
    values = {
        "format_version": 1, "name": "foreign", "algorithm": "ppo", "env": "CartPole-v1", "trials": 1, "seeds": [0],
        "space": {"gamma": {"uniform": [0.9, 0.99]}}, "env_steps": 999, "concurrency": 1, "created_at_s": 0.0,
    }  # fmt: skip
    folder = storage / "foreign"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps({**values, **fields}))
    return folder


def test_showing_a_sweep_imports_nothing_and_resuming_it_needs_trust(
    tmp_path: Path,
    tuneexp: Command,  # noqa: F811
) -> None:
    file = own_file(tmp_path)
    foreign_sweep(tmp_path / "runs", space={"function": f"{file}:space"}, env=f"{file}:Env")
    for words in (["list"], ["show", "foreign"], ["show", "foreign", "--json"]):
        assert tuneexp(*words).code == 0
    done = tuneexp("resume", "foreign")
    assert done.code == 2
    assert f"'{file}:Env'" in done.err
    assert f"'{file}:space'" in done.err
    assert not was_imported(file)


def test_a_sweep_of_another_user_connects_to_no_cluster_of_theirs(tmp_path: Path, tuneexp: Command) -> None:  # noqa: F811
    foreign_sweep(tmp_path / "runs", address="ray://192.0.2.1:10001")
    done = tuneexp("resume", "foreign")
    assert done.code == 2
    assert "Ray cluster 'ray://192.0.2.1:10001'" in done.err
