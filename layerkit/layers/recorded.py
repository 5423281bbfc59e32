"""Calls of layers on symbolic tensors: kept as nodes of a graph, for a model to replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from layerkit import tree
from layerkit.errors import DTypeError, LayerkitError, ShapeError
from layerkit.ir import Node, Op, Value, placeholder
from layerkit.ops.core import operand, type_of
from layerkit.records import dataclass
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
    masked: tuple[int, ...] = ()
    """Which leaves of the output have a mask: these masks follow them as outputs of the node."""

    @property
    def word(self) -> str:
        return str(self.layer.name)

    def given(self, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these tensors."""
        args, kwargs = tree.map_leaves(lambda x: inputs[x.number] if isinstance(x, Slot) else x, self.arguments)
        return args, kwargs

    def replay(self, inputs: Sequence[Any]) -> list[Any]:
        """Call the layer again; the leaves of its output, then their masks."""
        args, kwargs = self.given(inputs)
        return self.results(self.layer(*args, **kwargs))

    def results(self, outputs: Any) -> list[Any]:
        """What the node's outputs stand for, in ``outputs`` of the layer."""
        leaves = tree.leaves(outputs)
        return leaves + [get_mask(leaves[i]) for i in self.masked]

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
    for x, other in zip(inputs, stand_ins, strict=True):
        mask = get_mask(x)
        if mask is not None:
            set_mask(other, placeholder("mask", mask.dtype, mask.shape))
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
    masks = [operand(m) if (m := get_mask(x)) is not None else None for x in result]
    masked = tuple(i for i, m in enumerate(masks) if m is not None)
    kinds = tuple(map(type_of, (*result, *(masks[i] for i in masked))))
    call = LayerCall(layer, arguments, structure, masked)
    node = Node(call, tuple(inputs), kinds, True, layer.name or "")
    for i, mask in zip(masked, node.outputs[len(leaves) :], strict=True):
        set_mask(node.outputs[i], mask)
    layer._node = layer._node or node
    return recorded_outputs(node)


def recorded_inputs(node: Node) -> Any:
    """The first argument of a recorded call, in its structure."""
    assert isinstance(node.op, LayerCall)
    args, kwargs = node.op.given(node.inputs)
    return args[0] if args else next(iter(kwargs.values()))


def recorded_outputs(node: Node) -> Any:
    """The outputs of a recorded call in their structure."""
    assert isinstance(node.op, LayerCall)
    return tree.unflatten(node.op.structure, node.outputs)
