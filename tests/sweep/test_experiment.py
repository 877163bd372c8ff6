"""Experiment files: `experiment.yaml` has all requested settings, and is read back exactly."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneexp.errors import UserError
from tuneexp.files.yaml_reading import parse_yaml
from tuneexp.files.yaml_writing import yaml_text
from tuneexp.seeds import seed_list
from tuneexp.sweep import Sweep
from tuneexp.sweep.experiment.reading import read_experiment
from tuneexp.sweep.experiment.writing import asked_values, experiment_text
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.trial.trial_config import EvaluationConfig

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}

# Texts that some YAML reads as a number, a switch, a date or nothing are the likely ones to come back as another value.
TRICKY = ["1e5", "1e-3", "100k", "1_000", "010", "0x10", "12:30", "2020-01-01", "on", "no", "null", "~", "", " ", "<<"]
texts = st.sampled_from(
    [*TRICKY, "=", "-", "a: b", "# c", "x\ny", "\x1b[31m", "é☃", "'", '"', "[", "*a", "&a", "!t", "%"]
)
texts |= st.text(max_size=12)
# No subnormal numbers: a library of compiled programs may have told the processor to round them to 0.
numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False) | st.integers()
values = st.recursive(
    texts | numbers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def asked(tmp_path: Path, **changes: Any) -> Sweep:
    return Sweep(**{"space": SPACE, "name": "s", "storage": tmp_path / "runs", "seeds": 1, **changes})


configs = st.fixed_dictionaries(
    {
        "algorithm": st.sampled_from(["ppo", "module:NAME", "/a b/loss.py:MyPPO"]),
        "env": st.sampled_from(["CartPole-v1", "ALE/Pong-v5", "1e5", "on"]),
        "space": st.dictionaries(texts.filter(bool), values, max_size=3),
        "trials": st.integers(1, 10**9),
        "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True) | st.just([0, 1, 2]),
        "budget_env_steps": st.integers(1, 10**15),
    },
    optional={
        "env_kwargs": st.dictionaries(texts, values, max_size=2),
        "env_registration": st.none() | st.just({"entry_point": "/a/own.py:Env", "kwargs": {}, "max_episode_steps": 9}),
        "env_backend": st.sampled_from(["auto", "sync"]),
        "wrappers": st.lists(st.sampled_from(["ClipAction", {"TimeLimit": {"max_episode_steps": 9}}]), max_size=2),
        "report_every_env_steps": st.none() | st.integers(1, 10**9),
        "evaluation": st.just({"episodes": 3}),
        "objective": st.just({"kind": "auc"}),
        "compile": st.sampled_from(["auto", "on", "off"]),
        "device": st.sampled_from(["cpu", "cuda:1"]),
        "scheduler": st.sampled_from(["asha", "fifo"]),
        "searcher_seed": st.integers(0, 2**32 - 1),
        "concurrency": st.none() | st.integers(1, 99),
        "address": st.sampled_from([None, "auto", "1.2.3.4:6379"]),
        "checkpoints": st.sampled_from([None, "big", "/shared/x", "s3://bucket/x"]),
        "fixed": st.dictionaries(st.sampled_from(["gamma", "n_steps"]), numbers)
        | st.just({"model": {"activation": "relu", "hidden_sizes": [64, 64]}}),
    },
)


@settings(max_examples=100, deadline=None)
@given(configs)
def test_an_experiment_file_requests_exactly_the_same(given: dict[str, Any]) -> None:
    config = SweepConfig.parse({"name": "s", "created_at_s": 0.0, **given}, "the sweep")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "runs", "s", "experiment.yaml")
        path.parent.mkdir(parents=True)
        path.write_text(experiment_text(config))
        read = dict(read_experiment(path).settings)
    if config.checkpoints == "big":
        assert Path(read.pop("checkpoints")).resolve() == path.parents[1].resolve() / "big"
        read["checkpoints"] = "big"
    read["seeds"] = seed_list(read["seeds"])
    again = SweepConfig.parse({"name": "s", "created_at_s": 0.0, **read}, "the file")
    assert repr(again) == repr(config)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(texts, values, max_size=4))
def test_written_yaml_reads_back_as_the_same_values_and_types(value: dict[str, Any]) -> None:
    again = parse_yaml(yaml_text(value))
    assert repr(again) == repr(value)


def test_numbers_are_numbers_for_other_readers_of_yaml_too() -> None:
    assert yaml.safe_load(yaml_text({"rate": 1e-5, "steps": 100_000})) == {"rate": 1e-5, "steps": 100_000}


def test_an_experiment_holds_what_was_requested_and_no_defaults(tmp_path: Path) -> None:
    text = experiment_text(asked(tmp_path, seeds=[0, 1, 2], fixed={"n_epochs": 3}).config)
    written = parse_yaml(text)
    assert list(written) == (
        [
            "algorithm",
            "env",
            "seeds",
            "budget_env_steps",
            "trials",
            "scheduler",
            "searcher",
            "searcher_seed",
            "fixed",
            "space",
        ]
    )
    assert (written["seeds"], written["fixed"], written["space"]) == (3, {"n_epochs": 3}, SPACE)
    assert "  learning_rate: {loguniform: [0.0001, 0.01]}" in text.splitlines()
    assert "callbacks" not in text


def test_callbacks_are_named_in_a_comment(tmp_path: Path) -> None:
    text = experiment_text(asked(tmp_path).config, ["Mine"])
    assert any(line.startswith("#") and "Mine" in line for line in text.splitlines())


@pytest.mark.parametrize(("place", "written"), [("/shared/x", "/shared/x"), ("s3://bucket/x", "s3://bucket/x")])
def test_checkpoints_are_named_as_seen_from_the_file(tmp_path: Path, place: str, written: str) -> None:
    assert parse_yaml(experiment_text(asked(tmp_path, checkpoints=place).config))["checkpoints"] == written
    inside = asked(tmp_path, checkpoints=tmp_path / "runs" / "big").config
    assert parse_yaml(experiment_text(inside))["checkpoints"] == "../big"


GOOD = """
env: CartPole-v1
trials: 2
seeds: 2
budget_env_steps: 2k
fixed: {n_steps: 32, model/activation: relu}
evaluation: {episodes: 2}
space: {learning_rate: {loguniform: [1e-4, 1e-2]}}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path / "good.yaml"


