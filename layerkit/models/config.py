"""A model as plain data, and back: what a model file holds, in the words of the YAML language.

    inputs:  {image: {shape: [8, 8, 1]}}
    layers:  [{Conv2D: {filters: 8, kernel_size: 3}, name: conv2d, from: image}, ...]
    outputs: dense

Tensors are named by the layer that makes them (``lstm``; ``lstm.1`` for the second output; ``dense@2`` for the second
call of a shared layer). An op applied to symbolic tensors is an item ``{op: <its text>}``. Nothing is imported by name:
layers of your own are given to ``load_model``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerkit import tree
from layerkit.errors import ArgumentError, FileFormatError, LayerkitError, UnknownNameError, nearest, placed
from layerkit.fields import checks
from layerkit.ir import Dim, Value, apply
from layerkit.ir.text import parse_op, show_op
from layerkit.layers.base import LAYERS, Layer, OfLayer
from layerkit.layers.input import Input
from layerkit.layers.recorded import LayerCall, Slot
from layerkit.models.model import Model
from layerkit.models.sequential import Sequential
from layerkit.registry import knowing, own, serialize
from layerkit.trace import get_mask

ITEM_KEYS = ("name", "from", "args", "call", "share", "trainable", "op")

# Model to data -------------------------------------------------------------------------------------------------------


def model_config(model: Model) -> dict[str, Any]:
    """The architecture of ``model``.

    Raises:
        ArgumentError: a layer holds a function that has no name.
    """
    kind = type(model).__name__
    if type(model) is not Sequential and (model._graph is None or type(model) is not Model):
        return {
            kind: {"config": serialize(model.get_config()), "example": getattr(model, "_example", None)},
            "name": model.name,
        }
    if isinstance(model, Sequential):
        body: dict[str, Any] = {"layers": [_item(layer, str(layer.name)) for layer in model.layers]}
        if model._input is not None:
            body = {"input": _input(model._input), **body}
    else:
        body = _functional(model)
    return {kind: body, "name": model.name}


def _input(value: Value | None) -> dict[str, Any]:
    assert value is not None
    shape = [n if isinstance(n, int) else None for n in value.shape]
    found: dict[str, Any] = {"shape": shape[1:], "dtype": value.dtype}
    return found if shape[0] is None else found | {"batch_size": shape[0]}


def _item(layer: Layer, name: str) -> dict[str, Any]:
    with placed(f"{name} ({type(layer).__name__})"):
        if isinstance(layer, Model):
            return {**model_config(layer), "name": name}
        if layer.is_python_only:
            raise ArgumentError(
                f"a {type(layer).__name__} layer cannot be written to a file: it holds Python code.",
                expected="layers that are plain data", got=repr(layer),
                fix="write it as a class of your own, and give that to load_model(custom_objects=...)",
            )  # fmt: skip
        config = {k: v for k, v in layer.config.items() if k != "name"}
        if type(layer).get_config is not Layer.get_config:
            config = {k: v for k, v in layer.get_config().items() if k != "name"}
        item: dict[str, Any] = {type(layer).__name__: serialize(config), "name": name}
    return item if layer.trainable or config.get("trainable") is False else item | {"trainable": False}


def _functional(model: Model) -> dict[str, Any]:
    graph = model._require_graph()
    names = {layer: name for name, layer in model.children()}
    tensors: dict[Value, str] = {}
    inputs = {}
    for value, layer in zip(graph.inputs, graph.input_layers, strict=True):
        name = names[layer]
        inputs[name] = _input(value)
        tensors[value] = name
    items: list[dict[str, Any]] = []
    calls: dict[Any, int] = {}
    taken = set(inputs)
    for node in graph.nodes:
        if node.outputs[0] in tensors:
            continue
        if isinstance(node.op, LayerCall):
            layer = node.op.layer
            name = names[layer]
            calls[layer] = calls.get(layer, 0) + 1
            if calls[layer] == 1:
                item, tensor = _item(layer, name), name
            else:
                item, tensor = {"share": name}, f"{name}@{calls[layer]}"
            given = tree.map_leaves(
                lambda x, node=node: {"tensor": tensors[node.inputs[x.number]]} if isinstance(x, Slot) else x,
                node.op.arguments,
            )
            args, kwargs = given
            item["from"] = _plain_from(args[0]) if args else None
            if len(args) > 1:
                item["args"] = serialize(list(args[1:]))
            if kwargs:
                item["call"] = serialize(kwargs)
        else:
            tensor = node.op.word
            while tensor in taken:
                tensor += "_"
            item = {"op": show_op(node.op), "name": tensor, "from": [tensors[x] for x in node.inputs]}
        taken.add(tensor)
        items.append(item)
        for i, value in enumerate(node.outputs):
            tensors[value] = tensor if i == 0 else f"{tensor}.{i}"
    return {
        "inputs": inputs,
        "input_order": tree.unflatten(graph.input_structure, [tensors[v] for v in graph.inputs]),
        "layers": items,
        "outputs": tree.unflatten(graph.output_structure, [tensors[v] for v in graph.outputs]),
    }


def _plain_from(given: Any) -> Any:
    if isinstance(given, Mapping) and set(given) == {"tensor"}:
        return given["tensor"]
    if isinstance(given, list | tuple):
        return [_plain_from(x) for x in given]
    if isinstance(given, Mapping):
        return {k: _plain_from(v) for k, v in given.items()}
    return serialize(given)


# Data to model -------------------------------------------------------------------------------------------------------


def model_from_config(
    config: Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None = None,
    learned: Mapping[str, Any] | None = None,
) -> Model:
    """The model that ``config`` describes.

    Args:
        config: what ``model_config`` returned.
        custom_objects: layers and models of your own by name; classes, never names to import.
        learned: what layers returned from ``get_state``, by their paths.

    Raises:
        FileFormatError: the data describes no model.
        UnknownNameError: a layer that is neither layerkit's nor in ``custom_objects``.
    """
    reader = _Reader(dict(learned or {}))
    try:
        with knowing(custom_objects):
            return reader.model(config)
    except LayerkitError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise FileFormatError(
            "the file's config describes no model.", expected="inputs, layers, outputs", got=repr(error)[:200]
        ) from error


class _Reader:
    def __init__(self, learned: dict[str, Any]) -> None:
        self.learned = learned
        self.front: list[str] = []
        """Names of the models inside which we are."""

    def find(self, name: str) -> Any:
        """The class of that name, among layerkit's and those given or registered."""
        mine = own(name)
        if mine is not None:
            return mine
        if name in ("Model", "Sequential"):
            return {"Model": Model, "Sequential": Sequential}[name]
        if name not in LAYERS.classes:
            raise UnknownNameError(
                f"there is no layer '{name}'.", got=name,
                fix=f"did you mean '{near}'?" if (near := nearest(name, LAYERS.classes)) else None,
            )  # fmt: skip
        return LAYERS.classes[name]

    def model(self, config: Mapping[str, Any]) -> Model:
        (kind,) = (k for k in config if k not in ITEM_KEYS)
        body, name = config[kind], config.get("name")
        cls = self.find(kind)
        if cls is Sequential:
            start = [Input(**body["input"])] if "input" in body else []
            found: Model = Sequential([*start, *map(self.layer, body["layers"])], name=name)
        elif cls is Model:
            found = self._functional(body, name)
        else:
            found = cls.from_config(self._values(body["config"]))
            found._example = body.get("example")  # type: ignore[attr-defined]
        if config.get("trainable") is False:
            found.trainable = False
        return found

    def layer(self, item: Mapping[str, Any]) -> Layer:
        (kind,) = (k for k in item if k not in ITEM_KEYS)
        arguments, name = item[kind], item.get("name")
        cls = self.find(kind)
        if isinstance(cls, type) and issubclass(cls, Model):
            self.front.append(str(name))
            inner = self.model(item)
            self.front.pop()
            return inner
        with placed(f"{name} ({kind})"):
            layer: Layer = cls.from_config(self._values(arguments, cls))
        if name:  # not every layer of one's own passes a name on
            layer.name, layer._is_named = name, True
        state = self.learned.get("/".join([*self.front, str(layer.name)]))
        if state is not None:
            layer.set_state(state)
        if item.get("trainable") is False:
            layer.trainable = False
        return layer

    def _values(self, arguments: Mapping[str, Any] | None, cls: Any = None) -> dict[str, Any]:
        declared = checks(cls) if isinstance(cls, type) else {}
        found = {}
        for name, value in (arguments or {}).items():
            check = declared.get(name)
            found[name] = self._value(value) if check is None or isinstance(check, OfLayer) else value
        return found

    def _value(self, value: Any) -> Any:
        """Arguments that are layers themselves (``{LSTM: {...}}``) become layers."""
        if isinstance(value, Mapping) and {"Model", "Sequential"} & set(value) and "name" in value:
            return self.layer(value)
        if isinstance(value, Mapping) and len(value) == 1:
            ((kind, inner),) = value.items()
            mine = own(kind)
            if (isinstance(mine, type) and issubclass(mine, Layer)) or (
                kind in LAYERS.classes and isinstance(inner, Mapping | None)
            ):
                return self.layer({kind: inner})
        if isinstance(value, list):
            return [self._value(v) for v in value]
        return value

    def _functional(self, body: Mapping[str, Any], name: str | None) -> Model:
        tensors: dict[str, Any] = {n: Input(**spec, name=n) for n, spec in body["inputs"].items()}
        layers: dict[str, Layer] = {}
        for item in body["layers"]:
            given = item.get("from")
            if "op" in item:
                outputs = apply(parse_op(item["op"]), *(self._tensor(tensors, n) for n in given))
                tensor = item["name"]
            else:
                if "share" in item:
                    tensor = item["share"]
                    layer = layers[tensor]
                    n = 2
                    while f"{tensor}@{n}" in tensors:
                        n += 1
                    tensor = f"{tensor}@{n}"
                else:
                    layer, tensor = self.layer(item), item["name"]
                    layers[tensor] = layer
                args = [tree.map_leaves(lambda n: self._tensor(tensors, n), given)]
                args += [self._filled(tensors, a) for a in item.get("args", [])]
                outputs = layer(*args, **{k: self._filled(tensors, v) for k, v in item.get("call", {}).items()})
            for i, value in enumerate(_with_masks(outputs)):
                tensors[tensor if i == 0 else f"{tensor}.{i}"] = value
        inputs = tree.map_leaves(lambda n: self._tensor(tensors, n), body["input_order"])
        return Model(inputs, tree.map_leaves(lambda n: self._tensor(tensors, n), body["outputs"]), name=name)

    def _filled(self, tensors: Mapping[str, Any], value: Any) -> Any:
        if isinstance(value, Mapping):
            if set(value) == {"tensor"}:
                return self._tensor(tensors, value["tensor"])
            return {k: self._filled(tensors, v) for k, v in value.items()}
        return [self._filled(tensors, v) for v in value] if isinstance(value, list) else value

    @staticmethod
    def _tensor(tensors: Mapping[str, Any], name: Any) -> Any:
        if name not in tensors:
            raise FileFormatError(
                f"the config reads '{name}', which nothing makes.", expected=", ".join(tensors), got=str(name)
            )
        return tensors[name]


def _with_masks(outputs: Any) -> list[Any]:
    """The outputs of a recorded node, of which ``outputs`` are those that are no masks."""
    leaves = tree.leaves(outputs)
    masks = [get_mask(x) for x in leaves]
    return leaves + [m for m in masks if m is not None]


def known_sizes(shape: Sequence[Any]) -> list[int | None]:
    """A shape with None for unknown sizes."""
    return [None if isinstance(n, Dim) else n for n in shape]
