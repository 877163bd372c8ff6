"""Recurrent cells equal torch's, and unrolling equals stepping."""

from __future__ import annotations

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn

from tests.models.networks import CHOICE, TORQUE, VECTOR, observe, randn, seeded
from tuneexp.errors import UserError
from tuneexp.models.actor_critic import ActorCritic
from tuneexp.models.recurrent import GRUCell, LSTMCell

CELLS = pytest.mark.parametrize("cell", ["lstm", "gru"])


# None: one trunk and cell for both; else hidden layers behind the cell, and for the value a cell or a linear layer.
CRITICS = pytest.mark.parametrize("critic", [None, True, False])


def network(cell: str, action: gym.Space = CHOICE, critic: bool | None = None) -> ActorCritic:
    sizes = {"hidden_sizes": (8,), "recurrent_size": 5, "enable_critic_lstm": critic}
    return ActorCritic(VECTOR, action, recurrent=cell, ortho_init=False, generator=seeded(), **sizes)


def test_lstm_equals_torchs() -> None:
    ours, torchs = LSTMCell(3, 4, generator=seeded()), nn.LSTMCell(3, 4)
    torchs.load_state_dict(ours.state_dict())
    x, state = randn(6, 3), randn(6, 8, seed=1)
    hidden, memory = torchs(x, (state[:, :4], state[:, 4:]))
    output, new_state = ours(x, state)
    torch.testing.assert_close(output, hidden)
    torch.testing.assert_close(new_state, torch.cat([hidden, memory], dim=-1))


def test_gru_equals_torchs() -> None:
    ours, torchs = GRUCell(3, 4, generator=seeded()), nn.GRUCell(3, 4)
    torchs.load_state_dict(ours.state_dict())
    x, state = randn(6, 3), randn(6, 4, seed=1)
    output, new_state = ours(x, state)
    torch.testing.assert_close(output, torchs(x, state))
    assert torch.equal(output, new_state)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
def test_cells_start_within_one_over_the_root_of_their_size(cell: type) -> None:
    for parameter in cell(3, 400, generator=seeded()).parameters():
        assert 0.04 < parameter.abs().max() <= 0.05
        assert abs(parameter.mean()) < 0.005


