"""A model as it would be written down: its calls in order, with only the names that are needed, repeats found again.

In goes a model, out comes an ``Outline``; ``dump`` writes it as YAML, ``python_source`` as Python. Both number layers without
a name as the spec and the library do, so that what is read back has the same names, and with one seed the same weights.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import field
from typing import Any

from builders.build import call_parameters
from builders.calls import Call, Repeat, Word
from builders.folding import folded
from builders.items import KEYS, is_name
from layerkit import tree
from layerkit.errors import ArgumentError, placed
from layerkit.ir import Value
from layerkit.layers import LAYERS, Layer
from layerkit.layers.recorded import LayerCall, Slot
from layerkit.models import Model, Sequential
from layerkit.records import dataclass
from layerkit.registry import serialize, snake_case


@dataclass
class Outline:
    """A model's inputs, calls and outputs; ``blocks`` are the models that are layers in it."""

    name: str = field(compare=False)
    inputs: dict[str, dict[str, Any]]
    calls: list[Call | Repeat]
    outputs: Any
    blocks: dict[str, Outline] = field(default_factory=dict)
    own: set[type] = field(default_factory=set)
    """Classes of layers that are not layerkit's."""
    title: str | None = field(default=None, compare=False)
    """The name of a model that is an argument of a layer, where it is not that of its block."""


def outline(model: Model, *, names: bool = True) -> Outline:
    """The outline of a functional or Sequential model; without ``names`` only those are kept that something refers to.

    Raises:
        ArgumentError: the model holds what no file can: a subclass's own code, an op applied to symbolic tensors; or
            what no spec says: a layer in two of its models, a name with brackets.
    """
    reader = _Reader(names)
    found = reader.model(model)
    found.blocks, found.own = reader.blocks, reader.own
    return found


