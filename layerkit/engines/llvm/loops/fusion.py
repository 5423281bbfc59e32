"""From a graph to descriptions of fused loops: which values are stored, and what is computed where it is needed.

Elementwise ops and ops that only move numbers (broadcast, reshape, transpose, slice, reverse, gather) are not run: they
become part of the expression of whoever needs their numbers. A value is stored if an op that is no loop reads it, if the
program returns it, or if several kernels would otherwise repeat costly work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from layerkit.engines.base import Change
from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine, Place
from layerkit.engines.llvm.loops.nest import Expr
from layerkit.ir import Const, Graph, Node, Size, Value, product, usual
from layerkit.ops.checks import RequireFinite
from layerkit.ops.core import SizeOf
from layerkit.ops.elementwise import Binary, Cast, StopGradient, Unary, View, Where
from layerkit.ops.indexing import Gather, Iota
from layerkit.ops.matrices import MatMul
from layerkit.ops.random import Random
from layerkit.ops.reduction import Broadcast, Reduce
from layerkit.ops.shape import Concatenate, Reshape, Reverse, Slice, Transpose

ELEMENTWISE = (Unary, Binary, Where, Cast, View)
MOVING = (Broadcast, Reshape, Transpose, Slice, Reverse, StopGradient, RequireFinite)
ALIASES, ARITHMETIC, COPYING = (Reshape, StopGradient, RequireFinite), (Unary, Binary), (Where, Cast, View, Gather)
BY_ELEMENT = (*ELEMENTWISE, *ALIASES, Change)  # an element of the result is made of that of each operand
LOOPED = (*ELEMENTWISE, *MOVING, Iota, SizeOf, Gather, Random, Const)
THROUGH = (Reduce, MatMul, Concatenate, Change)  # fused loops with something more: they read expressions, not memory
CHEAP = {"add", "subtract", "multiply", "negative", "relu", "abs", "equal", "not_equal", "less", "less_equal", "greater",
         "greater_equal", "maximum", "minimum", "logical_not", "logical_and", "logical_or", "divide"}  # fmt: skip

# Arithmetic of an element of one tensor up to which readers do it again: it is cheaper than to write and read.
REPEATED = 12
MANY = 8  # rows that meet the same row, or elements that are made of one
LONG = 150  # arithmetic of an element, as far as parts are no results of their own
LARGE = 1 << 24  # elements that are too many to keep, if one function makes them of little: it is called again


class Unfusable(Exception):
    """The place of a value is no sum of counters; the value has to be stored first."""

    def __init__(self, value: Value) -> None:
        super().__init__(value)
        self.value = value


def is_looped(node: Node) -> bool:
    """Whether the op can be part of a fused loop."""
    return isinstance(node.op, LOOPED)


def is_alias(node: Node) -> bool:
    """Whether the output has its input's elements in the same order."""
    return isinstance(node.op, ALIASES)


def weight_of(node: Node) -> int:
    """How much work an element takes: 0 for moving, 1 for arithmetic, more for functions."""
    if isinstance(node.op, Random):
        return 40
    if isinstance(node.op, ARITHMETIC):
        return 1 if node.op.word in CHEAP else 12
    return 1 if isinstance(node.op, COPYING) else 0


