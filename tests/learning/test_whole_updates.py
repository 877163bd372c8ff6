"""Whole updates by one program against updates whose optimizer is called from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from tests.learning.whole import require_equal, use_whole_updates
from tests.small import rollout_batch, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.data.sample_batch import SEED_ROW_AXES, SampleBatch
from tuneexp.data.sequences import to_sequences
from tuneexp.learning.compile.in_place import WholeUpdate
from tuneexp.learning.hyper import CfgView
from tuneexp.rl.noise import Noise
from tuneexp.training.epochs import Epochs, drawn_epochs, learn_epochs
from tuneexp.training.training_ops import postprocess
from tuneexp.trial import Trial


def drawn(trial: Trial, n_epochs: int = 3) -> Epochs:
    batch = SampleBatch(rollout_batch(trial), SEED_ROW_AXES)
    return drawn_epochs(trial.learner, batch, n_epochs, 16)


def with_faults(epochs: Epochs) -> Epochs:
    """The second seed has a NaN in its rows, the third one too few rows, the fourth one starts outside of the limit."""
    columns = {name: column.clone() for name, column in epochs.columns.items()}
    enough = epochs.enough.clone()
    third = epochs.rows[0][2, :, 0] % columns["advantage"].shape[1]  # a row of each seed in the third minibatch
    if len(enough) > 1:
        columns["advantage"][1, third[1]] = torch.nan
    enough[2:3] = False
    if len(enough) > 3:
        columns["log_prob"][3] += 2.0
        columns["advantage"][3, third[3]] = torch.nan  # of a seed that is skipped: no divergence
    return Epochs(columns, enough, epochs.rows, epochs.of_update)


@pytest.mark.parametrize("n_seeds", [1, 3, 8])
def test_each_update_equals_that_of_the_optimizer_called_from_python(n_seeds: int) -> None:
    """With a KL limit that seeds reach at different updates, a diverging seed and one without enough rows."""
    changes: dict[str, Any] = {"target_kl": 0.001, "learning_rate": 3e-3}
    whole, single = (small_trial(range(n_seeds), **changes) for _ in range(2))
    assert use_whole_updates(whole)
    for rollout in range(1 if n_seeds == 8 else 2):
        epochs = with_faults(drawn(whole))
        drawn(single)  # the environments and generators of both take the same steps
        for learner in (whole.learner, single.learner):
            learner.require_rows(epochs.enough)
        for number, rows in enumerate(torch.cat(list(epochs.rows))):
            minibatch = {name: column.reshape(-1, *column.shape[2:])[rows] for name, column in epochs.columns.items()}
            for learner in (whole.learner, single.learner):
                learner.learn_on(minibatch, epochs.of_update, number)
            require_equal(whole.learner, single.learner)
        if n_seeds > 1 and not rollout:
            assert whole.learner.failed.tolist() == [seed == 1 for seed in range(n_seeds)]
            assert whole.learner.skipped.any()


@pytest.mark.parametrize(("n_seeds", "target_kl"), [(1, 0.001), (3, 0.001), (8, None)])
def test_epochs_end_where_those_of_single_updates_end(n_seeds: int, target_kl: float | None) -> None:
    whole, single = (small_trial(range(n_seeds), target_kl=target_kl, learning_rate=1e-2) for _ in range(2))
    assert use_whole_updates(whole)
    for _ in range(2):
        for trial in (whole, single):
            learn_epochs(trial.learner, drawn(trial, 6))
        assert target_kl is None or whole.learner.n_updates < 48
        require_equal(whole.learner, single.learner)


def groups(named: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    """Momentum for the critic, none for the actor, and the first bias stays as it is."""
    critic = [leaf for name, leaf in named.items() if "value" in name]
    actor = [leaf for name, leaf in named.items() if "value" not in name][1:]
    return optim.SGD([{"params": critic, "momentum": 0.9, "dampening": 0.5}, {"params": actor}], lr=cfg.learning_rate)


def decayed(named: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    return optim.AdamW(named.values(), lr=cfg.learning_rate, weight_decay=0.1)


@pytest.mark.parametrize("optimizer", [groups, decayed])
def test_state_stays_that_of_the_optimizer_and_either_path_continues_it(optimizer: Any) -> None:
    spec = replace(PPO, name="own", optimizer_fn=optimizer)
    whole, single = (small_trial((0, 1), spec=spec, learning_rate=1e-2) for _ in range(2))
    plain = dict(whole.learner._steps)
    before = whole.learner.optimizer.state_dict()["state"]
    assert use_whole_updates(whole)
    assert whole.learner.optimizer.state_dict()["state"] == before == {}
    learn_epochs(whole.learner, drawn(whole))
    learn_epochs(single.learner, drawn(single))
    require_equal(whole.learner, single.learner)
    # From one another's states, the paths exchanged.
    saved = [trial.learner.state_dict() for trial in (single, whole)]
    for trial, state in zip((whole, single), saved, strict=True):
        trial.learner.load_state_dict(state)
    assert use_whole_updates(single)
    whole.learner.use_programs(plain)
    learn_epochs(whole.learner, drawn(whole))
    learn_epochs(single.learner, drawn(single))
    require_equal(whole.learner, single.learner)


def test_a_rollout_without_an_update_leaves_no_state() -> None:
    trial = small_trial((0,))
    assert use_whole_updates(trial)
    epochs = drawn(trial, 1)
    epochs.columns["advantage"].fill_(torch.nan)
    before = trial.learner.stack.flat.clone()
    learn_epochs(trial.learner, epochs)
    assert trial.learner.failed.all()
    assert torch.equal(trial.learner.stack.flat, before)
    assert not trial.learner.optimizer.state_dict()["state"]


def noisy_loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's loss plus noise, with a row output."""
    loss, metrics = PPO.loss_fn(nets, batch, cfg)
    value = nets.online.value(batch["obs"])
    return loss + (value * batch["jitter"]).mean(), {**metrics, "priority": value.detach()}