def test_a_file_holds_a_whole_sweep_and_changes_go_over_it(good: Path, tmp_path: Path) -> None:
    sweep = Sweep.from_file(good, storage=tmp_path / "runs", trials=3, fixed={"gamma": 0.9}, evaluation={"seed": 1})
    config = sweep.config
    assert (config.trial.algorithm, config.trial.env, config.trials, config.trial.seeds) == (
        "ppo",
        "CartPole-v1",
        3,
        [0, 1],
    )
    assert config.trial.budget_env_steps == 2000
    assert config.fixed == {"n_steps": 32, "model": {"activation": "relu"}, "gamma": 0.9}
    assert config.trial.evaluation == EvaluationConfig.model_validate({"episodes": 2, "seed": 1})
    assert config.name.startswith("ppo-CartPole-v1-")


def test_options_without_a_name_belong_to_the_choice_of_the_file(good: Path, tmp_path: Path) -> None:
    good.write_text(GOOD + "scheduler: {name: hyperband, reduction_factor: 4}\n")
    changes: dict[str, Any] = {"storage": tmp_path / "runs", "scheduler": {"synchronous": True}}
    sweep = Sweep.from_file(good, **changes, searcher={"group": True})
    assert sweep.config.scheduler == {"name": "hyperband", "reduction_factor": 4, "synchronous": True}
    assert sweep.config.searcher == {"name": "tpe", "group": True}  # the file names none
    with pytest.raises(UserError, match="hyperband has no option 'promote'"):
        Sweep.from_file(good, storage=tmp_path / "runs", scheduler={"promote": True})
    (tmp_path / "own.py").write_text("raise RuntimeError('was imported')")
    good.write_text(GOOD + "scheduler: own.py:Own\n")
    with pytest.raises(UserError, match="--trust"):  # the options make its code no more trusted
        Sweep.from_file(good, storage=tmp_path / "runs", scheduler={"promote": True})


def test_the_former_name_of_the_budget_is_read_with_its_line(good: Path, tmp_path: Path) -> None:
    good.write_text(GOOD.replace("budget_env_steps: 2k", "env_steps: 2k"))
    assert Sweep.from_file(good, storage=tmp_path).config.trial.budget_env_steps == 2000
    good.write_text(GOOD.replace("budget_env_steps: 2k", "env_steps: 2x"))
    with pytest.raises(UserError, match="line 5: budget_env_steps"):
        Sweep.from_file(good, storage=tmp_path)


