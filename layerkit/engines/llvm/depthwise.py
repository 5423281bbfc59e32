"""Convolutions whose filters read few channels each (depthwise, small groups): vectors run over the filters.

A tile of neighbouring positions stays in registers while the window passes over it; an operand is loaded once for all
positions that it serves. With several channels to a filter, or filters to a channel, lanes are spread as they are read.
Nothing is framed by zeros: ``strips`` says what lies inside. The gradient by the input is the same kernel with the
window turned round; that by the kernel keeps the whole window in registers, and passes over the positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from layerkit.engines.llvm.builder import INT, Function, Index, Module, Reg, vector, zero
from layerkit.engines.llvm.strips import Axis, Strip, row_tables, spans, strips
from layerkit.engines.llvm.target import Target

WIDTH = {"float": 4, "double": 8}
COLUMNS = {32: 14, 16: 7}  # positions of a tile, by the number of registers
ALIVE = 7  # elements of the window kept in registers at once
MOST_CHANNELS = 16  # that a filter reads; beyond, products of matrices are better
KERNEL_COLUMNS = 8  # positions written out in the gradient by the kernel
ROW_POSITIONS = 64  # positions over which that gradient stays in registers, at least


@dataclass(frozen=True)
class Lanes:
    """Which channels of the operand the lanes of a result read: lane l reads those of group l // outs.

    Attributes:
        lanes: of a register.
        ins, outs: channels of a group, in the operand and in the result.
    """

    element: str
    lanes: int
    ins: int
    outs: int

    @property
    def width(self) -> int:
        """Lanes that are used."""
        return self.lanes // self.outs * self.outs

    def mask(self, f: Function, count: int) -> Reg | None:
        """The first ``count`` lanes; None for all."""
        return f.mask(count, self.lanes) if count < self.lanes else None

    def read(self, f: Function, pointer: Reg, channel: int, count: int) -> Reg:
        """For ``count`` lanes, the operand's ``channel``-th of each one's group; ``pointer`` is at the first lane's group."""
        kind = vector(self.element, self.lanes)
        span = count // self.outs * self.ins
        found: Reg | None = None
        where = [lane // self.outs * self.ins + channel if lane < count else -1 for lane in range(self.lanes)]
        for start in range(0, span, self.lanes):
            inside = [start <= at < start + self.lanes for at in where]
            if not any(inside):
                continue
            part = f.load(f.at(pointer, start, self.element), kind, self.mask(f, span - start))
            if found is None:
                if where[:count] == list(range(count)):
                    return part
                found = f.shuffle(part, None, [at - start if ok else 0 for at, ok in zip(where, inside, strict=True)])
            else:
                order = [
                    self.lanes + at - start if ok else i for i, (at, ok) in enumerate(zip(where, inside, strict=True))
                ]
                found = f.shuffle(found, part, order)
        assert found is not None
        return found


@dataclass(frozen=True)
class Sweep:
    """A convolution, or its gradient by the input, by groups of few channels.

    Attributes:
        axes: the spatial axes, the last one along a row.
        groups: how many.
        ins, outs: channels of a group, of the operand and of the result.
    """

    axes: tuple[Axis, ...]
    groups: int
    ins: int
    outs: int

    @property
    def operand(self) -> int:
        """Elements of an operand's image."""
        return prod(a.size for a in self.axes) * self.groups * self.ins

    @property
    def result(self) -> int:
        """Elements of a result's image."""
        return prod(a.out for a in self.axes) * self.groups * self.outs


def suits(target: Target, element: str, groups: int, ins: int, outs: int) -> bool:
    """Whether vectors over the results of several groups are better than a product for each group."""
    return groups > 1 and 2 * outs <= target.lanes(WIDTH[element]) and ins <= MOST_CHANNELS


def write(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    """``(x, w, y, sizes..., begin, end)``: images begin..end of y; w is [window, ins, groups * outs]."""
    return module.once(("depthwise", element, sweep, names), lambda: _write(module, target, element, sweep, names))


def _write(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    x, w, y = Reg("%x", "ptr"), Reg("%w", "ptr"), Reg("%y", "ptr")
    f = module.kernel([x, w, y], names)
    *outer, along = sweep.axes
    inner, width = sweep.groups * sweep.ins, sweep.groups * sweep.outs
    starts, entries = row_tables(outer)
    table = module.table(starts)
    operands = module.table([*(at * along.size * inner for at, _ in entries), 0])
    windows = module.table([u * along.taps * sweep.ins * width for _, u in entries])
    moved = WIDTH[element] * (sweep.operand + sweep.result)
    lanes = Lanes(element, target.lanes(WIDTH[element]), sweep.ins, sweep.outs)
    tiles = strips(along, COLUMNS.get(target.registers, 7))
    with f.loop(Reg("%begin", INT), Reg("%end", INT)) as image:
        source, result = (
            f.at(x, f.mul(image.index, sweep.operand), element),
            f.at(y, f.mul(image.index, sweep.result), element),
        )
        with f.loop(0, len(starts) - 1) as row:
            first, last = (f.load(f.at(table, f.add(row.index, i), INT), INT) for i in (0, 1))
            line = f.at(result, f.mul(row.index, along.out * width), element)
            for strip in tiles:
                with f.loop(0, strip.count) as tile:
                    left = f.at(source, f.add(f.mul(tile.index, strip.ahead * inner), strip.base * inner), element)
                    cells = f.at(line, f.add(f.mul(tile.index, strip.width * width), strip.first * width), element)

                    def block(
                        group: Index,
                        column: Index,
                        count: int,
                        left: Reg = left,
                        cells: Reg = cells,
                        strip: Strip = strip,
                    ) -> None:
                        """``count`` results from ``column`` on."""
                        kind, mask = vector(element, lanes.lanes), lanes.mask(f, count)
                        own = f.at(left, f.mul(group, sweep.ins), element)
                        weights, cell = f.at(w, column, element), f.at(cells, column, element)
                        if 2 * moved > target.l2:
                            current = f.at(own, f.load(f.at(operands, f.max(f.sub(last, 1), 0), INT), INT), element)
                            _ahead(f, strip, sweep, element, current, cell if moved > target.l2 else None)
                        with f.loop(first, last, 1, [zero(kind)] * strip.width) as entry:
                            a = f.at(own, f.load(f.at(operands, entry.index, INT), INT), element)
                            b = f.at(weights, f.load(f.at(windows, entry.index, INT), INT), element)
                            entry.next = _row(
                                f, lanes, strip, list(entry.carried), a, b, inner, width, along.taps, count
                            )
                        for j, value in enumerate(entry.results):
                            f.store(value, f.at(cell, j * width, element), mask)

                    over_blocks(f, lanes, sweep.groups, block)
    return module.add(f, "depthwise")


def _ahead(f: Function, strip: Strip, sweep: Sweep, element: str, operand: Reg, cell: Reg | None) -> None:
    """Fetch what the rows after the next will read, and where the next will write: rows apart are no stream to a processor."""
    down, along = sweep.axes[-2:]
    inner, width = sweep.groups * sweep.ins, sweep.groups * sweep.outs
    for r in range(2, 2 + down.scale):
        for at in sorted({at for at, _, _ in strip.meets}):
            f.prefetch(f.at(operand, (r * along.size + at) * inner, element))
    if cell is not None:
        for j in range(strip.width):
            f.prefetch(f.at(cell, (along.out + j) * width, element), write=True)


def over_blocks(f: Function, lanes: Lanes, groups: int, block: object) -> None:
    """Write ``block(group, column, count)`` for vectors of all groups: a loop, and what is left."""
    assert callable(block)
    per, width = lanes.width // lanes.outs, lanes.width
    whole = groups // per
    if whole:
        with f.loop(0, whole) as loop:
            block(f.mul(loop.index, per), f.mul(loop.index, width), width)
    if groups % per:
        block(whole * per, whole * width, groups % per * lanes.outs)


def _row(
    f: Function,
    lanes: Lanes,
    strip: Strip,
    sums: list[Reg],
    a: Reg,
    b: Reg,
    inner: int,
    width: int,
    taps: int,
    count: int,
) -> list[Reg]:
    """Add what one row of the window gives to all positions of a tile."""
    kind, mask = vector(lanes.element, lanes.lanes), lanes.mask(f, count)
    for start in range(0, taps, ALIVE):
        for channel in range(lanes.ins):
            own = [m for m in strip.meets if start <= m[2] < start + ALIVE]
            weights = {
                u: f.load(f.at(b, (u * lanes.ins + channel) * width, lanes.element), kind, mask)
                for u in sorted({u for _, _, u in own})
            }
            # by operand, so that each is loaded once; the elements of the window meet a result in a fixed order
            for at in sorted({at for at, _, _ in own}):
                x = lanes.read(f, f.at(a, at * inner, lanes.element), channel, count)
                for _, j, u in (m for m in own if m[0] == at):
                    sums[j] = f.fma(x, weights[u], sums[j])
    return sums


# The gradient by the kernel ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grip:
    """A part of a window held in registers: ``rows`` x ``columns`` of its elements, and one channel of each group."""

    lanes: Lanes
    rows: int
    columns: tuple[int, ...]
    channel: int
    count: int
    """Lanes in use."""


def kernel_grad(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    """``(x, g, dw, sizes..., begin, end)``: dw [window, ins, groups * outs], summed over images begin..end."""
    key = ("depthwise_kernel_grad", element, sweep, names)
    return module.once(key, lambda: _write_kernel_grad(module, target, element, sweep, names))


def _write_kernel_grad(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    x, g, dw = Reg("%x", "ptr"), Reg("%g", "ptr"), Reg("%dw", "ptr")
    f = module.kernel([x, g, dw], names)
    *outer, down, along = sweep.axes
    inner, width = sweep.groups * sweep.ins, sweep.groups * sweep.outs
    lanes = Lanes(element, target.lanes(WIDTH[element]), sweep.ins, sweep.outs)
    size = prod(a.taps for a in sweep.axes) * sweep.ins * width
    with f.loop(0, size, lanes.lanes) as loop:
        f.store(
            zero(vector(element, lanes.lanes)),
            f.at(dw, loop.index, element),
            f.mask(f.sub(size, loop.index), lanes.lanes),
        )
    held = max(1, target.registers // 2 - 1)  # elements of the window, each with the operand that it meets
    columns = [tuple(range(along.taps))[i : i + held] for i in range(0, along.taps, held)]
    rows = max(1, held // len(columns[0]))
    # planes of a volume: where they lie in the image, the cotangent and the window
    starts, entries = row_tables(outer)
    planes = [(at, i, u) for i in range(len(starts) - 1) for at, u in entries[starts[i] : starts[i + 1]]]
    image_plane, result_plane, window_row = (
        down.size * along.size * inner,
        down.out * along.out * width,
        along.taps * sweep.ins * width,
    )
    tables = [
        module.table([p[k] * step for p in planes])
        for k, step in enumerate((image_plane, result_plane, down.taps * window_row))
    ]
    block_rows = max(1, ROW_POSITIONS // along.out)
    with f.loop(Reg("%begin", INT), Reg("%end", INT)) as image, f.loop(0, len(planes)) as plane:
        shifts = [f.load(f.at(t, plane.index, INT), INT) for t in tables]
        sources = [
            f.at(f.at(p, f.mul(image.index, n), element), s, element)
            for p, n, s in zip((x, g, dw), (sweep.operand, sweep.result, 0), shifts, strict=True)
        ]
        for span in spans(down):
            with f.loop(0, span.count, block_rows) as part:
                count = f.min(f.sub(span.count, part.index), block_rows)
                for first in range(0, len(span.taps), rows):
                    own = span.taps[first : first + rows]
                    at = (span.base + first * down.step) * along.size * inner
                    a = f.at(sources[0], f.add(f.mul(part.index, down.scale * along.size * inner), at), element)
                    b = f.at(sources[1], f.mul(f.add(part.index, span.first), along.out * width), element)
                    c = f.at(sources[2], own[0] * window_row, element)

                    def block(
                        group: Index,
                        column: Index,
                        lanes_in: int,
                        a: Reg = a,
                        b: Reg = b,
                        c: Reg = c,
                        own: Sequence[int] = own,
                        count: Index = count,
                    ) -> None:
                        for us in columns:
                            for channel in range(sweep.ins):
                                grip = Grip(lanes, len(own), us, channel, lanes_in)
                                name = _micro(module, grip, down, along, inner, width)
                                f.run(
                                    name,
                                    [
                                        f.at(a, f.mul(group, sweep.ins), element),
                                        f.at(b, column, element),
                                        f.at(c, column, element),
                                        f.reg(count),
                                    ],
                                )

                    over_blocks(f, lanes, sweep.groups, block)
    return module.add(f, "depthwise_kernel_grad")


def _micro(module: Module, grip: Grip, down: Axis, along: Axis, inner: int, width: int) -> str:
    key = ("depthwise.micro", grip, down.step, down.scale, along, inner, width)
    return module.once(key, lambda: _write_micro(module, grip, down, along, inner, width))


def _write_micro(module: Module, grip: Grip, down: Axis, along: Axis, inner: int, width: int) -> str:
    """``(x, g, dw, rows)``: add the products of some rows of positions to a part of the window."""
    x, g, dw, rows = Reg("%x", "ptr"), Reg("%g", "ptr"), Reg("%dw", "ptr"), Reg("%rows", INT)
    f = module.function([x, g, dw, rows])
    lanes, element = grip.lanes, grip.lanes.element
    kind, mask = vector(element, lanes.lanes), lanes.mask(f, grip.count)
    places = [(r, u) for r in range(grip.rows) for u in grip.columns]
    cells = [f.at(dw, ((r * along.taps + u) * lanes.ins + grip.channel) * width, element) for r, u in places]
    sums = [f.load(cell, kind, mask) for cell in cells]
    with f.loop(0, rows, 1, sums) as row:
        now = list(row.carried)
        left = f.at(x, f.mul(row.index, down.scale * along.size * inner), element)
        right = f.at(g, f.mul(row.index, along.out * width), element)
        for strip in strips(along, KERNEL_COLUMNS):
            with f.loop(0, strip.count, 1, now) as tile:
                a = f.at(left, f.add(f.mul(tile.index, strip.ahead * inner), strip.base * inner), element)
                b = f.at(right, f.add(f.mul(tile.index, strip.width * width), strip.first * width), element)
                tile.next = _positions(
                    f, grip, strip, places, list(tile.carried), a, b, down.step * along.size * inner, inner, width
                )
            now = tile.results
        row.next = now
    for cell, value in zip(cells, row.results, strict=True):
        f.store(value, cell, mask)
    return module.add(f, "depthwise.micro")


def _positions(
    f: Function,
    grip: Grip,
    strip: Strip,
    places: list[tuple[int, int]],
    sums: list[Reg],
    a: Reg,
    b: Reg,
    step: int,
    inner: int,
    width: int,
) -> list[Reg]:
    """The products of one tile of positions."""
    lanes = grip.lanes
    kind, mask = vector(lanes.element, lanes.lanes), lanes.mask(f, grip.count)
    where = {place: i for i, place in enumerate(places)}
    loaded: dict[tuple[int, int], Reg] = {}
    for j in range(strip.width):
        own = [(at, u) for at, position, u in strip.meets if position == j and u in grip.columns]
        if not own:
            continue
        cotangent = f.load(f.at(b, j * width, lanes.element), kind, mask)
        for r in range(grip.rows):
            for at, u in own:
                if (r, at) not in loaded:
                    loaded[r, at] = lanes.read(
                        f, f.at(a, r * step + at * inner, lanes.element), grip.channel, grip.count
                    )
                i = where[r, u]
                sums[i] = f.fma(loaded[r, at], cotangent, sums[i])
    return sums
