"""The check that a graph is well formed; run after every pass in tests and in debug mode."""

from __future__ import annotations

from layerkit.errors import GraphError, LayerkitError
from layerkit.ir.graph import Graph, Input


def verify(graph: Graph) -> Graph:
    """Infer every type again and check that all inputs are declared; returns ``graph``.

    Raises:
        GraphError: a type differs from what its op infers, or an input is used that the graph does not declare.
    """
    declared = set(graph.inputs)
    for value in graph.inputs:
        if not isinstance(value.node.op, Input):
            raise GraphError("an input of the graph is computed.", expected="an input", got=value.node.op.word)
    for node in graph.order:
        if isinstance(node.op, Input):
            if node.outputs[0] not in declared:
                raise GraphError("the graph uses an input that it does not declare.", got=f"'{node.op.label}'")
            continue
        try:
            inferred = node.op.infer(*(x.type for x in node.inputs))
        except LayerkitError as error:
            raise GraphError(
                f"'{node.op.word}' refuses its inputs: {error.summary}", layer=node.origin or None
            ) from error
        if (inferred if isinstance(inferred, tuple) else (inferred,)) != node.types:
            raise GraphError(
                f"'{node.op.word}' has a type that its op does not infer.",
                expected=str(inferred),
                got=str(node.types),
                layer=node.origin or None,
            )
        for body in vars(node.op).values():
            if isinstance(body, Graph):
                verify(body)
    return graph
