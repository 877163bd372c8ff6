"""The contract of algorithms, as a pytest class or as a list of tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tuneexp.algorithms.registry import address_of, load_algorithm
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.testing import config_facts, learning_facts, saving_facts, seed_facts
from tuneexp.testing.subject import Subject
from tuneexp.testing.value_estimates import ValueFn, greedy_values

Fact = Callable[[Subject], None]

ENVS = {"discrete": "CartPole-v1", "continuous": "Pendulum-v1"}


def facts_for(subject: Subject) -> dict[str, Fact]:
    """Name -> what raises an `AssertionError` where it doesn't hold. In the order in which to read them."""
    probes = learning_facts.probes_for(subject.kinds)
    return {
        "its_name_leads_to_it_and_back": saving_facts.its_name_leads_to_it_and_back,
        "every_field_can_be_set_on_the_command_line": config_facts.every_field_can_be_set,
        "every_field_is_described": config_facts.every_field_is_described,
        "an_untrained_network_solves_no_probe": learning_facts.untrained_solves_none,
        **{f"it_solves_{learning_facts.words(probe.__name__)}": partial(learning_facts.solves, probe=probe)
           for probe in probes},
        "stored_log_probs_are_of_their_actions": learning_facts.stored_log_probs_are_of_their_actions,
        "the_same_seeds_give_the_same_result": seed_facts.same_seeds_same_result,
        **{f"{n}_seeds_at_once_are_single_runs": partial(seed_facts.at_once_are_single_runs, n_seeds=n)
           for n in (2, 3, 8)},
        "reset_rows_count_for_nothing": seed_facts.reset_rows_count_for_nothing,
        "a_nan_seed_leaves_the_others_alone": seed_facts.nan_stays_with_its_seed,
        "huge_rewards_of_a_seed_leave_the_others_alone": seed_facts.huge_rewards_stay_with_their_seed,
        "a_checkpoint_goes_on_bit_for_bit": saving_facts.goes_on_bit_for_bit,
        "reset_config_is_a_fresh_start": saving_facts.reset_config_is_a_fresh_start,
        "other_numbers_need_no_new_program": config_facts.numbers_need_no_new_program,
        "traced_equals_eager": config_facts.traced_equals_eager,
    }  # fmt: skip


def subject_of(
    algorithm: str | AlgorithmSpec,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    budget_env_steps: int = 3072,
    action_kinds: Sequence[str] | None = None,
    values: ValueFn = greedy_values,
    tolerance: float = 0.15,
    env: str | None = None,
) -> Subject:
    """See `contract`. Raises `UserError` where the algorithm or a hyperparameter doesn't exist."""
    spec = load_algorithm(algorithm)
    address = address_of(spec)
    settings = dict(hyperparameters or {})
    spec.config_class.parse(settings, spec.name, see=f"tuneexp describe {address}")
    kinds = tuple(kind for kind in (action_kinds or spec.action_kinds) if kind in ENVS)
    return Subject(
        spec, address, settings, budget_env_steps, kinds, values, tolerance, env or ENVS[kinds[0]],
    )  # fmt: skip


def contract(algorithm: str | AlgorithmSpec, hyperparameters: Mapping[str, Any] | None = None, **settings: Any) -> type:
    """Make a class of tests for pytest to collect: `TestMine = contract("path/mine.py:MINE", {...})`.

    Nothing is trained before the tests run.

    Args:
        algorithm: A name, an address or an `AlgorithmSpec`.
        hyperparameters: With these it solves every probe environment within `budget_env_steps`.
        settings: `budget_env_steps` (3072) per seed; `action_kinds`, if these hyperparameters are for some of the
            supported ones only; `values`, a function for models without `value` and `q`; `tolerance` of the probes'
            values (from -1 to 1); `env` for the tests of seeds and checkpoints.

    Returns:
        A class with one test for each property.

    Raises:
        UserError: There is no such algorithm.
    """
    subject = subject_of(algorithm, hyperparameters, **settings)
    tests = {f"test_{name}": _test(fact, subject) for name, fact in facts_for(subject).items()}
    documented = f"The contract of {subject.address}."
    return type("Contract", (), {"__doc__": documented, "subject": subject, **tests})


def _test(fact: Fact, subject: Subject) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        fact(subject)

    return test
