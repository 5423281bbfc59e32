"""Common subexpressions: equal ops on equal inputs are computed once, and so are loops that compute the same steps."""

from __future__ import annotations

from typing import Any

from layerkit.ir import Graph, Node, Value, inline, make
from layerkit.ops.scan import Scan
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass


@dataclass(frozen=True)
class Share(Pass):
    """Compute equal nodes once.

    Two scans over the same inputs that carry the same values are one scan that hands out the results of both: the
    gradient of a scan relies on it.
    """

    name = "share"

    def run(self, graph: Graph) -> Graph:
        seen: dict[Any, Node] = {}

        def rule(node: Node) -> tuple[Value, ...]:
            return seen.setdefault((node.op, node.inputs_key), node).outputs

        return self._merge_scans(rewrite(graph, rule, self.run))

    def _merge_scans(self, graph: Graph) -> Graph:
        while nodes := _first_alike(graph):  # one group at a time: merging it renames the inputs of those after it
            merged = _merge(nodes)
            graph = rewrite(graph, merged.get)
        return graph


def _first_alike(graph: Graph) -> list[Node]:
    """The first scans that run over the same inputs and carry the same values, if there are several."""
    groups: dict[Any, list[Node]] = {}
    for node in graph.nodes():
        if isinstance(node.op, Scan):
            op, body = node.op, node.op.body
            core = str(Graph(body.inputs, body.outputs[: op.carries], "core"))
            groups.setdefault((op.carries, op.sequences, op.length, op.reverse, core, node.inputs_key), []).append(node)
    return next((nodes for nodes in groups.values() if len(nodes) > 1), [])


def _merge(nodes: list[Node]) -> dict[Node, tuple[Value, ...]]:
    """One scan for several over the same steps; the outputs of each among those of the one."""
    first = nodes[0].op
    assert isinstance(first, Scan)
    carried = list(first.body.outputs[: first.carries])
    results: list[Value] = []
    places: list[list[int]] = []
    texts: dict[str, int] = {}
    for node in nodes:
        body = node.op.body  # type: ignore[attr-defined]
        own = inline(body.outputs[first.carries :], dict(zip(body.inputs, first.body.inputs, strict=True)))
        place = []
        for value in own:
            text = str(Graph(first.body.inputs, (value,), "y"))
            if text not in texts:
                texts[text] = len(results)
                results.append(value)
            place.append(texts[text])
        places.append(place)
    body = Share().run(Graph(first.body.inputs, (*carried, *results), first.body.name))
    one = make(
        Scan(first.carries, first.sequences, first.length, first.reverse, body), nodes[0].inputs, nodes[0].origin
    )
    last, stacked = one.outputs[: first.carries], one.outputs[first.carries :]
    return {n: (*last, *(stacked[i] for i in place)) for n, place in zip(nodes, places, strict=True)}
