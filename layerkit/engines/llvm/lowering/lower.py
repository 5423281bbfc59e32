"""From a graph to kernels: each op that is no part of a fused loop has a rule here, and loops are joined where they can.

``Lowering`` walks the stored values in order. A rule makes ``Nest``s (loops that are described) or finished ``Kernel``s.
Loops over the same axes that share numbers become one kernel with several results, as long as no other kernel has to run
between them: the optimizer's three results of a parameter, or a bias gradient and the tensor that it sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from layerkit.engines.llvm.codegen.builder import Module
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import affine, partials, speed
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.fusion import (
    Reader,
    Unfusable,
    choose_stored,
    inner_values,
    is_alias,
    is_looped,
    loop_axes,
)
from layerkit.engines.llvm.loops.nest import Expr, Fold, Nest, Store
from layerkit.engines.llvm.loops.shortcuts import shortcuts
from layerkit.engines.llvm.loops.writer import Writer
from layerkit.engines.llvm.lowering.facts import (
    draws,
    have_sums_together,
    is_sized,
    place_is_local,
    reads_only_at,
    row_local,
    sees_only_stores,
    units_along,
)
from layerkit.engines.llvm.lowering.joining import Product, join
from layerkit.errors import UnsupportedOpError
from layerkit.ir import Const, Graph, Node, Size, Value, product
from layerkit.ir.graph import Input
from layerkit.records import dataclass

MOST_RESULTS, MOST_READS = 12, 24  # of one fused kernel
DRAWN = 64  # random numbers in a unit: a multiple of 4, so that units begin with a new block of them
SMALL = 4096  # elements that one call reduces, without partial results


@dataclass(eq=False)
class Item:
    """A kernel to be: a nest that may still grow, or a finished kernel."""

    nest: Nest | None = None
    kernel: Kernel | None = None
    needs: set[Item] = field(default_factory=set)
    users: set[Item] = field(default_factory=set)
    """Those that need it."""
    rank: int = 0
    """More than that of all that it needs."""
    number: int = -1
    """Its place among all items."""
    origins: dict[str, None] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    whole: bool = False
    guard: bool = False
    part: bool = False
    """Its results are parts of buffers that others write too, elsewhere."""
    product: Product | None = None
    """A kernel whose code waits for what follows it."""

    def need(self, others: Iterable[Item]) -> None:
        """Let this be run after some others."""
        new = set(others) - self.needs - {self}
        self.needs |= new
        for other in new:
            other.users.add(self)
        rising = [(self, 1 + max((other.rank for other in new), default=-1))]
        while rising:
            item, least = rising.pop()
            if item.rank < least:
                item.rank = least
                rising += [(user, least + 1) for user in item.users]

    def reads(self) -> list[Buffer]:
        """The buffers that it reads."""
        if self.nest is not None:
            return list(self.nest.reads())
        kernel = self.kernel or (self.product.kernel if self.product is not None else None)
        return list(dict.fromkeys(u.buffer for u in kernel.reads)) if kernel is not None else []


Rule = Callable[["Lowering", Node], None]
RULES: dict[type, Rule] = {}
GUARDS: dict[type, Rule] = {}
"""Checks of what can only be seen when the program runs."""


def rule(*ops: type) -> Callable[[Rule], Rule]:
    """Register the lowering of some ops."""

    def register(function: Rule) -> Rule:
        for op in ops:
            RULES[op] = function
        return function

    return register


class Lowering:
    """The kernels of one graph, or of the body of a loop.

    Attributes:
        is_program: whether the graph is a whole program, not the body of a loop.
        lasting: inputs that mostly stay the same from run to run.
        state: outputs that are to be written over inputs (output -> input), once no guard can end the program any more.
        items: what has been lowered so far.
        buffers: memory of values.
        outputs: memory of the graph's outputs, in order.
    """

    def __init__(
        self,
        graph: Graph,
        module: Module,
        target: Target,
        names: Sequence[str],
        aliases: Sequence[Buffer] | None = None,
        lasting: Collection[int] = (),
        state: Mapping[int, int] | None = None,
    ) -> None:
        self.graph, self.module, self.target, self.names = graph, module, target, tuple(names)
        self.items: list[Item] = []
        self._touching: dict[Buffer, set[Item]] = {}
        self._single: list[Item] = []
        self._guards: list[Item] = []
        self._noted = 0
        self.producer: dict[Buffer, Item] = {}
        self.buffers: dict[Value, Buffer] = {}
        self.packs: dict[Any, Buffer] = {}
        for i, v in enumerate(graph.inputs):
            self.buffers[v] = aliases[i] if aliases else Buffer(v.dtype, v.type.size, "input", i, label=_label(v))
        self.is_program = aliases is None
        state = state or {}
        self._state = {_base(graph.outputs[o]): self.buffers[graph.inputs[i]] for o, i in state.items()}
        self._inner = inner_values(graph, self._state) if state else set()
        self._guards_to_come = sum(type(n.op) in GUARDS for n in graph.nodes())
        self._late: dict[Buffer, Buffer] = {}
        """The memory of those outputs, and of the inputs that they are written over,"""
        self._between: set[Buffer] = set()
        """and of what serves them alone."""
        self.lasting = {graph.inputs[i] for i in lasting}
        self._stored = choose_stored(graph, self.lasting, self._inner)
        self._set_apart([graph.inputs[i] for i in state.values()])
        for node in graph.nodes():
            if self.is_program and type(node.op) in GUARDS:
                GUARDS[type(node.op)](self, node)
                self._guards_to_come -= 1
            for v in node.outputs:
                if v in self._stored or not is_looped(node):
                    self.ensure(v)
        self.outputs = [self._output(i, v) for i, v in enumerate(graph.outputs)]

    def _set_apart(self, state: Iterable[Value]) -> None:
        """Copy numbers of the state that are read in several places, such as the count of steps.

        Whatever reads them later then need not come before the loop that writes them, on which it may depend itself.
        """
        readers = Counter(x for node in self.graph.nodes() for x in set(node.inputs))
        copied = [v for v in state if v.type.size == 1 and readers[v] > 1]
        here = Affine((0,))
        stores: list[Store | Fold] = []
        for v in copied:
            load = Expr("load", v.dtype, buffer=self.buffers[v], place=here)
            self.buffers[v] = self.scratch(v.dtype, 1, "before")
            stores.append(Store(load, self.buffers[v], here))
        for start in range(0, len(stores), MOST_RESULTS):
            self.add(Nest([1], [False], stores[start : start + MOST_RESULTS]), copied[start].node, join=False)
            self.items[-1].whole = True  # nothing joins it, and it comes first

    # Memory of values

    def find(self, value: Value) -> Buffer | None:
        """The memory of a value, if it has some."""
        buffer = self.buffers.get(value)
        if (
            buffer is None
            and isinstance(value.node.op, Const)
            and (value.type.size != 1 or value.dtype in ("bfloat16", "float16"))
        ):
            array = np.ascontiguousarray(value.node.op.array)
            buffer = self.buffers[value] = Buffer(value.dtype, int(array.size), "constant", array=array)
        if buffer is None and is_alias(value.node):
            buffer = self.find(value.node.inputs[0])
        return buffer

    def ensure(self, value: Value) -> Buffer:
        """The memory of a value; lowers what computes it if that is not done."""
        buffer = self.find(value)
        if buffer is not None:
            return buffer
        node = value.node
        if is_looped(node):
            if is_alias(node):
                return self.ensure(node.inputs[0])
            self._store(value)
        else:
            found = RULES.get(type(node.op))
            if found is None:
                raise UnsupportedOpError(
                    f"the engine 'llvm' has no lowering for '{node.op.word}'.", layer=node.origin or None,
                    expected="an op that it knows", got=node.op.word, fix='compile with engine="reference"',
                )  # fmt: skip
            found(self, node)
        return self.buffers[value]

    def new(self, value: Value) -> Buffer:
        """Memory for a value that is about to be computed."""
        buffer = self.buffers[value] = Buffer(value.dtype, value.type.size, label=value.node.op.word)
        if value in self._state:
            self._late[buffer] = self._state[value]
        elif value in self._inner:
            self._between.add(buffer)
        return buffer

    def scratch(self, dtype: str, size: Size, label: str = "") -> Buffer:
        """Memory for something between."""
        return Buffer(dtype, size, label=label)

    def _output(self, index: int, value: Value) -> Buffer:
        buffer = self.find(value)
        if buffer is None and not (isinstance(value.node.op, Const)):
            buffer = self.ensure(value)
        if buffer is not None and buffer.kind == "local":
            buffer.kind, buffer.index = "output", index
            return buffer
        copy = Buffer(value.dtype, value.type.size, "output", index)
        if _base(value) in self._state:
            self._late[copy] = self._state[_base(value)]
        self._nest(value, copy)
        return copy

    # Loops

    def _store(self, value: Value) -> None:
        self._nest(value, self.new(value))

    def _nest(self, value: Value, buffer: Buffer) -> None:
        """Compute all elements of ``value`` into ``buffer``."""
        while True:
            own = self.buffers.pop(value, None) if self.buffers.get(value) is buffer else None
            try:
                axes = loop_axes(value, self.find)
                reader = Reader(axes, self.find)
                place = affine.split(affine.whole(axes), value.shape, axes)
                assert place is not None
                expr = reader(value, place)
                break
            except Unfusable as missing:
                self.ensure(missing.value)
            finally:
                if own is not None:
                    self.buffers[value] = own
        self.add(Nest(list(axes), [False] * len(axes), [Store(expr, buffer, affine.whole(axes))]), value.node)

    def reading(self, axes: Sequence[Size], build: Callable[[Reader], Any]) -> Any:
        """What ``build`` makes with a reader; values that cannot be fused are stored first."""
        while True:
            try:
                return build(Reader(axes, self.find))
            except Unfusable as missing:
                self.ensure(missing.value)

    def fill(self, buffer: Buffer, axes: Sequence[Size], number: Any, node: Node) -> None:
        """Write one number everywhere."""
        axes = list(axes) or [1]
        expr = Expr("literal", buffer.dtype, number=number)
        self.add(Nest(axes, [False] * len(axes), [Store(expr, buffer, affine.whole(axes))]), node, join=False)

    def add(self, nest: Nest, node: Node, *, join: bool = True, guard: bool = False) -> None:
        """A nest that is complete but for its joining with others."""
        item = Item(nest, guard=guard)
        item.words.append(node.op.word)
        if node.origin:
            item.origins[node.origin] = None
        touched = [*nest.reads(), *(r.buffer for r in nest.results)]
        needs = {self.producer[b] for b in touched if b in self.producer}
        target = self._partner(nest, needs) if join else None
        if target is not None:
            _absorb(target, item)
            self._note(target, touched)
            item = target
        else:
            self.items.append(item)
        item.need(needs)
        for result in nest.results:
            self.producer[result.buffer] = item

    def add_kernel(self, kernel: Kernel, node: Node, product: Product | None = None) -> None:
        """A finished kernel, or one whose code is written when it is known what follows."""
        item = Item(kernel=kernel, product=product)
        item.words.append(node.op.word)
        kernel.what = kernel.what or node.op.word
        if node.origin:
            item.origins[node.origin] = None
            kernel.origins = kernel.origins or (node.origin,)
        buffers = [use.buffer for use in (*kernel.reads, *kernel.writes)]
        item.need(self.producer[b] for b in buffers if b in self.producer)
        self.items.append(item)
        for use in kernel.writes:
            self.producer[use.buffer] = item

    def _partner(self, nest: Nest, needs: set[Item]) -> Item | None:
        """An item that a nest can become part of, the last there is; ``needs`` are those that the nest needs.

        What changes the same state (a weight and its slots) is kept together, and apart from other state: of two loops each of
        which is written over what the other reads, none could come first.
        """
        reads, results = set(nest.reads()), {r.buffer for r in nest.results}
        adds = any(isinstance(r, Store) and r.add for r in nest.results)
        over = {self._late[b] for b in results if b in self._late}
        changed = self._changed(nest)
        for other in () if adds else self._alike(nest):
            mine = other.nest
            if mine is None or mine.axes != nest.axes or other.guard or other.whole or other.part:
                continue
            if not have_sums_together(mine, nest):
                continue
            written = {r.buffer for r in mine.results}
            is_kin = not changed.isdisjoint(self._changed(mine))
            if over and nest.axes != [1] and not (is_kin or written.isdisjoint(self._late)):
                continue
            if not is_kin and len(mine.results) + len(nest.results) > MOST_RESULTS:
                continue
            if written & results or any(isinstance(r, Store) and r.add for r in mine.results):
                continue
            if not is_kin and len(reads | set(mine.reads())) > MOST_READS:
                continue
            if not sees_only_stores(nest, mine):
                continue
            if _reaches(needs - {other}, other):
                continue
            if over and _reaches(self._guards, other):
                continue
            if not over and self._guards_to_come and not written.isdisjoint(self._late):
                continue  # a guard may need what is joined here
            both = results | written
            if not self._between.isdisjoint(both) and not both <= self._between | self._late.keys():
                continue  # what serves new state alone is left to the loop that writes it
            return other
        return None

    def _changed(self, nest: Nest) -> set[Buffer]:
        """What a loop that changes state reads or writes, or is written over, as far as it is as large as that state."""
        written = {r.buffer for r in nest.results}
        over = {self._late[b] for b in written if b in self._late}
        sizes = {b.size for b in over}
        return over | {b for b in (*nest.reads(), *written) if b.size in sizes}

    def _alike(self, nest: Nest) -> list[Item]:
        """The nests so far that touch what this one reads, or are as small; the last one first."""
        for i in range(self._noted, len(self.items)):
            item = self.items[i]
            item.number = i
            if item.guard:
                self._guards.append(item)
            if item.nest is not None:
                self._note(item, [*item.nest.reads(), *(r.buffer for r in item.nest.results)])
                if item.nest.axes == [1]:
                    self._single.append(item)
        self._noted = len(self.items)
        found = {item for b in nest.reads() for item in self._touching.get(b, ())}
        if nest.axes == [1]:
            found.update(self._single)
        return sorted(found, key=lambda item: -item.number)

    def _note(self, item: Item, touched: Iterable[Buffer]) -> None:
        for b in touched:
            self._touching.setdefault(b, set()).add(item)

    # Finishing

    def kernels(self, items: Sequence[Item] | None = None) -> list[Kernel]:
        """All kernels (or those of some items), in an order that respects what they need."""
        order: list[Item] = []
        done: set[Item] = set()

        chosen = join(self.items if items is None else list(items), _reaches)
        position = {item: i for i, item in enumerate(chosen)}

        def visit(item: Item) -> None:
            if item in done:
                return
            done.add(item)
            for need in sorted((n for n in item.needs if n in position), key=position.__getitem__):
                visit(need)
            order.append(item)

        for item in chosen:
            visit(item)
        for item in order:
            if item.product is not None:
                item.kernel = item.product.finish()
                item.kernel.what, item.kernel.origins = " ".join(dict.fromkeys(item.words)), tuple(item.origins)
        _drop_unread(order)
        found: list[Kernel] = []
        for item in order:
            if item.kernel is not None:
                found.append(item.kernel)
            elif item.nest is not None and item.nest.results:
                found += self._write(item)
        return found

    def _write(self, item: Item) -> list[Kernel]:
        nest = item.nest
        assert nest is not None
        folds = [r for r in nest.results if isinstance(r, Fold)]
        symbolic = affine.is_symbolic(nest.axes[0])
        if not symbolic and not folds and not any(r.add for r in nest.results if isinstance(r, Store)):
            nest.collapse(keep_first=False)
        elif symbolic or folds:
            nest.collapse(keep_first=nest.reduced[0] and not all(nest.reduced))
        if isinstance(nest.axes[0], int) and len(nest.axes) == 1 and nest.axes[0] % DRAWN == 0 and draws(nest):
            nest.split(DRAWN)
        folds = [r for r in nest.results if isinstance(r, Fold)]
        units, scale = units_along(nest.axes[0])
        summed = [r for r in folds if nest.reduced[0] and r.place.factors[0] == 0]
        """Those whose result all units share."""
        per_unit = product([scale, *nest.axes[1:]])
        whole = item.whole
        if summed and isinstance(per_unit, int):
            total = per_unit * (units if isinstance(units, int) else 128)
            whole = whole or total <= SMALL or (isinstance(units, int) and units == 1)
        follow: list[Kernel] = []
        if summed and not whole:
            follow = [self._partial(nest, fold, item) for fold in summed]
        shared = {k.counted for k in follow}
        is_state = any(r.buffer in self._late for r in nest.results)
        function = self.written(nest, self.names, scale, _stem(item), is_state=is_state)
        reads = [Use(b, row_local(nest, b)) for b in nest.reads()]
        writes = [
            Use(
                r.buffer,
                place_is_local(nest, r.place, r.buffer.size),
                chunk=r.buffer in shared,
                part=item.part,
            )
            for r in nest.results
        ]
        price, took = speed.price(nest, scale), speed.took(nest, self.target.lanes(4))
        kernel = Kernel(
            function, reads, writes, units, price, beside=took, origins=tuple(item.origins),
            what=" ".join(dict.fromkeys(item.words)), whole=whole, guard=item.guard,
            sized=is_sized(nest),
        )  # fmt: skip
        written = [r.buffer for r in nest.results]
        for result in nest.results:
            if isinstance(result, Store) and result.row is None and written.count(result.buffer) == 1:
                kernel.in_place += [(b, result.buffer) for b in nest.reads() if reads_only_at(nest, b, result.place)]
        return [kernel, *follow]

    def written(self, nest: Nest, names: Sequence[str], scale: Size, stem: str, *, is_state: bool = False) -> str:
        """The function of a nest, whose results may be state that is written over itself; equal nests have one."""
        if self.module.is_sketch:
            return stem
        ways = shortcuts(nest) if is_state else []
        rests = [None if w.rest is None else self.written(w.rest, names, scale, stem) for w in ways]
        key = nest.signature(), scale, tuple(names), bool(ways)

        def write() -> str:
            writer = Writer(self.module, self.target, nest, names, scale, list(zip(ways, rests, strict=True)))
            return self.module.add(writer.write(), stem)

        return self.module.once(key, write)

    def _partial(self, nest: Nest, fold: Fold, item: Item) -> Kernel:
        """Let a fold write one result for each range of units; returns the kernel that adds them up."""
        partial = Buffer(fold.buffer.dtype, fold.count, "local", label="partial")
        nest.results[nest.results.index(fold)] = Fold(fold.function, fold.expr, partial, fold.place, fold.count)
        kernel = combine(self, fold.function, partial, fold.buffer, fold.count)
        kernel.origins = tuple(item.origins)
        return kernel


def combine(lowering: Lowering, function: str, partial: Buffer, out: Buffer, count: Size) -> Kernel:
    """The kernel that makes one result of those of all chunks, in their order."""
    block = next((n for n in (256, 64, 32, 16) if isinstance(count, int) and count % n == 0), count)
    blocks = affine._divide(count, block) or 1
    name = partials.write(lowering.module, lowering.target, function, out.dtype, count, block, lowering.names)
    price = 0.3 * block if isinstance(block, int) else 100.0
    return Kernel(
        name, [Use(partial)], [Use(out, rows=True)], blocks, price, what="combine", whole=blocks == 1, counted=partial
    )


# Joining -------------------------------------------------------------------------------------------------------------


def _label(value: Value) -> str:
    op = value.node.op
    return op.label if isinstance(op, Input) else op.word


def _base(value: Value) -> Value:
    """The value whose memory ``value`` shares."""
    while is_alias(value.node):
        value = value.node.inputs[0]
    return value


def _reaches(start: Iterable[Item], goal: Item) -> bool:
    """Whether one of ``start`` is ``goal``, or needs it, however far."""
    stack, seen, rank = list(start), set(), goal.rank
    while stack:
        item = stack.pop()
        if item is goal:
            return True
        if item.rank > rank and item not in seen:
            seen.add(item)
            stack.extend(item.needs)
    return False


def _absorb(target: Item, item: Item) -> None:
    """Make ``item``'s results results of ``target``; numbers that both have are computed once."""
    assert target.nest is not None
    assert item.nest is not None
    known: dict[Any, Expr] = {}
    for r in target.nest.results:
        if isinstance(r, Store):
            known[("load", r.buffer, r.place)] = r.expr
    existing: dict[Any, Expr] = {}
    for e in target.nest.loads():
        existing.setdefault(e.key(), e)
    memo: dict[int, Expr] = {}

    def visit(e: Expr) -> Expr:
        if id(e) in memo:
            return memo[id(e)]
        if e.kind == "load" and ("load", e.buffer, e.place) in known:
            made = known["load", e.buffer, e.place]
        else:
            args = tuple(map(visit, e.args))
            made = Expr(e.kind, e.dtype, args, e.word, e.number, e.buffer, e.place, e.size)
            made = existing.setdefault(made.key(), made)
        memo[id(e)] = made
        return made

    for r in item.nest.results:
        if isinstance(r, Store):
            target.nest.results.append(
                Store(visit(r.expr), r.buffer, r.place, r.add, r.row and visit(r.row), r.width, r.rows, r.function)
            )
        else:
            target.nest.results.append(Fold(r.function, visit(r.expr), r.buffer, r.place, r.count))
    target.nest.reduced = [a or b for a, b in zip(target.nest.reduced, item.nest.reduced, strict=True)]
    target.origins |= item.origins
    target.words += item.words


def _drop_unread(items: Sequence[Item]) -> None:
    """Leave out results that only the loop which computes them wanted, in registers."""
    read = {b for item in items if item.nest is not None for b in item.nest.reads()}
    read |= {u.buffer for item in items if item.kernel is not None for u in item.kernel.reads}
    for item in items:
        if item.nest is not None and not item.guard:
            item.nest.results = [r for r in item.nest.results if r.buffer.kind != "local" or r.buffer in read]


def _stem(item: Item) -> str:
    words = list(dict.fromkeys(w for w in item.words if w.isidentifier()))
    return "loop." + ".".join(words[:3])
