"""Algebra that keeps every bit: identities, and moves of numbers that undo or repeat each other.

``x + 0`` is not here, since it turns -0.0 into 0.0, nor is ``x * 0``, since nan * 0 is nan.
"""

from __future__ import annotations

import numpy as np

from layerkit.ir import Const, Graph, Node, Value, make
from layerkit.ops.elementwise import Binary, Cast, Unary
from layerkit.ops.reduction import Broadcast, Reduce
from layerkit.ops.shape import Reshape, Transpose
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass


@dataclass(frozen=True)
class Simplify(Pass):
    """Drop what changes nothing and join reshapes, transposes and broadcasts that follow each other."""

    name = "simplify"

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, _rule, self.run)


def _rule(node: Node) -> tuple[Value, ...] | None:
    value = _simpler(node)
    if value is None:
        return None
    while (again := _simpler(value.node)) is not None and len(value.node.outputs) == 1:
        value = again
    return (value,)


def _simpler(node: Node) -> Value | None:
    op, inputs = node.op, node.inputs
    if isinstance(op, Reshape | Broadcast | Cast) and node.types[0] == inputs[0].type:
        return inputs[0]
    if isinstance(op, Transpose) and op.order == tuple(range(len(op.order))):
        return inputs[0]
    if isinstance(op, Reduce) and not op.axes:
        return inputs[0]
    if inputs and type(inputs[0].node.op) is type(op):
        below = inputs[0].node
        if isinstance(op, Reshape | Broadcast):
            return (
                make(op, below.inputs, node.origin).outputs[0] if isinstance(op, Reshape) else _broadcasts(node, below)
            )
        if isinstance(op, Transpose):
            order = tuple(below.op.order[i] for i in op.order)  # type: ignore[attr-defined]
            return make(Transpose(order), below.inputs, node.origin).outputs[0]
        if isinstance(op, Unary) and op.function == below.op.function and op.function in ("negative", "logical_not"):  # type: ignore[attr-defined]
            return below.inputs[0]
    if isinstance(op, Binary):
        return _binary(op.function, node)
    return None


def _broadcasts(node: Node, below: Node) -> Value:
    return make(node.op, below.inputs, node.origin).outputs[0]


def _binary(function: str, node: Node) -> Value | None:
    x, y = node.inputs
    if function in ("multiply", "divide") and _is(y, 1) and x.type == node.types[0]:
        return x
    if function == "multiply" and _is(x, 1) and y.type == node.types[0]:
        return y
    if function == "subtract" and _is(y, 0.0) and x.type == node.types[0]:
        return x
    if function == "add" and _is(y, -0.0) and x.type == node.types[0]:
        return x
    return None


def _is(value: Value, number: float) -> bool:
    """Whether ``value`` is a constant full of ``number``, sign of zero included."""
    op = value.node.op
    if not isinstance(op, Const) or not op.array.size:
        return False
    array = op.array
    same_sign = array.dtype.kind != "f" or bool((np.signbit(array) == np.signbit(number)).all())
    return array.dtype.kind in "fiu" and bool((array == number).all()) and same_sign
