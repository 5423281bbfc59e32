"""``scan``: a loop over time as one kernel.

The body is lowered like a program. What depends on nothing that changes is moved before the loop (packed weights, for
instance). If all that remains works on its own rows of the batch, ranges of rows run through all steps independently of
each other, on several threads; else one call runs the whole loop.
"""

from __future__ import annotations

from typing import Any

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.builder import INT, Function, Index, Module, Reg, size_registers
from layerkit.engines.llvm.elements import memory_type
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import Sizes
from layerkit.engines.llvm.lower import Item, Lowering, rule
from layerkit.engines.llvm.rules import guard, row_numbers
from layerkit.ir import BATCH, Graph, Node, Value
from layerkit.ops.scan import Scan

LEAST = 8  # rows that go through a loop together, at least


@rule(Scan)
def scan(lowering: Lowering, node: Node) -> None:
    """Lower the body, move what does not change before the loop, write the loop."""
    op: Any = node.op
    given = [lowering.ensure(x) for x in node.inputs]
    first, sequences, captures = op.split(given)
    body = op.body
    inside = [Buffer(v.dtype, v.type.size, "step", label="step") for v in body.inputs[: len(first) + len(sequences)]]
    kinds = [(b, b.kind, b.index) for b in captures]
    for b in captures:
        b.kind = "step"  # not the body's to give away as a result
    sub = Lowering(body, lowering.module, lowering.target, lowering.names, [*inside, *captures])
    for b, kind, index in kinds:
        b.kind, b.index = kind, index
    if lowering.is_program:
        _guard(lowering, body, dict(zip(body.inputs, node.inputs, strict=True)))
    changing = _hoist(lowering, sub, set(inside))
    kernels = sub.kernels(changing)
    outs = [lowering.new(v) for v in node.outputs]
    steps = _Steps(lowering, op, kernels, inside, sub.outputs, first, sequences, outs)
    lowering.add_kernel(steps.kernel(), node)


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
        item.needs = {lowering.producer[b] for b in reads | writes if b in lowering.producer}
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
        self, lowering: Lowering, op: Scan, kernels: list[Kernel], inside: list[Buffer], results: list[Buffer],
        first: Any, sequences: Any, outs: list[Buffer],
    ) -> None:  # fmt: skip
        self.lowering, self.op, self.kernels = lowering, op, kernels
        self.inside, self.results, self.first, self.sequences, self.outs = (
            inside,
            results,
            list(first),
            list(sequences),
            outs,
        )
        own = {*inside, *results}
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
        # the carries change places after each step, so each has two memories
        self.spare = [
            (lowering.scratch(b.dtype, b.size, "carry"), lowering.scratch(b.dtype, b.size, "carry")) for b in self.first
        ]

    def kernel(self) -> Kernel:
        """The whole loop."""
        module, names = self.lowering.module, self.lowering.names
        reads = [*self.first, *self.sequences, *self.outside]
        writes = [*self.outs, *self.locals, *(b for pair in self.spare for b in pair)]
        params = [Reg(f"%p{i}", "ptr") for i in range(len(reads) + len(writes))]
        f = module.kernel(params, names)
        sizes = Sizes(f, size_registers(names))
        self._write(f, module, sizes, dict(zip([*reads, *writes], params, strict=True)))
        function = module.add(f, "scan")
        rows = self.by_rows
        local = {*self.first, *self.locals, *self.outs[: len(self.first)], *(b for pair in self.spare for b in pair)}
        length = self.op.length if isinstance(self.op.length, int) else 100
        return Kernel(
            function, [Use(b, rows and b in local) for b in reads], [Use(b, rows and b in local) for b in writes],
            BATCH if rows else 1, max(1.0, length * sum(k.price for k in self.kernels)), flops=sum((k.flops for k in self.kernels), 0) * self.op.length,
            what="scan", whole=not rows, least=max([LEAST, *(k.least for k in self.kernels)]),
        )  # fmt: skip

    def _write(self, f: Function, module: Module, sizes: Sizes, at: dict[Buffer, Reg]) -> None:
        op, n = self.op, len(self.first)
        sizes(op.length)
        for b in (*self.inside, *self.results, *self.first):
            sizes(b.size)
        for k in self.kernels:
            sizes(k.units)
        current = [at[a] for a, _ in self.spare]
        following = [at[b] for _, b in self.spare]
        for source, to, b in zip(self.first, current, self.first, strict=True):
            self._copy(f, sizes, at[source], to, b)
        with f.loop(0, sizes(op.length), 1, [*current, *following]) as loop:
            now, after = loop.carried[:n], loop.carried[n:]
            t: Index = f.sub(f.sub(sizes(op.length), 1), loop.index) if op.reverse else loop.index
            place = dict(at)
            place |= dict(zip(self.inside[:n], now, strict=True))
            for b, sequence in zip(self.inside[n:], self.sequences, strict=True):
                place[b] = self._step(f, sizes, at[sequence], b, t)
            place |= dict(zip(self.results[:n], after, strict=True))
            for b, out in zip(self.results[n:], self.outs[n:], strict=True):
                place[b] = self._step(f, sizes, at[out], b, t)
            for k in self.kernels:
                pointers = [place[u.buffer] for u in (*k.reads, *k.writes)]
                values = size_registers(self.lowering.names).values()
                extra = [f.reg(1)] if k.counted is not None else []
                begin, end = (
                    (Reg("%begin", INT), Reg("%end", INT)) if self.by_rows else (f.reg(0), f.reg(sizes(k.units)))
                )
                f.run_kernel(k.function, [*pointers, *values, *extra], begin, end)
            loop.next = [*after, *now]
        for final, out, b in zip(loop.results[:n], self.outs[:n], self.first, strict=True):
            self._copy(f, sizes, final, at[out], b)

    def _step(self, f: Function, sizes: Sizes, base: Reg, b: Buffer, t: Index) -> Reg:
        """Where a sequence has its step ``t``."""
        return f.at(base, f.mul(t, sizes(b.size)), memory_type(b.dtype))

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
