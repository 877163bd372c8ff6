"""The contract of samplers, as a pytest class: Optuna's own test cases, and the facts of `sampler_facts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from optuna.samplers import BaseSampler
from optuna.testing import pytest_samplers as of_optuna

from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.testing import sampler_facts
from tuneexp.testing.sampler_facts import FINITE, MIXED, SamplerSubject

CASES: dict[str, type] = {
    "basic": of_optuna.BasicSamplerTestCase,
    "relative": of_optuna.RelativeSamplerTestCase,
    "several_objectives": of_optuna.MultiObjectiveSamplerTestCase,
    "one_objective": of_optuna.SingleOnlySamplerTestCase,
}


def sampler_contract(
    sampler: str | Mapping[str, Any],
    *,
    cases: tuple[str, ...] = ("basic",),
    finite: bool = False,
    slow: bool = False,
    trials: int | None = 20,
) -> type:
    """Make a class of tests for pytest to collect: `TestMine = sampler_contract("path/mine.py:MySampler")`.

    Args:
        sampler: A name, an address, or a mapping with `name` and options.
        cases: Optuna's test cases: `basic`, `relative` (it chooses several hyperparameters together),
            `several_objectives`, `one_objective` (it refuses several).
        finite: It tries each combination of a finite space once, and then it is exhausted. Such a sampler takes none
            of Optuna's cases.
        slow: It takes about a second for a suggestion, so the facts use few.
        trials: Trials of the sweep, from which defaults follow.

    Returns:
        A class with the tests of the cases and one test for each fact.
    """
    space = SearchSpace.of(FINITE if finite else MIXED)

    def make(seed: int, over: SearchSpace | None) -> BaseSampler:
        return build_sampler(sampler, SamplerContext(seed, trials, over))

    def fixture(self: Any) -> Callable[[], BaseSampler]:
        return lambda: make(0, None)

    subject = SamplerSubject(make, space, slow)
    facts = [*sampler_facts.COMMON, *([sampler_facts.no_point_comes_twice] if finite else [])]
    tests = {f"test_{fact.__name__}": _test(fact, subject) for fact in facts}
    bases = () if finite else tuple(CASES[case] for case in cases)
    return type("SamplerContract", bases, {
        "__doc__": f"The contract of the sampler {sampler}.", "sampler": pytest.fixture(fixture), **tests,
    })  # fmt: skip


def _test(fact: Callable[[SamplerSubject], None], subject: SamplerSubject) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        fact(subject)

    test.__doc__ = fact.__doc__
    return test