class _Reader:
    """Reads a model and those that are layers in it."""

    def __init__(self, names: bool) -> None:
        self.names = names
        self.blocks: dict[str, Outline] = {}
        self.own: set[type] = set()
        self._seen: dict[Layer, str] = {}
        """The layers that were met, with the model that each is part of."""
        self._within = ""

    def model(self, model: Model) -> Outline:
        """The outline of one model."""
        if model._graph is None or type(model).call not in (Model.call, Sequential.call):
            raise ArgumentError(
                f"{type(model).__name__} '{model.name}' cannot be written down: its call is Python code.",
                expected="a Sequential or functional model that was built", got=repr(model),
            )  # fmt: skip
        outside, self._within = self._within, str(model.name)
        try:
            return self._model(model, model._graph)
        finally:
            self._within = outside

    def _model(self, model: Model, graph: Any) -> Outline:
        names = {layer: name for name, layer in model.children()}
        for name in names.values():
            _check_name(name)
        tensors: dict[Value, str] = {}
        inputs = {}
        for value, layer in zip(graph.inputs, graph.input_layers, strict=True):
            name = names.get(layer, str(layer.name))
            tensors[value] = name
            inputs[name] = _input(value)
        calls: list[Call] = []
        first: dict[Layer, Call] = {}
        for node in graph.nodes:
            if node.outputs[0] in tensors:
                continue
            if not isinstance(node.op, LayerCall):
                raise ArgumentError(
                    f"'{node.op.word}' is applied to tensors of '{model.name}': there are only layers in a spec.",
                    expected="a layer", got=repr(node.op), fix="use a layer: layers.Add, layers.Multiply, layers.Rescaling, ...",
                )  # fmt: skip
            layer = node.op.layer
            call = self._call(layer, names[layer], node, tensors, first.get(layer), len(calls))
            calls.append(call)
            first.setdefault(layer, call)
            made = node.outputs[: len(node.outputs) - len(node.op.masked)]
            call.outs = _named(node.op, call.out, len(made), set(names.values()))
            call.structure = node.op.structure
            tensors.update(zip(made, call.outs, strict=True))
        outputs = tree.unflatten(graph.output_structure, [tensors[v] for v in graph.outputs])
        before = next(iter(inputs)) if len(inputs) == 1 else None
        for call in calls:
            if call.reads == before and before is not None:
                call.reads = None
            before = call.out
        _name(calls, inputs, outputs, all_=self.names)
        if outputs == (calls[-1].out if calls else None):
            outputs = None
        return Outline(str(model.name), inputs, folded(calls), outputs)

    def _call(
        self, layer: Layer, name: str, node: Any, tensors: Mapping[Value, str], first: Call | None, number: int
    ) -> Call:
        def named(x: Any) -> Any:
            return tensors[node.inputs[x.number]] if isinstance(x, Slot) else x

        args, kwargs = tree.map_leaves(named, node.op.arguments)
        names, needed, _ = call_parameters(type(layer))
        given = dict(zip(names, args, strict=False)) | kwargs
        reads = [given.pop(n) for n in needed if n in given] if len(needed) > 1 else given.pop(needed[0] if needed else names[0])  # fmt: skip
        if len(needed) <= 1 and isinstance(reads, tuple):
            reads = list(reads)
        given = {k: v for k, v in given.items() if v is not None}
        if isinstance(layer, Model):
            reads = _in_order(reads, layer)
        if first is not None:
            first.name = first.out
            return Call(first.kind, first.arguments, layer, f"{name}_again{number}", name=f"{name}_again{number}", reads=reads, named=given, share=first.out)  # fmt: skip
        with placed(f"{name} ({type(layer).__name__})"):
            kind, arguments = self._arguments(layer, name)
        call = Call(kind, arguments, layer, name, reads=reads, named=given)
        call.is_frozen = not layer.trainable and arguments.get("trainable") is not False
        return call

    def _arguments(self, layer: Layer, name: str, is_argument: bool = False) -> tuple[str, dict[str, Any]]:
        """The name of a layer's class, or of the block that a model becomes, and the arguments that are no defaults."""
        if layer in self._seen:
            first = self._seen[layer]
            places = f"two layers of '{first}'" if first == self._within else f"'{first}' and of '{self._within}'"
            raise ArgumentError(
                f"the layer '{layer.name}' is part of {places}, which no spec can say.", expected="a layer in one place",
                got=repr(layer), fix="call the model that it is part of, or make a layer for each place",
            )  # fmt: skip
        self._seen[layer] = self._within
        if isinstance(layer, Model):
            return self._block(self.model(layer), name, is_argument), {}
        if layer.is_python_only:
            raise ArgumentError(
                f"a {type(layer).__name__} layer cannot be written down: it holds Python code.",
                expected="layers that are plain data", got=repr(layer), fix="write it as a class of your own",
            )  # fmt: skip
        kind = type(layer).__name__
        if LAYERS.classes.get(kind) is not type(layer):
            self.own.add(type(layer))
        config = layer.config
        if type(layer).get_config is not Layer.get_config:
            defaults = {p.name: p.default for p in inspect.signature(type(layer)).parameters.values()}
            config = {k: v for k, v in layer.get_config().items() if k not in defaults or v != defaults[k]}
        return kind, {k: self._value(v) for k, v in config.items() if k != "name"}

    def _block(self, inner: Outline, name: str, is_argument: bool) -> str:
        """The word of the block that a model becomes: that of an equal one, or a new one."""
        for word, block in self.blocks.items():
            fits = (block.title or word) == name if is_argument else block.title is None
            if fits and block == inner:
                return word
        word = snake_case(re.sub(r"\W", "_", name)).strip("_") or "model"
        if word in (*KEYS, "true", "false", "if", "else", "and", "or", "not") or word[0].isdigit():
            word = f"model_{word}"
        while word in self.blocks:
            word += "_"
        if is_argument and word != name:
            inner.title = name
        self.blocks[word] = inner
        return word

    def _value(self, value: Any) -> Any:
        """An argument as plain data; a layer as ``{name: arguments}``."""
        if isinstance(value, Layer):
            held = value._owner[1] if value._owner is not None else None
            kind, arguments = self._arguments(value, held or str(value.name), is_argument=True)
            if isinstance(value, Model):
                return Word(kind)
            if not value.trainable and "trainable" not in arguments:
                arguments["trainable"] = False
            return {kind: {**arguments, "name": value.name} if value._is_named else arguments}
        if isinstance(value, list | tuple):
            return [self._value(v) for v in value]
        if isinstance(value, Mapping):
            return {str(k): self._value(v) for k, v in value.items()}
        return short(serialize(value))


def _check_name(name: str) -> None:
    if not is_name(name):
        raise ArgumentError(
            "a layer has a name that no spec can have.", expected="letters, digits, blanks, and any of _ - . : / between them",
            got=repr(name), fix="give the layer another name=",
        )  # fmt: skip


