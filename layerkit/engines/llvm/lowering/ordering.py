"""Kernels that go along one axis in order: merge sort, running sums and products. A unit is a row of the axes in front."""

from __future__ import annotations

from typing import Any

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Reg, bits, literal, size_registers, vector
from layerkit.engines.llvm.kernel import Kernel, Use
from layerkit.engines.llvm.loops import elements
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.lowering.lower import Lowering, _units, rule
from layerkit.ir import Node, product
from layerkit.ops.cumulative import Cumulate
from layerkit.ops.sorting import ArgSort


@rule(ArgSort)
def argsort(lowering: Lowering, node: Node) -> None:
    """Merge sort of keys with their places, from pairs up, to and fro between two copies of the row."""
    (x,) = node.inputs
    op: Any = node.op
    source, order = lowering.ensure(x), lowering.new(node.outputs[0])
    n = x.shape[-1]
    units, scale = _units(product(x.shape[:-1]))
    kind = "int64" if x.dtype in ("float64", "int64") else "int32"
    # a merge reads one key behind its runs before it knows that there is none: each row has room for it
    room = product(x.shape[:-1]) * (n + 1)
    keys = [lowering.scratch(kind, room, "keys") for _ in range(2)]
    places = lowering.scratch("int32", x.type.size, "order")

    def write() -> str:
        pointers = [Reg(f"%p{i}", "ptr") for i in range(5)]
        f = lowering.module.kernel(pointers, lowering.names)
        size = Sizes(f, size_registers(lowering.names))
        count = size(n)
        first, last = (f.mul(Reg(name, INT), size(scale)) for name in ("%begin", "%end"))
        element = elements.memory_type(kind)
        with f.loop(first, last) as row:
            base, roomy = f.mul(row.index, count), f.mul(row.index, f.add(count, 1))
            numbers = f.at(pointers[0], base, elements.memory_type(x.dtype))
            lists = [
                (f.at(pointers[2 + i], roomy, element), f.at(pointers[at], base, "i32")) for i, at in ((0, 1), (1, 4))
            ]
            _sort_row(f, numbers, lists[0], lists[1], count, x.dtype, element, op.descending)
        return lowering.module.add(f, "argsort")

    function = lowering.module.once(("argsort", x.dtype, op.descending, n, scale, lowering.names), write)
    steps = n * max(n.bit_length(), 1) if isinstance(n, int) else 10_000
    price = 3.0 * steps * (scale if isinstance(scale, int) else 1)
    writes = [Use(buffer, rows=True) for buffer in (order, *keys, places)]
    lowering.add_kernel(Kernel(function, [Use(source, rows=True)], writes, units, price), node)


Copy = tuple[Reg, Reg]
"""Keys and places of a row."""


def _sort_row(
    f: Function, numbers: Reg, result: Copy, other: Copy, n: Index, dtype: str, element: str, descending: bool
) -> None:
    """Order the places of ``n`` numbers: those of ``result``."""
    passes: Index
    if isinstance(n, int):
        passes = max(n - 1, 0).bit_length()
    else:
        zeros = f.call("llvm.ctlz.i64", [f.reg(f.sub(f.max(n, 1), 1)), literal(0, "i1")], INT)
        passes = f.sub(64, zeros)

    def turned(turn: Index, a: Copy, b: Copy) -> Copy:
        """``a`` after an even number of turns from the end, so that the last one writes to ``result``."""
        odd = f.binary("and", f.reg(f.sub(passes, turn)), literal(1, INT))
        is_even = f.compare("eq", odd, literal(0, INT))
        return f.select(is_even, a[0], b[0]), f.select(is_even, a[1], b[1])

    keys, places = turned(0, result, other)
    with f.loop(0, n) as at:
        number = elements.load(f, f.at(numbers, at.index, elements.memory_type(dtype)), dtype, 1)
        f.store(_key(f, number, dtype, element, descending), f.at(keys, at.index, element))
        f.store(f.convert("trunc", at.index, "i32"), f.at(places, at.index, "i32"))
    with f.loop(0, passes) as turn:
        width = f.binary("shl", literal(1, INT), turn.index)
        source, target = turned(turn.index, result, other), turned(turn.index, other, result)
        with f.loop(0, n, f.mul(width, 2)) as run:
            middle = f.min(f.add(run.index, width), n)
            end = f.min(f.add(run.index, f.mul(width, 2)), n)
            with f.loop(run.index, end, 1, [run.index]) as k:
                (i,) = k.carried
                j = f.reg(f.add(f.sub(k.index, i), middle))
                left, right = (f.load(f.at(source[0], at, element), element) for at in (i, j))
                is_right = f.compare("slt", right, left)
                is_right = f.binary("or", is_right, f.compare("sge", i, f.reg(middle)))
                is_right = f.binary("and", is_right, f.compare("slt", j, f.reg(end)))
                f.store(f.select(is_right, right, left), f.at(target[0], k.index, element))
                place = f.load(f.at(source[1], f.select(is_right, j, i), "i32"), "i32")
                f.store(place, f.at(target[1], k.index, "i32"))
                k.next = [f.select(is_right, i, f.reg(f.add(i, 1)))]


