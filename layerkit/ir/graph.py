"""Graphs: values, the nodes that compute them, and the function from inputs to outputs that they form.

``apply`` is the one door through which ops are used. Given a ``Value`` it adds a node and returns symbolic values; given
arrays only it computes at once with the op's reference, so the same code runs in a program and in a debugger. Nodes are
immutable and hold their inputs, so a graph is whatever its outputs can reach; nothing is registered anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.dtypes import canonical, numpy_dtype
from layerkit.errors import LayerkitError
from layerkit.ir.op import Array, Op, nondifferentiable
from layerkit.ir.types import Shape, Size, TensorType
from layerkit.records import dataclass

_ORIGIN: ContextVar[str] = ContextVar("origin", default="")


@contextmanager
def origin(layer: str) -> Iterator[None]:
    """Nodes made inside were made by ``layer``: errors, ``explain`` and profiles name it."""
    token = _ORIGIN.set(layer)
    try:
        yield
    finally:
        _ORIGIN.reset(token)


@dataclass(frozen=True, eq=False, init=False)
class Node:
    """One use of an op."""

    op: Op
    inputs: tuple[Value, ...]
    types: tuple[TensorType, ...]
    several: bool = False
    """The op returns a tuple (perhaps of one), not a single value."""
    origin: str = ""
    outputs: tuple[Value, ...] = field(init=False)

    def __init__(
        self, op: Op, inputs: tuple[Value, ...], types: tuple[TensorType, ...], several: bool = False, origin: str = ""
    ) -> None:
        outputs = tuple([Value(self, i, t) for i, t in enumerate(types)])
        # graphs have thousands of nodes, and this takes a third of the time of setting fields that are frozen
        self.__dict__.update(op=op, inputs=inputs, types=types, several=several, origin=origin, outputs=outputs)

    @property
    def inputs_key(self) -> tuple[int, ...]:
        """The inputs by identity: ``==`` of two values is a comparison in the program."""
        return tuple(map(id, self.inputs))

    @property
    def result(self) -> Any:
        """What ``apply`` returns: the value, or the tuple of values."""
        return self.outputs if self.several else self.outputs[0]


class Arithmetic:
    """Operators of tensors; ``layerkit.ops.operators`` attaches them, here they are only declared."""

    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __abs__(self) -> Any: ...
        def __invert__(self) -> Any: ...


@dataclass(frozen=True, eq=False, init=False)
class Value(Arithmetic):
    """One output of a node: a tensor whose numbers are not known yet.

    Arithmetic and indexing are attached by ``layerkit.ops``.
    """

    node: Node
    index: int
    type: TensorType

    def __init__(self, node: Node, index: int, type: TensorType) -> None:
        self.__dict__.update(node=node, index=index, type=type)

    __array_ufunc__ = None  # ``array + value`` comes to us; ``layerkit.ops`` attaches a better one
    __array_priority__ = 100

    @property
    def shape(self) -> Shape:
        """Sizes of the axes; unknown ones are ``Dim``."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.type.shape)

    def __repr__(self) -> str:
        return f"<{self.type} from {self.node.op.word}>"

    def __len__(self) -> int:
        size = self.type.shape[0]
        return size if isinstance(size, int) else size.__index__()

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError  # layerkit.ops attaches it

    def __bool__(self) -> bool:
        raise LayerkitError(
            "the truth of a symbolic tensor is not known before the program runs.",
            got=str(self.type),
            fix="use ops.where(condition, a, b) instead of 'if', & and | instead of 'and' and 'or'",
        )

    def _unknown(self, *_: Any, **__: Any) -> Any:
        raise LayerkitError(
            "a symbolic tensor has no numbers before the program runs.",
            got=str(self.type),
            fix="use functions of layerkit.ops on it instead of NumPy's or Python's",
        )

    __float__ = __int__ = __index__ = __array__ = _unknown


@dataclass(frozen=True)
class Input(Op):
    """A value that is given when the program runs."""

    name = "input"
    label: str
    type: TensorType

    def infer(self) -> TensorType:
        return self.type

    vjp = nondifferentiable("it has no inputs")

    @classmethod
    def cases(cls) -> Iterator[Any]:
        yield from ()


@dataclass(frozen=True, eq=False)
class Const(Op):
    """Numbers that are part of the program; equal when their bits are (0.0 is not -0.0, and nan is itself)."""

    name = "const"
    array: Array

    def __post_init__(self) -> None:
        array = np.ascontiguousarray(self.array).reshape(np.shape(self.array))
        array.setflags(write=False)
        object.__setattr__(self, "array", array)

    def _key(self) -> tuple[Any, ...]:
        return self.array.dtype.str, self.array.dtype.name, self.array.shape, self.array.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def infer(self) -> TensorType:
        return TensorType(canonical(self.array.dtype), self.array.shape)

    def reference(self) -> Array:
        return self.array

    vjp = nondifferentiable("it has no inputs")

    @classmethod
    def cases(cls) -> Iterator[Any]:
        yield from ()


