"""The table that ``model.summary()`` prints: layers, shapes, parameters, multiply-adds, and the memory of training."""

from __future__ import annotations

from io import StringIO
from typing import Any

from layerkit import ops, tree
from layerkit.autodiff import gradient
from layerkit.dtypes import numpy_dtype
from layerkit.ir import BATCH, Graph, Node, Size, TensorType, Value, placeholder, product
from layerkit.layers.base import LayerCall
from layerkit.layers.input import InputLayer
from layerkit.passes import Pipeline
from layerkit.trace import Trace, tracing


def show_sizes(shape: Any) -> str:
    """A shape with None for unknown sizes, as Keras prints it."""
    return "(" + ", ".join(str(n) if isinstance(n, int) else "None" for n in shape) + ")"


def show_bytes(count: float) -> str:
    """A number of bytes in a fitting unit.

    >>> show_bytes(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def summarize(model: Any, line_length: int | None, batch_size: int) -> str:
    """The table as text."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f'Model "{model.name}" ({type(model).__name__})', title_justify="left", show_edge=True)
    for column, side in (
        ("Layer", "left"),
        ("Output shape", "left"),
        ("Parameters", "right"),
        ("Multiply-adds", "right"),
        ("Input from", "left"),
    ):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    adds = multiply_adds(model)
    for name, kind, shape, parameters, key, before in rows(model):
        count = adds.get(key)
        table.add_row(
            f"{name} ({kind})",
            shape,
            f"{parameters:,}",
            "" if count is None else f"{count:,}" if isinstance(count, int) else "varies",
            before,
        )
    out = StringIO()
    console = Console(file=out, width=line_length or 100, force_terminal=False)
    console.print(table)
    trainable = sum(w.size for w in model.trainable_weights)
    total = model.count_params()
    size = sum(w.size * numpy_dtype(w.dtype).itemsize for w in model.weights)
    console.print(f"Parameters: {total:,} ({show_bytes(size)}), {trainable:,} of them trainable", highlight=False)
    if model._graph is not None:
        known = [n for n in adds.values() if isinstance(n, int)]
        more = "" if len(known) == len(adds) else ", and those that vary with unknown sizes"
        console.print(f"Multiply-adds for one sample: {sum(known):,}{more}", highlight=False)
        memory = training_memory(model, batch_size)
        if memory is not None:
            console.print(
                f"Memory of a training step at batch size {batch_size}: {show_bytes(memory)} (predicted)",
                highlight=False,
            )
    return out.getvalue().rstrip("\n")


def rows(model: Any) -> list[tuple[str, str, str, int, str, str]]:
    """(name, class, shape, parameters, key of multiply-adds, inputs) for each call of a layer and each op."""
    graph = model._graph
    if graph is None:
        return [(n, type(x).__name__, "not built", x.count_params(), x.path, "") for n, x in model.children()]
    names = {layer: name for name, layer in model.children()}
    shown: dict[Value, str] = {}
    found = []
    counted: set[Any] = set()
    for value, layer in zip(graph.inputs, graph.input_layers, strict=True):
        shown[value] = names.get(layer, layer.name or "")
        if isinstance(layer, InputLayer):
            found.append((shown[value], "Input", show_sizes(value.shape), 0, "", ""))
    for node in graph.nodes:
        if not node.inputs:
            continue
        before = ", ".join(shown[x] for x in node.inputs if x in shown)
        shape = ", ".join(show_sizes(t.shape) for t in node.types)
        if isinstance(node.op, LayerCall):
            layer = node.op.layer
            name = names.get(layer, layer.name)
            parameters = 0 if layer in counted else layer.count_params()
            key = "" if layer in counted else (layer.path or layer.name)
            counted.add(layer)
            found.append((name, type(layer).__name__, shape, parameters, key, before))
        else:
            name = node.op.word
            found.append((name, "op", shape, 0, "", before))
        shown.update({v: name for v in node.outputs})
    return found


def stand_ins(model: Any, batch: Size = BATCH) -> Any:
    """Symbolic inputs like those of the model, in its structure."""
    made = [
        placeholder(n, v.dtype, (batch, *v.shape[1:])) for v, n in zip(model.inputs, model.input_names, strict=True)
    ]
    return tree.unflatten(model._graph.input_structure, made)


