"""A graph computed with the reference of each op: the definition of what a graph means.

``Schedule`` prepares a graph once: nodes in order, slots for their values, and which values nobody needs any more after
each node. The reference engine and the bodies of loops run it; constant folding runs single nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit.errors import LayerkitError
from layerkit.ir.graph import Graph, Value
from layerkit.ir.op import Array, Op


class Schedule:
    """A graph in the order in which it is computed."""

    def __init__(self, graph: Graph) -> None:
        nodes = graph.nodes()
        slot: dict[Value, int] = {}
        for value in (*graph.inputs, *(v for node in nodes for v in node.outputs)):
            slot.setdefault(value, len(slot))
        self.count = len(slot)
        self.inputs = [slot[v] for v in graph.inputs]
        self.outputs = [slot[v] for v in graph.outputs]
        self.steps: list[tuple[Op, list[int], list[int], bool, list[int]]] = []
        self.origins = [node.origin for node in nodes]
        kept, last = set(self.outputs), {}
        for i, node in enumerate(nodes):
            for v in (*node.inputs, *node.outputs):
                last[slot[v]] = i
        free: list[list[int]] = [[] for _ in nodes]
        for s, i in last.items():
            if s not in kept:
                free[i].append(s)
        for node, gone in zip(nodes, free, strict=True):
            self.steps.append(
                (node.op, [slot[x] for x in node.inputs], [slot[v] for v in node.outputs], node.several, gone)
            )

    def run(self, arrays: Sequence[Array], ops: Sequence[Op] | None = None) -> tuple[Array, ...]:
        """The outputs for these inputs; ``ops`` replaces the ops, in order (with unknown sizes bound)."""
        values: list[Any] = [None] * self.count
        for s, array in zip(self.inputs, arrays, strict=True):
            values[s] = array
        for i, (op, inputs, outputs, several, gone) in enumerate(self.steps):
            try:
                result = (ops[i] if ops is not None else op).reference(*[values[s] for s in inputs])
            except LayerkitError as error:
                error.layer = error.layer or self.origins[i] or None
                raise
            for s, array in zip(outputs, result if several else (result,), strict=True):
                values[s] = np.asarray(array)
            for s in gone:
                values[s] = None
        return tuple(values[s] for s in self.outputs)
