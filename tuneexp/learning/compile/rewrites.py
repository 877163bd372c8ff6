"""Rewrites of a traced graph before it is compiled: other operations with the same results, to rounding, in less time.

They don't pay where operations run one by one, so a graph that runs eagerly stays as it was traced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from tuneexp.learning.compile.in_place import InPlace

aten = torch.ops.aten

# tanh(x) = x P(x^2) / Q(x^2) for |x| <= 9, where tanh rounds to 1. The polynomials minimise the largest relative error,
# 2.1e-8, by iteratively reweighted least squares; in float32 rounding makes it 4e-7.
LARGEST = 9.0
P = (1.0, 0.13381020724773407, 0.003495583077892661, 2.0609000785043463e-05, 1.3354553907163336e-08)
Q = (1.0, 0.46714335680007935, 0.025876963511109352, 0.00032856265897882613, 7.776513371027249e-07)

NARROW = 12
"""Columns of a product up to which MKL is slow, 2 to 10 times as measured, if it gets the left factor transposed or the
right one as it is."""

FEW = 6
"""Outputs of a layer up to which MKL is slow, 1.3 to 3 times as measured, if it gets the weights [out, in]."""


def version() -> bytes:
    """Return what compiled code depends on beside its graph: the rewrites, and the options of the compiler."""
    return Path(__file__).read_bytes() + Path(__file__).with_name("compiler.py").read_bytes()


def rewritten(graph: fx.GraphModule | InPlace) -> fx.GraphModule | InPlace:
    """Return the graph in the form that is compiled. The given one stays as it is."""
    if isinstance(graph, InPlace):
        return graph.layout.around(_rewritten(graph.body))
    return _rewritten(graph)


def _rewritten(graph: fx.GraphModule) -> fx.GraphModule:
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph.graph, {}))
    for node in list(copied.nodes):
        if node.target is aten.tanh.default and node.meta["val"].dtype is torch.float32:
            _replace(node, _tanh)
        elif node.target in (aten.mm.default, aten.bmm.default):
            if _is_outer(*node.args):
                _replace(node, lambda product: product.graph.call_function(aten.mul.Tensor, product.args))
            elif _is_narrow(node.target, *node.args):
                _replace(node, lambda product: _transposed_product(product.target, *product.args))
        elif node.target is aten.addmm.default and not node.kwargs:
            _replace(node, _layer)
        elif node.target is aten.baddbmm.default and not node.kwargs and _is_narrow(node.target, *node.args[1:]):
            _replace(node, lambda layers: _turned_layer(layers, aten.bmm.default))
    copied.eliminate_dead_code()
    return fx.GraphModule(graph, copied)


def _replace(node: fx.Node, form: Any) -> None:
    with node.graph.inserting_before(node):
        replacement = form(node)
    replacement.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(replacement)
    node.graph.erase_node(node)


def _tanh(node: fx.Node) -> fx.Node:
    """A rational function: the compiler's tanh calls a library and takes 8 times as long."""
    call = node.graph.call_function
    x = call(aten.clamp.default, (node.args[0], -LARGEST, LARGEST))  # NaN stays NaN
    square = call(aten.mul.Tensor, (x, x))

    def polynomial(coefficients: tuple[float, ...]) -> fx.Node:
        value = call(aten.mul.Tensor, (square, coefficients[-1]))
        for coefficient in coefficients[-2:0:-1]:
            value = call(aten.mul.Tensor, (call(aten.add.Tensor, (value, coefficient)), square))
        return call(aten.add.Tensor, (value, coefficients[0]))

    ratio = call(aten.div.Tensor, (call(aten.mul.Tensor, (x, polynomial(P))), polynomial(Q)))
    return call(aten.clamp.default, (ratio, -1.0, 1.0))  # rounding must not leave the range of tanh


def _is_outer(left: Any, right: Any) -> bool:
    """True for columns times rows, [..., m, 1] and [..., 1, n], as in the gradient of a layer with one output."""
    return left.meta["val"].shape[-1] == 1 and right.meta["val"].shape[-2] == 1


def _is_narrow(product: Any, left: Any, right: Any) -> bool:
    """True for few columns and many rows, as in first and last layers and in their gradients, in a form slow in MKL.

    Inductor itself makes a sum of a `bmm` with one column."""
    one, other = left.meta["val"], right.meta["val"]
    if not other.shape[-1] <= NARROW < one.shape[-2]:
        return False
    is_sum = product is aten.bmm.default and other.shape[-1] == 1
    return _is_transposed(one) or not (_is_transposed(other) or is_sum)


def _is_transposed(matrix: Tensor) -> bool:
    return matrix.stride(-2) == 1 and matrix.stride(-1) != 1


def _transposed_product(product: Any, left: Any, right: Any) -> fx.Node:
    """A B = (B' A')'."""
    call = left.graph.call_function
    turned = (call(aten.transpose.int, (factor, -2, -1)) for factor in (right, left))
    result = call(aten.transpose.int, (call(product, tuple(turned)), -2, -1))
    return call(aten.clone.default, (result,), {"memory_format": torch.contiguous_format})


def _layer(node: fx.Node) -> fx.Node:
    """Bias and weights of a layer. MKL adds a bias to a product by copying it into each row of the result first."""
    call, (bias, *factors) = node.graph.call_function, node.args
    n_rows, n_out = node.meta["val"].shape
    if 1 < n_out <= FEW < n_rows:
        return _turned_layer(node, aten.mm.default)
    # Through a view: the compiler makes one operation again of a product and a sum that follows it.
    product = call(aten.reshape.default, (call(aten.mm.default, tuple(factors)), [1, n_rows, n_out]))
    return call(aten.reshape.default, (call(aten.add.Tensor, (product, bias)), [n_rows, n_out]))


def _turned_layer(node: fx.Node, product: Any) -> fx.Node:
    """Bias and weights of one network, or of n with weights [n, in, out], as in the last layer of several critics."""
    bias, *factors = node.args
    return node.graph.call_function(aten.add.Tensor, (_transposed_product(product, *factors), bias))
