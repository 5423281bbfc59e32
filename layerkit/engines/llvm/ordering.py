"""Kernels that go along one axis in order: merge sort, running sums and products. A unit is a row of the axes in front."""

from __future__ import annotations

from typing import Any

from layerkit.dtypes import is_floating
from layerkit.engines.llvm import elements
from layerkit.engines.llvm.builder import INT, Function, Index, Reg, literal, size_registers, vector
from layerkit.engines.llvm.kernel import Kernel, Use
from layerkit.engines.llvm.loops import Sizes
from layerkit.engines.llvm.lower import Lowering, _units, rule
from layerkit.ir import Node, product
from layerkit.ops.cumulative import Cumulate
from layerkit.ops.sorting import ArgSort


@rule(ArgSort)
def argsort(lowering: Lowering, node: Node) -> None:
    """Merge sort of the places, from pairs up, to and fro between the result and a second list."""
    (x,) = node.inputs
    op: Any = node.op
    keys, order = lowering.ensure(x), lowering.new(node.outputs[0])
    second = lowering.scratch("int32", x.type.size, "order")
    n = x.shape[-1]
    units, scale = _units(product(x.shape[:-1]))

    def write() -> str:
        pointers = [Reg(f"%p{i}", "ptr") for i in range(3)]
        f = lowering.module.kernel([*pointers], lowering.names)
        size = Sizes(f, size_registers(lowering.names))
        count = size(n)
        first, last = (f.mul(Reg(name, INT), size(scale)) for name in ("%begin", "%end"))
        with f.loop(first, last) as row:
            base = f.mul(row.index, count)
            row_keys = f.at(pointers[0], base, elements.memory_type(x.dtype))
            lists = [f.at(p, base, "i32") for p in pointers[1:]]
            _sort_row(f, row_keys, lists[0], lists[1], count, x.dtype, op.descending)
        return lowering.module.add(f, "argsort")

    function = lowering.module.once(("argsort", x.dtype, op.descending, n, scale, lowering.names), write)
    steps = n * max(n.bit_length(), 1) if isinstance(n, int) else 10_000
    price = 3.0 * steps * (scale if isinstance(scale, int) else 1)
    writes = [Use(order, rows=True), Use(second, rows=True)]
    lowering.add_kernel(Kernel(function, [Use(keys, rows=True)], writes, units, price), node)


def _sort_row(f: Function, keys: Reg, order: Reg, second: Reg, n: Index, dtype: str, descending: bool) -> None:
    """Order the places of ``n`` keys; ``order`` holds the result, ``second`` is as long."""
    passes: Index
    if isinstance(n, int):
        passes = max(n - 1, 0).bit_length()
    else:
        zeros = f.call("llvm.ctlz.i64", [f.reg(f.sub(f.max(n, 1), 1)), literal(0, "i1")], INT)
        passes = f.sub(64, zeros)

    def turned(turn: Index, a: Reg, b: Reg) -> Reg:
        """``a`` after an even number of turns from the end, so that the last one writes to ``order``."""
        odd = f.binary("and", f.reg(f.sub(passes, turn)), literal(1, INT))
        return f.select(f.compare("eq", odd, literal(0, INT)), a, b)

    begin = turned(0, order, second)
    with f.loop(0, n) as place:
        f.store(f.convert("trunc", place.index, "i32"), f.at(begin, place.index, "i32"))
    with f.loop(0, passes) as turn:
        width = f.binary("shl", literal(1, INT), turn.index)
        source, target = turned(turn.index, order, second), turned(turn.index, second, order)
        with f.loop(0, n, f.mul(width, 2)) as run:
            middle = f.min(f.add(run.index, width), n)
            end = f.min(f.add(run.index, f.mul(width, 2)), n)
            with f.loop(run.index, end, 1, [run.index]) as k:
                (i,) = k.carried
                j = f.add(f.sub(k.index, i), middle)
                left, right = (_place(f, source, at, n) for at in (i, j))
                above, below = (_key(f, keys, found, dtype) for found in (right, left))
                is_right = _is_before(f, above, below, dtype, descending)
                is_right = f.binary("or", is_right, f.compare("sge", i, f.reg(middle)))
                is_right = f.binary("and", is_right, f.compare("slt", f.reg(j), f.reg(end)))
                f.store(f.select(is_right, right, left), f.at(target, k.index, "i32"))
                k.next = [f.select(is_right, i, f.reg(f.add(i, 1)))]


def _place(f: Function, source: Reg, at: Index, n: Index) -> Reg:
    return f.load(f.at(source, f.min(at, f.sub(n, 1)), "i32"), "i32")


def _key(f: Function, keys: Reg, place: Reg, dtype: str) -> Reg:
    at = f.convert("zext", place, INT)
    return elements.load(f, f.at(keys, at, elements.memory_type(dtype)), dtype, 1)


def _is_before(f: Function, x: Reg, y: Reg, dtype: str, descending: bool) -> Reg:
    """Whether ``x`` has to come before ``y`` that stands in front of it; nan is larger than all numbers."""
    is_before = elements.binary(f, "greater" if descending else "less", x, y, dtype)
    if not is_floating(dtype):
        return is_before
    nan, number = (x, y) if descending else (y, x)
    return f.binary("or", is_before, f.binary("and", f.compare("uno", nan, nan), f.compare("ord", number, number)))


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
