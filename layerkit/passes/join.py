"""Sums of padded tensors that do not overlap become one concatenation.

The gradient of slices is such a sum: one padded cotangent for each gate of a recurrent cell, or each head, and zeros
everywhere else. Joined, every number is written once, where it belongs.
"""

from __future__ import annotations

from layerkit.ir import Graph, Node, Size, Value, make
from layerkit.ops.elementwise import Binary
from layerkit.ops.shape import Concatenate, Pad
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass


@dataclass(frozen=True)
class Join(Pass):
    """``pad(a) + pad(b) -> concatenate(a, b)``; a sum with 0 would turn -0.0 into 0.0, this does not.

    Example:
        >>> from layerkit import ops
        >>> from layerkit.ir import placeholder
        >>> a, b = placeholder("a", "float32", (2,)), placeholder("b", "float32", (3,))
        >>> print(Join().run(Graph((a, b), (ops.pad(a, ((0, 3),)) + ops.pad(b, ((2, 0),)),), "f")))
        f(a: f32[2], b: f32[3]) {
          %0 = concatenate{axis=0}(a, b) : f32[5]
          return %0
        }
    """

    name = "join"
    exact = False

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, _rule, self.run)


def _rule(node: Node) -> tuple[Value, ...] | None:
    found = _terms(node.outputs[0]) if isinstance(node.op, Binary) and node.op.function == "add" else None
    if found is None or len({axis for axis, _, _ in found}) != 1:
        return None
    axis = found[0][0]
    end: Size = 0
    parts = sorted(found, key=lambda term: term[1])
    for _, low, x in parts:
        if low != end or any(
            a != b for i, (a, b) in enumerate(zip(x.shape, node.types[0].shape, strict=True)) if i != axis
        ):
            return None
        end = end + x.shape[axis]
    if end != node.types[0].shape[axis]:
        return None
    return make(Concatenate(axis), tuple(x for _, _, x in parts), node.origin).outputs


def _terms(value: Value) -> list[tuple[int, int, Value]] | None:
    """(axis, start, what is there) for each term of a sum of tensors padded with zeros along one axis."""
    op = value.node.op
    if isinstance(op, Binary) and op.function == "add":
        left = _terms(value.node.inputs[0])
        right = None if left is None else _terms(value.node.inputs[1])
        return None if left is None or right is None else left + right
    if not isinstance(op, Pad) or op.value != 0 or any(op.between):
        return None
    axes = [i for i, (low, high) in enumerate(zip(op.low, op.high, strict=True)) if low != 0 or high != 0]
    low = op.low[axes[0]] if len(axes) == 1 else None
    return [(axes[0], low, value.node.inputs[0])] if isinstance(low, int) else None