def apply(op: Op, *inputs: Any) -> Any:
    """Use ``op`` on values or arrays; see the module's text."""
    if not any(isinstance(x, Value) for x in inputs):
        arrays = [np.asarray(x) for x in inputs]
        types = op.infer(*(TensorType(canonical(a.dtype), a.shape) for a in arrays))
        if not any(t.axes for t in (types if isinstance(types, tuple) else (types,))):
            with np.errstate(all="ignore"):  # inf and nan are results
                result = op.reference(*arrays)
            return tuple(map(np.asarray, result)) if isinstance(types, tuple) else np.asarray(result)
    return make(op, tuple(x if isinstance(x, Value) else constant(x) for x in inputs)).result


def make(op: Op, inputs: tuple[Value, ...], origin: str | None = None) -> Node:
    """The node that uses ``op`` on ``inputs``; its types come from the op's own rule."""
    types = op.infer(*(x.type for x in inputs))
    several = isinstance(types, tuple)
    return Node(op, inputs, types if several else (types,), several, _ORIGIN.get() if origin is None else origin)  # type: ignore[arg-type]


def constant(number: Any, dtype: str | None = None) -> Value:
    """A value that is part of the program."""
    array = np.asarray(number, dtype=None if dtype is None else numpy_dtype(dtype))
    result: Value = make(Const(array), ()).result
    return result


def placeholder(label: str, dtype: str, shape: Iterable[Size]) -> Value:
    """A value that is given when the program runs."""
    result: Value = make(Input(label, TensorType(dtype, tuple(shape))), ()).result
    return result


def toposort(roots: Iterable[Value], stop: Iterable[Value] = ()) -> list[Node]:
    """The nodes that ``roots`` need, each after its inputs; not looking past the values in ``stop``."""
    seen: set[Node] = {v.node for v in stop}
    order: list[Node] = []
    stack: list[Node | None] = [root.node for root in reversed(list(roots))]
    while stack:
        node = stack.pop()
        if node is None:  # all that the node below it needs is done
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            for x in reversed(node.inputs):
                if x.node not in seen:
                    stack.append(x.node)
    return order


@dataclass(frozen=True, eq=False)
class Graph:
    """A function from input values to output values.

    As a field of an op (the body of a loop) it equals every graph with the same text.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    name: str = "f"

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """Every node, each after those that it needs."""
        return tuple(toposort(self.outputs))

    @cached_property
    def _nodes(self) -> tuple[Node, ...]:
        return tuple([n for n in self.order if not isinstance(n.op, Input)])

    def nodes(self) -> tuple[Node, ...]:
        """Every node but the inputs, each after those that it needs."""
        return self._nodes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and (self is other or str(self) == str(other))

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        from layerkit.ir.text import show

        cached = self.__dict__.get("_text")
        if cached is None:
            cached = show(self)
            object.__setattr__(self, "_text", cached)
        return cached

    def bind(self, sizes: Mapping[str, int]) -> Graph:
        """This graph with unknown sizes replaced by numbers."""
        known = [v.type for v in self.inputs] + [t for n in self.nodes() for t in n.types]
        if all(t.axes.isdisjoint(sizes) for t in known) and all(n.op.bind(sizes) is n.op for n in self.nodes()):
            return self
        new = {v: placeholder(v.node.op.label, v.dtype, v.type.bind(sizes).shape) for v in self.inputs}  # type: ignore[attr-defined]
        return substitute(self, new, lambda node, inputs: make(node.op.bind(sizes), inputs, node.origin))


def substitute(
    graph: Graph, inputs: Mapping[Value, Value], build: Callable[[Node, tuple[Value, ...]], Node] | None = None
) -> Graph:
    """``graph`` computed on other inputs; ``build`` makes the new node from the old one and its new inputs."""
    outputs = inline(graph.outputs, inputs, build)
    return Graph(tuple(inputs.get(v, v) for v in graph.inputs), outputs, graph.name)


def inline(
    outputs: Sequence[Value],
    inputs: Mapping[Value, Value],
    build: Callable[[Node, tuple[Value, ...]], Node] | None = None,
) -> tuple[Value, ...]:
    """Recompute ``outputs`` with some values replaced by others; nodes that do not depend on those stay the same."""
    new: dict[Value, Value] = dict(inputs)
    for node in toposort(outputs, stop=inputs):
        given = tuple(new.get(x, x) for x in node.inputs)
        if build is None and all(a is b for a, b in zip(given, node.inputs, strict=True)):
            continue
        if build is None or isinstance(node.op, Input):
            made = make(node.op, given, node.origin) if node.inputs else node
        else:
            made = build(node, given)
        new.update(zip(node.outputs, made.outputs, strict=True))
    return tuple(new.get(v, v) for v in outputs)
