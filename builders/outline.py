"""A model as it would be written down: its calls in order, with only the names that are needed, repeats found again.

In goes a model, out comes an ``Outline``; ``dump`` writes it as YAML, ``python_source`` as Python. Both number layers without
a name as the spec and the library do, so that what is read back has the same names, and with one seed the same weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.build import call_parameters
from layerkit import tree
from layerkit.errors import ArgumentError, placed
from layerkit.ir import Value
from layerkit.layers import LAYERS, Layer
from layerkit.layers.recorded import LayerCall, Slot
from layerkit.models import Model
from layerkit.registry import serialize, snake_case


@dataclass
class Call:
    """One call of a layer.

    ``kind`` is the name of its class, or of a block where the layer is a model; ``reads`` names the tensors of the first
    argument (None: what the call before made), ``named`` those of further arguments; ``name`` is None where the automatic
    one is right.
    """

    kind: str
    arguments: dict[str, Any]
    layer: Layer
    out: str
    outs: list[str] = field(default_factory=list)
    """The names of all tensors that it makes; ``out`` is the first."""
    name: str | None = None
    reads: Any = None
    named: dict[str, Any] = field(default_factory=dict)
    share: str | None = None
    is_frozen: bool = False

    @property
    def reads_apart(self) -> bool:
        """Whether the tensors of ``reads`` are an argument each, not one list."""
        return isinstance(self.reads, list) and len(call_parameters(type(self.layer))[1]) > 1

    @property
    def is_plain(self) -> bool:
        """Whether it needs nothing but the call before it."""
        return self.name is None and self.reads is None and not self.named and self.share is None

    def same(self, other: Call | Repeat) -> bool:
        """Whether both could be turns of one repeat."""
        return (
            isinstance(other, Call) and self.is_plain and other.is_plain
            and (self.kind, self.arguments, self.is_frozen) == (other.kind, other.arguments, other.is_frozen)
        )  # fmt: skip


@dataclass
class Repeat:
    """Calls that are made several times, one after another, with layers of their own each time."""

    times: int
    body: list[Call | Repeat]


@dataclass
class Outline:
    """A model's inputs, calls and outputs; ``blocks`` are the models that are layers in it."""

    name: str
    inputs: dict[str, dict[str, Any]]
    calls: list[Call | Repeat]
    outputs: Any
    blocks: dict[str, Outline]
    own: set[type]
    """Classes of layers that are not layerkit's."""


def outline(model: Model) -> Outline:
    """The outline of a functional or Sequential model.

    Raises:
        ArgumentError: the model holds what no file can: a subclass's own code, an op applied to symbolic tensors.
    """
    blocks: dict[str, Outline] = {}
    own: set[type] = set()
    found = _model(model, blocks, own)
    found.blocks, found.own = blocks, own
    return found


def _model(model: Model, blocks: dict[str, Outline], own: set[type], is_block: bool = False) -> Outline:
    if model._graph is None or type(model).call not in (Model.call, _sequential_call()):
        raise ArgumentError(
            f"{type(model).__name__} '{model.name}' cannot be written down: its call is Python code.",
            expected="a Sequential or functional model that was built", got=repr(model),
        )  # fmt: skip
    graph = model._graph
    names = {layer: name for name, layer in model.children()}
    tensors: dict[Value, str] = {}
    inputs = {}
    for value, layer in zip(graph.inputs, graph.input_layers, strict=True):
        name = "input" if is_block and len(graph.inputs) == 1 else names.get(layer, str(layer.name))
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
        layer, name = node.op.layer, names[node.op.layer]
        calls.append(_call(layer, name, node, tensors, first.get(layer), len(calls), blocks, own))
        first.setdefault(layer, calls[-1])
        labels, made = list(layer.output_names), node.outputs[: len(node.outputs) - len(node.op.masked)]
        for i, value in enumerate(made):
            end = labels[i] if len(labels) >= len(made) else str(i)
            tensors[value] = calls[-1].out if i == 0 else f"{calls[-1].out}.{end}"
        calls[-1].outs = [tensors[value] for value in made]
    outputs = tree.unflatten(graph.output_structure, [tensors[v] for v in graph.outputs])
    before = next(iter(inputs)) if len(inputs) == 1 else None
    for call in calls:
        if call.reads == before and before is not None:
            call.reads = None
        before = call.out
    _name(calls, inputs, outputs)
    if outputs == (calls[-1].out if calls else None):
        outputs = None
    return Outline(str(model.name), inputs, _folded(calls), outputs, {}, set())


def _sequential_call() -> Any:
    from layerkit.models import Sequential

    return Sequential.call


def _input(value: Value) -> dict[str, Any]:
    shape = [n if isinstance(n, int) else None for n in value.shape]
    found: dict[str, Any] = {"shape": shape[1:]}
    if shape[0] is not None:
        found["batch_size"] = shape[0]
    return found if value.dtype == "float32" else found | {"dtype": value.dtype}


