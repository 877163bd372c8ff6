"""Action distributions against torch.distributions, sampling with evenly spaced noise, and rounding."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.errors import UserError
from tuneexp.rl.distributions import ActionHead, Categorical, DiagGaussian, MultiCategorical, action_head

INF = float("inf")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def even_noise(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """[count] midpoints of equal parts of [0, 1): an interval of probability p contains count * p of them, plus or
    minus one."""
    return (torch.arange(count, dtype=dtype) + 0.5) / count


# -- Categorical


def test_categorical_log_prob_and_entropy_equal_torch() -> None:
    logits = normal(2, 3, 5) * 3
    ours, torchs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    for action in range(5):
        actions = torch.full((2, 3), action)
        torch.testing.assert_close(ours.log_prob(actions), torchs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), torchs.entropy())


def test_categorical_by_hand() -> None:
    dist = Categorical(torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log())
    assert dist.log_prob(torch.tensor([1, 0])).exp().tolist() == pytest.approx([0.75, 0.5])
    assert dist.entropy().tolist() == pytest.approx([0.5623351, 0.6931472])
    assert dist.mode().tolist()[0] == 1


def test_categorical_takes_actions_of_any_integer_type() -> None:
    dist = Categorical(normal(4, 3))
    wide = dist.log_prob(torch.tensor([0, 1, 2, 1]))
    assert torch.equal(dist.log_prob(torch.tensor([0, 1, 2, 1], dtype=torch.int32)), wide)


def test_categorical_samples_in_proportion_to_its_probabilities() -> None:
    logits = normal(4, 6) * 2
    dist = Categorical(logits.expand(1000, 4, 6))
    actions = dist.sample(even_noise(1000).unsqueeze(1).expand(1000, 4))
    assert actions.shape == (1000, 4)
    assert actions.dtype == torch.int64
    counts = torch.nn.functional.one_hot(actions, 6).sum(0)
    # Midpoints put the count of each interval within one of its share.
    assert (counts - 1000 * logits.softmax(-1)).abs().max() <= 1.0


def test_categorical_sample_by_hand() -> None:
    dist = Categorical(torch.tensor([0.25, 0.5, 0.25]).log().expand(5, 3))
    assert dist.sample(torch.tensor([0.0, 0.2, 0.3, 0.7, 0.8])).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_choices", [1, 2, 3, 17, 500])
def test_noise_next_to_one_never_gives_an_index_out_of_range(n_choices: int, dtype: torch.dtype) -> None:
    logits = normal(2000, n_choices, seed=n_choices, dtype=dtype) * 4
    below_one = torch.nextafter(torch.ones((), dtype=dtype), torch.zeros((), dtype=dtype))
    for noise in (below_one, torch.ones((), dtype=dtype)):  # a generator in double rounds to 1.0 when cast to float
        actions = Categorical(logits).sample(noise.expand(2000))
        assert int(actions.min()) >= 0
        assert int(actions.max()) < n_choices


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0 - 2.0**-24, 1.0])
def test_a_forbidden_choice_is_never_sampled(noise: float) -> None:
    logits = normal(3000, 8, dtype=torch.float32) * 4
    forbidden = normal(3000, 8, seed=1) > 0.3
    forbidden[:, 0], forbidden[:, -1] = True, True  # the first (noise 0) and the last (noise 1) are where it hurts
    forbidden[:, 3] = False
    actions = Categorical(logits.masked_fill(forbidden, -INF)).sample(torch.full((3000,), noise))
    assert not forbidden.gather(1, actions.unsqueeze(1)).any()


def test_a_forbidden_choice_adds_nothing_to_entropy_or_gradient() -> None:
    allowed = torch.tensor([0.3, -0.2])
    with_forbidden = torch.tensor([0.3, -INF, -0.2])
    assert Categorical(with_forbidden).entropy().item() == pytest.approx(Categorical(allowed).entropy().item())
    gradient = torch.func.grad(lambda logits: Categorical(logits).entropy())(with_forbidden)
    expected = torch.func.grad(lambda logits: Categorical(logits).entropy())(allowed)
    torch.testing.assert_close(gradient[[0, 2]], expected)
    assert gradient[1].item() == 0.0


def test_diverged_logits_still_give_an_index_in_range() -> None:
    actions = Categorical(torch.full((2, 3), float("nan"))).sample(torch.tensor([0.1, 0.9]))
    assert ((actions >= 0) & (actions < 3)).all()


def test_extreme_logits_stay_finite() -> None:
    dist = Categorical(torch.tensor([1e4, -1e4, 0.0]))
    assert dist.entropy().item() == 0.0
    assert dist.log_prob(torch.tensor(0)).item() == 0.0
    assert torch.isfinite(dist.log_prob(torch.tensor(1)))


# -- MultiCategorical


def test_multi_categorical_equals_independent_torch_categoricals() -> None:
    nvec, logits = (2, 4, 3), normal(5, 9)
    ours = MultiCategorical(logits, nvec)
    parts = [torch.distributions.Categorical(logits=part) for part in logits.split(nvec, dim=-1)]
    action = torch.tensor([[0, 3, 2], [1, 0, 0], [1, 2, 1], [0, 1, 2], [1, 3, 0]])
    expected = sum(part.log_prob(action[:, i]) for i, part in enumerate(parts))
    torch.testing.assert_close(ours.log_prob(action), expected)
    torch.testing.assert_close(ours.entropy(), sum(part.entropy() for part in parts))
    assert torch.equal(ours.mode(), torch.stack([part.probs.argmax(-1) for part in parts], -1))


def test_multi_categorical_samples_each_component_from_its_own_noise() -> None:
    logits = torch.tensor([0.25, 0.75, 0.5, 0.25, 0.25]).log()
    dist = MultiCategorical(logits.expand(3, 5), (2, 3))
    noise = torch.tensor([[0.2, 0.9], [0.3, 0.1], [0.999, 0.6]])
    assert dist.sample(noise).tolist() == [[0, 2], [1, 0], [1, 1]]


# -- DiagGaussian


@pytest.mark.parametrize("per_row", [False, True], ids=["one log_std", "log_std per row"])
def test_gaussian_log_prob_and_entropy_equal_torch(per_row: bool) -> None:
    mean, log_std = normal(4, 3), normal(4, 3, seed=1) if per_row else normal(3, seed=1)
    ours = DiagGaussian(mean, log_std)
    torchs = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp().expand_as(mean)), 1)
    action = normal(4, 3, seed=2)
    torch.testing.assert_close(ours.log_prob(action), torchs.log_prob(action))
    torch.testing.assert_close(ours.entropy(), torchs.entropy())
    assert torch.equal(ours.mode(), mean)


def test_gaussian_by_hand() -> None:
    dist = DiagGaussian(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0]).log())
    assert dist.sample(torch.tensor([0.5, -2.0])).tolist() == pytest.approx([2.0, -2.0])
    # -1/2 (1/2)^2 - ln 2 - ln(2 pi) / 2, and -1/2 2^2 - ln(2 pi) / 2
    assert dist.log_prob(torch.tensor([2.0, -2.0])).item() == pytest.approx(-0.125 - 0.6931472 - 2.0 - 1.8378771)
    assert dist.entropy().item() == pytest.approx(2.8378771 + 0.6931472)


def test_gaussian_samples_have_its_mean_and_deviation() -> None:
    dist = DiagGaussian(torch.full((4000, 2), 3.0), torch.tensor([0.5, 2.0]).log())
    sample = dist.sample(normal(4000, 2, dtype=torch.float32))
    torch.testing.assert_close(sample.mean(0), torch.tensor([3.0, 3.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(sample.std(0), torch.tensor([0.5, 2.0]), atol=0.1, rtol=0)


def test_gaussian_samples_carry_gradients_to_mean_and_deviation() -> None:
    noise = torch.tensor([0.5, -2.0])
    by_mean, by_log_std = torch.func.grad(lambda m, s: DiagGaussian(m, s).sample(noise).sum(), argnums=(0, 1))(
        torch.zeros(2), torch.tensor([2.0, 1.0]).log()
    )
    assert by_mean.tolist() == [1.0, 1.0]
    assert by_log_std.tolist() == pytest.approx([1.0, -2.0])  # std * noise


# -- heads

SPACES = {
    "discrete": gym.spaces.Discrete(4),
    "discrete from 5": gym.spaces.Discrete(3, start=5),
    "multi-discrete": gym.spaces.MultiDiscrete([2, 3, 2]),
    "box": gym.spaces.Box(-1.0, 1.0, (3,)),
    "unbounded box": gym.spaces.Box(-INF, INF, (1,)),
    "matrix box": gym.spaces.Box(-1.0, 1.0, (2, 3)),
    "scalar box": gym.spaces.Box(-1.0, 1.0, ()),
}
EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def draw(head: ActionHead, *lead: int, dtype: torch.dtype = torch.float64) -> Tensor:
    kind, shape = head.noise
    generator = torch.Generator().manual_seed(0)
    return (torch.rand if kind == "uniform" else torch.randn)(*lead, *shape, generator=generator, dtype=dtype)


def log_std_of(head: ActionHead) -> Tensor | None:
    return normal(head.size, seed=9) if head.has_log_std else None


@pytest.mark.parametrize(
    ("space", "kind", "size", "noise"),
    [
        (SPACES["discrete"], "discrete", 4, ("uniform", ())),
        (SPACES["multi-discrete"], "multi_discrete", 7, ("uniform", (3,))),
        (SPACES["box"], "continuous", 3, ("normal", (3,))),
        (SPACES["matrix box"], "continuous", 6, ("normal", (2, 3))),
        (SPACES["scalar box"], "continuous", 1, ("normal", ())),
    ],
)
def test_a_head_has_its_outputs_and_its_noise(space: gym.Space, kind: str, size: int, noise: object) -> None:
    head = action_head(space)
    assert (head.kind, head.size, head.noise) == (kind, size, noise)
    assert head.has_log_std == (kind == "continuous")


@EVERY_SPACE
def test_sampled_actions_have_the_shape_of_the_space(space: gym.Space) -> None:
    head = action_head(space)
    dist = head.dist(normal(2, 5, head.size), log_std_of(head))
    action = dist.sample(draw(head, 2, 5))
    assert action.shape == (2, 5, *space.shape)
    assert dist.mode().shape == (2, 5, *space.shape)
    assert dist.log_prob(action).shape == dist.entropy().shape == (2, 5)
    assert action.dtype == (torch.float64 if head.kind == "continuous" else torch.int64)


@EVERY_SPACE
def test_vmap_over_seeds_equals_a_loop(space: gym.Space) -> None:
    head = action_head(space)
    output, noise, log_std = normal(3, 5, head.size), draw(head, 3, 5), log_std_of(head)

    def one_seed(output: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        dist = head.dist(output, log_std)
        action = dist.sample(noise)
        return action, dist.mode(), dist.log_prob(action), dist.entropy()

    together = torch.func.vmap(one_seed)(output, noise)
    for seed in range(3):
        for all_seeds, alone in zip(together, one_seed(output[seed], noise[seed]), strict=True):
            torch.testing.assert_close(all_seeds[seed], alone)


@EVERY_SPACE
def test_a_traced_gradient_equals_the_plain_one(space: gym.Space) -> None:
    head = action_head(space)
    output, noise, log_std = normal(5, head.size), draw(head, 5), log_std_of(head)

    def loss(output: Tensor, noise: Tensor, log_std: Tensor | None) -> Tensor:
        dist = head.dist(output, log_std)
        return (dist.log_prob(dist.sample(noise).detach()) + dist.entropy()).sum()

    gradient = torch.func.grad(loss)(output, noise, log_std)
    assert gradient.abs().max() > 0
    traced = make_fx(torch.func.grad(loss), tracing_mode="fake")(output, noise, log_std)
    torch.testing.assert_close(traced(output, noise, log_std), gradient)


@EVERY_SPACE
def test_sampling_leaves_global_randomness_alone(space: gym.Space) -> None:
    head = action_head(space)
    before = torch.random.get_rng_state()
    first = head.dist(normal(5, head.size), log_std_of(head)).sample(draw(head, 5))
    second = head.dist(normal(5, head.size), log_std_of(head)).sample(draw(head, 5))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(0, 255, (3,), dtype=np.uint8),
        gym.spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
        gym.spaces.Dict({"a": gym.spaces.Discrete(2)}),
        gym.spaces.Tuple([gym.spaces.Discrete(2)]),
        gym.spaces.Text(4),
    ],
)
def test_other_action_spaces_are_refused_with_what_is_supported(space: gym.Space) -> None:
    with pytest.raises(UserError, match="MultiDiscrete, or a Box"):
        action_head(space)


def test_a_continuous_head_needs_log_std() -> None:
    with pytest.raises(ValueError, match="log_std"):
        action_head(SPACES["box"]).dist(torch.zeros(3))
