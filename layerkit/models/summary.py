"""The table that ``model.summary()`` prints: layers, shapes, parameters, multiply-adds, and the memory of training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from layerkit import tree
from layerkit.dtypes import numpy_dtype
from layerkit.errors import ArgumentError
from layerkit.ir import BATCH, Graph, Node, Size, Value
from layerkit.layers.input import InputLayer
from layerkit.layers.recorded import LayerCall
from layerkit.models.cost import show_bytes, show_cost, training_cost
from layerkit.models.standins import stand_ins
from layerkit.trace import Trace, tracing


def show_outputs(node: Node) -> str:
    """The shapes of what a node of a model gives, without those of masks."""
    masks = len(node.op.masked) if isinstance(node.op, LayerCall) else 0
    return ", ".join(show_sizes(t.shape) for t in node.types[: len(node.types) - masks])


def show_sizes(shape: Any) -> str:
    """A shape with None for unknown sizes, as Keras prints it."""
    return "(" + ", ".join(str(n) if isinstance(n, int) else "None" for n in shape) + ")"


def summarize(
    model: Any,
    line_length: int | None,
    batch_size: int,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> str:
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
    if show_trainable:
        table.add_column("Trainable", justify="center")
    adds = multiply_adds(model)
    for (name, kind, shape, parameters, key, before), layer, depth in _nested(model, expand_nested, layer_range):
        count = adds.get(key)
        table.add_row(
            f"{'  ' * depth}{name} ({kind})",
            shape,
            f"{parameters:,}",
            "" if count is None else f"{count:,}" if isinstance(count, int) else "varies",
            before,
            *(["" if layer is None or not layer.weights else "yes" if layer.trainable else "no"] * show_trainable),
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
        cost = training_cost(model, batch_size)
        if cost is not None:
            console.print(f"A training step of {batch_size} rows: {show_cost(cost)} (predicted)", highlight=False)
    return out.getvalue().rstrip("\n")


def _nested(
    model: Any, expand: bool, between: Sequence[str] | None = None, depth: int = 0
) -> Iterator[tuple[tuple[str, str, str, int, str, str], Any, int]]:
    """The rows with their layers and depths; those of models inside below them if ``expand``.

    Raises:
        ArgumentError: no layer fits one of the patterns in ``between``, which say where the rows begin and end.
    """
    layers = dict(model.children())
    found = rows(model)
    if between is not None:
        names = [row[0] for row in found]
        ends = [next((i for i, n in enumerate(names) if re.match(pattern, n)), None) for pattern in between]
        if len(ends) != 2 or None in ends:
            raise ArgumentError("layer_range names two layers.", expected=", ".join(names), got=repr(between))
        low, high = sorted(i for i in ends if i is not None)
        found = found[low : high + 1]
    for row in found:
        layer = layers.get(row[0])
        yield row, layer, depth
        if expand and getattr(layer, "is_container", False):
            yield from _nested(layer, expand, None, depth + 1)


def rows(model: Any) -> list[tuple[str, str, str, int, str, str]]:
    """(name, class, shape, parameters, key of multiply-adds, inputs) for each call of a layer and each op."""
    graph = model._graph
    if graph is None:
        return [(n, type(x).__name__, _last_outputs(x), x.count_params(), x.path, "") for n, x in model.children()]
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
        shape = show_outputs(node)
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


def _last_outputs(layer: Any) -> str:
    """The shapes of what a layer of a model of one's own last gave, for any number of rows."""
    shapes = layer._output_shapes
    if shapes is None:
        return "not built"
    return ", ".join(show_sizes((None, *shape[1:]) if shape else ()) for shape in shapes)


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
    found: dict[str, Size] = {layer.path or layer.name or "": 0 for layer in model.layers}
    for node in forward_graph(model, 1).nodes():
        count = node.op.multiply_adds(*(x.type for x in node.inputs))
        if isinstance(count, int) and count == 0:
            continue
        parts = node.origin.split("/")  # the layer's path, and perhaps those of layers in it
        owner = next((p for i in range(len(parts)) if (p := "/".join(parts[: i + 1])) in found), None)
        if owner is not None:
            found[owner] = found[owner] + count
    return found
