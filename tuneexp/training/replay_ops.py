"""Training operations of algorithms that learn from a replay buffer."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tuneexp.data.prioritized import PrioritizedReplay
from tuneexp.data.replay import Rows
from tuneexp.learning.hyper import CfgView, number_of
from tuneexp.learning.learner import Learner
from tuneexp.learning.nets import Nets
from tuneexp.rl.returns import n_step_transitions
from tuneexp.sampling.episodic_train_freq import unmoved
from tuneexp.training.experience import Experience
from tuneexp.training.training_ops import Training, postprocess, synchronous_parallel_sample


def off_policy_step(training: Training) -> None:
    """Training step of algorithms with a replay buffer: collect `train_freq` steps in every environment, then update.

    With `train_freq` in episodes one step is collected, and the seeds whose episodes ended are updated.

    Args:
        training: Group, learner, replay buffer and configuration.
    """
    cfg, learner, experience = training.cfg, training.learner, training.experience
    assert experience is not None, "an off-policy algorithm's configuration is an OffPolicyConfig"
    fragment = synchronous_parallel_sample(training.group, cfg.fragment_steps())
    windows, view = experience.windows(fragment), training.view
    experience.add(windows, postprocess(training.postprocess_fn, learner, windows, view))
    if experience.train_freq is not None:
        due = experience.train_freq.updates_after(fragment, cfg.gradient_steps)
        if experience.ready:
            episodic_updates(learner, experience, due, cfg.batch_size, view)
    elif experience.ready:
        replay_updates(learner, experience, cfg.updates_per_rollout(), cfg.batch_size, view)
    training.group.sync_weights(learner.parameters)


def transitions(nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> dict[str, Tensor]:
    """n-step transitions for a replay buffer.

    A `postprocess_fn`. Hessel et al. 2018 (arXiv:1710.02298), "Multi-step learning".

    Args:
        nets: Networks of all seeds; `nets.frozen` has no gradients.
        fragment: Columns [T, S, N, ...] of the rollout.
        cfg: Hyperparameters.

    Returns:
        Columns [T, S, N, ...]: `obs`, `action` (before it is scaled to the environment's bounds), `reward` (the
        discounted sum), `next_obs`, `discount` (gamma^k, 0 after a termination) and `valid`.
    """
    n_step = n_step_transitions(
        fragment["reward"], fragment["terminated"], fragment["truncated"], fragment["valid"], cfg.gamma, cfg.n_step
    )
    next_obs = fragment["next_obs"]
    if cfg.n_step > 1:
        last = n_step.last.reshape(*n_step.last.shape, *(1,) * (next_obs.dim() - 3)).expand_as(next_obs)
        next_obs = next_obs.gather(0, last)
    return {
        "obs": fragment["obs"],
        "action": fragment.get("network_action", fragment["action"]),
        "reward": n_step.reward,
        "next_obs": next_obs,
        "discount": n_step.discount,
        "valid": fragment["valid"],
    }


def episodic_updates(learner: Learner, experience: Experience, due: Tensor, batch_size: int, view: CfgView) -> None:
    """Take a different number of updates for each seed.

    Args:
        learner: updated in place.
        experience: replay buffer.
        due: int64 [S], updates of each seed.
        batch_size: rows of one minibatch, per seed.
        view: hyperparameters at their present values.
    """
    for update in range(int(due.max())):
        learns = due > update
        with unmoved(learner.generators, ~learns):
            replay_updates(learner, experience, 1, batch_size, view, learns)


def replay_updates(
    learner: Learner, experience: Experience, n_updates: int, batch_size: int, view: CfgView,
    learns: Tensor | None = None,
) -> None:  # fmt: skip
    """Gradient updates on minibatches drawn with replacement from the replay buffer.

    A seed without stored rows is skipped.

    Args:
        learner: It is updated in place.
        experience: Replay buffer; `training.experience` in a training step.
        n_updates: Number of updates.
        batch_size: Rows of one minibatch, per seed.
        view: Hyperparameters at their present values; `training.view` in a training step.
        learns: [S] bool, the seeds to update; None: all.
    """
    buffer = experience.buffer
    learner.require_rows(buffer.size > 0 if learns is None else (buffer.size > 0) & learns)
    if not n_updates:
        return
    # All noise is drawn before the first update, even if no seed is updated: a seed's draws must not depend on others.
    noise = learner.draw_noise(n_updates, batch_size)
    if isinstance(buffer, PrioritizedReplay):
        _prioritized_updates(learner, experience, buffer, n_updates, batch_size, noise, view)
    else:
        rows = buffer.sample_rows(n_updates, batch_size, learner.generators)
        if not learner.all_skipped:
            _uniform_updates(learner, experience, rows, noise)
    learner.freeze_non_finite()


def _uniform_updates(learner: Learner, experience: Experience, rows: Rows, noise: Mapping[str, Tensor]) -> None:
    """Update on all minibatches. rows: [U, S, B]."""
    if not learner.takes_whole_updates:
        for update, minibatch in enumerate(experience.minibatches(rows)):
            learner.learn_on(minibatch, noise, update)
        return
    done = 0
    for columns, minibatches in experience.blocks(rows):
        after = done + len(minibatches)
        learner.learn_on_rows(columns, [minibatches], {name: own[done:after] for name, own in noise.items()})
        done = after


def _prioritized_updates(
    learner: Learner, experience: Experience, buffer: PrioritizedReplay, n_updates: int, batch_size: int,
    noise: Mapping[str, Tensor], view: CfgView,
) -> None:  # fmt: skip
    """Sample and update in turn: priorities depend on the TD errors of the update before."""
    buffer.alpha = number_of(view, "prioritized_alpha")
    for update in range(n_updates):
        rows = buffer.sample_rows(1, batch_size, learner.generators)
        if learner.all_skipped:
            continue
        (minibatch,) = experience.minibatches(rows)
        minibatch["weight"] = buffer.weights(rows[0], number_of(view, "prioritized_beta")).to(learner.device)
        outputs = learner.learn_on(minibatch, noise, update)
        _, learned = learner.log.latest()
        buffer.update_priorities(rows[0], outputs["priority"], learned)
