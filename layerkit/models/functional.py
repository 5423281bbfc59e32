"""The graph of layer calls between ``Input`` tensors and outputs, and how it is replayed.

Recorded calls (``layerkit.layers.base.LayerCall``) and ops applied to symbolic tensors are nodes of one graph, so shared
layers, several inputs and outputs, nested models and operators need nothing special: ``run`` goes through the nodes in
order and calls each layer, or applies each op, on what its inputs have become.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerkit import tree
from layerkit.dtypes import STRING
from layerkit.errors import ArgumentError, GraphError, warn
from layerkit.ir import Dim, Node, Value, apply, toposort
from layerkit.ir import Input as InputOp
from layerkit.layers.base import Layer
from layerkit.layers.input import InputLayer
from layerkit.layers.recorded import LayerCall


class LayerGraph:
    """What a functional model computes."""

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.input_structure = tree.flatten(inputs)
        self.outputs, self.output_structure = tree.flatten(outputs)
        for what, values in (("inputs", self.inputs), ("outputs", self.outputs)):
            for value in values:
                if not isinstance(value, Value):
                    raise ArgumentError(
                        f"the {what} of a model are symbolic tensors.",
                        expected="tensors that come from Input(...)",
                        got=repr(value),
                    )
            if not values:
                raise ArgumentError(f"a model needs {what}.", expected=f"{what}=a tensor or several", got="none")
        if len(set(self.inputs)) != len(self.inputs):
            raise ArgumentError("an input is given twice.", expected="each input once", got=repr(self.inputs))
        self.nodes = toposort(self.outputs, stop=self.inputs)
        given = {v.node for v in self.inputs}
        for node in self.nodes:
            if isinstance(node.op, InputOp) and node not in given:
                raise GraphError(
                    "an output depends on an input that the model does not have.",
                    expected="all inputs in Model(inputs=...)",
                    got=f"Input '{node.op.label or 'without a name'}' {node.types[0]}",
                    fix="add it to the inputs",
                )
        used = self.outputs_need() | set(self.outputs)
        for value in self.inputs:
            if value not in used:
                warn(f"no output of the model depends on {value}.")
        self.input_layers = [_input_layer(v) for v in self.inputs]
        has_texts = any(v.dtype == STRING for v in self.inputs)
        self.host = HostStage(self) if has_texts or any(map(_is_host, self.nodes)) else None
        self.entries = list(self.host.entries.values()) if self.host else self.inputs
        """What programs begin with."""

    def outputs_need(self) -> set[Value]:
        """All values that some node reads."""
        return {x for node in self.nodes for x in node.inputs}

    def run(self, inputs: Sequence[Any]) -> Any:
        """The outputs for these ``entries``."""
        values: dict[Value, Any] = dict(zip(self.entries, inputs, strict=True))
        sizes = self._sizes(inputs)
        for node in self.nodes:
            if self.host is not None and node in self.host.nodes:
                continue
            if node.outputs[0] in values and not node.inputs:
                continue
            given = [values[x] for x in node.inputs]
            if isinstance(node.op, LayerCall):
                results = node.op.replay(given)
            else:
                result = apply(node.op.bind(sizes), *given)
                results = list(result) if node.several else [result]
            values.update(zip(node.outputs, results, strict=True))
        return tree.unflatten(self.output_structure, [values[v] for v in self.outputs])

    def _sizes(self, inputs: Sequence[Any]) -> dict[str, Any]:
        """What the unknown sizes of the recorded inputs are now: numbers, or the unknown sizes of a program."""
        sizes: dict[str, Any] = {}
        for value, given in zip(self.entries, inputs, strict=True):
            for wanted, found in zip(value.shape, given.shape, strict=False):
                if isinstance(wanted, Dim) and wanted != found:
                    sizes.update(dict.fromkeys(wanted.axes(), found))
        return sizes

    def layers(self) -> list[Layer]:
        """The layers, in Keras's order: by depth, then as they are met going back from the outputs."""
        order, depth = self._order(), self._depths()
        by_node = {v.node: layer for v, layer in zip(self.inputs, self.input_layers, strict=True)}
        deepest: dict[Layer, int] = {}
        first: dict[Layer, int] = {}
        for node in (*by_node, *self.nodes):
            layer = by_node.get(node) or (node.op.layer if isinstance(node.op, LayerCall) else None)
            if layer is not None:
                deepest[layer] = max(deepest.get(layer, 0), depth.get(node, 0))
                first[layer] = min(first.get(layer, len(order)), order.get(node, len(order)))
        return sorted(deepest, key=lambda layer: (-deepest[layer], first[layer]))

    def _order(self) -> dict[Node, int]:
        order: dict[Node, int] = {}
        ends = {v.node for v in self.inputs}
        stack = [v.node for v in reversed(self.outputs)]
        while stack:
            node = stack.pop()
            if node in order:
                continue
            order[node] = len(order)
            if node not in ends:
                stack.extend(x.node for x in reversed(node.inputs))
        return order

    def _depths(self) -> dict[Node, int]:
        depth = {v.node: 0 for v in self.outputs}
        for node in reversed(self.nodes):
            for x in node.inputs:
                depth[x.node] = max(depth.get(x.node, 0), depth.get(node, 0) + 1)
        deepest = max(depth.values(), default=0)
        return depth | {v.node: deepest for v in self.inputs}


