"""A factor that all terms of a sum share is multiplied once, after the sum.

The gradient of a normalisation sums the same cotangent several times over, each time with another factor for each channel.
With the factors taken out, these are one sum, over a tensor that some loop reads anyway.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.ir import Graph, Node, Value, constant, make
from layerkit.ops.elementwise import Binary, Unary
from layerkit.ops.reduction import Broadcast, Reduce
from layerkit.ops.shape import Reshape
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass

WIDE = ("float32", "float64")  # numbers with room for sums of what was not yet made small by its factor


@dataclass(frozen=True)
class Factor(Pass):
    """``sum(x * c) -> sum(x) * c``, where ``c`` is the same for all that is summed; quotients, signs and repeated terms likewise.

    Example:
        >>> from layerkit import ops
        >>> from layerkit.ir import placeholder
        >>> x, c = placeholder("x", "float32", (4, 3)), placeholder("c", "float32", (3,))
        >>> print(Factor().run(Graph((x, c), (ops.sum(-(x * c), 0),), "f")))
        f(x: f32[4,3], c: f32[3]) {
          %0 = reduce_sum{axes=(0), keepdims=false}(x) : f32[3]
          %1 = multiply(%0, c) : f32[3]
          %2 = negative(%1) : f32[3]
          return %2
        }
    """

    name = "factor"
    exact = False

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, _rule, self.run)


def _rule(node: Node) -> tuple[Value, ...] | None:
    op = node.op
    if not isinstance(op, Reduce) or op.function != "sum" or node.types[0].dtype not in WIDE:
        return None
    found = _summed(node, op, node.inputs[0])
    return None if found is None else (found,)


def _summed(node: Node, op: Reduce, x: Value) -> Value | None:
    """The sum of ``x``, with what can be taken out of it; None if that is nothing."""
    inner = x.node
    if isinstance(inner.op, Unary) and inner.op.function == "negative":
        return make(inner.op, (_sum(node, op, inner.inputs[0]),), node.origin).outputs[0]
    if isinstance(inner.op, Broadcast):
        return _repeated(node, op, inner.inputs[0], x)
    if not isinstance(inner.op, Binary) or inner.op.function not in ("multiply", "divide"):
        return None
    a, b = inner.inputs
    pairs = [(a, b), (b, a)] if inner.op.function == "multiply" else [(a, b)]
    for term, factor in pairs:
        once = _once(node, op, factor, len(x.shape)) if term.shape == x.shape else None
        if once is not None:
            return make(inner.op, (_sum(node, op, term), once), node.origin).outputs[0]
    return None


def _repeated(node: Node, op: Reduce, x: Value, whole: Value) -> Value | None:
    """The sum of ``whole``, which repeats ``x``: that of ``x`` alone, times how often each term is met."""
    shape = (1,) * (len(whole.shape) - len(x.shape)) + x.shape
    counts = [n for axis, n in enumerate(whole.shape) if axis in op.axes and n != shape[axis]]
    is_whole = all(n == m for axis, (n, m) in enumerate(zip(whole.shape, shape, strict=True)) if axis not in op.axes)
    numbers = [n for n in counts if isinstance(n, int)]
    if not is_whole or not numbers or len(numbers) < len(counts):
        return None
    term = x if shape == x.shape else make(Reshape(shape), (x,), node.origin).outputs[0]
    times = constant(np.asarray(prod(numbers), numpy_dtype(x.dtype)))
    return make(Binary("multiply"), (_sum(node, op, term), times), node.origin).outputs[0]


def _sum(node: Node, op: Reduce, x: Value) -> Value:
    found = _summed(node, op, x)
    return make(replace(op), (x,), node.origin).outputs[0] if found is None else found


def _once(node: Node, op: Reduce, factor: Value, rank: int) -> Value | None:
    """A factor in the shape of the sum, if it does not change along the axes that are summed."""
    while isinstance(factor.node.op, Broadcast):
        factor = factor.node.inputs[0]
    shape = (1,) * (rank - len(factor.shape)) + factor.shape
    if any(shape[axis] != 1 for axis in op.axes):
        return None
    kept = shape if op.keepdims else tuple(n for i, n in enumerate(shape) if i not in op.axes)
    return factor if kept == factor.shape else make(Reshape(kept), (factor,), node.origin).outputs[0]
