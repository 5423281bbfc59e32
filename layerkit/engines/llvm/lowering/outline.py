"""The kernels of a large graph as its cost shows them, found without lowering all of it.

A deep network has the same ops over and over: each different op is lowered once, alone, and its kernels are taken again
wherever it stands. Fused loops between them are known by what they read and write, not by what they compute. What follows
(phases, memory, time) is found from these kernels as from those that are compiled; there is no code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from layerkit.engines.base import Change
from layerkit.engines.llvm.codegen.builder import Sketch
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.fusion import (
    BY_ELEMENT,
    MOVING,
    REPEATED,
    choose_stored,
    inner_values,
    is_alias,
    is_looped,
    weight_of,
)
from layerkit.engines.llvm.loops.speed import COST
from layerkit.engines.llvm.lowering.facts import units_along
from layerkit.engines.llvm.lowering.lower import Lowering
from layerkit.ir import Const, Graph, Node, Op, Size, TensorType, Value, make, placeholder, usual
from layerkit.ops.matrices import MatMul
from layerkit.ops.reduction import Reduce
from layerkit.records import dataclass

Sources = dict[Buffer, None]
Shown = tuple[TensorType, tuple[Op, ...]]
"""What lies in memory, and the moves by which an operand shows it."""


@dataclass(frozen=True)
class Piece:
    """An op that was lowered alone: its kernels, on memory that stands for that of its inputs and outputs."""

    inputs: tuple[Buffer, ...]
    kernels: tuple[Kernel, ...]
    outputs: tuple[Buffer, ...]
    is_open: bool
    """Whether a loop that follows can be done with the sums of its last kernel."""


class Outline:
    """The kernels of a graph, and the memory of its outputs."""

    def __init__(self, graph: Graph, target: Target, names: Sequence[str], state: Mapping[int, int]) -> None:
        self.target, self.names = target, tuple(names)
        self._pieces: dict[tuple[Op, tuple[Shown, ...]], Piece] = {}
        self._sources: dict[Value, Sources] = {}
        self._work: dict[Value, float] = {}
        """Nanoseconds of an element of what is computed where it is read."""
        self._weight: dict[Value, int] = {}
        self._made: dict[Kernel, None] = {}
        self._open: dict[Buffer, Kernel] = {}
        """Products by their results, with whose sums a loop that follows can be done."""
        self._loops: dict[Kernel, int] = {}
        """How much work an element of a loop takes."""
        self._folds: set[Kernel] = set()
        for i, v in enumerate(graph.inputs):
            self._keep(v, Buffer(v.dtype, v.type.size, "input", i))
        self._state = {graph.outputs[i] for i in state}
        inner = inner_values(graph, self._state)
        self._groups = _groups(graph, self._state | inner)
        """What is changed together: new state, and what serves it alone, by its group."""
        self._changes: dict[Value, Kernel] = {}
        """The loop of a group."""
        changed = {v for n in graph.nodes() if isinstance(n.op, Change) for v in n.outputs}
        self._stored = choose_stored(graph, (), inner) | set(_operands(graph)) | (changed - inner)
        self._set_apart([graph.inputs[i] for i in state.values()])
        for node in graph.nodes():
            self._add(node)
        self.outputs = [self._output(i, v) for i, v in enumerate(graph.outputs)]

    def _set_apart(self, state: Iterable[Value]) -> None:
        """Copy numbers of the state, as ``Lowering`` does."""
        copied = [v for v in state if v.type.size == 1]
        before = [b for v in copied for b in self._sources[v]]
        after = [self._keep(v, Buffer(v.dtype, 1, label="before")) for v in copied]
        if copied:
            copy = Kernel("loop", _uses(before, 1), _uses(after, 1), 1, 0.1 * len(copied), what="loop")
            self._made[copy] = None

    def kernels(self) -> list[Kernel]:
        """In an order that respects what they need; loops that are done on the sums of products are part of those."""
        readers: dict[Buffer, list[Kernel]] = defaultdict(list)
        for k in self._made:
            for use in k.reads:
                readers[use.buffer].append(k)
        joined: dict[Kernel, Kernel] = {}
        for buffer, k in self._open.items():
            following = readers[buffer]
            if buffer.kind != "local" or len(following) != 1 or self._loops.get(following[0], REPEATED + 1) > REPEATED:
                continue
            after = following[0]
            result = after.writes[0].buffer
            if after in joined or result.size != buffer.size:
                continue
            if not self._folds.isdisjoint(readers[result]):  # the two become one loop, which is no part of a product
                continue
            k.reads += [use for use in after.reads if use.buffer is not buffer]
            k.writes = after.writes
            joined[after] = k
        moved = set(joined.values())
        return [joined.get(k, k) for k in self._made if k not in moved]

    def _keep(self, value: Value, buffer: Buffer) -> Buffer:
        self._sources[value], self._work[value], self._weight[value] = {buffer: None}, 0.0, 0
        return buffer

    def _add(self, node: Node) -> None:
        if isinstance(node.op, Const):
            self._sources[node.outputs[0]], self._work[node.outputs[0]], self._weight[node.outputs[0]] = {}, 0.0, 0
        elif isinstance(node.op, Change):
            self._change(node)
        elif is_looped(node):
            (v,) = node.outputs
            below = dict.fromkeys(node.inputs)
            self._sources[v] = {b: None for x in below for b in self._sources[x]}
            own = 0.0 if isinstance(node.op, MOVING) else COST.get(node.op.word, 0.02)
            self._work[v] = own + sum(self._work[x] for x in below)
            self._weight[v] = weight_of(node) + sum(self._weight[x] for x in below)
            if v in self._stored and not (is_alias(node) and len(self._sources[v]) == 1 and not self._work[v]):
                self._loop(v)
        else:
            self._op(node)

    def _loop(self, v: Value) -> None:
        """Compute a value into memory of its own; state that is changed together, by one loop."""
        sources = self._sources[v]
        out = Buffer(v.dtype, v.type.size, label=v.node.op.word)
        units, each = units_along(v.type.size)
        reads = _uses(sources, units)
        price = each * (self._work[v] + 0.02 * len(reads) + 0.05)
        group = self._groups.get(v) if v in self._state else None
        kernel = None if group is None else self._changes.get(group)
        if kernel is None:
            kernel = Kernel("loop", reads, [], units, 0.0, what="loop")
            self._loops[kernel] = self._weight[v]
        else:
            known = {use.buffer for use in kernel.reads}
            kernel.reads += [use for use in reads if use.buffer not in known]
            self._loops[kernel] = REPEATED + 1  # of several results: no part of a product
            del self._made[kernel]
        kernel.writes += _uses([out], units)
        kernel.price += price
        if v in self._state:
            kernel.in_place += [(b, out) for b in sources]
        if group is not None:
            self._changes[group] = kernel
        self._made[kernel] = None
        self._keep(v, out)

    def _change(self, node: Node) -> None:
        """What stands for the rule of an optimizer is computed where it is read, as far as it is no state itself."""
        below = dict.fromkeys(node.inputs)
        sources = {b: None for x in below for b in self._sources[x]}
        work = (0.1 * len(node.inputs) + sum(self._work[x] for x in below)) / len(node.outputs)
        for v in node.outputs:
            self._sources[v], self._work[v], self._weight[v] = sources, work, REPEATED + 1
            if v in self._stored:
                self._loop(v)

    def _op(self, node: Node) -> None:
        """The kernels of an op, as they are when it stands alone."""
        views = [self._view(x) for x in node.inputs]
        key = node.op, tuple((v.type, tuple(n.op for n in moves)) for v, moves in views)
        piece = self._pieces.get(key)
        if piece is None:
            piece = self._pieces[key] = self._alone(node, views)
        memory: dict[Buffer, Sources] = {b: self._sources[v] for b, (v, _) in zip(piece.inputs, views, strict=True)}
        through = sum(self._work[x] * usual(x.type.size) for x in set(node.inputs))
        made: dict[Buffer, Buffer] = {}
        for value, buffer in zip(node.outputs, piece.outputs, strict=True):
            made[buffer] = self._keep(value, Buffer(buffer.dtype, buffer.size, label=node.op.word))
        kernels = []
        for kernel in piece.kernels:
            reads = [u.of(b) for u in kernel.reads for b in _in_place(u.buffer, memory, made)]
            writes = [u.of(b) for u in kernel.writes for b in _own(u.buffer, made)]
            counted = None if kernel.counted is None else made[kernel.counted]
            is_reader = any(u.buffer in memory for u in kernel.reads)
            price = kernel.price + through / max(usual(kernel.units), 1) * is_reader
            kernels.append(
                replace(kernel, reads=reads, writes=writes, counted=counted, price=price, in_place=[], origins=())
            )
        self._made.update(dict.fromkeys(kernels))
        if isinstance(node.op, Reduce):
            self._folds.update(kernels)
        if piece.is_open:
            self._open[made[piece.outputs[0]]] = kernels[-1]

    def _view(self, x: Value) -> tuple[Value, list[Node]]:
        """The value that an operand shows, and the moves by which it does."""
        moves: list[Node] = []
        while isinstance(x.node.op, MOVING) and x not in self._stored:
            moves.insert(0, x.node)
            x = x.node.inputs[0]
        return x, moves

    def _alone(self, node: Node, views: Sequence[tuple[Value, list[Node]]]) -> Piece:
        """Lower a node with inputs that lie in memory, or show what does."""
        inputs = tuple(placeholder("x", v.dtype, v.shape) for v, _ in views)
        shown = []
        for x, (_, moves) in zip(inputs, views, strict=True):
            for move in moves:
                x = make(move.op, (x,)).outputs[0]
            shown.append(x)
        graph = Graph(inputs, make(node.op, tuple(shown)).outputs)
        lowering = Lowering(graph, Sketch(self.target.attributes), self.target, self.names)
        is_open = bool(lowering.items) and lowering.items[-1].product is not None
        kernels = lowering.kernels()
        given = tuple(lowering.buffers[v] for v in inputs)
        return Piece(given, tuple(kernels), tuple(lowering.outputs), is_open)

    def _output(self, index: int, value: Value) -> Buffer:
        sources = list(self._sources[value])
        if self._work[value] or len(sources) != 1 or sources[0].kind != "local":
            out = Buffer(value.dtype, value.type.size, "output", index)
            units, each = units_along(value.type.size)
            kernel = Kernel("loop", _uses(sources, units), _uses([out], units), units, each * 0.1, what="loop")
            self._made[kernel] = None
            return out
        sources[0].kind, sources[0].index = "output", index
        return sources[0]


def _in_place(buffer: Buffer, memory: dict[Buffer, Sources], made: dict[Buffer, Buffer]) -> Iterable[Buffer]:
    """The memory in place of what an op lowered alone reads: of all that an operand is computed from."""
    return memory[buffer] if buffer in memory else _own(buffer, made)


def _own(buffer: Buffer, made: dict[Buffer, Buffer]) -> tuple[Buffer]:
    """The memory in place of that of an op lowered alone."""
    if buffer not in made:
        made[buffer] = replace(buffer)
    return (made[buffer],)


def _uses(buffers: Iterable[Buffer], units: Size) -> list[Use]:
    """What a loop over some units reads or writes: of what has as many, its own rows."""
    rows = affine.is_symbolic(units)
    return [Use(b, not rows or affine.is_symbolic(b.size)) for b in buffers]


def _groups(graph: Graph, changed: set[Value]) -> dict[Value, Value]:
    """Values to one of those that they are connected with by ops on single elements."""
    above: dict[Value, Value] = {}

    def top(v: Value) -> Value:
        while v in above:
            v = above[v]
        return v

    for node in graph.nodes():
        if isinstance(node.op, BY_ELEMENT) and changed.issuperset(node.outputs):
            first = top(node.outputs[0])
            for v in (*node.outputs, *(x for x in node.inputs if x in changed and x.type.size == node.types[0].size)):
                if top(v) is not first:
                    above[top(v)] = first
    return {v: top(v) for v in changed}


def _operands(graph: Graph) -> Iterable[Value]:
    """What products of matrices read, which lies in memory unless it only shows, in another order, what does."""
    for node in graph.nodes():
        if isinstance(node.op, MatMul):
            for x in node.inputs:
                while isinstance(x.node.op, MOVING):
                    x = x.node.inputs[0]
                yield x
