"""Replay: the real searcher and schedulers on tables whose best configuration is known."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import optuna
import pytest

from benchmarks.tuners.__main__ import LEFT_OUT
from benchmarks.tuners.comparison import compare, rungs_of
from benchmarks.tuners.methods import BASELINE, DEFAULT, Method, label_of
from benchmarks.tuners.printing import csv_rows, markdown, summary_markdown
from benchmarks.tuners.replay import Search, replay, script_of, seeds_at
from benchmarks.tuners.summary import summarised
from benchmarks.tuners.table_space import TableSpace
from tests.benchmarks.tuners.synthetic import smooth_table
from tuneexp.sweep.search.choice import SAMPLERS, SCHEDULERS

TABLE = smooth_table()
BUDGET = TABLE.budget_env_steps
SEARCH = Search(seeds=2, concurrency=3, full_trainings=16)


def told(space: TableSpace, study: optuna.Study, value: float = 0.0) -> optuna.trial.FrozenTrial:
    trial = study.ask()
    row = space.suggest(trial)["row"]
    study.tell(trial, value)
    frozen = study.trials[-1]
    lr, gamma = frozen.params["learning_rate"], frozen.params["1-gamma"]
    assert lr == TABLE.rows[row]["learning_rate"]
    assert gamma == pytest.approx(1 - TABLE.rows[row]["gamma"])
    assert frozen.params["activation"] == TABLE.rows[row]["activation"]
    return frozen


def test_the_study_has_the_values_of_the_row_and_each_row_is_tried_once() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = TableSpace(TABLE, np.random.default_rng(0))
    tried = [tuple(told(space, study).params.values()) for _ in TABLE.rows]
    assert len(set(tried)) == len(TABLE.rows)


def test_a_suggestion_becomes_the_nearest_row_in_the_scale() -> None:
    study = optuna.create_study()
    for target in (5, 9):
        row = TABLE.rows[target]
        near = {
            "learning_rate": row["learning_rate"] * 1.001, "1-gamma": 1 - row["gamma"], "activation": row["activation"],
        }  # fmt: skip
        study.enqueue_trial(near)
        assert TableSpace(TABLE, np.random.default_rng(0)).suggest(study.ask()) == {"row": target}


def test_without_early_stopping_a_search_is_as_many_trials_as_full_trainings() -> None:
    trace = replay(TABLE, BASELINE, SEARCH, seed=0)
    assert trace.env_steps[-1] >= 16 * BUDGET
    # Three trials run at a time, so up to two are unfinished at the end.
    assert 16 <= trace.trials <= 18
    assert (np.diff(trace.clock_s) >= 0).all()


def test_a_scheduler_that_stops_trials_tries_more_of_them_at_the_same_cost() -> None:
    trace = replay(TABLE, Method("random", "asha"), SEARCH, seed=0)
    assert trace.trials > 25
    assert trace.env_steps[-1] <= 17 * BUDGET


def test_a_search_ends_when_every_configuration_was_tried() -> None:
    few = smooth_table(rows=6)
    trace = replay(few, BASELINE, Search(1, 2, 99), seed=0)
    assert trace.trials == 6
    assert trace.env_steps[-1] == 6 * BUDGET
    assert few.scores[trace.row[-1]] == few.scores.max()


def test_equal_seeds_repeat_a_search_and_others_differ() -> None:
    first, again, other = (replay(TABLE, Method("tpe", "asha"), SEARCH, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.row, other.row)


def test_trials_report_the_mean_of_seeds_of_their_own_row() -> None:
    noisy = smooth_table(noise=5.0)
    drawn = script_of(noisy, row=7, seeds=2, seed=0)
    values = np.array([report.metrics["objective"] for report in drawn])
    pairs = [(noisy.returns[7][i] + noisy.returns[7][j]) / 2 for i in range(5) for j in range(i)]
    assert any(np.allclose(values, pair) for pair in pairs)
    assert sum(report.seconds for report in drawn) == pytest.approx(
        noisy.seconds[7] if noisy.seconds is not None else 0
    )
    every = script_of(noisy, row=7, seeds=5, seed=0)
    assert every[-1].metrics["objective"] == pytest.approx(noisy.scores[7])
    error = noisy.returns[7][:, -1].std(ddof=1) / 5**0.5
    assert every[-1].metrics["objective_se"] == pytest.approx(error)
    assert "objective_se" not in script_of(noisy, row=7, seeds=1, seed=0)[-1].metrics


def test_seeds_that_join_at_a_rung_count_from_step_0() -> None:
    noisy = smooth_table(noise=5.0)
    steps = noisy.env_steps.tolist()
    cohorts = [{"from_env_steps": 0, "seeds": 1}, {"from_env_steps": steps[1], "seeds": 3}]
    joined = seeds_at(steps, cohorts, 4)
    assert joined == [1, 1, *[4] * (len(steps) - 2)]
    raced, whole = (script_of(noisy, row=7, seeds=4, seed=0, cohorts=of) for of in (cohorts, []))
    assert [len(one.metrics["return_per_seed"]) for one in raced] == joined
    assert [one.metrics["objective"] for one in raced[2:]] == [one.metrics["objective"] for one in whole[2:]]
    assert raced[1].metrics["objective"] == whole[1].metrics["return_per_seed"][0]
    spent = [one.metrics["env_steps_spent"] for one in raced]
    assert spent == [number * step for number, step in zip(joined, steps, strict=True)]
    assert sum(one.seconds for one in raced) == pytest.approx(sum(one.seconds for one in whole))


def test_a_race_costs_what_its_seeds_train() -> None:
    """Of one trial after the other, each spends its first seed up to the rung, and all of its seeds beyond."""
    table = smooth_table(rows=9, noise=1.0)
    race = Method("random", '{"name": "asha", "seeds": {"start": 1}}')
    trace = replay(table, race, Search(seeds=5, concurrency=1, full_trainings=9), seed=0)
    assert trace.trials == 9
    assert trace.env_steps[-1] < 4 * table.budget_env_steps
    first = table.env_steps[table.env_steps >= table.budget_env_steps // 9][0]
    assert trace.env_steps[0] == table.env_steps[0] / 5
    assert trace.env_steps[table.env_steps.tolist().index(first)] == pytest.approx(first / 5)


@pytest.mark.parametrize("sampler", ["tpe", "noisy_gp"])
def test_a_model_beats_random_search_where_the_score_is_smooth(sampler: str) -> None:
    table = smooth_table(rows=128)
    random, model = compare(table, [Method(sampler, "fifo")], Search(2, 1, 32), repetitions=10).report["methods"]
    assert model["regret"]["32"][0] < 0.6 * random["regret"]["32"][0]
    assert model["beats_random"]["32"][0] > random["beats_random"]["32"][0] == 0.5


def test_every_sampler_and_scheduler_is_replayed_and_printed() -> None:
    missing = set() if find_spec("cmaes") else {"cmaes"}
    samplers = sorted(SAMPLERS.keys() - {*LEFT_OUT} - missing)
    methods = [Method(sampler, scheduler) for sampler in samplers for scheduler in SCHEDULERS]
    compared = compare(TABLE, methods, Search(2, 2, 4), repetitions=2).report
    text = markdown(compared)
    assert all(str(method) in text for method in methods)
    rows = list(csv_rows(compared))
    assert {(row["sampler"], row["scheduler"]) for row in rows} == set(methods)
    assert all(np.isfinite([row["mean"], row["low"], row["high"]]).all() for row in rows)
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows if row["measure"] != "beats_random")


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_a_search_of_each_scheduler_ends_with_the_table(scheduler: str) -> None:
    few = smooth_table(rows=12)
    trace = replay(few, Method("random", scheduler), Search(1, 3, 99), seed=1)
    assert trace.trials == 12
    assert trace.env_steps[-1] <= 12 * few.budget_env_steps
    assert few.scores[trace.row[-1]] == few.scores.max()


def test_options_of_a_scheduler_change_its_decisions() -> None:
    plain = replay(TABLE, Method("random", "asha"), SEARCH, seed=0)
    strict = replay(TABLE, Method("random", '{"name": "asha", "reduction_factor": 9}'), SEARCH, seed=0)
    assert strict.trials > plain.trials


def test_stagnation_ends_a_search_early_and_a_larger_number_later() -> None:
    compared = compare(TABLE, [], SEARCH, repetitions=4, stagnations=[2, 8, 1000])
    none, two, eight = compared.report["stagnation"]  # a number above that of the trials is left out
    assert none["trials"] == len(TABLE.rows) > eight["trials"] > two["trials"] >= 3
    assert none["share"] == 1.0 > eight["share"] > two["share"] > 0
    assert none["regret"][0] == 0.0  # every configuration was tried
    assert two["given_up"][0] == two["regret"][0] >= eight["given_up"][0]


def test_a_summary_is_the_mean_over_tables_of_shares_of_their_ranges() -> None:
    wide = replace(TABLE, name="wide", returns=tuple(7 * curves for curves in TABLE.returns))
    one, other = (compare(table, [DEFAULT], SEARCH, 4, stagnations=[2]) for table in (TABLE, wide))
    both, alone = summarised([one, other]), summarised([one])
    random, default = both["methods"]  # the same searches on another scale
    assert random["mean"]["regret at 16"] == pytest.approx(alone["methods"][0]["mean"]["regret at 16"])
    assert default["from_default"] == {}
    difference = random["mean"]["regret at 16"][0] - default["mean"]["regret at 16"][0]
    assert random["from_default"]["regret at 16"][0] == pytest.approx(difference)
    chance, low, high = default["beats_random"]["16"]
    alone_chance, alone_low, _ = alone["methods"][1]["beats_random"]["16"]
    assert chance == pytest.approx(alone_chance)
    assert chance - low == pytest.approx((alone_chance - alone_low) / np.sqrt(2))
    assert high > chance
    text = summary_markdown(both)
    assert "smooth, wide" in text
    assert text.count(str(DEFAULT)) > 2


def test_options_of_a_method_are_short_in_a_table() -> None:
    assert label_of('{"name": "asha", "reduction_factor": 4, "promote": true}') == "asha reduction_factor=4 promote"


def test_regret_falls_with_the_cost() -> None:
    regret = compare(TABLE, [], SEARCH, repetitions=8).report["methods"][0]["regret"]
    means = [estimate[0] for estimate in regret.values()]
    assert means[0] > means[-1]
    assert all(mean >= 0 for mean in means)


@pytest.mark.slow
def test_several_processes_give_the_searches_of_one() -> None:
    assert compare(TABLE, [], SEARCH, 2, jobs=2).report == compare(TABLE, [], SEARCH, 2, jobs=1).report


def test_rungs_of_curves_that_never_cross_have_the_order_of_the_end() -> None:
    rungs = rungs_of(TABLE, seeds=2, repetitions=3)
    assert [rung["env_steps"] for rung in rungs] == [100, 300, 600]
    assert all(rung["correlation"] == pytest.approx([1, 1, 1]) for rung in rungs)
    assert rungs_of(smooth_table(noise=40.0), 1, 3)[0]["correlation"][0] < 0.9
    assert rungs_of(replace(TABLE, env_steps=TABLE.env_steps[:1]), 1, 3) == []