def _is_host(node: Node) -> bool:
    return isinstance(node.op, LayerCall) and node.op.layer.is_host


class HostStage:
    """The first part of a graph, which works on data before programs run: layers on texts.

    Attributes:
        nodes: their calls, in order.
        entries: what the rest of the graph reads, by name: results of these calls, and inputs that need none.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self.inputs = graph.inputs
        self.nodes = dict.fromkeys(node for node in graph.nodes if _is_host(node))
        known = set(graph.inputs) | {v for node in self.nodes for v in node.outputs}
        for node in self.nodes:
            for x in node.inputs:
                if x not in known:
                    raise GraphError(
                        "this layer works on data before a program runs.", layer=node.op.layer.describe(),  # type: ignore[attr-defined]
                        expected="an Input, or another such layer, before it", got=x.node.op.word,
                        fix="put it directly behind an Input",
                    )  # fmt: skip
        read = {x for node in graph.nodes if node not in self.nodes for x in node.inputs} | set(graph.outputs)
        names = {v: str(i) for i, v in enumerate(graph.inputs)}
        names |= {v: f"{node.op.word}.{i}" for i, node in enumerate(self.nodes) for v in node.outputs}
        self.entries = {name: v for v, name in names.items() if v in read}
        for name, value in self.entries.items():
            if value.dtype == STRING and value not in graph.outputs:
                raise GraphError(
                    "texts are no tensors of programs.", expected="a layer such as TextVectorization behind the Input",
                    got=f"'{name}', read by another layer", fix="turn them into numbers first",
                )  # fmt: skip

    def is_done(self, inputs: Any) -> bool:
        """Whether these are the entries already."""
        return isinstance(inputs, Mapping) and set(inputs) == set(self.entries)

    def run(self, inputs: Sequence[Any]) -> dict[str, Any]:
        """The entries for these inputs."""
        values: dict[Value, Any] = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            assert isinstance(node.op, LayerCall)
            values.update(zip(node.outputs, node.op.replay([values[x] for x in node.inputs]), strict=True))
        return {name: values[v] for name, v in self.entries.items()}


def maker(value: Value) -> Any:
    """The layer that made a tensor, inside models too; None if an op did."""
    if not isinstance(value.node.op, LayerCall):
        return None
    layer = value.node.op.layer
    while getattr(layer, "_graph", None) is not None and isinstance(layer._graph.outputs[-1].node.op, LayerCall):
        layer = layer._graph.outputs[-1].node.op.layer
    return layer


def activation_of(value: Value) -> str | None:
    """The name of the activation that made a tensor, if a layer with one did."""
    return getattr(getattr(maker(value), "activation", None), "__name__", None)


def _input_layer(value: Value) -> InputLayer:
    label = value.node.op.label if isinstance(value.node.op, InputOp) else ""
    return InputLayer(input_tensor=value, name=label or None)


def name_layers(layers: Sequence[Layer], owner: Layer) -> dict[str, Layer]:
    """Give layers without a name of their own the name of their class, numbered by age; returns them by name.

    Raises:
        ArgumentError: two layers have one name.
    """
    names: dict[str, Layer] = {}
    tried: dict[str, int] = {}
    for layer in layers:
        if layer._is_named or layer._owner is not None:
            name = layer.name or ""
            if name in names and layer._is_named and names[name]._is_named:
                raise ArgumentError(
                    f"two layers are called '{name}'.", expected="names that differ", got=f"{names[name]!r} and {layer!r}",
                    fix="give one of them another name=",
                )  # fmt: skip
            names[_free(name, names, tried)] = layer
    named = set(names.values())
    for layer in sorted((x for x in layers if x not in named), key=lambda x: x._created):
        base = "input_layer" if isinstance(layer, InputLayer) else layer.name or ""
        layer.name = _free(base, names, tried)
        names[layer.name] = layer
    for layer in layers:
        if layer._owner is None:
            layer._owner = (owner, None)
    name_of = {layer: name for name, layer in names.items()}
    return {name_of[layer]: layer for layer in layers}


def _free(name: str, taken: dict[str, Layer], tried: dict[str, int]) -> str:
    """``name``, with a number if it is taken; numbers that were tried before are taken too."""
    found = name
    while found in taken:
        tried[name] = tried.get(name, 0) + 1
        found = f"{name}_{tried[name]}"
    return found
