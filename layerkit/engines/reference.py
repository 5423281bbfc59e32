"""The reference engine: each op's own NumPy, one after the other. Slow and plain on purpose: it defines the truth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.engines.base import Batches, Cost, bind_sizes, check_arrays, value_bytes
from layerkit.ir import Array, Graph, Node, Op, TensorType, Value, number, product
from layerkit.ir.graph import Input
from layerkit.ir.interpret import Schedule
from layerkit.passes import Pipeline

BOUND_SIZES = 8  # batch sizes whose ops stay bound: full batches, a last one, validation, a few by hand


class ReferenceProgram:
    """A graph in order, and its ops for the batch sizes seen lately."""

    can_repeat = False

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

    def run(self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None) -> tuple[Array, ...]:
        return self(*given, *state, *(() if key is None else (key,)))

    def repeat(
        self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None, batches: Batches
    ) -> tuple[Array, ...]:
        raise NotImplementedError

    def _ops(self, sizes: dict[str, int]) -> list[Op]:
        key = tuple(sorted(sizes.items()))
        if key not in self._bound:
            self._bound[key] = [op.bind(sizes) for op, *_ in self._schedule.steps]
            if len(self._bound) > BOUND_SIZES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._bound[key]

    def explain(self, sizes: Mapping[str, int], arrays: Sequence[Array] | None = None) -> str:
        return f"the reference engine runs the ops one after the other:\n{self.graph}"

    def code(self) -> str:
        return str(self.graph)


class ReferenceEngine:
    """NumPy; always there. Its bits depend on NumPy's BLAS and its threads."""

    name = "reference"

    def supports(self, op: Op, *inputs: TensorType) -> bool:
        return True

    def pipeline(self) -> Pipeline:
        return Pipeline.parse()

    def cost(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        donated: Mapping[int, int] | None = None,
        *,
        is_outline: bool = False,
    ) -> Cost:
        """Bytes held at the worst moment, by the order of the ops.

        Values that are views of others take nothing themselves, convolutions take the matrix of their windows besides.
        """
        graph = self.pipeline().run(graph).bind(sizes)
        nodes = graph.nodes()
        base: dict[Value, Value] = {}
        size: dict[Value, int] = {}
        for value in (*graph.inputs, *(v for n in nodes for v in n.outputs)):
            is_view = value.node.op.word in VIEWS and value.node.inputs
            base[value] = base[value.node.inputs[0]] if is_view else value
            size[value] = 0 if is_view else value_bytes(value.type)
        last = {base[x]: i for i, n in enumerate(nodes) for x in (*n.outputs, *n.inputs)}
        kept = {base[v] for v in graph.outputs} | set(graph.inputs)
        ends: dict[int, int] = {}
        for value, i in last.items():
            if value not in kept:
                ends[i] = ends.get(i, 0) + size[value]
        live = peak = sum(size[v] for v in graph.inputs)
        for i, node in enumerate(nodes):
            live += sum(size[v] for v in node.outputs)
            peak = max(peak, live + _scratch(node))
            live -= ends.get(i, 0)
        return Cost(peak)

    def state(self) -> str | None:
        return None

    def compile(
        self, graph: Graph, donated: Mapping[int, int] | None = None, kept: Collection[int] = ()
    ) -> ReferenceProgram:
        return ReferenceProgram(self.pipeline().run(graph))


VIEWS = ("reshape", "transpose", "broadcast", "slice", "reverse", "stop_gradient")  # in NumPy


def _scratch(node: Node) -> int:
    """Bytes that the reference of an op takes while it runs."""
    if node.op.word in ("max_pool", "sum_pool", "max_pool_grad", "max_pool_gather"):
        pooled = node.inputs[1].type if node.op.word == "max_pool_grad" else node.types[0]
        count = product((*pooled.shape, *node.op.window)) + 2 * product(pooled.shape)  # type: ignore[attr-defined]
        return number(count) * numpy_dtype(pooled.dtype).itemsize
    if node.op.word not in ("conv", "conv_input_grad", "conv_kernel_grad"):
        return 0
    x = node.inputs[0] if node.op.word != "conv_input_grad" else node.outputs[0]
    filters = (
        node.types[0] if node.op.word == "conv" else node.inputs[0 if node.op.word == "conv_input_grad" else 1].type
    )
    kernel = node.types[0] if node.op.word == "conv_kernel_grad" else node.inputs[1].type
    rows = product(filters.shape[:-1])
    columns = product((rows, *kernel.shape[:-2], x.shape[-1]))
    return number(columns) * numpy_dtype(filters.dtype).itemsize
