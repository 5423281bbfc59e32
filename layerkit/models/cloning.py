"""Copies of models: the same architecture with new weights, or with other layers in the place of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layerkit import tree
from layerkit.errors import ShapeError
from layerkit.ir import Value, apply
from layerkit.layers.base import Layer
from layerkit.layers.input import Input
from layerkit.layers.recorded import LayerCall
from layerkit.models.functional import LayerGraph
from layerkit.models.model import Model
from layerkit.models.sequential import Sequential
from layerkit.optimizers import Optimizer
from layerkit.records import dataclass


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Model:
    """A model like ``model``, with layers and weights of its own.

    Args:
        model: a Sequential, or a model of symbolic tensors.
        input_tensors: symbolic tensors to use as inputs; new ones unless given.
        clone_function: gives the layer for a layer; by default one with the same arguments. It may return the same
            layer, which is then shared, or another one.
        call_function: calls the new layer for the old one: ``call_function(layer, *args, **kwargs)``.
        recursive: whether ``clone_function`` is asked for the layers of models inside too; else such a model is one layer.
        kwargs: none; Keras gives them to models of other classes.

    Raises:
        ShapeError: ``input_tensors`` in another structure than the model's inputs.

    Example:
        >>> from layerkit.layers import Dense
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> clone_model(model).count_params()
        8
    """
    cloner = _Cloner(clone_function or _copy, call_function or _call, recursive)
    if model._graph is None and not isinstance(model, Sequential):
        found: Model = type(model).from_config(model.get_config())
    else:
        found = cloner.model(model, input_tensors)
    if model._compiled is not None:
        optimizer = model._compiled["optimizer"]
        fresh = type(optimizer).from_config(optimizer.get_config()) if isinstance(optimizer, Optimizer) else optimizer
        found.compile(**{**model._compiled, "optimizer": fresh})
    return found


def _call(layer: Layer, *args: Any, **kwargs: Any) -> Any:
    return layer(*args, **kwargs)


@dataclass(frozen=True)
class _Cloner:
    clone: Callable[[Layer], Layer]
    call: Callable[..., Any]
    recursive: bool

    def model(self, model: Model, input_tensors: Any = None) -> Model:
        """A model like this Sequential, or this model of symbolic tensors."""
        if isinstance(model, Sequential) and self.call is _call:
            start = [] if model._input is None else [_input(model._input) if input_tensors is None else input_tensors]
            return Sequential([*start, *map(self.layer, model.layers)], name=model.name)
        graph = model._require_graph()
        inputs = [_input(v) for v in graph.inputs]
        if input_tensors is not None:
            inputs, structure = tree.flatten(input_tensors)
            wanted = graph.input_structure
            if tree.key(structure) != tree.key(wanted) and len(inputs) + len(graph.inputs) > 2:
                raise ShapeError(
                    "'input_tensors' have another structure than the model's inputs.", layer=model.name,
                    expected=repr(tree.unflatten(wanted, model.input_names)), got=repr(input_tensors),
                )  # fmt: skip
        values = self._replayed(graph, dict(zip(graph.inputs, inputs, strict=True)))
        outputs = [values[v] for v in graph.outputs]
        return Model(
            tree.unflatten(graph.input_structure, inputs),
            tree.unflatten(graph.output_structure, outputs),
            name=model.name,
        )

    def _replayed(self, graph: LayerGraph, values: dict[Value, Any]) -> dict[Value, Any]:
        """What each value of the graph becomes, called on new layers."""
        layers: dict[Layer, Layer] = {}
        for node in graph.nodes:
            if node.outputs[0] in values:
                continue
            given = [values[x] for x in node.inputs]
            if isinstance(node.op, LayerCall):
                if node.op.layer not in layers:
                    layers[node.op.layer] = self.layer(node.op.layer)
                args, kwargs = node.op.given(given)
                results = node.op.results(self.call(layers[node.op.layer], *args, **kwargs))
            else:
                result = apply(node.op, *given)
                results = list(result) if node.several else [result]
            values.update(zip(node.outputs, results, strict=True))
        return values

    def layer(self, layer: Layer) -> Layer:
        """The layer in its place."""
        if self.recursive and isinstance(layer, Model) and (layer._graph is not None or isinstance(layer, Sequential)):
            return _named_like(self.model(layer), layer)
        return self.clone(layer)


def _input(value: Value) -> Any:
    sizes = [n if isinstance(n, int) else None for n in value.shape]
    return Input(sizes[1:], sizes[0], value.dtype, name=value.node.op.label or None)  # type: ignore[attr-defined]


def _copy(layer: Layer) -> Layer:
    if isinstance(layer, Model) and (layer._graph is not None or isinstance(layer, Sequential)):
        return _named_like(clone_model(layer), layer)
    return _named_like(type(layer).from_config(layer.get_config()), layer)


def _named_like(new: Layer, layer: Layer) -> Layer:
    new.name, new._is_named, new.trainable = layer.name, True, layer.trainable
    return new