def test_the_file_of_a_sweep_gives_the_same_sweep(good: Path, tmp_path: Path) -> None:
    first = Sweep.from_file(good, storage=tmp_path / "runs", checkpoints=tmp_path / "runs" / "big", name="first")
    first.folder.path.mkdir(parents=True)
    first.folder.experiment_file.write_text(experiment_text(first.config))
    again = Sweep.from_file(first.folder.experiment_file, storage=tmp_path / "runs")
    assert asked_values(again.config) == asked_values(first.config)
    assert again.config.name != "first"


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "algoritm: ppo\nenv: CartPol-v1\ntrials: 1.5\nseeds: [1, 1]\nenv_steps: 100x\nsampler: tpe\n"
        "learning_rate: 0.001\nfixed:\n  n_step: 32\n  gamma: 3\n  model/activatio: relu\n"
        "evaluation: {episode: 2}\nspace:\n  learning_rate: {logunifrm: [1e-4, 1e-2]}\n"
        "  gamm: {uniform: [0.9, 0.99]}\ncompile: of\n"
    )
    with pytest.raises(UserError) as refusal:
        Sweep.from_file(path, storage=tmp_path / "runs")
    lines = str(refusal.value).splitlines()
    says = {
        1: "'algorithm'?",
        2: "'CartPole-v1'?",
        3: "fractional",
        4: "repeated",
        5: "whole number",
        6: "'searcher'?",
        7: "under  fixed:",
        9: "'n_steps'?",
        10: "gamma",
        11: "'model/activation'?",
        12: "'evaluation/episodes'?",
        14: "'loguniform'?",
        15: "'gamma'?",
        16: "'auto'",
    }
    assert len(lines) == len(says)
    for line, (number, says_it) in zip(lines, says.items(), strict=True):
        assert line.startswith(f"{path}, line {number}: ")
        assert says_it in line
    assert not (tmp_path / "runs").exists()


def test_an_environment_without_a_tensor_program_is_reported_with_its_line(good: Path, tmp_path: Path) -> None:
    good.write_text(GOOD.replace("CartPole-v1", "Taxi-v4") + "env_backend: tensor\n")
    with pytest.raises(UserError, match=r"line \d: .*Taxi-v4 is no tensor program"):
        Sweep.from_file(good, storage=tmp_path)


def test_an_algorithm_given_beside_the_file_has_to_fit_its_hyperparameters(good: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 6: .*'n_steps'"):
        Sweep.from_file(good, storage=tmp_path, algorithm="dqn")


def test_paths_are_seen_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(tmp_path)
    (there / "space.yaml").write_text("gamma: {uniform: [0.9, 0.99]}")
    (there / "own.py").write_text(
        "from gymnasium.envs.classic_control import CartPoleEnv\nclass Own(CartPoleEnv): pass"
    )
    (there / "e.yaml").write_text("env: own.py:Own\nspace: space.yaml\nstorage: ../runs\nenv_kwargs: {x: own.py:Own}")
    with pytest.raises(UserError, match=r"own.py:Own'\n.*e.yaml --trust"):
        Sweep.from_file(there / "e.yaml", env_kwargs={})
    read = read_experiment(there / "e.yaml").settings
    assert read["env"] == f"{there}/own.py:Own"
    assert read["env_kwargs"] == {"x": "own.py:Own"}
    (there / "e.yaml").write_text("env: own.py:Own\nspace: space.yaml\nstorage: ../runs\n")
    sweep = Sweep.from_file(there / "e.yaml", trust=True)
    assert sweep.folder.storage.resolve() == tmp_path / "runs"
    assert (sweep.config.trial.env, sweep.space.names) == (f"{there}/own.py:Own", ["gamma"])
    (there / "space.yaml").rename(tmp_path / "space.yaml")
    with pytest.raises(UserError, match=r"folder of e\.yaml"):
        Sweep.from_file(there / "e.yaml")


def test_an_id_that_a_script_registered_is_registered_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from gymnasium.envs.classic_control import CartPoleEnv\nclass Own(CartPoleEnv): pass"
    )
    registration = {"entry_point": f"{tmp_path}/own.py:Own", "vector_entry_point": None, "kwargs": {}}
    registration |= {"max_episode_steps": 9, "reward_threshold": None, "nondeterministic": False, "order_enforce": True}
    path = tmp_path / "e.yaml"
    path.write_text(yaml_text({"env": "Registered-v7", "env_registration": registration, "space": SPACE}))
    sweep = Sweep.from_file(path, storage=tmp_path / "runs", trust=True)
    assert sweep.config.trial.env_registration == registration
