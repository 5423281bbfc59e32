"""``scan``: a loop over time as one kernel.

The body is lowered like a program. What depends on nothing that changes is moved before the loop (packed weights, for
instance). If all that remains works on its own rows of the batch, ranges of rows run through all steps independently of
each other, on several threads. Steps that carry nothing do not depend on each other: ranges of steps run at the same time,
each with memory of its own for what is between. Else one call runs the whole loop.
"""

from __future__ import annotations

from typing import Any

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, size_registers
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops.elements import memory_type
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.lowering.lower import Item, Lowering, rule
from layerkit.engines.llvm.lowering.rules import guard, row_numbers
from layerkit.ir import BATCH, Graph, Node, Value
from layerkit.ops.scan import Scan

LEAST = 8  # rows that go through a loop together, at least
RANGES = 8  # of steps that do not depend on each other, at most: each has memory of its own


@rule(Scan)
def scan(lowering: Lowering, node: Node) -> None:
    """Lower the body, move what does not change before the loop, write the loop."""
    op: Any = node.op
    given = [lowering.ensure(x) for x in node.inputs]
    first, sequences, captures = op.split(given)
    body = op.body
    history = _history(op)
    wanted = tuple(v for j, v in enumerate(body.outputs) if j not in history.values())
    inside = [Buffer(v.dtype, v.type.size, "step", label="step") for v in body.inputs[: len(first) + len(sequences)]]
    kinds = [(b, b.kind, b.index) for b in captures]
    for b in captures:
        b.kind = "step"  # not the body's to give away as a result
    inner = Graph(body.inputs, wanted, body.name)
    sub = Lowering(inner, lowering.module, lowering.target, lowering.names, [*inside, *captures])
    for b, kind, index in kinds:
        b.kind, b.index = kind, index
    if lowering.is_program:
        _guard(lowering, body, dict(zip(body.inputs, node.inputs, strict=True)))
    changing = _hoist(lowering, sub, set(inside))
    kernels = sub.kernels(changing)
    outs = [lowering.new(v) for v in node.outputs]
    made = iter(sub.outputs)
    results = [None if j in history.values() else next(made) for j in range(len(body.outputs))]
    steps = _Steps(lowering, op, kernels, inside, results, first, sequences, outs, history)
    lowering.add_kernel(steps.kernel(), node)


def _history(op: Scan) -> dict[int, int]:
    """Carry -> the result that stacks what it was before each step: the carry lives there, and is never copied."""
    if not isinstance(op.length, int) or op.length == 0:
        return {}
    places = {v: i for i, v in enumerate(op.body.inputs[: op.carries])}
    found: dict[int, int] = {}
    for j, v in enumerate(op.body.outputs[op.carries :], start=op.carries):
        if v in places:
            found.setdefault(places[v], j)
    return found


def _guard(lowering: Lowering, body: Graph, given: dict[Value, Value]) -> None:
    """Check the row numbers that the body is given, all of them, before the loop."""
    for node in body.nodes():
        found = row_numbers(node)
        if found is not None and found[0] in given:
            guard(lowering, node, given[found[0]], found[1])


def _hoist(lowering: Lowering, sub: Lowering, moving: set[Buffer]) -> list[Item]:
    """Give what depends on no carry or slice to the outer program; returns the rest.

    A buffer that a step writes in several goes (filled, then added to) is written anew in every step, all of it.
    """
    touches = {item: _touched(item) for item in sub.items}
    changing: set[Item] = set()
    grown = True
    while grown:
        grown = False
        for item in sub.items:
            reads, writes = touches[item]
            is_result = any(b.kind == "output" for b in writes)
            if item not in changing and (is_result or (reads | writes) & moving):
                changing.add(item)
                moving |= writes
                grown = True
    for item in sub.items:
        if item in changing:
            continue
        reads, writes = touches[item]
        item.need(lowering.producer[b] for b in reads | writes if b in lowering.producer)
        lowering.items.append(item)
        lowering.producer |= dict.fromkeys(writes, item)
    return [item for item in sub.items if item in changing]