def forward_graph(model: Any, batch: Size = BATCH, training: bool = False) -> Graph:
    """The graph of one forward pass."""
    inputs = stand_ins(model, batch)
    trace = Trace(training=training)
    with tracing(trace):
        outputs = [x for x in tree.leaves(model(inputs)) if isinstance(x, Value)]
    key = () if trace.key is None else (trace.key,)
    return Graph((*tree.leaves(inputs), *trace.inputs.values(), *key), tuple(outputs), "forward")


def multiply_adds(model: Any) -> dict[str, Size]:
    """Multiply-adds of one sample, by the path of the model's layers; of unknown sizes where theirs are unknown."""
    if model._graph is None:
        return {}
    paths = [layer.path or layer.name or "" for layer in model.layers]
    found: dict[str, Size] = dict.fromkeys(paths, 0)
    for node in forward_graph(model, 1).nodes():
        count = node.op.multiply_adds(*(x.type for x in node.inputs))
        owner = next((p for p in paths if node.origin == p or node.origin.startswith(p + "/")), None)
        if owner is not None:
            found[owner] = found[owner] + count
    return found


def training_graph(model: Any, batch_size: int) -> Graph:
    """The graph of one training step with a stand-in for the loss, after the passes."""
    inputs = stand_ins(model, batch_size)
    trace, weights = Trace(training=True), model.trainable_weights
    with tracing(trace):
        outputs = tree.leaves(model(inputs, training=True))
        loss = sum((ops.mean(ops.square(x)) for x in outputs), start=ops.zeros(()))
        slopes = gradient(loss, [w.value for w in weights])
        if model.optimizer is not None:
            model.optimizer.build(weights)
            model.optimizer.apply(slopes, weights)
        else:
            for weight, slope in zip(weights, slopes, strict=True):
                weight.assign(weight.value - slope)
    key = () if trace.key is None else (trace.key,)
    return Pipeline.parse().run(
        Graph((*tree.leaves(inputs), *trace.inputs.values(), *key), (loss, *trace.updates.values()))
    )


def training_memory(model: Any, batch_size: int) -> int | None:
    """The most bytes that one training step holds at a time: weights, slots, batch, and what lives between the ops.

    The nodes are gone through in the order in which the reference engine runs them; values that are views of others
    take nothing themselves, convolutions take the matrix of their windows besides. None where a size is not known.
    """
    if not model.trainable_weights:
        return None
    graph = training_graph(model, batch_size)
    nodes = graph.nodes()
    base: dict[Value, Value] = {}
    size: dict[Value, int] = {}
    for value in (*graph.inputs, *(v for n in nodes for v in n.outputs)):
        is_view = value.node.op.word in VIEWS and value.node.inputs
        base[value] = base[value.node.inputs[0]] if is_view else value
        count = _bytes(value.type)
        if count is None:
            return None
        size[value] = 0 if is_view else count
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
    return peak


VIEWS = ("reshape", "transpose", "broadcast", "slice", "reverse", "stop_gradient")  # in NumPy


def _scratch(node: Node) -> int:
    """Bytes that the reference of an op takes while it runs."""
    if node.op.word in ("max_pool", "sum_pool", "max_pool_grad", "max_pool_gather"):
        pooled = node.inputs[1].type if node.op.word == "max_pool_grad" else node.types[0]
        count = product((*pooled.shape, *node.op.window)) + 2 * product(pooled.shape)  # type: ignore[attr-defined]
        return count * numpy_dtype(pooled.dtype).itemsize if isinstance(count, int) else 0
    if node.op.word not in ("conv", "conv_input_grad", "conv_kernel_grad"):
        return 0
    x = node.inputs[0] if node.op.word != "conv_input_grad" else node.outputs[0]
    filters = (
        node.types[0] if node.op.word == "conv" else node.inputs[0 if node.op.word == "conv_input_grad" else 1].type
    )
    kernel = node.types[0] if node.op.word == "conv_kernel_grad" else node.inputs[1].type
    rows = product(filters.shape[:-1])
    columns = product((rows, *kernel.shape[:-2], x.shape[-1]))
    return columns * numpy_dtype(filters.dtype).itemsize if isinstance(columns, int) else 0


def _bytes(type_: TensorType) -> int | None:
    return type_.size * numpy_dtype(type_.dtype).itemsize if isinstance(type_.size, int) else None
