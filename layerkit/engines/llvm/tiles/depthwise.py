"""Convolutions that would leave most lanes of a product empty: filters that read few channels, and few filters.

Where filters read few channels each (depthwise, small groups), vectors run over the filters. Where there are few filters
but many channels ("dots": gradients by images of three channels, for instance), they run over the channels, and lanes are
added up at the end.

A tile of neighbouring positions stays in registers while the window passes over it; an operand is loaded once for all
positions that it serves. With several channels to a filter, or filters to a channel, lanes are spread as they are read.
Nothing is framed by zeros: ``strips`` says what lies inside. The gradient by the input is the same kernel with the
window turned round; that by the kernel keeps the whole window in registers, and passes over the positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.loops import elements
from layerkit.engines.llvm.tiles.strips import Axis, Strip, row_tables, spans, strips
from layerkit.records import dataclass

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
        how: what is made of the operands that a result meets: the sum of their "products" with weights, with vectors over
            results, or ("dots", in one group) over operands; or, in groups of one channel, their "sum" or their "max".
    """

    axes: tuple[Axis, ...]
    groups: int
    ins: int = 1
    outs: int = 1
    how: str = "products"

    @property
    def inner(self) -> int:
        """Channels of the operand."""
        return self.groups * self.ins

    @property
    def width(self) -> int:
        """Channels of the result."""
        return self.groups * self.outs

    @property
    def operand(self) -> int:
        """Elements of an operand's image."""
        return prod(a.size for a in self.axes) * self.inner

    @property
    def result(self) -> int:
        """Elements of a result's image."""
        return prod(a.out for a in self.axes) * self.width


def suits(target: Target, element: str, groups: int, ins: int, outs: int) -> bool:
    """Whether vectors over the results of several groups are better than a product for each group."""
    return groups > 1 and 2 * outs <= target.lanes(WIDTH[element]) and ins <= MOST_CHANNELS


def suits_dots(target: Target, element: str, groups: int, ins: int, outs: int) -> bool:
    """Whether vectors over the channels that are summed are better than vectors over few results."""
    lanes = target.lanes(WIDTH[element])
    return groups == 1 and 2 * outs <= lanes <= 2 * ins


