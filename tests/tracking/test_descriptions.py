"""Descriptions in markdown."""

from __future__ import annotations

from tests.tracking.helpers import make_about
from tuneexp.tracking.descriptions import (
    DIGESTS,
    LONGEST,
    NOTE,
    experiment_note,
    interrupted_note,
    linked,
    note_tags,
    sweep_note,
    sweep_result,
    trial_note,
)

ABOUT = make_about()
METRICS = {"objective": 487.25, "objective_low": 460.0, "objective_high": 500.0, "env_steps": 1000.0, "wall_s": 31.6}
VALUES = {"learning_rate": 0.00312345}


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def test_a_sweep_is_described_with_its_problem_its_method_and_the_command_that_repeats_it() -> None:
    text = sweep_note(ABOUT, ["learning_rate", "n_steps"])
    for part in ("ppo on CartPole-v1", "8 trials", "2 seeds", "1,000 environment steps", "tpe", "asha",
                 "`tuneexp sweep runs/first/experiment.yaml`", "`n_steps`"):  # fmt: skip
        assert part in text
    assert "resume first" in first_line(interrupted_note(ABOUT, []))


def test_the_result_of_a_sweep_comes_first_and_links_its_best_trial() -> None:
    best = {"trial": 3, "draw": 0, "metrics": METRICS}
    text = sweep_note(ABOUT, [], sweep_result(best, {"completed": 5, "out_of_memory": 1}))
    told = first_line(linked(text, {"3.0": "abc"}, "7"))
    assert "487.2" in told
    assert "460.0 to 500.0" in told
    assert "[trial 3](#/experiments/7/runs/abc)" in told
    assert "1 out of memory" in told
    assert "(run:" not in linked(text, {}, "7")  # the best trial's run was deleted
    assert "No trial" in sweep_result(None, {"error": 8})


def test_the_first_line_of_a_trial_is_how_it_ended() -> None:
    done = trial_note(ABOUT, 3, VALUES, "completed", None, METRICS, "/runs/first/trial_3/checkpoint_000004")
    assert "460.0 to 500.0" in first_line(done)
    assert "`tuneexp evaluate /runs/first/trial_3/checkpoint_000004`" in done
    pruned = first_line(trial_note(ABOUT, 3, VALUES, "pruned", None, {**METRICS, "env_steps": 200.0}))
    assert "Pruned" in pruned
    assert "200 of 1,000" in pruned
    failed = first_line(trial_note(ABOUT, 3, VALUES, "error", "ValueError: `x` <b>\nbroke", {}))
    assert "Failed" in failed
    assert "`ValueError: 'x' <b> broke`." in failed
    assert "487.2" in first_line(trial_note(ABOUT, 3, VALUES, "error", "ValueError", METRICS))
    assert "Trial 3" in first_line(trial_note(ABOUT, 3, VALUES))


def test_an_experiment_lists_its_sweeps() -> None:
    row = {"key": "abc", "name": "a|b", "algorithm": "ppo", "best": "487.2", "trials": 8}
    assert "| [a\\|b](run:abc) | ppo | 487.2 | 8 |" in experiment_note("CartPole-v1", [row])
    assert "|" not in experiment_note("CartPole-v1", [])


def test_a_description_is_never_longer_than_mlflow_takes() -> None:
    for text in (
        sweep_note(ABOUT, [f"hyperparameter_{number}" for number in range(1000)]),
        trial_note(ABOUT, 1, {}, "error", "x" * 20_000),
        experiment_note("e", [dict.fromkeys(("key", "name", "algorithm", "best", "trials"), "x" * 99)] * 100),
    ):
        assert len(linked(text, {"x" * 99: "y" * 300}, "1")) <= LONGEST


def test_a_description_that_a_person_changed_or_removed_is_left() -> None:
    ours = note_tags({}, "first")
    assert ours[NOTE] == "first"
    later = {**ours, **note_tags(ours, "second")}
    assert later[NOTE] == "second"
    assert note_tags(later, "second") == {}
    # Tags of an experiment are set one by one: a kill after the first leaves the older description ours.
    assert note_tags({**later, NOTE: "first"}, "third")[NOTE] == "third"
    assert note_tags({**later, NOTE: "mine"}, "third") == {}
    assert note_tags({DIGESTS: later[DIGESTS]}, "third") == {}
    assert note_tags({NOTE: "mine"}, "third") == {}
