"""Dead code: results of loops that nobody reads; nodes that nobody reads are not part of a graph to begin with."""

from __future__ import annotations

from layerkit.ir import Graph, Node, Value, make
from layerkit.ops.scan import Scan
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass


@dataclass(frozen=True)
class Prune(Pass):
    """Drop the stacked results of scans that are not read, sequences and captures that their bodies do not use."""

    name = "prune"

    def run(self, graph: Graph) -> Graph:
        graph = rewrite(graph, lambda node: None, self.run)
        while (found := self._next(graph)) is not None:  # one at a time: what a loop drops may free another's results
            before, after = found
            graph = rewrite(graph, lambda node, before=before, after=after: after if node is before else None)  # type: ignore[misc]
        return graph

    @staticmethod
    def _next(graph: Graph) -> tuple[Node, tuple[Value, ...]] | None:
        """The last scan that has something to drop, and its outputs when it has dropped it."""
        read = {x for node in graph.nodes() for x in node.inputs} | set(graph.outputs)
        for node in reversed(graph.nodes()):
            if isinstance(node.op, Scan):
                keep = [i for i, v in enumerate(node.outputs) if i < node.op.carries or v in read]
                made = _trim(node, node.op, keep)
                if made is not None:
                    found = dict(zip(keep, made.outputs, strict=True))
                    return node, tuple(found.get(i, v) for i, v in enumerate(node.outputs))
        return None


def _trim(node: Node, op: Scan, keep: list[int]) -> Node | None:
    body = Graph(op.body.inputs, tuple(op.body.outputs[i] for i in keep), op.body.name)
    used = {x for n in body.nodes() for x in n.inputs} | set(body.outputs)
    inputs = [i for i, v in enumerate(body.inputs) if i < op.carries or v in used]
    if len(keep) == len(op.body.outputs) and len(inputs) == len(body.inputs):
        return None
    sequences = sum(op.carries <= i < op.carries + op.sequences for i in inputs)
    body = Graph(tuple(body.inputs[i] for i in inputs), body.outputs, body.name)
    return make(
        Scan(op.carries, sequences, op.length, op.reverse, body), tuple(node.inputs[i] for i in inputs), node.origin
    )
