"""Copies of models: the same architecture with new weights, or with other layers in the place of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layerkit import tree
from layerkit.ir import Value, apply
from layerkit.layers.base import Layer
from layerkit.layers.input import Input
from layerkit.layers.recorded import LayerCall
from layerkit.models.model import Model
from layerkit.models.sequential import Sequential


def clone_model(
    model: Model, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None
) -> Model:
    """A model like ``model``, with layers and weights of its own.

    Args:
        model: a Sequential, or a model of symbolic tensors.
        input_tensors: symbolic tensors to use as inputs; new ones unless given.
        clone_function: gives the layer for a layer; by default one with the same arguments. It may return the same
            layer, which is then shared, or another one.

    Raises:
        StateError: a model that has no symbolic inputs, being a subclass with a ``call`` of its own.

    Example:
        >>> from layerkit.layers import Dense
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> clone_model(model).count_params()
        8
    """
    clone = clone_function or _copy
    if isinstance(model, Sequential):
        start = [] if model._input is None else [_input(model._input) if input_tensors is None else input_tensors]
        return Sequential([*start, *(clone(layer) for layer in model.layers)], name=model.name)
    graph = model._require_graph()
    inputs = [_input(v) for v in graph.inputs] if input_tensors is None else tree.leaves(input_tensors)
    values: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    layers: dict[Layer, Layer] = {}
    for node in graph.nodes:
        if node.outputs[0] in values:
            continue
        given = [values[x] for x in node.inputs]
        if isinstance(node.op, LayerCall):
            if node.op.layer not in layers:
                layers[node.op.layer] = clone(node.op.layer)
            args, kwargs = node.op.given(given)
            results = tree.leaves(layers[node.op.layer](*args, **kwargs))
        else:
            result = apply(node.op, *given)
            results = list(result) if node.several else [result]
        values.update(zip(node.outputs, results, strict=True))
    outputs = [values[v] for v in graph.outputs]
    return Model(
        tree.unflatten(graph.input_structure, inputs), tree.unflatten(graph.output_structure, outputs), name=model.name
    )


def _input(value: Value) -> Any:
    sizes = [n if isinstance(n, int) else None for n in value.shape]
    return Input(sizes[1:], sizes[0], value.dtype, name=value.node.op.label or None)  # type: ignore[attr-defined]


def _copy(layer: Layer) -> Layer:
    if isinstance(layer, Model) and layer._graph is not None:
        found: Layer = clone_model(layer)
    else:
        found = type(layer).from_config(layer.get_config())
    found.name, found._is_named, found.trainable = layer.name, True, layer.trainable
    return found