def write(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    """``(x, w, y, sizes..., begin, end)``: images begin..end of y.

    w is [window, ins, groups * outs], for dots [window, outs, ins]; for sums and the like there is none.
    """
    return module.once(("depthwise", element, sweep, names), lambda: _write(module, target, element, sweep, names))


def _write(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    x, w, y = Reg("%x", "ptr"), Reg("%w", "ptr"), Reg("%y", "ptr")
    weights = [w] if sweep.how in ("products", "dots") else []
    f = module.kernel([x, *weights, y], names)
    rows = _Rows(f, target, element, sweep)
    along = sweep.axes[-1]
    with f.loop(Reg("%begin", INT), Reg("%end", INT)) as image:
        source = f.at(x, f.mul(image.index, sweep.operand), element)
        result = f.at(y, f.mul(image.index, sweep.result), element)
        with f.loop(0, rows.count) as row:
            rows.begin(row.index)
            line = f.at(result, f.mul(row.index, along.out * sweep.width), element)
            for strip in strips(along, rows.most_columns):
                with f.loop(0, strip.count) as tile:
                    left = f.mul(f.add(f.mul(tile.index, strip.ahead), strip.base), sweep.inner)
                    right = f.mul(f.add(f.mul(tile.index, strip.width), strip.first), sweep.width)
                    rows.tile(strip, f.at(source, left, element), weights, f.at(line, right, element))
    return module.add(f, "depthwise")


class _Rows:
    """Writes tiles of a row of results."""

    def __init__(self, f: Function, target: Target, element: str, sweep: Sweep) -> None:
        self.f, self.element, self.sweep = f, element, sweep
        *outer, along = sweep.axes
        starts, entries = row_tables(outer)
        self.count = len(starts) - 1
        self.starts = f.module.table(starts)
        self.operands = f.module.table([*(at * along.size * sweep.inner for at, _ in entries), 0])
        self.windows = f.module.table([*(u * along.taps * sweep.ins * sweep.width for _, u in entries), 0])
        own = (1, 1) if sweep.how == "dots" else (sweep.ins, sweep.outs)
        self.lanes = Lanes(element, target.lanes(WIDTH[element]), *own)
        self.most_columns = COLUMNS.get(target.registers, 7)
        if sweep.how == "dots":
            self.most_columns = min(self.most_columns, self.lanes.lanes // sweep.outs)
        moved = WIDTH[element] * (sweep.operand + sweep.result)
        self.fetches, self.fetches_result = 2 * moved > target.l2, moved > target.l2

    def begin(self, row: Reg) -> None:
        """Begin a row: what it is made of."""
        self.first, self.last = (self.f.load(self.f.at(self.starts, self.f.add(row, i), INT), INT) for i in (0, 1))

    def tile(self, strip: Strip, x: Reg, weights: list[Reg], y: Reg) -> None:
        """All channels of neighbouring results."""
        f, element, sweep = self.f, self.element, self.sweep
        if sweep.how == "dots":
            self._dots(strip, x, weights[0], y)
            return

        def block(group: Index, column: Index, count: int) -> None:
            """``count`` results from ``column`` on."""
            kind, mask = vector(element, self.lanes.lanes), self.lanes.mask(f, count)
            own, cell = f.at(x, f.mul(group, sweep.ins), element), f.at(y, column, element)
            self._ahead(strip, own, cell)
            neutral = literal(float("-inf"), kind) if sweep.how == "max" else zero(kind)
            with f.loop(self.first, self.last, 1, [neutral] * strip.width) as entry:
                a = f.at(own, f.load(f.at(self.operands, entry.index, INT), INT), element)
                if weights:
                    at = f.load(f.at(self.windows, entry.index, INT), INT)
                    b = f.at(f.at(weights[0], column, element), at, element)
                    entry.next = self._products(strip, list(entry.carried), a, b, count)
                else:
                    entry.next = self._pooled(strip, list(entry.carried), a, count)
            for j, value in enumerate(entry.results):
                f.store(value, f.at(cell, j * sweep.width, element), mask)

        over_blocks(f, self.lanes, sweep.groups, block)

    def _ahead(self, strip: Strip, operand: Reg, cell: Reg) -> None:
        """Fetch what the rows after the next will read, and where the next will write: rows apart are no stream to a processor."""
        f, sweep = self.f, self.sweep
        down, along = sweep.axes[-2:]
        if self.fetches:
            current = f.load(f.at(self.operands, f.max(f.sub(self.last, 1), 0), INT), INT)
            operand = f.at(operand, current, self.element)
            for r in range(2, 2 + down.scale):
                for at in sorted({at for at, _, _ in strip.meets}):
                    f.prefetch(f.at(operand, (r * along.size + at) * sweep.inner, self.element))
        for j in range(strip.width if self.fetches_result else 0):
            f.prefetch(f.at(cell, (along.out + j) * sweep.width, self.element), write=True)

    def _products(self, strip: Strip, sums: list[Reg], a: Reg, b: Reg, count: int) -> list[Reg]:
        """Add what one row of the window gives to all positions of a tile."""
        f, lanes, sweep = self.f, self.lanes, self.sweep
        kind, mask = vector(self.element, lanes.lanes), lanes.mask(f, count)
        for start in range(0, sweep.axes[-1].taps, ALIVE):
            own = [m for m in strip.meets if start <= m[2] < start + ALIVE]
            for channel in range(lanes.ins):
                weights = {
                    u: f.load(f.at(b, (u * lanes.ins + channel) * sweep.width, self.element), kind, mask)
                    for u in sorted({u for _, _, u in own})
                }
                # by operand, so that each is loaded once; the elements of the window meet a result in a fixed order
                for at in sorted({at for at, _, _ in own}):
                    x = lanes.read(f, f.at(a, at * sweep.inner, self.element), channel, count)
                    for _, j, u in (m for m in own if m[0] == at):
                        sums[j] = f.fma(x, weights[u], sums[j])
        return sums

    def _dots(self, strip: Strip, x: Reg, w: Reg, y: Reg) -> None:
        """All channels of neighbouring results, in one vector: each from a register of sums whose lanes are added up."""
        f, sweep, lanes = self.f, self.sweep, self.lanes
        kind, ins = vector(self.element, lanes.lanes), sweep.ins
        self._ahead(strip, x, y)
        with f.loop(self.first, self.last, 1, [zero(kind)] * (strip.width * sweep.outs)) as entry:
            a = f.at(x, f.load(f.at(self.operands, entry.index, INT), INT), self.element)
            b = f.at(w, f.load(f.at(self.windows, entry.index, INT), INT), self.element)
            with f.loop(0, ins // lanes.lanes * lanes.lanes, lanes.lanes, entry.carried) as block:
                at = f.at(a, block.index, self.element), f.at(b, block.index, self.element)
                block.next = self._dot(strip, list(block.carried), *at, lanes.lanes)
            sums, rest = block.results, ins % lanes.lanes
            if rest:
                sums = self._dot(
                    strip, list(sums), f.at(a, ins - rest, self.element), f.at(b, ins - rest, self.element), rest
                )
            entry.next = sums
        for start in range(0, len(entry.results), lanes.lanes):
            own = entry.results[start : start + lanes.lanes]
            f.store(add_lanes(f, own), f.at(y, start, self.element), lanes.mask(f, len(own)))

    def _dot(self, strip: Strip, sums: list[Reg], a: Reg, b: Reg, count: int) -> list[Reg]:
        """Add what one row of the window and a vector of channels give to all positions of a tile."""
        f, sweep = self.f, self.sweep
        kind, mask = vector(self.element, self.lanes.lanes), self.lanes.mask(f, count)
        alive = max(1, ALIVE // sweep.outs)
        for start in range(0, sweep.axes[-1].taps, alive):
            own = [m for m in strip.meets if start <= m[2] < start + alive]
            weights = {
                (u, o): f.load(f.at(b, (u * sweep.outs + o) * sweep.ins, self.element), kind, mask)
                for u in sorted({u for _, _, u in own})
                for o in range(sweep.outs)
            }
            for at in sorted({at for at, _, _ in own}):
                x = f.load(f.at(a, at * sweep.inner, self.element), kind, mask)
                for _, j, u in (m for m in own if m[0] == at):
                    for o in range(sweep.outs):
                        i = j * sweep.outs + o
                        sums[i] = f.fma(x, weights[u, o], sums[i])
        return sums

    def _pooled(self, strip: Strip, values: list[Reg], a: Reg, count: int) -> list[Reg]:
        """The sum or the largest of what was found so far and one row of the window."""
        f, dtype = self.f, "float32" if self.element == "float" else "float64"
        for at in sorted({at for at, _, _ in strip.meets}):
            x = self.lanes.read(f, f.at(a, at * self.sweep.inner, self.element), 0, count)
            for _, j, _ in (m for m in strip.meets if m[0] == at):
                values[j] = elements.combine(f, self.sweep.how, values[j], x, dtype)
        return values


def over_blocks(f: Function, lanes: Lanes, groups: int, block: Callable[[Index, Index, int], None]) -> None:
    """Write ``block(group, column, count)`` for vectors of all groups: a loop, and what is left."""
    per, width = lanes.width // lanes.outs, lanes.width
    whole = groups // per
    if whole:
        with f.loop(0, whole) as loop:
            block(f.mul(loop.index, per), f.mul(loop.index, width), width)
    if groups % per:
        block(whole * per, whole * width, groups % per * lanes.outs)


def add_lanes(f: Function, rows: Sequence[Reg]) -> Reg:
    """A vector of the sums of all lanes of each of at most so many registers as it has lanes."""
    kind, lanes = rows[0].type, rows[0].lanes
    own = [*rows, *[zero(kind)] * (lanes - len(rows))]
    distance = 1
    while (
        distance < lanes
    ):  # lanes that differ in one bit are added, while that bit tells one register from its neighbour
        here = [lane + (lanes if lane & distance else 0) for lane in range(lanes)]
        there = [(lane ^ distance) + (lanes if lane & distance else 0) for lane in range(lanes)]
        pairs = zip(own[::2], own[1::2], strict=True)
        own = [
            a
            if a.name == b.name == zero(kind).name
            else f.binary("fadd", f.shuffle(a, b, here), f.shuffle(a, b, there))
            for a, b in pairs
        ]
        distance *= 2
    return own[0]


# The gradient by the kernel ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grip:
    """A part of a window held in registers: ``rows`` x ``columns`` of its elements, and one channel of each group.

    For dots it is the channel of the cotangent.
    """

    lanes: Lanes
    rows: int
    columns: tuple[int, ...]
    channel: int
    count: int
    """Lanes in use."""
    fetches: bool
    """Whether rows to come have to be fetched from memory ahead of their use."""


def kernel_grad(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    """``(x, g, dw, sizes..., begin, end)``: dw, summed over images begin..end.

    It is [window, ins, groups * outs], for dots [window, outs, ins].
    """
    key = ("depthwise_kernel_grad", element, sweep, names)
    return module.once(key, lambda: _write_kernel_grad(module, target, element, sweep, names))


def _write_kernel_grad(module: Module, target: Target, element: str, sweep: Sweep, names: tuple[str, ...]) -> str:
    x, g, dw = Reg("%x", "ptr"), Reg("%g", "ptr"), Reg("%dw", "ptr")
    f = module.kernel([x, g, dw], names)
    *outer, down, along = sweep.axes
    own = (1, 1) if sweep.how == "dots" else (sweep.ins, sweep.outs)
    lanes = Lanes(element, target.lanes(WIDTH[element]), *own)
    window_row = along.taps * sweep.ins * sweep.width
    size = prod(a.taps for a in sweep.axes[:-1]) * window_row
    kind = vector(element, lanes.lanes)
    with f.loop(0, size, lanes.lanes) as loop:
        f.store(zero(kind), f.at(dw, loop.index, element), f.mask(f.sub(size, loop.index), lanes.lanes))
    held = target.registers * 3 // 8  # elements of the window, each with the operand that it meets
    columns = [tuple(range(along.taps))[i : i + held] for i in range(0, along.taps, held)]
    rows = max(1, held // len(columns[0]))
    block_rows = max(1, ROW_POSITIONS // along.out)
    image_row, result_row = along.size * sweep.inner, along.out * sweep.width
    planes = _planes(outer)
    places = ([p[k] for p in planes] for k in range(3))
    steps = (down.size * image_row, down.out * result_row, down.taps * window_row)
    tables = [module.table([i * step for i in own]) for own, step in zip(places, steps, strict=True)]
    with f.loop(Reg("%begin", INT), Reg("%end", INT)) as image, f.loop(0, len(planes)) as plane:
        images = (f.mul(image.index, n) for n in (sweep.operand, sweep.result, 0))
        shifts = [f.add(f.load(f.at(t, plane.index, INT), INT), n) for t, n in zip(tables, images, strict=True)]
        for span in spans(down):
            with f.loop(0, span.count, block_rows) as part:
                count = f.min(f.sub(span.count, part.index), block_rows)
                for first in range(0, len(span.taps), rows):
                    taps = span.taps[first : first + rows]
                    at = f.add(f.mul(part.index, down.scale), span.base + first * down.step)
                    a = f.at(x, f.add(shifts[0], f.mul(at, image_row)), element)
                    b = f.at(g, f.add(shifts[1], f.mul(f.add(part.index, span.first), result_row)), element)
                    c = f.at(dw, f.add(shifts[2], taps[0] * window_row), element)
                    passes = sweep.outs if sweep.how == "dots" else sweep.ins
                    grips = [(len(taps), us, channel) for us in columns for channel in range(passes)]
                    _hold(f, lanes, sweep, grips, [a, b, c], f.reg(count), target.l2)
    return module.add(f, "depthwise_kernel_grad")


def _planes(axes: Sequence[Axis]) -> list[tuple[int, int, int]]:
    """Planes of a volume that meet: their places in the image, in the result and in the window."""
    starts, entries = row_tables(axes)
    return [(at, i, u) for i in range(len(starts) - 1) for at, u in entries[starts[i] : starts[i + 1]]]


def _hold(
    f: Function, lanes: Lanes, sweep: Sweep, grips: list[tuple[int, tuple[int, ...], int]], pointers: list[Reg], rows: Reg, l2: int
) -> None:  # fmt: skip
    """Pass over ``rows`` rows of all channels, for each part of the window that registers hold."""
    x, g, dw = pointers
    is_dots = sweep.how == "dots"

    def block(group: Index, column: Index, count: int) -> None:
        a = f.at(x, f.mul(group, lanes.ins), lanes.element)
        b = g if is_dots else f.at(g, column, lanes.element)
        c = f.at(dw, column, lanes.element)
        for grip in grips:
            f.run(_micro(f.module, Grip(lanes, *grip, count, fetches), sweep), [a, b, c, rows])

    fetches = 2 * WIDTH[lanes.element] * (sweep.operand + sweep.result) > l2
    over_blocks(f, lanes, sweep.ins if is_dots else sweep.groups, block)


def _micro(module: Module, grip: Grip, sweep: Sweep) -> str:
    return module.once(("depthwise.micro", grip, sweep), lambda: _write_micro(module, grip, sweep))


def _write_micro(module: Module, grip: Grip, sweep: Sweep) -> str:
    """``(x, g, dw, rows)``: add the products of some rows of positions to a part of the window."""
    x, g, dw, rows = Reg("%x", "ptr"), Reg("%g", "ptr"), Reg("%dw", "ptr"), Reg("%rows", INT)
    f = module.function([x, g, dw, rows])
    lanes, element = grip.lanes, grip.lanes.element
    down, along = sweep.axes[-2:]
    kind, mask = vector(element, lanes.lanes), lanes.mask(f, grip.count)
    places = [(r, u) for r in range(grip.rows) for u in grip.columns]
    each, step = (sweep.outs, sweep.ins) if sweep.how == "dots" else (sweep.ins, sweep.width)
    cells = [f.at(dw, ((r * along.taps + u) * each + grip.channel) * step, element) for r, u in places]
    sums = [f.load(cell, kind, mask) for cell in cells]
    with f.loop(0, rows, 1, sums) as row:
        now = list(row.carried)
        left = f.at(x, f.mul(row.index, down.scale * along.size * sweep.inner), element)
        right = f.at(g, f.mul(row.index, along.out * sweep.width), element)
        for strip in strips(along, KERNEL_COLUMNS):
            with f.loop(0, strip.count, 1, now) as tile:
                a = f.mul(f.add(f.mul(tile.index, strip.ahead), strip.base), sweep.inner)
                b = f.mul(f.add(f.mul(tile.index, strip.width), strip.first), sweep.width)
                pointers = f.at(left, a, element), f.at(right, b, element)
                tile.next = _positions(f, grip, sweep, strip, dict(zip(places, tile.carried, strict=True)), *pointers)
            now = tile.results
        row.next = now
    for cell, value in zip(cells, row.results, strict=True):
        f.store(value, cell, mask)
    return module.add(f, "depthwise.micro")


def _positions(
    f: Function, grip: Grip, sweep: Sweep, strip: Strip, sums: dict[tuple[int, int], Reg], x: Reg, g: Reg
) -> list[Reg]:
    """Add the products of one tile of positions."""
    lanes, (down, along) = grip.lanes, sweep.axes[-2:]
    kind, mask = vector(lanes.element, lanes.lanes), lanes.mask(f, grip.count)
    loaded: dict[tuple[int, int], Reg] = {}
    for j in range(strip.width):
        own = [(at, u) for at, position, u in strip.meets if position == j and u in grip.columns]
        if not own:
            continue
        if sweep.how == "dots":
            scalar = f.load(f.at(g, j * sweep.width + grip.channel, lanes.element), lanes.element)
            cotangent, channel = f.splat(scalar, lanes.lanes), 0
        else:
            cotangent, channel = f.load(f.at(g, j * sweep.width, lanes.element), kind, mask), grip.channel
        if grip.fetches:
            ahead = (grip.rows - 1) * down.step + 2 * down.scale
            f.prefetch(f.at(x, (ahead * along.size + own[-1][0]) * sweep.inner, lanes.element))
            f.prefetch(f.at(g, (2 * along.out + j) * sweep.width, lanes.element))
        for r in range(grip.rows):
            for at, u in own:
                if (r, at) not in loaded:
                    pointer = f.at(x, (r * down.step * along.size + at) * sweep.inner, lanes.element)
                    loaded[r, at] = lanes.read(f, pointer, channel, grip.count)
                sums[r, u] = f.fma(loaded[r, at], cotangent, sums[r, u])
    return list(sums.values())