def _key(f: Function, x: Reg, dtype: str, element: str, descending: bool) -> Reg:
    """A whole number in whose order ``x`` stands: equal for 0.0 and -0.0, the largest for nan."""
    if x.is_float:
        raw = f.convert("bitcast", f.binary("fadd", x, literal(0.0, x.type)), element)  # -0.0 + 0.0 is 0.0
        width = bits(element)
        most = 2 ** (width - 1) - 1
        turned = f.binary("and", f.binary("ashr", raw, literal(width - 1, element)), literal(most, element))
        key = f.select(f.compare("uno", x, x), literal(most, element), f.binary("xor", raw, turned))
    elif dtype == "uint32":
        key = f.binary("xor", x, literal(-(2**31), element))
    else:
        key = x if bits(x.type) == bits(element) else f.convert("zext", x, element)
    return f.binary("xor", key, literal(-1, element)) if descending else key


@rule(Cumulate)
def cumulate(lowering: Lowering, node: Node) -> None:
    """One element after the other along the axis; where axes lie behind it, a vector of their elements at once."""
    (x,) = node.inputs
    op: Any = node.op
    source, out = lowering.ensure(x), lowering.new(node.outputs[0])
    n, inner = x.shape[op.axis], product(x.shape[op.axis + 1 :])
    units, scale = _units(product(x.shape[: op.axis]))
    wide = 8 if x.dtype in ("float64", "int64") else 4
    lanes = 1 if isinstance(inner, int) and inner == 1 else lowering.target.lanes(wide)

    def write() -> str:
        f = lowering.module.kernel([Reg("%p0", "ptr"), Reg("%p1", "ptr")], lowering.names)
        size = Sizes(f, size_registers(lowering.names))
        steps, width = size(n), size(inner)
        first, last = (f.mul(Reg(name, INT), size(scale)) for name in ("%begin", "%end"))
        with f.loop(first, last) as row:
            start = f.mul(row.index, f.mul(steps, width))
            whole = f.mul(f.div(width, lanes), lanes)
            with f.loop(0, whole, lanes) as column:
                _run(f, op, x.dtype, f.add(start, column.index), steps, width, lanes, None)
            if lanes > 1:
                rest = f.sub(width, whole)
                with f.loop(whole, width, lanes) as column:  # one turn, or none
                    _run(f, op, x.dtype, f.add(start, column.index), steps, width, lanes, f.mask(rest, lanes))
        return lowering.module.add(f, op.word)

    key = (op.word, op.reverse, x.dtype, n, inner, scale, lanes, lowering.names)
    function = lowering.module.once(key, write)
    total = product([scale, n, inner])
    price = 1.5 * (total if isinstance(total, int) else 1000) / lanes
    lowering.add_kernel(Kernel(function, [Use(source, rows=True)], [Use(out, rows=True)], units, price), node)


def _run(f: Function, op: Any, dtype: str, start: Index, n: Index, width: Index, lanes: int, mask: Reg | None) -> None:
    kind = elements.memory_type(dtype)
    neutral = literal(elements.reduce_identity(op.function, dtype), vector(elements.TYPES[dtype], lanes))
    with f.loop(0, n, 1, [neutral]) as step:
        at = f.sub(f.sub(n, 1), step.index) if op.reverse else step.index
        place = f.add(start, f.mul(at, width))
        value = elements.load(f, f.at(Reg("%p0", "ptr"), place, kind), dtype, lanes, mask)
        total = elements.combine(f, op.function, step.carried[0], value, dtype)
        elements.store(f, total, f.at(Reg("%p1", "ptr"), place, kind), dtype, mask)
        step.next = [total]
