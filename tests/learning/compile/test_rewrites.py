"""Rewritten graphs compute what the traced ones do, in other operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx

from tuneexp.learning.compile.program import trace
from tuneexp.learning.compile.rewrites import FEW, NARROW, rewritten

Fn = Callable[[list[Tensor]], list[Tensor]]


def both(fn: Fn, *inputs: Tensor) -> tuple[fx.GraphModule, fx.GraphModule]:
    graph = trace(fn, inputs)
    changed = rewritten(graph)
    assert isinstance(changed, fx.GraphModule)
    return graph, changed


def tanh(inputs: list[Tensor]) -> list[Tensor]:
    return [inputs[0].tanh()]


def test_tanh_is_a_rational_function_within_its_range_and_accurate_at_all_sizes() -> None:
    x = torch.cat([torch.linspace(-20, 20, 400_001), torch.logspace(-30, 1, 100_000)])
    graph, changed = both(tanh, x)
    assert "tanh" in graph.code
    assert "tanh" not in changed.code
    (y,) = changed(x)
    exact = x.double().tanh()
    assert ((y - exact).abs() <= 4e-7 * exact.abs()).all()
    assert y.abs().max() == 1.0
    limits = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0])
    torch.testing.assert_close(both(tanh, limits)[1](limits)[0], limits.tanh(), equal_nan=True, atol=2e-7, rtol=0)


def test_tanh_in_double_precision_stays() -> None:
    assert "tanh" in both(tanh, torch.zeros(3, dtype=torch.float64))[1].code


def product(inputs: list[Tensor]) -> list[Tensor]:
    left, right = inputs
    return [(left.transpose(-1, -2) @ right).view(-1)]


@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize(("columns", "turned"), [(1, True), (NARROW, True), (NARROW + 1, False)])
def test_narrow_products_with_a_transposed_factor_are_turned(lead: tuple[int, ...], columns: int, turned: bool) -> None:
    left, right = torch.randn(*lead, 50, 40), torch.randn(*lead, 50, columns)
    graph, changed = both(product, left, right)
    assert (graph.code != changed.code) == turned
    torch.testing.assert_close(changed(left, right)[0], graph(left, right)[0])


@pytest.mark.parametrize(
    ("lead", "columns", "turned"),
    [
        *((lead, columns, columns <= NARROW) for lead in ((), (3,)) for columns in (4, NARROW, NARROW + 1)),
        ((), 1, True),
        ((3,), 1, False),  # which Inductor computes as a sum
    ],
)
def test_narrow_products_with_a_right_factor_as_it_is_are_turned(
    lead: tuple[int, ...], columns: int, turned: bool
) -> None:
    left, right = torch.randn(*lead, 50, 40), torch.randn(*lead, 40, columns)
    graph, changed = both(plain, left, right)
    assert (graph.code != changed.code) == turned
    torch.testing.assert_close(changed(left, right), graph(left, right))


def plain(inputs: list[Tensor]) -> list[Tensor]:
    return [inputs[0] @ inputs[1]]


@pytest.mark.parametrize("lead", [(), (3,)])
def test_a_column_times_a_row_is_elementwise(lead: tuple[int, ...]) -> None:
    left, right = torch.randn(*lead, 50, 1), torch.randn(*lead, 1, 40)
    graph, changed = both(plain, left, right)
    assert "mm" not in changed.code
    assert torch.equal(changed(left, right)[0], graph(left, right)[0])


@pytest.mark.parametrize("columns", [1, 2, 4, NARROW + 1])
def test_narrow_last_layers_of_several_critics_are_turned(columns: int) -> None:
    def forward(inputs: list[Tensor]) -> list[Tensor]:
        return [torch.baddbmm(*inputs)]

    bias, x, weight = (torch.randn(2, *shape) for shape in ((1, columns), (50, 40), (40, columns)))
    graph, changed = both(forward, bias, x, weight)
    assert ("transpose" in changed.code) == (columns <= NARROW)
    torch.testing.assert_close(changed(bias, x, weight), graph(bias, x, weight))


@pytest.mark.parametrize(
    ("rows", "columns", "turned"), [(50, 1, False), (50, 2, True), (50, FEW, True), (50, FEW + 1, False), (1, 2, False)]
)
def test_a_layer_adds_its_bias_outside_of_the_product(rows: int, columns: int, turned: bool) -> None:
    def linear(inputs: list[Tensor]) -> list[Tensor]:
        return [torch.nn.functional.linear(*inputs)]

    x, weight, bias = torch.randn(rows, 40), torch.randn(columns, 40), torch.randn(columns)
    graph, changed = both(linear, x, weight, bias)
    assert "addmm" in graph.code
    assert "addmm" not in changed.code
    assert ("transpose" in changed.code) == turned
    torch.testing.assert_close(changed(x, weight, bias), graph(x, weight, bias))


def test_layers_with_a_scale_stay() -> None:
    def several(inputs: list[Tensor]) -> list[Tensor]:
        return [torch.baddbmm(*inputs, beta=0.5)]

    def one(inputs: list[Tensor]) -> list[Tensor]:
        return [torch.addmm(*inputs, alpha=0.5)]

    for scaled, lead in ((several, (2,)), (one, ())):
        shapes = ((1, 1), (50, 40), (40, 1))
        graph, changed = both(scaled, *(torch.randn(*lead, *shape) for shape in shapes))
        assert graph.code == changed.code


def test_layers_whose_weights_are_transposed_stay() -> None:
    def linear(inputs: list[Tensor]) -> list[Tensor]:
        return [inputs[0] @ inputs[1].mT]

    graph, changed = both(linear, torch.randn(50, 40), torch.randn(2, 40))
    assert graph.code == changed.code


def test_a_second_product_of_a_turned_one_is_turned() -> None:
    def chained(inputs: list[Tensor]) -> list[Tensor]:
        left, right = inputs
        return [left.t() @ (left @ (left.t() @ right))]

    # float64: sums of three products are large, so float32 would round away more than the usual tolerance.
    left, right = torch.randn(50, 40, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    graph, changed = both(chained, left, right)
    assert changed.code.count("aten.clone") == 3
    torch.testing.assert_close(changed(left, right), graph(left, right))


def test_the_traced_graph_stays_as_it_is() -> None:
    graph, _ = both(tanh, torch.zeros(3))
    assert torch.equal(graph(torch.ones(3))[0], torch.ones(3).tanh())
