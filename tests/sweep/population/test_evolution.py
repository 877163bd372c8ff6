"""Members of a stacked population are replaced after the report; their checkpoints have the state that it measured."""

from __future__ import annotations

import torch

from tests.trial.population.test_population_trial import hyperparameters, population
from tuneexp.sweep.population.evolution import Evolution
from tuneexp.sweep.search.population.options import PbtOptions
from tuneexp.sweep.search.population.population import Population
from tuneexp.sweep.search.space import SearchSpace

SPACE = {
    name: dimension.values
    for name, dimension in SearchSpace.from_mapping({"learning_rate": {"loguniform": [1e-4, 1e-2]}}).dimensions.items()
}


def test_checkpoints_of_members_have_the_state_that_the_report_measured() -> None:
    evolution = Evolution(Population(SPACE, PbtOptions(), 4), 0, 128, lambda row: float(row["trial_number"]))
    trial, undisturbed = population("ppo", 4), population("ppo", 4)
    report = evolution.advance(trial)
    undisturbed.advance()
    assert [len(row["takeovers"]) for row in report["members"]] == [1, 0, 0, 0]
    assert trial.members[0].hyperparameters != hyperparameters("ppo", 0)
    assert evolution.evaluated is not None
    for index, (state, expected) in enumerate(zip(evolution.evaluated, undisturbed.member_states(), strict=True)):
        assert state["config"]["hyperparameters"]["learning_rate"] == hyperparameters("ppo", index)["learning_rate"]
        for name, leaf in state["learner"]["parameters"].items():
            assert torch.equal(leaf, expected["learner"]["parameters"][name])
            (row,) = trial.learner.parameters[name][trial.rows_of(index)]
            assert torch.equal(leaf[0], row) == (index != 0)
    while evolution.evaluated is not None and not report["done"]:
        report = evolution.advance(trial)
    assert report["done"]  # no decision follows the last report
    assert evolution.evaluated is None
