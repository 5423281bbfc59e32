"""A short name for what a graph computes, by which its compiled form is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from layerkit.ir.graph import Const, Graph, Value
from layerkit.ir.op import Op
from layerkit.ir.text import show_op
from layerkit.ir.types import TensorType


def fingerprint(graph: Graph) -> str:
    """A hash of the ops, the numbers and the types of a graph; names of inputs and of layers do not count.

    >>> from layerkit.ir import parse
    >>> fingerprint(parse("f(x: f32[b]) { return x }")) == fingerprint(parse("g(y: f32[b]) { return y }"))
    True
    """
    digest = hashlib.sha256()
    for line in _lines(graph):
        digest.update(line.encode())
    return digest.hexdigest()


def _lines(graph: Graph) -> Iterator[str]:
    numbers: dict[Value, str] = {}
    types: dict[TensorType, str] = {}

    def named(values: tuple[Value, ...]) -> str:
        for v in values:
            numbers[v] = str(len(numbers))
            if v.type not in types:
                types[v.type] = str(v.type)
        return " ".join([types[v.type] for v in values])

    yield named(graph.inputs)
    for node in graph.nodes():
        inputs = " ".join([numbers[x] for x in node.inputs])
        yield f"\n{_text(node.op)}({inputs}){named(node.outputs)}"
    yield f"\n{' '.join([numbers[v] for v in graph.outputs])}\n"


def _text(op: Op) -> str:
    if isinstance(op, Const):
        return f"const {op.array.dtype.name} {hashlib.sha256(op.array.tobytes()).hexdigest()}"
    fields = vars(op).values()
    if any(isinstance(v, Graph) for v in fields):
        return f"{op.word} {' '.join(fingerprint(v) if isinstance(v, Graph) else repr(v) for v in fields)}"
    return show_op(op)
