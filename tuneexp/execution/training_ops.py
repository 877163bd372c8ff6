"""Training operations: each takes only what it needs, and a training step composes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.data.sequences import to_sequences
from tuneexp.execution.epochs import drawn_epochs, learn_epochs
from tuneexp.learning.devices import CPU
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.interfaces import PostprocessFn
from tuneexp.learning.learner import Learner

if TYPE_CHECKING:
    from tuneexp.execution.experience import Experience
    from tuneexp.execution.learner_group import LearnerGroup


class SampleSource(Protocol):
    """What a training step samples from: an `EnvRunnerGroup`, or one policy's part of what several sample together."""

    def sample(self, n_steps: int) -> SampleBatch: ...

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None: ...


@dataclass
class Training:
    """What a training step works with. `cfg` holds the configuration, `view` the same with schedules at their
    present values; `experience` is the replay buffer of an algorithm that has one, `learners` are the learner processes
    where there are some (`num_learners`)."""

    group: SampleSource
    learner: Learner
    postprocess_fn: PostprocessFn
    cfg: Any
    experience: Experience | None = None
    learners: LearnerGroup | None = None

    @property
    def view(self) -> CfgView:
        return self.learner.hyper.view()


class TrainingStep(Protocol):
    """One round of sample -> learn -> sync."""

    def __call__(self, training: Training) -> None: ...


def synchronous_parallel_sample(group: SampleSource, n_steps: int) -> SampleBatch:
    """A fragment from every runner, joined: columns [T, S, N, ...]."""
    return group.sample(n_steps)


def postprocess(postprocess_fn: PostprocessFn, learner: Learner, fragment: SampleBatch, view: CfgView) -> SampleBatch:
    """Training columns [T, S, N, ...], and `valid`, False for rows that nothing is learned from; on the learner's
    device, where the networks are."""
    if learner.device != CPU:
        fragment = fragment.to(learner.device)
    with torch.no_grad():
        columns = postprocess_fn(learner.nets(), fragment, view)
    return SampleBatch({"valid": fragment["valid"], **columns}, fragment.axes)


def train_one_step(learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int) -> None:
    """batch: columns [S, R, ...] with `valid` [S, R]. Epochs over minibatches of every seed's valid rows; a row may be
    a sequence, and `batch_size` then counts sequences."""
    learn_epochs(learner, drawn_epochs(learner, batch, n_epochs, batch_size))


def multi_gpu_train_one_step(
    learners: LearnerGroup, learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int
) -> None:
    """`train_one_step` on several learners, with the same result to float tolerance. Seeds are shared out among them;
    where there are fewer seeds than learners, the rows of each minibatch are, and gradients are averaged before they
    are clipped. `learner` keeps the parameters and the optimizer: they go out and come back."""
    learners.learn(learner, drawn_epochs(learner, batch, n_epochs, batch_size))


def on_policy_step(training: Training) -> None:
    """PPO and its kin: every fragment is used once, for `n_epochs`, and thrown away."""
    cfg, learner = training.cfg, training.learner
    fragment = synchronous_parallel_sample(training.group, cfg.n_steps)
    batch = postprocess(training.postprocess_fn, learner, fragment, training.view)
    length = cfg.sequence_steps()
    rows = batch.to_rows() if length is None else to_sequences(batch, length)
    if training.learners is None:
        train_one_step(learner, rows, cfg.n_epochs, cfg.minibatch_rows())
    else:
        multi_gpu_train_one_step(training.learners, learner, rows, cfg.n_epochs, cfg.minibatch_rows())
    training.group.sync_weights(learner.parameters)
