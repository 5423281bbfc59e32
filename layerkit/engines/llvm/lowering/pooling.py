"""Pooling without padding in memory: windows over vectors of channels, what lies outside is left out.

The sum, the largest, and the gradient of the sum (a sum again) are sweeps of ``depthwise``. The gradient of the largest
finds each window's choice once more, and adds its cotangent there.
"""

from __future__ import annotations

from math import prod
from typing import Any

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.kernel import Kernel, Use
from layerkit.engines.llvm.loops.elements import TYPES
from layerkit.engines.llvm.lowering import rules
from layerkit.engines.llvm.lowering.lower import Lowering, rule
from layerkit.engines.llvm.tiles import depthwise
from layerkit.engines.llvm.tiles.depthwise import WIDTH, Lanes, Sweep, over_blocks
from layerkit.engines.llvm.tiles.strips import Axis, Span, Strip, spans, strips
from layerkit.ir import Node, Value, number
from layerkit.ops.pooling import MaxPool, MaxPoolGrad, SumPool, SumPoolGrad
from layerkit.ops.windows import pad_widths

MOST_TAPS = 64  # elements of a window whose choice is written out
COLUMNS = 4  # positions written out
MOVED_NS, CHOSEN_NS = 0.06, 0.2  # of an element that is pooled, and of one whose window's choice is found again


def _sweep(node: Node, x: Value, y: Value, how: str, is_backward: bool = False) -> Sweep | None:
    """The pooling from x to y, or back; None where plain loops have to do."""
    op: Any = node.op
    known = all(isinstance(n, int) and n > 0 for n in (*x.shape[1:], *y.shape[1:]))
    if TYPES[x.dtype] not in WIDTH or not known:
        return None
    sizes, ones = [number(n) for n in x.shape[1:-1]], (1,) * len(op.window)
    before = [a for a, _ in pad_widths(sizes, op.window, op.strides, ones, op.padding)]
    make = Axis.backward if is_backward else Axis.forward
    axes = map(make, sizes, map(number, y.shape[1:-1]), op.window, op.strides, ones, before)
    single = () if len(sizes) > 1 else (Axis(1, 1, 1),)
    return Sweep((*single, *axes), number(x.shape[-1]), how=how)


def _add(lowering: Lowering, node: Node, function: str, sweep: Sweep, each: float = MOVED_NS) -> None:
    """A kernel over the images of a batch, of ``each`` nanoseconds for an element."""
    reads = [Use(lowering.ensure(v), rows=True) for v in node.inputs]
    writes, price = [Use(lowering.new(node.outputs[0]), rows=True)], each * (sweep.operand + sweep.result)
    lowering.add_kernel(Kernel(function, reads, writes, node.inputs[0].shape[0], price), node)


@rule(MaxPool, SumPool, SumPoolGrad)
def pool(lowering: Lowering, node: Node) -> None:
    """The largest, or the sum, of what each result meets."""
    (x,), y = node.inputs, node.outputs[0]
    if isinstance(node.op, SumPoolGrad):
        sweep = _sweep(node, y, x, "sum", is_backward=True)
    else:
        sweep = _sweep(node, x, y, "max" if isinstance(node.op, MaxPool) else "sum")
    if sweep is None:
        (rules.pool_grad if isinstance(node.op, SumPoolGrad) else rules.pool)(lowering, node)
        return
    _add(
        lowering, node, depthwise.write(lowering.module, lowering.target, TYPES[x.dtype], sweep, lowering.names), sweep
    )


@rule(MaxPoolGrad)
def max_pool_grad(lowering: Lowering, node: Node) -> None:
    """Each cotangent added where its window's largest is."""
    x, g = node.inputs
    sweep = _sweep(node, x, g, "max")
    if sweep is None or len(sweep.axes) != 2 or prod(a.taps for a in sweep.axes) > MOST_TAPS:
        rules.pool_grad(lowering, node)
        return
    module, target, element = lowering.module, lowering.target, TYPES[x.dtype]
    key = ("max_pool_grad", element, sweep, lowering.names)
    function = module.once(key, lambda: _write_grad(module, target, element, sweep, lowering.names))
    _add(lowering, node, function, sweep, CHOSEN_NS)