def stepped(net: ActorCritic, obs: Tensor, state: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Values [L, B] and entropies, step by step; the state of each row is set to zero at its starts."""
    values, entropies = [], []
    for t in range(obs.shape[0]):
        for row in range(obs.shape[1]):
            if start[t, row]:
                state[row] = 0.0
        dist, value, state = net.step(obs[t], state)  # type: ignore[assignment]
        values.append(value)
        entropies.append(dist.entropy())
    return torch.stack(values), torch.stack(entropies)


@CRITICS
@CELLS
def test_unrolling_equals_stepping_with_resets_at_starts(cell: str, critic: bool | None) -> None:
    net = network(cell, critic=critic)
    obs, state = observe(VECTOR, 7, 3), randn(3, net.state_size)
    start = torch.zeros(7, 3, dtype=torch.bool)
    start[0, 1] = start[3, 0] = start[4, 0] = start[6, 2] = True
    with torch.no_grad():
        dist, value = net.unroll(obs, state, start)
        values, entropies = stepped(net, obs, state.clone(), start)
    torch.testing.assert_close(value, values)
    torch.testing.assert_close(dist.entropy(), entropies)


@CELLS
def test_nothing_passes_a_start(cell: str) -> None:
    net, obs = network(cell), observe(VECTOR, 6, 2)
    start = torch.zeros(6, 2, dtype=torch.bool)
    start[3] = True
    before, after = obs.clone(), obs.clone()
    before[:3] += 1.0
    after[2] += 1.0
    clean, other = randn(2, net.state_size), torch.full((2, net.state_size), float("nan"))
    _, value = net.unroll(obs, clean, start)
    _, changed = net.unroll(before, other, start)
    assert torch.equal(value[3:], changed[3:])
    _, changed = net.unroll(after, clean, start)
    assert torch.equal(value[:2], changed[:2])
    assert not torch.equal(value[2], changed[2])


@CELLS
def test_gradients_reach_back_through_time_and_stop_at_starts(cell: str) -> None:
    net = network(cell, TORQUE)
    obs = observe(VECTOR, 5, 2).requires_grad_()
    start = torch.zeros(5, 2, dtype=torch.bool)
    start[2, 1] = True
    net.unroll(obs, torch.zeros(2, net.state_size), start)[1][4].sum().backward()
    assert obs.grad is not None
    reached = obs.grad.abs().sum(-1) > 0
    assert reached.tolist() == [[True, False], [True, False], [True, True], [True, True], [True, True]]


def test_value_and_dist_take_the_state_before_the_step() -> None:
    net, obs = network("lstm"), observe(VECTOR, 3)
    state = randn(3, net.state_size)
    dist, value, new_state = net.step(obs, state)
    assert net.state_size == 10
    assert new_state is not None
    assert new_state.shape == state.shape
    assert torch.equal(net.value(obs, state), value)
    assert torch.equal(net.dist(obs, state).entropy(), dist.entropy())
    assert not torch.equal(net.value(obs, new_state), value)
    with pytest.raises(ValueError, match="state"):
        net.value(obs)


def test_without_recurrence_there_is_no_state() -> None:
    net, obs = ActorCritic(VECTOR, CHOICE, generator=seeded()), observe(VECTOR, 4, 3)
    assert net.state_size == 0
    state = torch.zeros(3, 0)
    assert net.step(obs[0], state)[2] is state
    _, value = net.unroll(obs, state, torch.ones(4, 3, dtype=torch.bool))
    assert torch.equal(value, net.value(obs))


def test_an_unknown_cell_is_reported() -> None:
    with pytest.raises(UserError, match="'lstm'"):
        network("lstmm")


@pytest.mark.parametrize("critic", [True, False])
def test_policy_and_value_apart_are_sb3_contribs(critic: bool) -> None:
    """`RecurrentActorCriticPolicy`: features -> cell (or a linear layer of the value function) -> hidden layers ->
    head."""
    net = ActorCritic(
        VECTOR, CHOICE, recurrent="lstm", recurrent_size=5, hidden_sizes=(8,), vf_hidden_sizes=(3,),
        enable_critic_lstm=critic, generator=seeded(),
    )  # fmt: skip
    assert net.state_size == (20 if critic else 10)
    obs, state = observe(VECTOR, 4), randn(4, net.state_size)
    dist, value, after = net.step(obs, state)
    assert after is not None
    assert net.cell is not None

    def of_torch(own: LSTMCell, before: Tensor) -> Tensor:
        theirs = nn.LSTMCell(own.in_size, own.size)
        theirs.load_state_dict(own.state_dict())
        return torch.cat(theirs(obs, (before[:, :5], before[:, 5:])), dim=-1)

    policy = of_torch(net.cell, state[:, :10])  # type: ignore[arg-type]
    torch.testing.assert_close(after[:, :10], policy)
    logits = net.policy_net(policy[:, :5])
    torch.testing.assert_close(dist.entropy(), torch.distributions.Categorical(logits=logits).entropy())
    if isinstance(net.critic_cell, LSTMCell):
        critics = of_torch(net.critic_cell, state[:, 10:])
        torch.testing.assert_close(after[:, 10:], critics)
        torch.testing.assert_close(value, net.value_net(critics[:, :5]).squeeze(-1))
    else:
        assert isinstance(net.critic_cell, nn.Linear)
        torch.testing.assert_close(value, net.value_net(net.critic_cell(obs)).squeeze(-1))
    value.sum().backward()
    assert all(leaf.grad is None for leaf in net.cell.parameters()), "the value leaves the policy's cell alone"


def test_a_critic_of_its_own_needs_a_memory() -> None:
    with pytest.raises(UserError, match="recurrent=lstm"):
        ActorCritic(VECTOR, CHOICE, enable_critic_lstm=True)


def test_a_recurrent_network_refuses_sizes_of_its_own_for_the_value() -> None:
    with pytest.raises(UserError, match="one list"):
        ActorCritic(VECTOR, CHOICE, recurrent="gru", hidden_sizes=(8,), vf_hidden_sizes=(4,))
