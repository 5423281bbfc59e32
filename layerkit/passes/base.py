"""What a pass is: a pure function from graph to graph, a value whose fields are its options.

``rewrite`` rebuilds a graph from its inputs to its outputs and lets a rule replace each node on the way. Bodies of loops
are graphs too: every pass is applied to them by ``rewrite`` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from operator import is_
from typing import ClassVar

from layerkit.ir import Graph, Node, Op, Value, make
from layerkit.ir.graph import Input
from layerkit.records import dataclass

Rule = Callable[[Node], "tuple[Value, ...] | None"]


@dataclass(frozen=True)
class Pass:
    """A rewrite of graphs that keeps what they compute."""

    name: ClassVar[str]
    exact: ClassVar[bool] = True
    """The results keep their bits; otherwise they agree to rounding."""

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name


def rewrite(graph: Graph, rule: Rule, inner: Callable[[Graph], Graph] | None = None) -> Graph:
    """``graph`` with each node replaced by the values that ``rule`` gives for it, or kept where it gives None.

    ``inner`` rewrites the bodies of loops.
    """
    new: dict[Value, Value] = {v: v for v in graph.inputs}
    for node in graph.order:
        if isinstance(node.op, Input):
            new.setdefault(node.outputs[0], node.outputs[0])
            continue
        inputs = tuple(new[x] for x in node.inputs)
        op = _with_bodies(node.op, inner) if inner else node.op
        is_same = op is node.op and all(map(is_, inputs, node.inputs))
        rebuilt = node if is_same else _on(node, op, inputs)
        new.update(zip(node.outputs, rule(rebuilt) or rebuilt.outputs, strict=True))
    outputs = tuple(new[v] for v in graph.outputs)
    return graph if all(map(is_, outputs, graph.outputs)) else Graph(graph.inputs, outputs, graph.name)


def _on(node: Node, op: Op, inputs: tuple[Value, ...]) -> Node:
    """``node`` with other inputs and another op of its kind; equal types of the inputs give equal types."""
    if op is node.op and all(a.type == b.type for a, b in zip(inputs, node.inputs, strict=True)):
        return Node(op, inputs, node.types, node.several, node.origin)
    return make(op, inputs, node.origin)


def _with_bodies(op: Op, inner: Callable[[Graph], Graph]) -> Op:
    kind: type = type(op)
    if kind not in _BODY_FIELDS:
        _BODY_FIELDS[kind] = tuple(f.name for f in fields(op) if f.type in (Graph, "Graph"))
    if not _BODY_FIELDS[kind]:
        return op
    bodies = {name: inner(getattr(op, name)) for name in _BODY_FIELDS[kind]}
    changed = {k: v for k, v in bodies.items() if v is not getattr(op, k)}
    return replace(op, **changed) if changed else op


_BODY_FIELDS: dict[type, tuple[str, ...]] = {}
"""The fields of ops that hold graphs."""
