"""The reference engine: each op's own NumPy, one after the other. Slow and plain on purpose: it defines the truth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from layerkit.engines.base import bind_sizes, check_arrays
from layerkit.ir import Array, Graph, Op, TensorType
from layerkit.ir.graph import Input
from layerkit.ir.interpret import Schedule
from layerkit.passes import Pipeline

BOUND_SIZES = 8  # batch sizes whose ops stay bound: full batches, a last one, validation, a few by hand


class ReferenceProgram:
    """A graph in order, and its ops for the batch sizes seen lately."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._schedule = Schedule(graph)
        self._types = [v.type for v in graph.inputs]
        self._labels = [v.node.op.label for v in graph.inputs if isinstance(v.node.op, Input)]
        self._bound: OrderedDict[tuple[tuple[str, int], ...], list[Op]] = OrderedDict()

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        sizes = bind_sizes(self._types, arrays, self._labels)
        check_arrays(self._types, arrays, self._labels)
        with np.errstate(all="ignore"):  # inf and nan are results
            return self._schedule.run(arrays, self._ops(sizes))

    def _ops(self, sizes: dict[str, int]) -> list[Op]:
        key = tuple(sorted(sizes.items()))
        if key not in self._bound:
            self._bound[key] = [op.bind(sizes) for op, *_ in self._schedule.steps]
            if len(self._bound) > BOUND_SIZES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._bound[key]

    def explain(self) -> str:
        return str(self.graph)


class ReferenceEngine:
    """NumPy; always there. Its bits depend on NumPy's BLAS and its threads."""

    name = "reference"

    def supports(self, op: Op, *inputs: TensorType) -> bool:
        return True

    def pipeline(self) -> Pipeline:
        return Pipeline.parse()

    def compile(self, graph: Graph, donated: Mapping[int, int] | None = None) -> ReferenceProgram:
        return ReferenceProgram(self.pipeline().run(graph))