def _touched(item: Item) -> tuple[set[Buffer], set[Buffer]]:
    """The buffers that an item reads, and those that it writes."""
    if item.kernel is not None:
        return {u.buffer for u in item.kernel.reads}, {u.buffer for u in item.kernel.writes}
    assert item.nest is not None
    return {e.buffer for e in item.nest.loads() if e.buffer is not None}, {r.buffer for r in item.nest.results}


class _Steps:
    """The loop around the kernels of a body."""

    def __init__(
        self, lowering: Lowering, op: Scan, kernels: list[Kernel], inside: list[Buffer], results: list[Buffer | None],
        first: Any, sequences: Any, outs: list[Buffer], history: dict[int, int],
    ) -> None:  # fmt: skip
        self.lowering, self.op, self.kernels = lowering, op, kernels
        self.inside, self.results, self.outs, self.history = inside, results, outs, history
        self.first, self.sequences = list(first), list(sequences)
        own = {*inside, *(b for b in results if b is not None)}
        uses = [u for k in kernels for u in (*k.reads, *k.writes)]
        produced = {u.buffer for k in kernels for u in k.writes}
        self.locals = [b for b in dict.fromkeys(u.buffer for u in uses) if b in produced and b not in own]
        self.outside = [b for b in dict.fromkeys(u.buffer for u in uses) if b not in own and b not in produced]
        private = {*own, *self.locals}
        self.by_rows = bool(kernels) and all(
            k.units == BATCH
            and not k.whole
            and k.counted is None
            and all(u.rows and not u.chunk for u in (*k.reads, *k.writes) if u.buffer in private)
            for k in kernels
        )
        self.by_steps = not self.by_rows and not op.carries
        # a carry is read where it was given or where the step before has left it; the last step writes the result
        self.spare = {
            i: (lowering.scratch(b.dtype, b.size, "carry"), lowering.scratch(b.dtype, b.size, "carry"))
            for i, b in enumerate(self.first)
            if i not in history
        }

    def kernel(self) -> Kernel:
        """The whole loop."""
        module, names = self.lowering.module, self.lowering.names
        reads = [*self.first, *self.sequences, *self.outside]
        spare = [b for pair in self.spare.values() for b in pair]
        writes = [*self.outs, *self.locals, *spare]
        params = [Reg(f"%p{i}", "ptr") for i in range(len(reads) + len(writes))]
        f = module.kernel(params, names)
        sizes = Sizes(f, size_registers(names))
        self._write(f, module, sizes, dict(zip([*reads, *writes], params, strict=True)))
        function = module.add(f, "scan")
        if self.by_steps:
            return self._kernel_of_steps(function, reads, writes)
        rows = self.by_rows
        local = {*self.first, *self.locals, *self.outs[: len(self.first)], *spare}
        length = self.op.length if isinstance(self.op.length, int) else 100
        return Kernel(
            function, [Use(b, rows and b in local) for b in reads], [Use(b, rows and b in local) for b in writes],
            BATCH if rows else 1, max(1.0, length * sum(k.price for k in self.kernels)), flops=sum((k.flops for k in self.kernels), 0) * self.op.length,
            what="scan", whole=not rows, least=max([LEAST, *(k.least for k in self.kernels)]),
        )  # fmt: skip

    def _kernel_of_steps(self, function: str, reads: list[Buffer], writes: list[Buffer]) -> Kernel:
        """The loop as work whose units are its steps."""
        stacked, own = {*self.sequences, *self.outs}, set(self.locals)
        price = sum(k.price * (k.units if isinstance(k.units, int) else 100) for k in self.kernels)
        return Kernel(
            function, [Use(b, rows=b in stacked) for b in reads], [Use(b, rows=b in stacked, chunk=b in own) for b in writes],
            self.op.length, max(1.0, price), flops=sum((k.flops for k in self.kernels), 0) * self.op.length,
            what="scan", most=RANGES,
        )  # fmt: skip

    def _write(self, f: Function, module: Module, sizes: Sizes, at: dict[Buffer, Reg]) -> None:
        op, n = self.op, len(self.first)
        length = sizes(op.length)
        for b in (*self.inside, *self.first):
            sizes(b.size)
        for k in self.kernels:
            sizes(k.units)
        rows = (Reg("%begin", INT), Reg("%end", INT)) if self.by_rows else None
        last = f.sub(length, 1)

        def step(b: Buffer, share: Buffer, t: Index) -> Reg:
            """Where a sequence has its step ``t``."""
            return f.at(at[b], f.mul(t, sizes(share.size)), memory_type(b.dtype))

        def time(turn: Index) -> Index:
            return f.sub(last, turn) if op.reverse and not self.by_steps else turn

        begins = [at[b] for b in self.first]
        for i, j in self.history.items():
            begins[i] = step(self.outs[j], self.first[i], time(0))
            self._copy(f, sizes, at[self.first[i]], begins[i], self.first[i])
        spares = [at[b] for pair in self.spare.values() for b in pair]
        first, end = (Reg("%begin", INT), Reg("%end", INT)) if self.by_steps else (0, length)
        with f.loop(first, end, 1, [*begins, *spares]) as loop:
            now, t = loop.carried[:n], time(loop.index)
            free = dict(zip(self.spare, zip(loop.carried[n::2], loop.carried[n + 1 :: 2], strict=True), strict=True))
            is_last = f.compare("eq", loop.index, f.reg(last))
            after: list[Reg] = []
            for i, (b, out) in enumerate(zip(self.first, self.outs[:n], strict=True)):
                if i in self.history:
                    ahead = f.sub(t, 1) if op.reverse else f.add(t, 1)
                    there = step(self.outs[self.history[i]], b, ahead)
                else:
                    there = free[i][0]
                after.append(f.select(is_last, at[out], there))
            place = dict(at)
            place |= dict(zip(self.inside[:n], now, strict=True))
            place |= {b: step(sequence, b, t) for b, sequence in zip(self.inside[n:], self.sequences, strict=True)}
            for j, b in enumerate(self.results):
                if b is not None:
                    place[b] = after[j] if j < n else step(self.outs[j], b, t)
            for k in self.kernels:
                pointers = [place[u.buffer] for u in (*k.reads, *k.writes)]
                values = size_registers(self.lowering.names).values()
                extra = [f.reg(1)] if k.counted is not None else []
                f.run_kernel(k.function, [*pointers, *values, *extra], *(rows or (f.reg(0), f.reg(sizes(k.units)))))
            loop.next = [*after, *(x for a, b in free.values() for x in (b, a))]
        with f.when(f.compare("eq", f.reg(length), literal(0, INT))):
            for b, out in zip(self.first, self.outs, strict=False):
                self._copy(f, sizes, at[b], at[out], b)

    def _copy(self, f: Function, sizes: Sizes, source: Reg, to: Reg, b: Buffer) -> None:
        """Copy a carry: the rows of this call, or all of it."""
        width = numpy_dtype(b.dtype).itemsize
        count = f.mul(sizes(b.size), width)
        begin: Index = 0
        if self.by_rows:
            share = f.div(count, f.max(sizes(BATCH), 1))
            begin, count = f.mul(Reg("%begin", INT), share), f.mul(f.sub(Reg("%end", INT), Reg("%begin", INT)), share)
        f.module.declarations.add("declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1 immarg)")
        there, here = f.at(to, begin, "i8"), f.at(source, begin, "i8")
        f.do(f"call void @llvm.memmove.p0.p0.i64({there}, {here}, i64 {f.name(count)}, i1 false)")