def choose_stored(graph: Graph, lasting: Collection[Value] = (), inner: Collection[Value] = ()) -> set[Value]:
    """The values that get memory of their own, besides inputs, constants and what is no loop.

    ``lasting`` are inputs that mostly stay the same: what depends on nothing else is computed once. ``inner`` values are
    computed where all of their readers are, in one loop: once, however many those are.
    """
    nodes = graph.nodes()
    moving = _moving(nodes, lasting)
    readers: Counter[Value] = Counter()
    sliced: Counter[Value] = Counter()
    stored: set[Value] = set(graph.outputs)
    for node in nodes:
        is_read_from_memory = not is_looped(node) and not isinstance(node.op, THROUGH)
        for x in set(node.inputs):
            if isinstance(node.op, Slice):  # slices side by side compute each element once, all together
                sliced[x] += usual(node.outputs[0].type.size)
            else:
                readers[x] += 1
            if is_read_from_memory:
                stored.add(x)
    cost: dict[Value, int] = {}
    for node in nodes:
        if not is_looped(node) or isinstance(node.op, Const):
            continue
        stored |= {x for x in node.inputs if cost.get(x, 0) > 0 and _is_row_of_many(x, node.outputs[0])}
        total = weight_of(node) + sum(cost.get(x, 0) for x in set(node.inputs) if x not in stored)
        for v in node.outputs:
            cost[v] = total
            readers[v] += -(-sliced[v] // max(usual(v.type.size), 1))
            is_shared = readers[v] > 1 and not isinstance(node.op, Broadcast) and v not in inner
            is_shared = is_shared and (total > REPEATED or _loads(node, stored) > 1)  # costly to do again
            is_shared = is_shared and (total > 2 * REPEATED or not _is_spread(v, stored))
            is_first = total > 0 and v in moving
            if is_shared or is_first or total > LONG:
                stored.add(v)
    for node in reversed(nodes):  # what a stored reshape shows is stored in its own shape
        if is_alias(node) and node.outputs[0] in stored and is_looped(node.inputs[0].node):
            stored.add(node.inputs[0])
    return stored


def inner_values(graph: Graph, state: Collection[Value]) -> set[Value]:
    """What serves nothing but new ``state`` (outputs of the graph) of its own size, element by element.

    The loop that writes the state computes it. Were it stored, it might become a result of an earlier loop over the same
    numbers, which can be no part of that one: where a step counts only if all gradients are finite, for instance, every
    moment would be kept until that is known, and then be copied.
    """
    kept = set(graph.outputs)
    readers: dict[Value, list[Node]] = {}
    inner: set[Value] = set()
    for node in graph.nodes():
        for x in set(node.inputs):
            readers.setdefault(x, []).append(node)
    for node in reversed(graph.nodes()):
        for v in node.outputs if isinstance(node.op, BY_ELEMENT) else ():
            if v not in kept and v in readers and all(_goes_into(v, n, state, inner) for n in readers[v]):
                inner.add(v)
    return inner


def _goes_into(v: Value, reader: Node, state: Collection[Value], inner: Collection[Value]) -> bool:
    """Whether a reader of ``v`` makes state, or what serves it alone, of the element that it is at."""
    is_same = isinstance(reader.op, BY_ELEMENT) and reader.types[0].size == v.type.size
    return is_same and all(out in state or out in inner for out in reader.outputs)


def _is_row_of_many(x: Value, out: Value) -> bool:
    """Whether ``x`` is one row that all rows of ``out`` meet, such as a number for each channel."""
    is_row = x.shape[-1:] == out.shape[-1:] not in ((), (1,))
    return is_row and MANY * usual(x.type.size) <= usual(out.type.size)


def _is_spread(x: Value, stored: set[Value]) -> bool:
    """Whether ``x`` is very large and made of little, as what is computed for all pairs of two tensors' rows."""
    size = usual(x.type.size)
    if size < LARGE:
        return False
    sources: set[Value] = set()
    seen: set[Value] = set()
    stack = list(x.node.inputs)
    while stack:
        v = stack.pop()
        if v in stored or not is_looped(v.node):
            sources.add(v)
        elif v not in seen:
            seen.add(v)
            stack.extend(v.node.inputs)
    return MANY * sum(usual(v.type.size) for v in sources) <= size


def _moving(nodes: Sequence[Node], lasting: Collection[Value]) -> set[Value]:
    """What depends on nothing but lasting inputs, and is met there by what does not."""
    steady = set(lasting)
    if not steady:
        return set()
    for node in nodes:
        if steady.issuperset(x for x in node.inputs if not isinstance(x.node.op, Const)) and node.inputs:
            steady |= {v for v in node.outputs if isinstance(v.type.size, int)}
    return {x for node in nodes if not steady.issuperset(node.outputs) for x in node.inputs if x in steady}


def _loads(node: Node, stored: set[Value]) -> int:
    """How many tensors (of the size of the result) an element's computation reads."""
    found: set[Value] = set()
    stack = list(node.inputs)
    size = node.outputs[0].type.size
    while stack and len(found) < 3:
        x = stack.pop()
        if x.type.size != size:
            continue
        if x in stored or not is_looped(x.node):
            found.add(x)
        else:
            stack.extend(x.node.inputs)
    return len(found)


class Reader:
    """Builds the expressions of one nest: ``reader(value, place)`` is the number of ``value`` at ``place``."""

    def __init__(self, axes: Sequence[Size], buffer_of: Callable[[Value], Buffer | None]) -> None:
        self.axes, self.rank = tuple(axes), len(axes)
        self._buffer_of = buffer_of
        self._memo: dict[tuple[Value, Place], Expr] = {}

    def __call__(self, value: Value, place: Place) -> Expr:
        key = (value, place)
        if key not in self._memo:
            self._memo[key] = self._build(value, place)
        return self._memo[key]

    def _build(self, value: Value, place: Place) -> Expr:
        op, dtype = value.node.op, value.dtype
        if isinstance(op, Const) and op.array.size == 1 and dtype not in ("bfloat16", "float16"):
            return Expr("literal", dtype, number=op.array.reshape(-1)[0].item())
        buffer = self._buffer_of(value)
        if buffer is not None:
            return Expr("load", dtype, buffer=buffer, place=affine.linear(place, value.shape, self.rank))
        xs = value.node.inputs
        match op:
            case Unary() | Binary() | Where() | Cast() | View():
                args = tuple(self(x, affine.broadcast(place, x.shape, value.shape, self.rank)) for x in xs)
                return Expr(op.name, dtype, args, op.word)
            case StopGradient() | RequireFinite():
                return self(xs[0], place)
            case Broadcast():
                return self(xs[0], affine.broadcast(place, xs[0].shape, value.shape, self.rank))
            case Reshape():
                inner = affine.split(affine.linear(place, value.shape, self.rank), xs[0].shape, self.axes)
                if inner is None:
                    raise Unfusable(xs[0])
                return self(xs[0], inner)
            case Transpose():
                back = [op.order.index(i) for i in range(len(op.order))]
                return self(xs[0], tuple(place[i] for i in back))
            case Slice():
                moved = (p.scaled(s).shifted(a) for p, s, a in zip(place, op.step, op.start, strict=True))
                return self(xs[0], tuple(moved))
            case Reverse():
                flipped = (
                    p.scaled(-1).shifted(n - 1) if i in op.axes else p
                    for i, (p, n) in enumerate(zip(place, xs[0].shape, strict=True))
                )
                return self(xs[0], tuple(flipped))
            case Iota():
                return Expr("index", dtype, place=place[0])
            case SizeOf():
                return Expr("size", dtype, size=op.size)
            case Gather():
                return self._gather(value, place)
            case Random():
                key = self._buffer_of(xs[0])
                if key is None:
                    raise Unfusable(xs[0])
                zero = Affine((0,) * self.rank)
                words = tuple(Expr("load", "uint32", buffer=key, place=zero.shifted(i)) for i in range(4))
                return Expr("random", dtype, words, op.distribution, place=affine.linear(place, value.shape, self.rank))
        raise AssertionError(op.word)

    def _gather(self, value: Value, place: Place) -> Expr:
        table, indices = value.node.inputs
        buffer = self._buffer_of(table)
        if buffer is None:
            raise Unfusable(table)
        rank = len(indices.shape)
        row = self(indices, place[:rank])
        rest = table.shape[1:]
        within = affine.linear(place[rank:], rest, self.rank)
        taken = Expr(
            "take", value.dtype, (row,), buffer=buffer, place=within, number=product(rest), size=table.shape[0]
        )
        if value.node.op.checked:  # type: ignore[attr-defined]
            return taken
        index = Expr("cast", "int64", (row,))
        zero, rows = Expr("literal", "int64", number=0), Expr("size", "int64", size=table.shape[0])
        inside = Expr("binary", "bool", (Expr("binary", "bool", (index, zero), "greater_equal"),
                                         Expr("binary", "bool", (index, rows), "less")), "logical_and")  # fmt: skip
        return Expr("where", value.dtype, (inside, taken, Expr("literal", value.dtype, number=0)))


def loop_axes(value: Value, buffer_of: Callable[[Value], Any]) -> tuple[Size, ...]:
    """Axes for a loop over all elements of ``value``, fine enough for the shapes that it is computed through."""
    shapes = [value.shape]
    seen: set[Value] = {value}
    stack = [value]
    while stack:
        v = stack.pop()
        if (v is not value and buffer_of(v) is not None) or not is_looped(v.node):
            continue
        for x in v.node.inputs:
            if x not in seen:
                seen.add(x)
                stack.append(x)
                if isinstance(v.node.op, Reshape) and v.type.size == value.type.size:
                    shapes.append(x.shape)
    if len(shapes) == 1:
        return value.shape or (1,)
    return affine.refine(shapes) or value.shape or (1,)
