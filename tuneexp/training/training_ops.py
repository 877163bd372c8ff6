"""Training operations: each takes only what it needs, and a training step composes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.data.sequences import to_sequences
from tuneexp.learning.devices import CPU
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.interfaces import PostprocessFn
from tuneexp.learning.learner import Learner
from tuneexp.training.epochs import drawn_epochs, learn_epochs

if TYPE_CHECKING:
    from tuneexp.training.experience import Experience
    from tuneexp.training.learner_group import LearnerGroup


class SampleSource(Protocol):
    """Interface of what a training step samples from: an `EnvRunnerGroup`, or the part of one of several policies."""

    def sample(self, n_steps: int) -> SampleBatch: ...

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None: ...


@dataclass
class Training:
    """Everything that a training step works with.

    Attributes:
        group: Source of fragments, such as an `EnvRunnerGroup`.
        learner: Parameters, optimizer and target networks of all seeds.
        postprocess_fn: That of the algorithm.
        cfg: The configuration as it was given. `view` has the same with schedules at their present values.
        experience: Replay buffer, of an algorithm that has one.
        learners: Learner processes, with `num_learners` above 0.
    """

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
    """Collect one fragment from all environments; every env runner finishes before this returns.

    Args:
        group: Source of fragments; `training.group` in a training step.
        n_steps: Steps in each environment (T).

    Returns:
        Fragment, columns [T, S, N, ...].
    """
    return group.sample(n_steps)


def postprocess(postprocess_fn: PostprocessFn, learner: Learner, fragment: SampleBatch, view: CfgView) -> SampleBatch:
    """Turn a fragment into training columns, without gradients, on the device of the learner.

    Args:
        postprocess_fn: That of the algorithm.
        learner: Its networks are handed to the function.
        fragment: Columns [T, S, N, ...].
        view: Hyperparameters at their present values; `training.view` in a training step.

    Returns:
        Training columns [T, S, N, ...] and `valid`, False for rows that nothing is learned from.
    """
    if learner.device != CPU:
        fragment = fragment.to(learner.device)
    with torch.no_grad():
        columns = postprocess_fn(learner.nets(), fragment, view)
    return SampleBatch({"valid": fragment["valid"], **columns}, fragment.axes)


def train_one_step(learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int) -> None:
    """Train for some epochs over minibatches of the valid rows of each seed.

    Args:
        learner: It is updated in place.
        batch: Columns [S, R, ...] with `valid` [S, R]; a row may be a sequence.
        n_epochs: Passes over the rows.
        batch_size: Rows (or sequences) of one minibatch, per seed.
    """
    learn_epochs(learner, drawn_epochs(learner, batch, n_epochs, batch_size))


def multi_gpu_train_one_step(
    learners: LearnerGroup, learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int
) -> None:
    """`train_one_step` on several learner processes, with the same result to float tolerance.

    Seeds are divided among the learners. With fewer seeds than learners the rows of each minibatch are divided instead,
    and gradients are averaged before they are clipped.

    Args:
        learners: Learner processes; `training.learners` in a training step.
        learner: Holds parameters and optimizer: they are sent out and come back.
        batch: Columns [S, R, ...] with `valid` [S, R]; a row may be a sequence.
        n_epochs: Passes over the rows.
        batch_size: Rows (or sequences) of one minibatch, per seed.
    """
    learners.learn(learner, drawn_epochs(learner, batch, n_epochs, batch_size))


def on_policy_step(training: Training) -> None:
    """Training step of on-policy algorithms: each fragment is learned from for `n_epochs`, then dropped.

    Args:
        training: Group, learner and configuration.
    """
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
