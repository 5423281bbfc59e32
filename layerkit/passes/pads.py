"""Zeros around images are left to the convolution that reads them, which puts none of them into memory.

``conv(pad(x))`` and its gradient by the kernel become convolutions with that padding of their own; so does the gradient by
the input, of which a padding's own gradient keeps the inner part only: what would be cut away is never computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from layerkit.ir import Graph, Node, Value, make
from layerkit.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from layerkit.ops.shape import Pad, Slice
from layerkit.ops.windows import is_known, pad_widths
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass

Widths = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Pads(Pass):
    """Make the zeros around a convolution's images part of it."""

    name = "pads"

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, _rule, self.run)


def _rule(node: Node) -> tuple[Value, ...] | None:
    op = node.op
    if isinstance(op, Conv | ConvKernelGrad):
        return _of_padded(node)
    if isinstance(op, Slice) and isinstance(node.inputs[0].node.op, ConvInputGrad):
        return _of_part(node, node.inputs[0].node)
    return None


def _of_padded(node: Node) -> tuple[Value, ...] | None:
    """A convolution of a padded tensor, or its gradient by the kernel."""
    op: Any = node.op
    x, other = node.inputs
    pad = x.node.op
    if not isinstance(pad, Pad) or pad.value != 0 or any(pad.between):
        return None
    window = other.shape[:-2] if isinstance(op, Conv) else op.window
    more = tuple(zip(pad.low, pad.high, strict=True))
    widths = _around(op, x.shape, window, more)
    if widths is None:
        return None
    return make(replace(op, padding=widths), (x.node.inputs[0], other), node.origin).outputs


def _of_part(node: Node, grad: Node) -> tuple[Value, ...] | None:
    """The inner part of a gradient by the input."""
    part: Any = node.op
    op: Any = grad.op
    shape = grad.outputs[0].shape
    if set(part.step) != {1} or not is_known(shape[1:]):
        return None
    # from a size to itself is 0, whether it is known or not
    more = tuple((a, 0 if n == b else n - b) for a, b, n in zip(part.start, part.stop, shape, strict=True))
    widths = _around(op, shape, grad.inputs[1].shape[:-2], more)
    if widths is None:
        return None
    sizes = node.outputs[0].shape[1:-1]
    return make(replace(op, padding=widths, sizes=sizes), grad.inputs, grad.origin).outputs


def _around(op: Any, shape: Sequence[Any], window: Any, more: tuple[tuple[Any, Any], ...]) -> Widths | None:
    """The padding of a convolution over tensors of this shape, and what is added around them; None if that is not spatial."""
    if any(map(any, (more[0], more[-1]))) or not is_known([*window, *(n for pair in more for n in pair)]):
        return None
    if op.padding == "same" and not is_known(shape[1:-1]):
        return None
    widths = pad_widths(shape[1:-1], window, op.strides, op.dilation, op.padding)
    return tuple((a + low, b + high) for (a, b), (low, high) in zip(widths, more[1:-1], strict=True))
