"""Operands of products copied into the order in which register tiles read them.

A right operand becomes panels: ``width`` of its columns side by side, term after term. A left operand whose terms lie
apart (a weight gradient's) becomes tiles: as many of its rows as a register tile has, side by side, term after term. A
copy that fits the cache costs little, and without it rows at a distance of a power of two would share few cache lines.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.tiles.gemm import Tile, tile
from layerkit.records import dataclass

UNROLL = 4  # tiles that are copied in a turn of the loop over them


@dataclass(frozen=True)
class Matrix:
    """A matrix in memory: element (i, j) lies ``i * row + j * column`` elements after ``at``; one of the two is 1."""

    at: Reg
    row: Index
    column: Index

    def moved(self, f: Function, element: str, i: Index, j: Index) -> Matrix:
        """The part that begins with element (i, j)."""
        return Matrix(f.at(self.at, f.add(f.mul(i, self.row), f.mul(j, self.column)), element), self.row, self.column)


def to_panels(
    f: Function, shape: Tile, element: str, b: Matrix, depth: Index, columns: int, to: Reg, panel: Index
) -> None:
    """Copy ``columns`` columns of ``depth`` terms into panels that lie ``panel`` elements apart."""
    full, rest = divmod(columns, shape.width)
    if b.column == 1 or columns == 1:  # where there is one column, how far apart they lie does not count
        _rows_to_panels(f, shape, element, b, depth, columns, to, panel)
        return
    if full:
        with f.loop(0, full) as p:
            own = b.moved(f, element, 0, f.mul(p.index, shape.width))
            _turned_to_panel(f, shape, element, own, shape.width, depth, f.at(to, f.mul(p.index, panel), element))
    if rest:
        own = b.moved(f, element, 0, full * shape.width)
        _turned_to_panel(f, shape, element, own, rest, depth, f.at(to, f.mul(full, panel), element))


def _rows_to_panels(
    f: Function, shape: Tile, element: str, b: Matrix, depth: Index, columns: int, to: Reg, panel: Index
) -> None:
    """Row by row, as the memory is read ahead."""
    kind, lanes = vector(element, shape.lanes), shape.lanes
    full, rest = divmod(columns, shape.width)

    def copy(source: Reg, line: Reg, count: int) -> None:
        for v in range(-(-count // lanes)):
            valid = min(lanes, count - v * lanes)
            mask = f.mask(valid, lanes) if valid < lanes else None
            f.store(f.load(f.at(source, v * lanes, element), kind, mask), f.at(line, v * lanes, element))

    with f.loop(0, depth) as k:
        row, line = f.at(b.at, f.mul(k.index, b.row), element), f.at(to, f.mul(k.index, shape.width), element)
        if full > 1:
            with f.loop(0, full) as p:
                source = f.at(row, f.mul(p.index, shape.width), element)
                copy(source, f.at(line, f.mul(p.index, panel), element), shape.width)
        elif full:
            copy(row, line, shape.width)
        if rest:
            copy(f.at(row, full * shape.width, element), f.at(line, f.mul(full, panel), element), rest)


def _turned_to_panel(f: Function, shape: Tile, element: str, b: Matrix, columns: int, depth: Index, to: Reg) -> None:
    """One panel of a matrix whose columns are contiguous, turned square by square in registers."""
    lanes, kind = shape.lanes, vector(element, shape.lanes)

    def square(v: int, first: Index, count: int) -> None:
        """Turn lanes x ``count`` elements."""
        mask = f.mask(count, lanes) if count < lanes else None
        turned = []
        for i in range(lanes):
            if v * lanes + i < columns:
                at = f.add(f.mul(v * lanes + i, b.column), first)
                turned.append(f.load(f.at(b.at, at, element), kind, mask))
            else:
                turned.append(zero(kind))
        line = f.at(to, f.add(f.mul(first, shape.width), v * lanes), element)
        for j, values in enumerate(transpose(f, turned)[:count]):
            f.store(values, f.at(line, j * shape.width, element))

    for v in range(-(-columns // lanes)):
        _squares(f, depth, lanes, partial(square, v))


def rows_to_panel(
    f: Function, shape: Tile, element: str, rows: Matrix, count: Index, depth: int, to: Reg, factor: float
) -> None:
    """Rows as columns of one panel, times a factor; the last of them stands for those that are missing."""
    lanes = shape.lanes
    name = f.module.once(
        ("rows_to_panel", element, shape, depth, factor), lambda: _write_turn(f.module, shape, element, depth, factor)
    )
    for v in range(shape.vectors):
        own, last = rows.moved(f, element, v * lanes, 0).at, f.sub(count, v * lanes + 1)
        f.run(name, [own, f.at(to, v * lanes, element), f.reg(rows.row), f.reg(last)])


def _write_turn(module: Module, shape: Tile, element: str, depth: int, factor: float) -> str:
    """``(rows, panel, stride, last)``: a vector of columns, from the rows up to number ``last``."""
    source, to, stride, last = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%stride", INT), Reg("%last", INT)
    lanes, kind = shape.lanes, vector(element, shape.lanes)
    f = module.function([source, to, stride, last])
    rows = [f.at(source, f.mul(f.min(i, last), stride), element) for i in range(lanes)]

    def square(first: Index, count: int) -> None:
        mask = f.mask(count, lanes) if count < lanes else None
        values = [f.load(f.at(row, first, element), kind, mask) for row in rows]
        line = f.at(to, f.mul(first, shape.width), element)
        for j, x in enumerate(transpose(f, values)[:count]):
            f.store(f.binary("fmul", x, literal(factor, kind)), f.at(line, j * shape.width, element))

    _squares(f, depth, lanes, square)
    return module.add(f, "rows_to_panel")


def panel_to_rows(f: Function, shape: Tile, element: str, panel: Reg, depth: int, rows: Matrix, count: Index) -> None:
    """``count`` columns of one panel as rows."""
    lanes = shape.lanes
    name = f.module.once(
        ("panel_to_rows", element, shape, depth), lambda: _write_turn_back(f.module, shape, element, depth)
    )
    for v in range(shape.vectors):
        own, valid = rows.moved(f, element, v * lanes, 0).at, f.sub(count, v * lanes)
        f.run(name, [f.at(panel, v * lanes, element), own, f.reg(rows.row), f.reg(valid)])


def _write_turn_back(module: Module, shape: Tile, element: str, depth: int) -> str:
    """``(panel, rows, stride, valid)``: so many of a vector of columns as rows."""
    source, to, stride, valid = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%stride", INT), Reg("%valid", INT)
    lanes, kind = shape.lanes, vector(element, shape.lanes)
    f = module.function([source, to, stride, valid])

    def square(first: Index, count: int) -> None:
        mask = f.mask(count, lanes) if count < lanes else None
        line = f.at(source, f.mul(first, shape.width), element)
        values = [f.load(f.at(line, j * shape.width, element), kind) if j < count else zero(kind) for j in range(lanes)]
        for i, x in enumerate(transpose(f, values)):
            with f.when(f.compare("sgt", valid, literal(i, INT))):
                f.store(x, f.at(f.at(to, f.mul(stride, i), element), first, element), mask)

    _squares(f, depth, lanes, square)
    return module.add(f, "panel_to_rows")


def _squares(f: Function, depth: Index, lanes: int, write: Callable[[Index, int], None]) -> None:
    """``write(first, count)`` for all squares along an axis; what is left of an unknown size is written one by one."""
    whole = f.mul(f.div(depth, lanes), lanes)
    with f.loop(0, whole, lanes) as c:
        write(c.index, lanes)
    if not isinstance(depth, int) or not isinstance(whole, int):
        with f.loop(whole, depth) as c:
            write(c.index, 1)
    elif depth > whole:
        write(whole, depth - whole)


def transpose(f: Function, rows: list[Reg]) -> list[Reg]:
    """A square of registers turned: at each step, pairs at a distance exchange halves of their blocks."""
    lanes = len(rows)
    distance = 1
    while distance < lanes:
        low = [(i // distance % 2) * lanes + i - (i // distance % 2) * distance for i in range(lanes)]
        high = [(i // distance % 2) * lanes + i + (1 - i // distance % 2) * distance for i in range(lanes)]
        new = list(rows)
        for i in range(lanes):
            if not i & distance:
                a, b = rows[i], rows[i + distance]
                new[i], new[i + distance] = f.shuffle(a, b, low), f.shuffle(a, b, high)
        rows = new
        distance *= 2
    return rows


def slot(shape: Tile, depth: int) -> int:
    """Elements from one packed tile of ``depth`` terms to the next: whole vectors are written, past the tile's end."""
    return shape.rows_t * depth + -(-shape.rows_t // shape.lanes) * shape.lanes


def to_tiles(f: Function, shape: Tile, element: str, a: Matrix, depth: Index, rows: int, to: Reg, slot: int) -> None:
    """Copy ``rows`` rows of ``depth`` terms into tiles as ``gemm.tiles`` cuts them, ``shape.rows_t`` from term to term."""
    count = -(-rows // shape.rows_t)
    low, extra = divmod(rows, count)

    def copy(height: int, source: Reg, line: Reg) -> None:
        """One term of a tile."""
        lanes = min(shape.lanes, 1 << (height - 1).bit_length())
        for start in range(0, height, lanes):
            valid = min(lanes, height - start)
            mask = f.mask(valid, lanes) if valid < lanes else None
            values = f.load(f.at(source, start, element), vector(element, lanes), mask)
            f.store(values, f.at(line, start, element))

    def copies(height: int, tiles: int, source: Reg, line: Reg) -> None:
        """One term of several tiles of one height."""
        whole = tiles - tiles % UNROLL
        if whole:
            with f.loop(0, whole, UNROLL) as t:
                own, there = f.at(source, f.mul(t.index, height), element), f.at(line, f.mul(t.index, slot), element)
                for i in range(UNROLL):
                    copy(height, f.at(own, i * height, element), f.at(there, i * slot, element))
        for i in range(whole, tiles):
            copy(height, f.at(source, i * height, element), f.at(line, i * slot, element))

    with f.loop(0, depth) as k:
        source, line = f.at(a.at, f.mul(k.index, a.column), element), f.at(to, f.mul(k.index, shape.rows_t), element)
        copies(low + 1, extra, source, line)
        if low:
            own, there = f.at(source, extra * (low + 1), element), f.at(line, extra * slot, element)
            copies(low, count - extra, own, there)


def pack_transposed(module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...]) -> str:
    """``(b, panels, sizes..., begin, end)``: panels begin..end of the transpose of b [n, k]."""
    key = ("pack_transposed", element, k, n, names)
    return module.once(key, lambda: _write_pack_transposed(module, target, element, k, n, names))


def _write_pack_transposed(module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...]) -> str:
    shape = tile(target, element, n)
    b, out = Matrix(Reg("%b", "ptr"), 1, k), Reg("%panels", "ptr")
    f = module.kernel([b.at, out], names)
    full, rest = divmod(n, shape.width)
    begin, end = Reg("%begin", INT), Reg("%end", INT)
    if full:
        with f.loop(begin, f.min(end, full)) as p:
            own = b.moved(f, element, 0, f.mul(p.index, shape.width))
            _turned_to_panel(
                f, shape, element, own, shape.width, k, f.at(out, f.mul(p.index, k * shape.width), element)
            )
    if rest:
        with f.when(f.compare("sgt", end, literal(full, INT))):
            own = b.moved(f, element, 0, full * shape.width)
            _turned_to_panel(f, shape, element, own, rest, k, f.at(out, full * k * shape.width, element))
    return module.add(f, "pack_transposed")
