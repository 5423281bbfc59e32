"""Calls of layers on symbolic tensors: kept as nodes of a graph, for a model to replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layerkit import tree
from layerkit.dtypes import canonical
from layerkit.errors import DTypeError, LayerkitError, ShapeError
from layerkit.ir import Node, Op, TensorType, Value, placeholder
from layerkit.ops.core import operand
from layerkit.trace import Trace, get_mask, set_mask, tracing


@dataclass(frozen=True, eq=False)
class LayerCall(Op):
    """A call of a layer on symbolic tensors, to be replayed by a model.

    ``arguments`` is (args, kwargs) with each tensor replaced by its number among the node's inputs.
    """

    name = "layer_call"
    layer: Any
    arguments: Any
    structure: Any

    @property
    def word(self) -> str:
        return str(self.layer.name)

    def given(self, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these tensors."""
        args, kwargs = tree.map_leaves(lambda x: inputs[x.number] if isinstance(x, Slot) else x, self.arguments)
        return args, kwargs

    def replay(self, inputs: Sequence[Any]) -> list[Any]:
        """Call the layer again; the leaves of its output."""
        args, kwargs = self.given(inputs)
        return tree.leaves(self.layer(*args, **kwargs))

    @classmethod
    def cases(cls) -> Iterator[Any]:
        yield from ()


@dataclass(frozen=True)
class Slot:
    """The place of a tensor in recorded arguments."""

    number: int


def record(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Symbolic outputs of ``layer``, found by tracing it once; the call itself is kept in the node."""
    inputs: dict[Value, Slot] = {}

    def slot(x: Any) -> Any:
        return inputs.setdefault(x, Slot(len(inputs))) if isinstance(x, Value) else x

    arguments = tree.map_leaves(slot, (args, kwargs))
    types = [x.type for x in inputs]
    stand_ins = [placeholder(f"in{i}", t.dtype, t.shape) for i, t in enumerate(types)]
    for stand_in, x in zip(stand_ins, inputs, strict=True):
        set_mask(stand_in, _stand_in_of(get_mask(x)))
    abstract = LayerCall(layer, arguments, None)
    given, named = abstract.given(stand_ins)
    try:
        with tracing(Trace()):
            outputs = layer(*given, **named)
    except LayerkitError as error:
        before = [x.node.op.layer.describe() for x in inputs if isinstance(x.node.op, LayerCall)]
        if before and isinstance(error, ShapeError | DTypeError) and error.fix is None:
            error.fix = f"check the layer before it, {before[0]}, whose output is {types[0]}"
        raise
    leaves, structure = tree.flatten(outputs)
    result = [operand(x) for x in leaves]
    kinds = tuple(x.type if isinstance(x, Value) else TensorType(canonical(x.dtype), x.shape) for x in result)
    node = Node(LayerCall(layer, arguments, structure), tuple(inputs), kinds, True, layer.name or "")
    for output, x in zip(node.outputs, result, strict=True):
        set_mask(output, _stand_in_of(get_mask(x)))
    return tree.unflatten(structure, node.outputs)


def _stand_in_of(mask: Any) -> Value | None:
    """What says that there is a mask, and of what shape, while calls are recorded."""
    return None if mask is None else placeholder("mask", canonical(mask.dtype), mask.shape)
