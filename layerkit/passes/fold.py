"""Constant folding: what depends on constants alone is computed now, with the op's own reference."""

from __future__ import annotations

import numpy as np

from layerkit.ir import Const, Graph, Node, Value, constant
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass


@dataclass(frozen=True)
class Fold(Pass):
    """Replace nodes whose inputs are constants by constants.

    Results larger than ``limit`` elements stay computed: they would make the program larger, not faster.
    """

    name = "fold"
    limit: int = 4096

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, self._rule, self.run)

    def _rule(self, node: Node) -> tuple[Value, ...] | None:
        if isinstance(node.op, Const) or not all(isinstance(x.node.op, Const) for x in node.inputs):
            return None
        known = all(isinstance(t.size, int) and t.size <= self.limit for t in node.types)
        if not known or node.op.bind({}) is not node.op or node.op.word == "size":
            return None
        with np.errstate(all="ignore"):
            result = node.op.reference(*(x.node.op.array for x in node.inputs))  # type: ignore[attr-defined]
        return tuple(constant(np.asarray(a)) for a in (result if node.several else (result,)))
