"""Every scheduler fulfils the contract; a new one joins by one line."""

from __future__ import annotations

from tuneexp.testing import scheduler_contract

TestFifo = scheduler_contract("fifo")
TestAsha = scheduler_contract("asha")
TestAshaPromotes = scheduler_contract({"name": "asha", "promote": True})
TestAshaBrackets = scheduler_contract({"name": "asha", "brackets": 2, "reduction_factor": 2})
TestAshaPromotesInBrackets = scheduler_contract({"name": "asha", "brackets": 3, "promote": True})
TestHyperband = scheduler_contract("hyperband")
TestSynchronousHyperband = scheduler_contract({"name": "hyperband", "synchronous": True})
TestAshaRaces = scheduler_contract({"name": "asha", "seeds": {"start": 1, "final": 8, "standard_errors": 1}})
TestAshaRacesAndStops = scheduler_contract(
    {"name": "asha", "promote": False, "seeds": {"start": 2, "standard_errors": 1}}
)
TestSynchronousHyperbandRaces = scheduler_contract(
    {"name": "hyperband", "synchronous": True, "seeds": {"start": 1, "standard_errors": 1}}
)
TestMedian = scheduler_contract("median")
TestPbt = scheduler_contract("pbt", least_trials=2)
TestPb2 = scheduler_contract("pb2", least_trials=2)
TestMfPbt = scheduler_contract("mf_pbt", least_trials=8)
