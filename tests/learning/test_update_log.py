"""Metrics of updates: one mean per seed over the updates that were applied."""

from __future__ import annotations

import pytest
import torch

from tuneexp.learning.update_log import MAX_UPDATES, TOGETHER, UpdateLog

BOTH, FIRST, NOBODY = torch.tensor([True, True]), torch.tensor([True, False]), torch.tensor([False, False])


def test_a_statistic_is_the_mean_over_the_updates_that_each_seed_took() -> None:
    log = UpdateLog()
    log.add(["loss"], torch.tensor([[1.0, 10.0]]), BOTH)
    log.add(["loss"], torch.tensor([[2.0, 99.0]]), FIRST)
    log.add(["loss"], torch.tensor([[6.0, 20.0]]), BOTH)
    assert log.updates_per_seed().tolist() == [3, 2]
    assert log.summary()["loss"].tolist() == [3.0, 15.0]


def test_a_part_that_is_not_always_due_has_the_mean_over_the_updates_in_which_it_was() -> None:
    log = UpdateLog()
    for update in range(1, 7):
        critic = [float(update), 10.0 * update]
        if update % 3:
            log.add(["critic_loss"], torch.tensor([critic]), BOTH)
        else:
            log.add(["critic_loss", "actor_loss"], torch.tensor([critic, [100.0 * update, -update]]), BOTH)
    summary = log.summary()
    assert summary["critic_loss"].tolist() == [3.5, 35.0]
    assert summary["actor_loss"].tolist() == [450.0, -4.5]


def test_columns_of_another_order_are_matched_by_name() -> None:
    log = UpdateLog()
    log.add(["a", "b"], torch.tensor([[1.0, 1.0], [2.0, 2.0]]), BOTH)
    log.add(["b", "a"], torch.tensor([[4.0, 4.0], [3.0, 3.0]]), BOTH)
    summary = log.summary()
    assert (summary["a"].tolist(), summary["b"].tolist()) == ([2.0, 2.0], [3.0, 3.0])


def test_what_a_seed_computed_in_an_update_that_it_did_not_take_counts_for_nothing() -> None:
    log = UpdateLog()
    log.add(["loss"], torch.tensor([[1.0, 5.0]]), BOTH)
    log.add(["loss"], torch.tensor([[3.0, float("nan")]]), FIRST)
    assert log.summary()["loss"].tolist() == [2.0, 5.0]


def test_where_no_update_was_taken_the_first_one_is_reported() -> None:
    """A trial that the KL limit stops at its first update reports the KL divergence of that update."""
    log = UpdateLog()
    log.add(["approx_kl"], torch.tensor([[0.7, 0.8]]), NOBODY)
    log.add(["approx_kl"], torch.tensor([[7.0, 8.0]]), NOBODY)
    assert log.summary()["approx_kl"].tolist() == pytest.approx([0.7, 0.8])


def test_metrics_of_many_updates_are_in_few_tensors_and_in_order() -> None:
    """Each result of a program that is kept would keep the memory of its intermediate results."""
    log = UpdateLog()
    names = [("a",) if update % 3 else ("a", "b") for update in range(2 * TOGETHER + 5)]
    for update, own in enumerate(names):
        log.add(own, torch.full((len(own), 2), float(update)), FIRST if update % 2 else BOTH)
        latest, proceed = log.latest()
        assert (latest["a"].tolist(), proceed.tolist()) == ([update, update], [True, not update % 2])
    kept = log.drain()
    assert [(one.names, one.metrics[0, 0].item()) for one in kept] == [(own, i) for i, own in enumerate(names)]
    assert len({one.metrics.untyped_storage().data_ptr() for one in kept}) == 2 * 2 + 5
    assert len({one.proceed.untyped_storage().data_ptr() for one in kept}) <= 2 * 2 + 2


def test_a_summary_forgets_and_no_updates_say_nothing() -> None:
    log = UpdateLog()
    log.add(["loss"], torch.tensor([[1.0, 1.0]]), BOTH)
    assert log.summary()["loss"].tolist() == [1.0, 1.0]
    assert log.summary() == {}
    log.add(["loss"], torch.tensor([[5.0, 5.0]]), BOTH)
    assert log.summary()["loss"].tolist() == [5.0, 5.0]


def test_only_the_newest_updates_are_kept() -> None:
    log = UpdateLog()
    for update in range(MAX_UPDATES + 10):
        log.add(["loss"], torch.tensor([[float(update >= 10), 0.0]]), BOTH)
    assert log.updates_per_seed().tolist() == [MAX_UPDATES, MAX_UPDATES]
    assert log.summary()["loss"].tolist() == [1.0, 0.0]
