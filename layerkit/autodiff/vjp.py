"""Reverse-mode gradients, graph to graph: what comes out are ordinary values, to which every pass applies.

``gradients`` walks the nodes between inputs and outputs backwards, asks each op for the cotangents of its inputs (``vjp``)
and adds up those that meet in one value. Nothing is computed here; gradients of gradients are the same walk again.
"""

from __future__ import annotations

from collections.abc import Sequence

from layerkit.dtypes import is_floating
from layerkit.errors import DTypeError, ShapeError
from layerkit.ir import Node, Value, constant, origin, toposort
from layerkit.ops import fill
from layerkit.ops.attend import AttendGrad
from layerkit.ops.scan import Scan


def gradients(outputs: Sequence[Value], seeds: Sequence[Value], inputs: Sequence[Value]) -> list[Value | None]:
    """The cotangent of each of ``inputs``, given those of ``outputs``; None where no gradient flows."""
    nodes = toposort(outputs, stop=())
    depends: set[Node] = {v.node for v in inputs}
    for node in nodes:
        if any(x.node in depends for x in node.inputs):
            depends.add(node)
    cotangents: dict[Value, Value] = {}
    for value, seed in zip(outputs, seeds, strict=True):
        _add(cotangents, value, seed)
    for node in reversed(nodes):
        if not any(x.node in depends for x in node.inputs):
            continue
        g = [cotangents.get(v) for v in node.outputs]
        if all(v is None for v in g):
            continue
        with origin(node.origin):
            if node.several:
                found = node.op.vjp(tuple(g), node.outputs, *node.inputs)
            else:
                found = node.op.vjp(g[0], node.outputs[0], *node.inputs)
            for x, cotangent in zip(node.inputs, found, strict=True):
                if cotangent is not None and x.node in depends and is_floating(x.dtype):
                    _add(cotangents, x, cotangent)
    return [cotangents.get(v) for v in inputs]


def _add(cotangents: dict[Value, Value], value: Value, cotangent: Value) -> None:
    assert cotangent.type == value.type, f"cotangent {cotangent.type} of a value {value.type} of '{value.node.op.word}'"
    cotangents[value] = cotangents[value] + cotangent if value in cotangents else cotangent


def gradient(output: Value, inputs: Sequence[Value]) -> list[Value]:
    """The gradient of a scalar by each of ``inputs``; zeros where it does not depend on them.

    Raises:
        ShapeError: ``output`` is no scalar.
        DTypeError: ``output`` is not floating.
    """
    if output.shape != ():
        raise ShapeError(
            "only a scalar has a gradient.", expected="f32[]", got=str(output.type), fix="take the mean or the sum"
        )
    if not is_floating(output.dtype):
        raise DTypeError("only a float has a gradient.", expected="f32[]", got=str(output.type))
    found = gradients([output], [constant(1.0, output.dtype)], inputs)
    return [fill(x.shape, 0.0, x.dtype) if g is None else g for x, g in zip(inputs, found, strict=True)]


Scan.gradients = staticmethod(gradients)  # the body of a loop is differentiated by the same walk
AttendGrad.gradients = staticmethod(gradients)  # and so is what attention is composed of
