"""A model to YAML: ``dump(model)``, as short as it can be said; ``loads`` makes an equal model of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from builders.calls import Call, Formula, Repeat
from builders.outline import Outline, compiled, outline, short
from builders.scalars import write_scalar
from layerkit.fields import signature
from layerkit.models import Model

WIDTH = 110
"""A mapping longer than a line of so many characters is written in several."""


def dump(model: Model, *, names: bool = True) -> str:
    """The spec of a model: its architecture, and how it was compiled.

    Arguments that are defaults, names that layers get by themselves, and ``from`` where a layer reads the one before it are
    left out; runs of layers that are equal, or whose numbers follow a rule (8, 16, 32), become repeats where that is shorter;
    models that are layers become blocks whose inputs have shapes.

    Args:
        model: a Sequential or functional model.
        names: whether layers keep theirs; without, those that nothing refers to get automatic ones, and other first weights.

    Raises:
        ArgumentError: the model holds Python code: a Lambda layer, an op applied to tensors, a class with its own ``call``.

    Example:
        >>> from layerkit import Input, Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(8, activation="relu"), layers.Dense(1)], name="small")
        >>> print(dump(model))
        layerkit: 1
        name: small
        inputs:
          input_layer: {shape: [4]}
        layers:
          - Dense: {units: 8, activation: relu}
            repeat: 2
          - Dense: 1
        <BLANKLINE>
    """
    return "\n".join(_lines(outline(model, names=names), short(compiled(model)))) + "\n"


def _lines(found: Outline, compiling: Mapping[str, Any]) -> Iterator[str]:
    yield "layerkit: 1"
    yield f"name: {write_scalar(found.name)}"
    yield from _inputs(found, "")
    if found.blocks:
        yield "blocks:"
        for name, block in found.blocks.items():
            yield f"  {name}:"
            if block.title is not None:
                yield f"    name: {write_scalar(block.title)}"
            yield from _inputs(block, "    ")
            yield from _body(block, "    ")
    yield from _body(found, "")
    if compiling:
        yield "compile:"
        yield from mapping(compiling, "  ")


def _inputs(found: Outline, indent: str) -> Iterator[str]:
    yield f"{indent}inputs:"
    for name, arguments in found.inputs.items():
        yield f"{indent}  {write_scalar(name)}: {flow(arguments)}"


def _body(found: Outline, indent: str) -> Iterator[str]:
    yield f"{indent}layers:"
    yield from _items(found.calls, f"{indent}  ")
    if found.outputs is not None:
        yield f"{indent}outputs: {flow(found.outputs)}"


def _items(calls: Sequence[Call | Repeat], indent: str) -> Iterator[str]:
    for call in calls:
        if isinstance(call, Call):
            yield from _item(call, indent)
        elif len(call.body) == 1 and isinstance(call.body[0], Call):
            yield from _item(call.body[0], indent, call.times, call.turn)
        else:
            yield f"{indent}- repeat: {call.times}"
            if call.turn is not None:
                yield f"{indent}  as: {call.turn}"
            yield f"{indent}  layers:"
            yield from _items(call.body, f"{indent}    ")


def _item(call: Call, indent: str, times: int = 1, turn: str | None = None) -> Iterator[str]:
    beside = {
        "name": call.name, "from": call.reads, "call": call.named or None, "trainable": False if call.is_frozen else None,
        "repeat": times if times > 1 else None, "as": turn,
    }  # fmt: skip
    beside = {k: v for k, v in beside.items() if v is not None}
    lines = [f"share: {write_scalar(call.share)}"] if call.share is not None else list(_layer(call, beside))
    lines += [line for key, value in beside.items() for line in mapping({key: value})]
    for i, line in enumerate(lines):
        yield f"{indent}{'  ' if i else '- '}{line}"


def _layer(call: Call, beside: Mapping[str, Any]) -> Iterator[str]:
    if not call.arguments:  # a word alone is an entry; with keys beside it, it needs its colon
        yield f"{call.kind}:" if beside else call.kind
    elif (alone := lone(call.kind, call.arguments, type(call.layer))) is not None:
        yield f"{call.kind}: {flow(alone)}"
    else:
        yield from mapping({call.kind: call.arguments})


def lone(kind: str, arguments: Mapping[str, Any], cls: type) -> Any:
    """The value of the first argument, if it is the only one given and can stand alone; else None."""
    first = next(iter(signature(cls).parameters), None)
    value = arguments.get(first) if first is not None and len(arguments) == 1 else None
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def mapping(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """``key: value`` lines; what does not fit a line goes on in the next ones."""
    for key, value in values.items():
        line = f"{indent}{write_scalar(key)}: {flow(value)}"
        if len(line) <= WIDTH or not isinstance(value, Mapping):
            yield line
        else:
            yield f"{indent}{write_scalar(key)}:"
            yield from mapping(value, f"{indent}  ")


def flow(value: Any) -> str:
    """A value in one line.

    >>> flow({"units": 3, "rate": [0.5, None], "name": "on, off"})
    '{units: 3, rate: [0.5, null], name: "on, off"}'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{write_scalar(k)}: {flow(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, Formula):
        return write_scalar(f"${value}" if value.isidentifier() else f"$({value})")
    if isinstance(value, str) and value.startswith("$"):  # a text, not a name
        return write_scalar(f"${value}")
    return write_scalar(value)
