"""Samplers by address: a user's class, and packages of a local registry of OptunaHub."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tuneexp.errors import UserError
from tuneexp.security.trust import addresses_in, remember
from tuneexp.sweep import Sweep
from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.samplers import own
from tuneexp.sweep.search.samplers.tells import tell
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.sweep_config import sampler_context, save_config
from tuneexp.testing import sampler_contract

optuna.logging.set_verbosity(optuna.logging.WARNING)
FILE = Path(__file__).with_name("own_sampler.py")
CONTEXT = SamplerContext(3, 20, None)

# One line brings a user's own sampler into the contract.
TestHalving = sampler_contract({"name": f"{FILE}:Halving", "share": 0.25})


def test_options_are_the_arguments_of_the_class_and_the_seed_is_that_of_the_sweep() -> None:
    made: Any = build_sampler({"name": f"{FILE}:Halving", "share": 0.25}, CONTEXT)
    assert made.share == 0.25
    again = build_sampler({"name": f"{FILE}:Halving", "share": 0.25}, CONTEXT)
    first, second = (optuna.create_study(sampler=sampler).ask().suggest_float("x", 0, 1) for sampler in (made, again))
    assert first == second < 0.25


def test_a_class_without_a_seed_gets_none() -> None:
    assert isinstance(own.build(f"{FILE}:Unseeded", {}, CONTEXT), optuna.samplers.RandomSampler)


def test_a_sampler_of_optuna_can_be_named_by_its_address() -> None:
    made = own.build("optuna.samplers:NSGAIISampler", {"population_size": 7}, CONTEXT)
    assert isinstance(made, optuna.samplers.NSGAIISampler)
    assert made.population_size == 7


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("Halving", {"shore": 0.1}, "'shore'.*'share'"),
        ("Halvin", {}, "Halving"),
        ("NoSampler", {}, "BaseSampler"),
    ],
)
def test_a_wrong_address_or_option_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        own.build(f"{FILE}:{name}", options, CONTEXT)


def test_an_option_that_the_class_refuses_is_told_with_its_reason() -> None:
    with pytest.raises(UserError, match="population_size"):
        own.build("optuna.samplers:NSGAIISampler", {"population_size": 1}, CONTEXT)


def study_with(name: str) -> optuna.Study:
    return optuna.create_study(sampler=own.build(f"{FILE}:{name}", {}, CONTEXT), direction="maximize")


def test_a_sampler_that_stops_its_study_has_nothing_more_to_suggest() -> None:
    study = study_with("Stopping")
    ended = []
    for _ in range(3):
        ended.append(tell(study, study.ask(), TrialState.COMPLETE, 1.0))
    assert ended == [False, False, True]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_other_errors_of_a_sampler_are_raised() -> None:
    study = study_with("Failing")
    with pytest.raises(RuntimeError, match="of its own"):
        tell(study, study.ask(), TrialState.COMPLETE, 1.0)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A local registry with one package, in the form of OptunaHub's."""
    package = tmp_path / "registry" / "samplers" / "lower"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .sampler import LowerSampler\n\n__all__ = ['LowerSampler']\n")
    (package / "sampler.py").write_text(
        "import optuna\n\n\n"
        "class LowerSampler(optuna.samplers.RandomSampler):\n"
        "    def sample_independent(self, study, trial, name, distribution):\n"
        "        value = super().sample_independent(study, trial, name, distribution)\n"
        "        return distribution.low + 0.1 * (value - distribution.low)\n"
    )
    return tmp_path / "registry"


def test_a_package_of_a_local_registry_is_a_sampler(registry: Path) -> None:
    pytest.importorskip("optunahub")
    sampler = own.build(f"{registry}/samplers/lower/__init__.py:LowerSampler", {}, CONTEXT)
    study = optuna.create_study(sampler=sampler)
    assert study.ask().suggest_float("x", 0, 1) < 0.1
    restored = pickle.loads(pickle.dumps(study))
    assert restored.ask().suggest_float("x", 0, 1) == study.ask().suggest_float("x", 0, 1)
    with pytest.raises(UserError, match="LowerSampler"):
        own.build(f"{registry}/samplers/lower/__init__.py:LowrSampler", {}, CONTEXT)
    with pytest.raises(UserError, match="no package samplers/upper"):
        own.build(f"{registry}/samplers/upper/__init__.py:Upper", {}, CONTEXT)


def stored_sweep(storage: Path, searcher: str) -> None:
    """A stored sweep with one trial in its study."""
    sweep = Sweep(searcher=searcher, name="s", storage=storage)
    sampler = build_sampler(sweep.config.searcher, sampler_context(sweep.config, sweep.space))
    study = optuna.create_study(sampler=sampler)
    study.tell(study.ask(), 1.0)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    remember(addresses_in(sweep.config.flat()))
    state = {**dict.fromkeys(snapshot.STATE_PATTERNS, b""), snapshot.SEARCHER_STATE: pickle.dumps({"study": study})}
    snapshot.commit(sweep.folder, Snapshot(state, []))


@pytest.mark.parametrize("of_hub", [False, True])
def test_a_study_with_an_own_sampler_loads_in_a_fresh_process(registry: Path, tmp_path: Path, of_hub: bool) -> None:
    if of_hub:
        pytest.importorskip("optunahub")
    address = f"{registry}/samplers/lower/__init__.py:LowerSampler" if of_hub else f"{FILE}:Halving"
    stored_sweep(tmp_path / "runs", address)
    load = f"from tuneexp import load_study; study = load_study('s', {str(tmp_path / 'runs')!r})"
    program = f"{load}; print(len(study.trials), type(study.sampler).__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", address.rpartition(":")[2]], done.stderr


def test_without_optunahub_its_packages_are_refused_with_the_remedy(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install optunahub"):
        own.build(f"{registry}/samplers/lower/__init__.py:LowerSampler", {}, CONTEXT)


def test_cmaes_without_its_package_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install cmaes"):
        build_sampler("cmaes", CONTEXT)