def _write_grad(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    """``(x, g, dx, sizes..., begin, end)``."""
    x, g, dx = Reg("%x", "ptr"), Reg("%g", "ptr"), Reg("%dx", "ptr")
    f = module.kernel([x, g, dx], names)
    down, along = sweep.axes
    channels = sweep.groups
    lanes = Lanes(element, target.lanes(WIDTH[element]), 1, 1)
    met = [[at for i in range(axis.out) for _, at in axis.met(i)] for axis in sweep.axes]
    is_apart = all(len(m) == len(set(m)) for m in met)
    covers = is_apart and all(len(m) == axis.size for m, axis in zip(met, sweep.axes, strict=True))
    with f.loop(Reg("%begin", INT), Reg("%end", INT)) as image:
        shift = f.mul(image.index, sweep.operand)
        source, out = f.at(x, shift, element), f.at(dx, shift, element)
        cotangents = f.at(g, f.mul(image.index, sweep.result), element)
        if not covers:
            _clear(f, lanes, out, sweep.operand)
        for span in spans(down):
            with f.loop(0, span.count) as row:
                line = f.add(f.mul(row.index, down.scale * along.size * channels), span.base * along.size * channels)
                cell = f.mul(f.add(row.index, span.first), along.out * channels)
                for strip in strips(along, COLUMNS):
                    with f.loop(0, strip.count) as tile:
                        left = f.add(line, f.add(f.mul(tile.index, strip.ahead * channels), strip.base * channels))
                        right = f.add(cell, f.add(f.mul(tile.index, strip.width * channels), strip.first * channels))
                        a, c, b = (
                            f.at(source, left, element),
                            f.at(out, left, element),
                            f.at(cotangents, right, element),
                        )

                        def block(
                            _: Index, column: Index, count: int, a: Reg = a, b: Reg = b, c: Reg = c, span: Span = span,
                            strip: Strip = strip,
                        ) -> None:  # fmt: skip
                            own = [f.at(p, column, element) for p in (a, b, c)]
                            _spread(f, lanes, sweep, span, strip, own, count, not is_apart)

                        over_blocks(f, lanes, channels, block)
    return module.add(f, "max_pool_grad")


def _clear(f: Function, lanes: Lanes, out: Reg, size: int) -> None:
    kind, whole = vector(lanes.element, lanes.lanes), size // lanes.lanes * lanes.lanes
    with f.loop(0, whole, lanes.lanes) as loop:
        f.store(zero(kind), f.at(out, loop.index, lanes.element))
    if size > whole:
        f.store(zero(kind), f.at(out, whole, lanes.element), f.mask(size - whole, lanes.lanes))


def _spread(
    f: Function, lanes: Lanes, sweep: Sweep, span: Span, strip: Strip, pointers: list[Reg], count: int, adds: bool
) -> None:
    """The cotangents of a tile of windows, each written or added where its window is largest."""
    x, g, dx = pointers
    along, element, channels = sweep.axes[-1], lanes.element, sweep.groups
    kind, mask = vector(element, lanes.lanes), lanes.mask(f, count)
    places = [(r, at) for r in range(len(span.taps)) for at in sorted({at for at, _, _ in strip.meets})]
    offsets = {(r, at): (r * along.size + at) * channels for r, at in places}
    values = {place: f.load(f.at(x, offsets[place], element), kind, mask) for place in places}
    sums: dict[tuple[int, int], Reg] = {}
    for j in range(strip.width):
        own = [(r, at) for r in range(len(span.taps)) for at, position, _ in strip.meets if position == j]
        cotangent = f.load(f.at(g, j * channels, element), kind, mask)
        for place, is_it in zip(own, _chosen(f, [values[p] for p in own]), strict=True):
            given = f.select(is_it, cotangent, zero(kind))
            if adds:
                before = sums.get(place) or f.load(f.at(dx, offsets[place], element), kind, mask)
                given = f.binary("fadd", before, given)
            sums[place] = given
    for place, value in sums.items():
        f.store(value, f.at(dx, offsets[place], element), mask)


def _chosen(f: Function, values: list[Reg]) -> list[Reg]:
    """For each of some numbers, whether it is the first of the largest; the first nan is larger than all."""
    yes = vector("i1", values[0].lanes)
    best, is_better = values[0], [literal(True, yes)]
    for value in values[1:]:
        greater = f.binary("and", f.compare("ugt", value, best), f.compare("ord", best, best))
        best = f.select(greater, value, best)
        is_better.append(greater)
    found, later = [], literal(False, yes)
    for better in reversed(is_better):  # what was better than all before it, and not outdone
        found.append(f.binary("and", better, f.binary("xor", later, literal(True, yes))))
        later = f.binary("or", later, better)
    return found[::-1]
