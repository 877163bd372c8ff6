"""Algorithms by name and address."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.algorithms import own
from tests.small import HYPERPARAMETERS, parameters_of, same, small_trial
from tuneexp import PPO
from tuneexp.addresses import code_hash
from tuneexp.algorithms.registry import address_of, load_spec
from tuneexp.algorithms.spec import AlgorithmSpec, replace
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.trial.from_checkpoint import trial_from_checkpoint

OWN = Path(own.__file__)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(OWN, tmp_path / "custom.py"))


def test_an_algorithm_is_loaded_from_a_file_once(own_file: Path) -> None:
    spec = load_spec(f"{own_file}:MyPPO")
    assert isinstance(spec, AlgorithmSpec)
    assert spec.name == "my_ppo"
    assert load_spec(f"{own_file}:MyPPO") is spec
    assert address_of(spec) == f"{own_file}:MyPPO"


def test_an_algorithm_of_a_module_is_known_by_its_module() -> None:
    assert load_spec("tests.algorithms.own:MyPPO") is own.MyPPO
    assert address_of(own.MyPPO) == "tests.algorithms.own:MyPPO"


def test_an_algorithm_of_ones_own_trains_by_its_own_loss() -> None:
    mine, plain = small_trial(spec=own.MyPPO), small_trial()
    metrics, _ = mine.advance(), plain.advance()
    assert metrics["update/mine"] == pytest.approx(2 * metrics["update/entropy"])
    assert not same(parameters_of(mine), parameters_of(plain))


LOADED = """
import sys
from tuneexp.trial.from_checkpoint import trial_from_checkpoint
trial = trial_from_checkpoint(sys.argv[1])
print(trial.spec.name, trial.env_steps, "update/mine" in trial.advance())
"""


def test_its_checkpoint_loads_in_a_new_process(own_file: Path, tmp_path: Path) -> None:
    algo = load_spec(f"{own_file}:MyPPO").build(
        env="CartPole-v1", seeds=[0], budget_env_steps=256, report_every_env_steps=64, compile="off", **HYPERPARAMETERS
    )
    algo.train()
    path = algo.save(str(tmp_path / "one")).checkpoint.path
    done = subprocess.run(
        [sys.executable, "-c", LOADED, path], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["my_ppo", "64", "True"]


def test_a_changed_source_is_reported(own_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    address = f"{own_file}:MyPPO"
    algo = load_spec(address).build(env="CartPole-v1", budget_env_steps=256, compile="off", **HYPERPARAMETERS)
    path = algo.save(str(tmp_path / "one")).checkpoint.path
    with caplog.at_level(logging.WARNING, "tuneexp"):
        trial_from_checkpoint(path)
        assert "changed" not in caplog.text
        own_file.write_text(own_file.read_text() + "\n# an edit\n")
        trial_from_checkpoint(path)
    assert f"the source of {address} has changed" in caplog.text


def test_the_hash_is_of_the_source(own_file: Path) -> None:
    first = code_hash(f"{own_file}:MyPPO")
    assert first == code_hash(f"{own_file}:MyPPO")
    own_file.write_text(own_file.read_text() + "\n")
    assert code_hash(f"{own_file}:MyPPO") != first


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pppo", "'ppo'"),
        ("nothing like it", "module:NAME"),
        ("tests.algorithms.own:MyPO", "MyPPO"),
        ("tests.algorithms.own:entropy_heavy", "MyPPO"),
        ("tests.algorithms.nowhere:MyPPO", "nowhere"),
        ("no/such/file.py:MyPPO", "no file"),
        ("tuneexp.errors:PPO", "none"),
    ],
)
def test_an_unknown_algorithm_is_reported_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load_spec(name)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_file_that_can_not_be_loaded_logs_why(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(UserError, match="nothing_of_this_name"):
        load_spec(f"{tmp_path / 'broken.py'}:MyPPO")
    (tmp_path / "broken.py").write_text("MyPPO = (\n")
    with pytest.raises(UserError, match="SyntaxError"):
        load_spec(f"{tmp_path / 'broken.py'}:MyPPO")


def test_what_has_no_address_is_refused_with_what_to_write() -> None:
    local = replace(PPO, name="local", loss_fn=lambda nets, batch, cfg: PPO.loss_fn(nets, batch, cfg))
    with pytest.raises(UserError, match=r"path/file\.py:NAME"):
        address_of(local)


def test_what_has_no_address_trains_but_its_checkpoint_logs_why_it_can_not_be_loaded(tmp_path: Path) -> None:
    local = replace(PPO, name="local", loss_fn=own.entropy_heavy)
    algo = local.build(env="CartPole-v1", budget_env_steps=256, compile="off", **HYPERPARAMETERS)
    algo.train()
    path = algo.save(str(tmp_path / "one")).checkpoint.path
    assert checkpoint.read_header(path)["algorithm"] == "local"
    with pytest.raises(UserError, match="address"):
        trial_from_checkpoint(path)
    again = local.build(env="CartPole-v1", budget_env_steps=256, compile="off", **HYPERPARAMETERS)
    again.restore(path)
    assert same(parameters_of(again.trial), parameters_of(algo.trial))
