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
ONE_OBJECTIVE = ("basic", "one_objective")
SEVERAL = ("basic", "several_objectives")
# Optuna's cases of a Gaussian process take minutes.
SLOW = SEVERAL if ALL else ()

TestTpe = sampler_contract("tpe", cases=SEVERAL if ALL else ("basic",))
TestTpeGroup = sampler_contract({"name": "tpe", "group": True}, cases=SLOW)
TestTpeCarrying = sampler_contract({"name": "tpe", "carry_pruned": True}, cases=SLOW)
TestRandom = sampler_contract("random", cases=SEVERAL)
TestGp = sampler_contract("gp", cases=SLOW, slow=not ALL)
TestGpCarrying = sampler_contract({"name": "gp", "carry_pruned": True}, cases=SLOW, slow=not ALL)
TestNoisyGp = sampler_contract("noisy_gp", cases=ONE_OBJECTIVE)
TestNoisyGpCarrying = sampler_contract({"name": "noisy_gp", "carry_pruned": True}, cases=ONE_OBJECTIVE if ALL else ())
TestCmaes = sampler_contract("cmaes", cases=ONE_OBJECTIVE)
TestCmaesCarrying = sampler_contract({"name": "cmaes", "carry_pruned": True, "others": "tpe"}, cases=ONE_OBJECTIVE)
TestCmaesMargin = sampler_contract({"name": "cmaes", "with_margin": True}, cases=ONE_OBJECTIVE if ALL else ())
TestQmc = sampler_contract("qmc", cases=SEVERAL)
TestNsga2 = sampler_contract("nsga2", cases=SEVERAL)
TestNsga2Carrying = sampler_contract({"name": "nsga2", "carry_pruned": True}, cases=SEVERAL)
TestNsga3 = sampler_contract("nsga3", cases=SEVERAL)
TestGrid = sampler_contract("grid", finite=True)
TestBruteForce = sampler_contract("brute_force", finite=True)

if ALL:  # the cases of joint suggestions need a model from the second trial on
    TestTpeJointly = sampler_contract({"name": "tpe", "n_startup_trials": 1}, cases=("relative",))
    TestGpJointly = sampler_contract({"name": "gp", "n_startup_trials": 1}, cases=("relative",))


def test_every_sampler_has_its_line() -> None:
    tested = {value.__doc__ for name, value in globals().items() if name.startswith("Test")}
    assert {name for name in SAMPLERS if f"The contract of the sampler {name}." in tested} == set(SAMPLERS)
