"""Training operations, from which a training step is composed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.data.sequences import to_sequences
from tuneexp.errors import UserError
from tuneexp.learning.algorithm_functions import PostprocessFn
from tuneexp.learning.devices import CPU
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.learner import Learner
from tuneexp.sampling.asynchronous import AsynchronousGroup
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
        cfg: The configuration as it was given. `view` has the same with schedules at their present values, and numbers
            in which seeds differ, which `cfg` refuses.
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
        """Hyperparameters at their present values, [S, 1] where seeds differ."""
        return self.learner.hyper.view_of_seeds()


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

    Raises:
        UserError: The group is asynchronous.
    """
    if isinstance(group, AsynchronousGroup):
        raise UserError(
            "the runners of an asynchronous algorithm do not wait for each other; write "
            f"asynchronous_sample(training.group, {n_steps}), or AlgorithmSpec(asynchronous=False)"
        )
    return group.sample(n_steps)


def asynchronous_sample(group: SampleSource, n_steps: int) -> SampleBatch:
    """Collect the first fragments that are finished, as many as there are env runners, as one fragment.

    Env runners continue to sample while the learner learns, so a fragment may be sampled with older weights than the
    learner's. The loss must correct this policy lag, as V-trace does (Espeholt et al. 2018, arXiv:1802.01561). With
    `num_env_runners=0` the local runner samples on demand, and there is no lag.

    Args:
        group: Source of fragments; `training.group` in a training step of an algorithm with `asynchronous=True`.
        n_steps: Steps in each environment (T).

    Returns:
        Fragment, columns [T, S, N, ...]. The order of its environments is arbitrary.

    Raises:
        UserError: The group is synchronous.
    """
    if not isinstance(group, AsynchronousGroup):
        raise UserError(
            "the runners of this algorithm are synchronous; write "
            f"synchronous_parallel_sample(training.group, {n_steps}), or AlgorithmSpec(asynchronous=True)"
        )
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
    _learn_once(training, synchronous_parallel_sample(training.group, training.cfg.n_steps))


def asynchronous_step(training: Training) -> None:
    """Training step of IMPALA and APPO: as `on_policy_step`, with an asynchronous group.

    Args:
        training: Group, learner and configuration.
    """
    _learn_once(training, asynchronous_sample(training.group, training.cfg.n_steps))


def _learn_once(training: Training, fragment: SampleBatch) -> None:
    """Train for `n_epochs` on a fragment, then give the new weights to the runners."""
    cfg, learner = training.cfg, training.learner
    batch = postprocess(training.postprocess_fn, learner, fragment, training.view)
    length = cfg.sequence_steps()
    rows = batch.to_rows() if length is None else to_sequences(batch, length)
    if training.learners is None:
        train_one_step(learner, rows, cfg.n_epochs, cfg.minibatch_rows())
    else:
        multi_gpu_train_one_step(training.learners, learner, rows, cfg.n_epochs, cfg.minibatch_rows())
    training.group.sync_weights(learner.parameters)
