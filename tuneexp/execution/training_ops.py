"""Training operations: each takes only what it needs, and a training step composes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tuneexp.data.minibatches import gather_minibatches, minibatch_rows, valid_rows
from tuneexp.data.sample_batch import SampleBatch
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.learner import Learner, UpdateStats
from tuneexp.learning.rules import PostprocessFn

if TYPE_CHECKING:
    from tuneexp.execution.group import EnvRunnerGroup


class TrainingStep(Protocol):
    """One round of sample -> learn -> sync."""

    def __call__(
        self, group: EnvRunnerGroup, learner: Learner, postprocess_fn: PostprocessFn, cfg: Any, view: CfgView
    ) -> UpdateStats: ...


def synchronous_parallel_sample(group: EnvRunnerGroup, n_steps: int) -> SampleBatch:
    """A fragment from every runner, joined: columns [T, S, N, ...]."""
    return group.sample(n_steps)


def postprocess(postprocess_fn: PostprocessFn, learner: Learner, fragment: SampleBatch, view: CfgView) -> SampleBatch:
    """Training columns [S, T * N, ...], and `valid`, False for reset rows."""
    with torch.no_grad():
        columns = postprocess_fn(learner.nets(), fragment, view)
    return SampleBatch({"valid": fragment["valid"], **columns}, fragment.axes).to_rows()


def train_one_step(learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int) -> UpdateStats:
    """batch: columns [S, R, ...] with `valid` [S, R]. Epochs over minibatches of every seed's valid rows."""
    columns = batch.drop("valid")
    # Two rows at least: one alone has no deviation to normalise its advantage by.
    learner.require_rows(batch["valid"].sum(1) >= 2)
    own, n_rows = valid_rows(batch["valid"]), batch["valid"].shape[1]
    # All epochs are drawn before any is used: what a seed draws must not depend on when the others stop.
    epochs = [minibatch_rows(own, n_rows, batch_size, learner.generators) for _ in range(n_epochs)]
    steps: list[tuple[Tensor, Tensor]] = []
    for rows in epochs:
        if steps and learner.resting:
            break
        for minibatch in gather_minibatches(columns, rows):
            steps.append(learner.learn_on_batch(minibatch))
    learner.freeze_non_finite()
    return learner.summarise(steps)


def on_policy_step(
    group: EnvRunnerGroup, learner: Learner, postprocess_fn: PostprocessFn, cfg: Any, view: CfgView
) -> UpdateStats:
    """PPO and its kin: every fragment is used once, for `n_epochs`, and thrown away."""
    fragment = synchronous_parallel_sample(group, cfg.n_steps)
    batch = postprocess(postprocess_fn, learner, fragment, view)
    stats = train_one_step(learner, batch, cfg.n_epochs, cfg.batch_size)
    group.sync_weights(learner.parameters)
    return stats