def _call(
    layer: Layer, name: str, node: Any, tensors: Mapping[Value, str], first: Call | None, number: int, blocks: dict[str, Outline], own: set[type]
) -> Call:  # fmt: skip
    def named(x: Any) -> Any:
        return tensors[node.inputs[x.number]] if isinstance(x, Slot) else x

    args, kwargs = tree.map_leaves(named, node.op.arguments)
    names, needed, _ = call_parameters(type(layer))
    given = dict(zip(names, args, strict=False)) | kwargs
    reads = [given.pop(n) for n in needed if n in given] if len(needed) > 1 else given.pop(needed[0] if needed else names[0])  # fmt: skip
    if len(needed) <= 1 and isinstance(reads, tuple):
        reads = list(reads)
    given = {k: v for k, v in given.items() if v is not None}
    if first is not None:
        first.name = first.out
        return Call(first.kind, first.arguments, layer, f"{name}_again{number}", [], f"{name}_again{number}", reads, given, share=first.out)  # fmt: skip
    with placed(f"{name} ({type(layer).__name__})"):
        kind, arguments = _arguments(layer, blocks, own)
    call = Call(kind, arguments, layer, name, [], None, reads, given)
    call.is_frozen = not layer.trainable and arguments.get("trainable") is not False
    if isinstance(layer, Model):
        call.name = name
    return call


def _arguments(layer: Layer, blocks: dict[str, Outline], own: set[type]) -> tuple[str, dict[str, Any]]:
    """The name of a layer's class, or of the block that a model becomes, and the arguments that are no defaults."""
    if isinstance(layer, Model):
        inner = _model(layer, blocks, own, is_block=True)
        name = snake_case(str(layer.name)).replace("/", "_")
        while name in blocks and blocks[name] != inner:
            name += "_"
        blocks[name] = inner
        return name, {}
    if layer.is_python_only:
        raise ArgumentError(
            f"a {type(layer).__name__} layer cannot be written down: it holds Python code.",
            expected="layers that are plain data", got=repr(layer), fix="write it as a class of your own",
        )  # fmt: skip
    kind = type(layer).__name__
    if LAYERS.classes.get(kind) is not type(layer):
        own.add(type(layer))
    config = layer.config
    if type(layer).get_config is not Layer.get_config:
        defaults = {p.name: p.default for p in inspect.signature(type(layer)).parameters.values()}
        config = {k: v for k, v in layer.get_config().items() if k not in defaults or v != defaults[k]}
    return kind, {k: _value(v, blocks, own) for k, v in config.items() if k != "name"}


def _value(value: Any, blocks: dict[str, Outline], own: set[type]) -> Any:
    """An argument as plain data; a layer as ``{name: arguments}``."""
    if isinstance(value, Layer):
        kind, arguments = _arguments(value, blocks, own)
        if not isinstance(value, Model) and value._is_named:
            arguments = {**arguments, "name": value.name}
        return {kind: arguments}
    if isinstance(value, list | tuple):
        return [_value(v, blocks, own) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _value(v, blocks, own) for k, v in value.items()}
    return short(serialize(value))


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


def _name(calls: Sequence[Call], inputs: Mapping[str, Any], outputs: Any) -> None:
    """Give names where a tensor is read from elsewhere, and where the automatic name would be another."""
    read = {str(leaf) for call in calls for leaf in tree.leaves((call.reads, call.named))} | set(tree.leaves(outputs))
    last = calls[-1].out if calls else None
    for call in calls:
        is_read = any(name == call.out or name.startswith(f"{call.out}.") for name in read)
        if is_read and not (outputs == last == call.out and _reads(calls, call.out) == 0):
            call.name = call.out
    while True:
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


# Repeats ---------------------------------------------------------------------------------------------------------------

_LONGEST = 24
"""So many calls a repeat may have in its body."""


def _folded(calls: Sequence[Call]) -> list[Call | Repeat]:
    """The calls with repeats in the place of equal runs; the longest run that begins at a call is taken."""
    found: list[Call | Repeat] = []
    at = 0
    while at < len(calls):
        best, size = 1, 1
        for length in range(1, min(_LONGEST, (len(calls) - at) // 2) + 1):
            times = _turns(calls, at, length)
            if times > 1 and times * length > best * size:
                best, size = times, length
        body = calls[at : at + size]
        found += [Repeat(best, _folded(body))] if best > 1 else list(body)
        at += best * size
    return found


def _turns(calls: Sequence[Call], at: int, length: int) -> int:
    times = 1
    while at + (times + 1) * length <= len(calls) and all(
        calls[at + i].same(calls[at + times * length + i]) for i in range(length)
    ):
        times += 1
    return times
