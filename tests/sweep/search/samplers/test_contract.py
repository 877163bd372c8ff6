"""Every sampler keeps the contract. `TUNEEXP_SAMPLERS=all`, as in `make nightly`, adds Optuna's slow cases."""

from __future__ import annotations

import os

import optuna
import pytest

from tuneexp.sweep.search.choice import SAMPLERS
from tuneexp.testing import sampler_contract

optuna.logging.set_verbosity(optuna.logging.WARNING)
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

ALL = os.environ.get("TUNEEXP_SAMPLERS") == "all"
RELATIVE = ("basic", "relative", "several_objectives")
ONE_OBJECTIVE = ("basic", "one_objective")
# Optuna's cases of a Gaussian process take minutes.
SLOW = RELATIVE if ALL else ()

TestTpe = sampler_contract("tpe", cases=RELATIVE if ALL else ("basic",))
TestTpeGroup = sampler_contract({"name": "tpe", "group": True}, cases=SLOW)
TestTpeCarrying = sampler_contract({"name": "tpe", "carry_pruned": True}, cases=SLOW)
TestRandom = sampler_contract("random", cases=("basic", "several_objectives"))
TestGp = sampler_contract("gp", cases=SLOW, slow=not ALL)
TestGpCarrying = sampler_contract({"name": "gp", "carry_pruned": True}, cases=SLOW, slow=not ALL)
TestCmaes = sampler_contract("cmaes", cases=ONE_OBJECTIVE)
TestCmaesCarrying = sampler_contract({"name": "cmaes", "carry_pruned": True, "others": "tpe"}, cases=ONE_OBJECTIVE)
TestCmaesMargin = sampler_contract({"name": "cmaes", "with_margin": True}, cases=SLOW and ONE_OBJECTIVE)
TestQmc = sampler_contract("qmc", cases=("basic", "several_objectives"))
TestNsga2 = sampler_contract("nsga2", cases=("basic", "several_objectives"))
TestNsga2Carrying = sampler_contract({"name": "nsga2", "carry_pruned": True}, cases=("basic", "several_objectives"))
TestNsga3 = sampler_contract("nsga3", cases=("basic", "several_objectives"))
TestGrid = sampler_contract("grid", finite=True)
TestBruteForce = sampler_contract("brute_force", finite=True)


def test_every_sampler_has_its_line() -> None:
    tested = {value.__doc__ for name, value in globals().items() if name.startswith("Test")}
    assert {name for name in SAMPLERS if f"The contract of the sampler {name}." in tested} == set(SAMPLERS)
