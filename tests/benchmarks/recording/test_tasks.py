"""Each recorded task has one compiled program, and evaluations at the steps that its columns are named by."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.recording.design import design
from benchmarks.recording.tasks import CONFIGURATIONS, TASKS, RecordedTask
from benchmarks.tuners.scales import position
from tuneexp.algorithms.registry import config_class_of
from tuneexp.sweep.search.space import SearchSpace

each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@each_task
def test_a_period_between_evaluations_is_a_whole_number_of_rollouts(task: RecordedTask) -> None:
    rollout = config_class_of(task.algorithm).parse(task.fixed, task.algorithm).rollout_env_steps()
    assert all(step % rollout == 0 for step in task.evaluated_at)
    assert task.evaluated_at[-1] == task.env_steps


@each_task
def test_at_most_five_numbers_vary_and_none_is_structural(task: RecordedTask) -> None:
    fields = config_class_of(task.algorithm).model_fields
    assert len(task.space) <= 5
    assert not [name for name in task.space if fields[name].json_schema_extra != {"structural": False}]


@each_task
def test_half_of_the_design_is_in_each_half_of_each_scale(task: RecordedTask) -> None:
    points = design(task, CONFIGURATIONS)
    for name, dimension in SearchSpace.from_mapping(task.space).dimensions.items():
        places = np.array([position(dimension.values, point[name]) for point in points])
        assert places.min() >= 0
        assert places.max() <= 1
        assert (places < 0.5).sum() == pytest.approx(CONFIGURATIONS / 2, abs=1)


@each_task
def test_fewer_configurations_are_the_beginning_of_the_design(task: RecordedTask) -> None:
    points = design(task, CONFIGURATIONS)
    assert points[:5] == design(task, 5)
    assert len({tuple(point.values()) for point in points}) == CONFIGURATIONS
