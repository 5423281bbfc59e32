"""Running sums and products: one element after the other along an axis. A unit is a row of the axes in front."""

from __future__ import annotations

from typing import Any

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Reg, bits, literal, size_registers, vector
from layerkit.engines.llvm.kernel import Kernel, Use
from layerkit.engines.llvm.loops import elements
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.lowering.facts import units_along
from layerkit.engines.llvm.lowering.lower import Lowering, rule
from layerkit.ir import Node, product
from layerkit.ops.cumulative import Cumulate


@rule(Cumulate)
def cumulate(lowering: Lowering, node: Node) -> None:
    """One element after the other along the axis; where axes lie behind it, a vector of their elements at once."""
    (x,) = node.inputs
    op: Any = node.op
    source, out = lowering.ensure(x), lowering.new(node.outputs[0])
    n, inner = x.shape[op.axis], product(x.shape[op.axis + 1 :])
    units, scale = units_along(product(x.shape[: op.axis]))
    wide = 8 if bits(elements.memory_type(x.dtype)) == 64 else 4
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