def _named(call: LayerCall, out: str, count: int, taken: Container[str]) -> list[str]:
    """The names of what a call makes; of several outputs the first has that of the layer."""
    if count == 1:
        return [out]
    structure = tree.unflatten(call.structure, list(range(count)))
    is_mapping = isinstance(structure, Mapping)
    if sorted(map(str, structure.values() if is_mapping else structure)) != sorted(map(str, range(count))):
        raise ArgumentError(
            "a layer has outputs within outputs, which no spec can say.", layer=call.layer.describe(),
            expected="a list or a mapping of tensors", got=repr(structure),
        )  # fmt: skip
    places = list(structure.values()) if is_mapping else list(range(count))
    labels = list(structure) if is_mapping else list(call.layer.output_names)
    if (isinstance(call.layer, Model) and not is_mapping) or len(labels) < count:
        labels = []
    found = [""] * count
    for i, place in enumerate(places):
        ends = ["", f".{i}"] if i == 0 else [f".{i}"]
        if labels:
            ends.insert(i == 0, f".{labels[i]}")
        free = [f"{out}{end}" for end in ends if f"{out}{end}" not in taken or not end]
        if not free:
            raise ArgumentError(
                f"a layer has the name of an output of '{out}'.", expected="names that differ", got=f"{out}{ends[-1]}",
                fix="give the layer another name=",
            )  # fmt: skip
        found[place] = free[0]
    return found


def _in_order(reads: Any, model: Model) -> Any:
    """What a model is called on in the order of its inputs: its block has their names, not their nesting."""
    if isinstance(reads, Mapping):
        structure = model._require_graph().input_structure
        inputs = tree.unflatten(structure, model.input_names)
        if isinstance(inputs, Mapping) and set(inputs) <= set(reads):
            reads = {key: reads[key] for key in inputs}
        else:
            reads = [reads[name] for name in model.input_names]
    found = tree.leaves(reads)
    return found[0] if len(found) == 1 else found


def _input(value: Value) -> dict[str, Any]:
    shape = [n if isinstance(n, int) else None for n in value.shape]
    found: dict[str, Any] = {"shape": shape[1:]}
    if shape[0] is not None:
        found["batch_size"] = shape[0]
    return found if value.dtype == "float32" else found | {"dtype": value.dtype}


def short(value: Any) -> Any:
    """Plain data with the names of objects alone where they have no arguments: ``{Adam: {}}`` is ``Adam``."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((name, arguments),) = value.items()
            if arguments == {} and name[:1].isupper():
                return name
        return {k: short(v) for k, v in value.items()}
    return [short(v) for v in value] if isinstance(value, list | tuple) else value


def compiled(model: Model) -> dict[str, Any]:
    """What ``compile`` was given, as plain data without what is a default; nothing for a model that is not compiled."""
    found = model.get_compile_config() if model.optimizer is not None else {}
    defaults = {p.name: p.default for p in inspect.signature(Model.compile).parameters.values()}
    return {k: v for k, v in found.items() if v != defaults.get(k) or k == "optimizer"}


# Names -----------------------------------------------------------------------------------------------------------------


def _name(calls: Sequence[Call], inputs: Mapping[str, Any], outputs: Any, *, all_: bool) -> None:
    """Give names where a tensor is read from elsewhere, and (for all) where the automatic name would be another."""
    read = {str(leaf) for call in calls for leaf in tree.leaves((call.reads, call.named))} | set(tree.leaves(outputs))
    last = calls[-1].out if calls else None
    for call in calls:
        is_read = any(name == call.out or name.startswith(f"{call.out}.") for name in read)
        if is_read and not (outputs == last == call.out and _reads(calls, call.out) == 0):
            call.name = call.out
    while all_:
        wrong = [c for c, automatic in _automatic(calls, inputs) if c.name is None and automatic != c.out]
        if not wrong:
            return
        wrong[0].name = wrong[0].out


def _reads(calls: Sequence[Call], out: str) -> int:
    return sum(
        str(leaf) == out or str(leaf).startswith(f"{out}.") for c in calls for leaf in tree.leaves((c.reads, c.named))
    )


def _automatic(calls: Sequence[Call], inputs: Mapping[str, Any]) -> list[tuple[Call, str]]:
    """The names that layers without one get."""
    taken = {c.name for c in calls if c.name is not None}
    numbers: dict[str, int] = {}
    found = []
    for call in calls:
        if call.name is not None or call.share is not None:
            continue
        base = name = snake_case(call.kind)
        while name in taken:
            numbers[base] = numbers.get(base, 0) + 1
            name = f"{base}_{numbers[base]}"
        taken.add(name)
        found.append((call, name))
    return found