def test_noise_of_the_loss_and_row_outputs() -> None:
    spec = replace(PPO, name="noisy", loss_fn=noisy_loss, loss_noise=lambda *_: {"jitter": Noise("normal", ())})
    whole, single = (small_trial((0, 1), spec=spec) for _ in range(2))
    assert use_whole_updates(whole)
    gave = []
    for trial in (whole, single):
        epochs = drawn(trial)
        learn_epochs(trial.learner, epochs)
        rows = epochs.rows[0][0]
        minibatch = {name: column.flatten(0, 1)[rows] for name, column in epochs.columns.items()}
        gave.append(trial.learner.learn_on(minibatch, epochs.of_update, 0)["priority"])
    require_equal(whole.learner, single.learner)
    torch.testing.assert_close(gave[0], gave[1])


def test_sequences() -> None:
    model = {"hidden_sizes": [8], "recurrent": "gru", "recurrent_size": 6}
    whole, single = (small_trial((0, 1), model=model, sequence_length=8, target_kl=0.01) for _ in range(2))
    assert use_whole_updates(whole)
    for trial in (whole, single):
        trial.learner.start_rollout(0.0)
        fragment = trial.group.sample(32)
        batch = postprocess(trial.spec.postprocess_fn, trial.learner, fragment, trial.trainer.training.view)
        sequences = to_sequences(batch, 8)
        learn_epochs(trial.learner, drawn_epochs(trial.learner, sequences, 4, trial.cfg.minibatch_rows()))
    assert whole.learner.n_updates > 3
    require_equal(whole.learner, single.learner)


def test_a_program_gets_contiguous_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code assumes the strides of its example."""
    seen: list[bool] = []
    forward = WholeUpdate.forward

    def noting(module: WholeUpdate, *inputs: Tensor) -> tuple[Tensor, ...]:
        seen.extend(tensor.is_contiguous() for tensor in inputs)
        return forward(module, *inputs)

    monkeypatch.setattr(WholeUpdate, "forward", noting)
    trial = small_trial((0,))
    assert use_whole_updates(trial)
    epochs = drawn(trial, 1)
    columns = dict(epochs.columns)
    columns["advantage"] = torch.zeros(1, 1).expand(columns["advantage"].shape)
    columns["obs"] = columns["obs"].transpose(1, 2).contiguous().transpose(1, 2)
    learn_epochs(trial.learner, Epochs(columns, epochs.enough, epochs.rows, epochs.of_update))
    assert seen
    assert all(seen)


def amsgrad(named: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    return optim.Adam(named.values(), lr=cfg.learning_rate, amsgrad=True)


def test_an_optimizer_without_a_functional_twin_is_called_as_before() -> None:
    assert not use_whole_updates(small_trial((0,), spec=replace(PPO, name="amsgrad", optimizer_fn=amsgrad)))
