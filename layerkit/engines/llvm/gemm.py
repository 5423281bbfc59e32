"""The building block of products and convolutions: a register tile that sums products over a batch of short runs.

A micro-kernel computes ``rows`` x ``vectors`` of the result. It has two forms, by which index of the left operand is
contiguous: "n", the summed one (forward, input gradients), and "t", the row (weight gradients). The sum runs over ``outer``
x ``inner`` x ``run``: the rows of a window, its columns, and what lies side by side in memory. Every element of the result
is summed by one register in this order, whatever the tile, so the tile never changes a bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerkit.engines.llvm.builder import INT, Function, Index, Module, Reg, literal, range_parameters, vector, zero
from layerkit.engines.llvm.target import Target

UNROLL = 4
WIDTH = {"float": 4, "double": 8}


@dataclass(frozen=True)
class Tile:
    """The shape of register tiles for results with ``columns`` columns.

    Attributes:
        lanes: elements of a vector.
        vectors: vectors in a panel of columns.
        rows: the most rows of a tile, in form "n" and "t".
    """

    lanes: int
    vectors: int
    rows: int
    rows_t: int

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return self.lanes * self.vectors

    def panels(self, columns: int) -> int:
        """Panels for so many columns."""
        return -(-columns // self.width)


def tile(target: Target, element: str, columns: int) -> Tile:
    """The tile that wastes least, and does not spill."""
    lanes = target.lanes(WIDTH[element])
    wide = target.registers >= 32
    needed = max(1, -(-columns // lanes))
    most = 4 if wide else 2
    vectors = -(-needed // -(-needed // most))
    rows = {4: 6, 3: 8, 2: 8, 1: 8} if wide else {2: 5, 1: 8}
    rows_t = {4: 6, 3: 8, 2: 12, 1: 14} if wide else {2: 5, 1: 10}
    return Tile(lanes, vectors, rows[vectors], rows_t[vectors])


@dataclass(frozen=True)
class Micro:
    """Which micro-kernel."""

    element: str
    lanes: int
    rows: int
    vectors: int
    form: str
    masked: bool
    """The last vector has fewer columns than lanes."""
    add: bool
    """Added to the result, instead of overwriting it."""
    table: bool = False
    """Rows of the left operand and the result are found through tables of offsets (i64 elements)."""


_PARAMS = ("a", "b", "c")
_NUMBERS = ("lda", "ldb", "ldc", "outer", "step.outer", "inner", "step.inner", "run", "valid")


def micro_kernel(module: Module, which: Micro) -> str:
    """Its name; its parameters are ``_PARAMS``, for tables two more pointers, then ``_NUMBERS``."""
    return module.once(which, lambda: _write_micro_kernel(module, which))


def _write_micro_kernel(module: Module, which: Micro) -> str:
    tables = [Reg("%rows.a", "ptr"), Reg("%rows.c", "ptr")] if which.table else []
    params = [*(Reg(f"%{n}", "ptr") for n in _PARAMS), *tables, *(Reg(f"%{n}", INT) for n in _NUMBERS)]
    f = module.function(params)
    n = {name: Reg(f"%{name}", INT) for name in _NUMBERS}
    a, b, c = (Reg(f"%{name}", "ptr") for name in _PARAMS)
    kind, element = vector(which.element, which.lanes), which.element
    mask = f.mask(n["valid"], which.lanes) if which.masked else None

    def cells(base: Reg, i: int) -> Reg:
        if which.table:
            return f.at(base, f.load(f.at(tables[1], i, INT), INT), element)
        return f.at(base, f.mul(i, n["ldc"]), element)

    rows_c = [cells(c, i) for i in range(which.rows)]

    def masked(v: int) -> Reg | None:
        return mask if v == which.vectors - 1 else None

    start: list[Reg] = []
    for row in rows_c:
        for v in range(which.vectors):
            at = f.at(row, v * which.lanes, element)
            start.append(f.load(at, kind, masked(v)) if which.add else zero(kind))
    if which.form == "n":
        if which.table:
            rows_a = [f.at(a, f.load(f.at(tables[0], i, INT), INT), element) for i in range(which.rows)]
        else:
            rows_a = [f.at(a, f.mul(i, n["lda"]), element) for i in range(which.rows)]
    else:
        rows_a = [a]

    def turns(pointers: list[Reg], b: Reg, sums: list[Reg], count: int) -> list[Reg]:
        """``count`` terms of all sums."""
        for k in range(count):
            if which.form == "n":
                right = [
                    f.load(f.at(f.at(b, f.mul(k, n["ldb"]), element), v * which.lanes, element), kind)
                    for v in range(which.vectors)
                ]
            else:
                row = f.at(b, f.mul(k, n["ldb"]), element)
                right = [f.load(f.at(row, v * which.lanes, element), kind, masked(v)) for v in range(which.vectors)]
            for i in range(which.rows):
                if which.form == "n":
                    x = f.load(f.at(pointers[i], k, element), element)
                else:
                    x = f.load(f.at(f.at(pointers[0], f.mul(k, n["lda"]), element), i, element), element)
                wide = f.splat(x, which.lanes)
                for v in range(which.vectors):
                    at = i * which.vectors + v
                    sums[at] = f.fma(wide, right[v], sums[at])
        return sums

    step_a: Index = 1 if which.form == "n" else n["lda"]

    def run(pointers: list[Reg], b: Reg, sums: list[Reg]) -> tuple[Reg, list[Reg]]:
        whole = f.mul(f.div(n["run"], UNROLL), UNROLL)
        carried = [*pointers, b, *sums]
        size = len(pointers)
        for first, last, count in ((0, whole, UNROLL), (whole, n["run"], 1)):
            with f.loop(first, last, count, carried) as loop:
                own, right, now = loop.carried[:size], loop.carried[size], list(loop.carried[size + 1 :])
                now = turns(own, right, now, count)
                ahead = f.mul(step_a, count)
                loop.next = [
                    *(f.at(p, ahead, element) for p in own),
                    f.at(right, f.mul(n["ldb"], count), element),
                    *now,
                ]
            carried = loop.results
        return carried[size], carried[size + 1 :]

    with f.loop(0, n["outer"], 1, [b, *start]) as outer:
        with f.loop(0, n["inner"], 1, outer.carried) as inner:
            shift = f.add(f.mul(outer.index, n["step.outer"]), f.mul(inner.index, n["step.inner"]))
            moved = [f.at(p, shift, element) for p in rows_a]
            right, sums = run(moved, inner.carried[0], inner.carried[1:])
            inner.next = [right, *sums]
        outer.next = inner.results
    for i, row in enumerate(rows_c):
        for v in range(which.vectors):
            f.store(outer.results[1 + i * which.vectors + v], f.at(row, v * which.lanes, element), masked(v))
    return module.add(f, f"micro.{which.form}{which.rows}x{which.vectors}")


@dataclass(frozen=True)
class Terms:
    """What a sum runs over: ``outer`` x ``inner`` runs of ``run`` elements, with their distances in the left operand."""

    run: Index
    inner: Index = 1
    step_inner: Index = 0
    outer: Index = 1
    step_outer: Index = 0


def tiles(
    f: Function, module: Module, shape: Tile, element: str, form: str, *, rows: Index, columns: int, a: Reg, b: Reg, c: Reg,
    lda: Index, ldb: int | Index, ldc: Index, panel: Index, terms: Terms, add: bool = False,
    tables: tuple[Reg, Reg] | None = None, first: Index = 0,
) -> None:  # fmt: skip
    """Write the loops over all tiles of a result of ``rows`` x ``columns``.

    Args:
        f: where to write.
        module: where micro-kernels go.
        shape: the tile.
        element: float or double.
        form: "n" or "t".
        rows: rows of the result, cut into tiles of nearly equal height.
        columns: its columns.
        a: left operand.
        b: panels.
        c: result.
        lda: elements between rows of ``a`` (form "t": between terms).
        ldb: elements between terms of a panel.
        ldc: elements between rows of ``c``.
        panel: elements between panels of ``b``.
        terms: what is summed.
        add: whether to add to the result.
        tables: for each row, offsets in ``a`` and in ``c``, instead of lda and ldc.
        first: the first row of the result that is computed (form "t": of the left operand's columns).
    """
    most = shape.rows if form == "n" else shape.rows_t
    count = f.div(f.add(rows, most - 1), most)
    safe = f.max(count, 1)
    low, extra = f.div(rows, safe), f.rem(rows, safe)
    full, rest = divmod(columns, shape.width)
    last = -(-rest // shape.lanes)

    def panel_loop(vectors: int, is_masked: bool, begin: int, end: int, valid: int) -> None:
        with f.loop(begin, end) as p:
            right = f.at(b, f.mul(p.index, panel), element)
            result = f.at(c, f.mul(p.index, shape.width), element)
            for height, start, stop in ((f.add(low, 1), 0, extra), (low, extra, count)):
                _heights(height, start, stop, vectors, is_masked, right, result, valid)

    def _heights(
        height: Index,
        start: Index,
        stop: Index,
        vectors: int,
        is_masked: bool,
        right: Reg,
        result: Reg,
        valid: int,
    ) -> None:
        def call(rows_in: int) -> Callable[[], None]:
            def write() -> None:
                which = Micro(element, shape.lanes, rows_in, vectors, form, is_masked, add, tables is not None)
                name = micro_kernel(module, which)
                with f.loop(start, stop) as t:
                    # tiles before this one: the first `extra` have one row more
                    row = f.mul(t.index, rows_in)
                    if start != 0:
                        row = f.add(row, extra)
                    row = f.add(row, first)
                    left = a
                    cell = result
                    given: list[Reg] = []
                    if tables is not None:
                        given = [f.at(tables[0], row, INT), f.at(tables[1], row, INT)]
                    else:
                        left = f.at(a, f.mul(row, lda) if form == "n" else row, element)
                        cell = f.at(result, f.mul(row, ldc), element)
                    numbers = (
                        lda,
                        ldb,
                        ldc,
                        terms.outer,
                        terms.step_outer,
                        terms.inner,
                        terms.step_inner,
                        terms.run,
                        valid,
                    )
                    f.run(name, [left, right, cell, *given, *(f.reg(x) for x in numbers)])

            return write

        if isinstance(height, int):
            if height > 0 and not (isinstance(stop, int) and isinstance(start, int) and stop <= start):
                call(height)()
        else:
            f.choose(height, [(r, call(r)) for r in range(1, most + 1)])

    if full:
        panel_loop(shape.vectors, False, 0, full, shape.lanes)
    if rest:
        valid = rest - (last - 1) * shape.lanes
        panel_loop(last, valid < shape.lanes, full, full + 1, valid)


def matmul(module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...], scale: int = 1) -> str:
    """``(a, panels, c, sizes..., begin, end)``: the rows of units begin..end of c[., n] = a[., k] @ b."""
    shape = tile(target, element, n)
    a, b, c = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%c", "ptr")
    f = module.function([a, b, c, *range_parameters(names)])
    begin = f.mul(Reg("%begin", INT), scale)
    rows = f.sub(f.mul(Reg("%end", INT), scale), begin)
    left, result = f.at(a, f.mul(begin, k), element), f.at(c, f.mul(begin, n), element)
    most = max(256, target.l2 // 2 // (shape.width * WIDTH[element]))
    for start in range(0, k, most) or (0,):
        tiles(
            f, module, shape, element, "n", rows=rows, columns=n, a=f.at(left, start, element),
            b=f.at(b, start * shape.width, element), c=result, lda=k, ldb=shape.width, ldc=n, panel=k * shape.width,
            terms=Terms(min(most, k - start)), add=start > 0,
        )  # fmt: skip
    return module.add(f, "matmul")


def matmul_panels(
    module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...], rows: Callable[[Function], Index],
    transposed: bool,
) -> str:  # fmt: skip
    """``(a, b, c, sizes..., begin, end)``: the columns of panels begin..end of c[rows, n] = a[rows, k] @ b.

    ``b`` is [k, n], or [n, k] if ``transposed``; each part of it is packed where it is used, once: for few rows and a
    right operand that changes from run to run.
    """
    shape = tile(target, element, n)
    a, b, c = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%c", "ptr")
    f = module.function([a, b, c, *range_parameters(names)])
    height = rows(f)
    block = 2 * ROWS_OF_TERMS
    buffer = f.emit(f"alloca {element}, i64 {min(block, k) * shape.width}, align 64", "ptr")

    def part(first: Index, start: Index, depth: int, columns: int) -> None:
        """Add the products of ``depth`` terms from ``start`` on to the columns from ``first`` on."""
        if transposed:
            _pack_turned(f, shape, element, b, k, first, columns, start, depth, buffer)
        else:
            source = f.at(b, f.add(f.mul(start, n), first), element)
            _pack_rows(f, shape, element, source, n, depth, columns, buffer)
        tiles(
            f, module, shape, element, "n", rows=height, columns=columns, a=f.at(a, start, element), b=buffer,
            c=f.at(c, first, element), lda=k, ldb=shape.width, ldc=n, panel=0, terms=Terms(depth), add=True,
        )  # fmt: skip

    def panel(first: Index, columns: int) -> None:
        with f.loop(0, height) as row:
            _clear(f, shape, element, f.at(c, f.add(f.mul(row.index, n), first), element), columns)
        with f.loop(0, k // block) as turn:
            part(first, f.mul(turn.index, block), block, columns)
        if k % block:
            part(first, k - k % block, k % block, columns)

    full, rest = divmod(n, shape.width)
    begin, end = Reg("%begin", INT), Reg("%end", INT)
    if full:
        with f.loop(begin, f.min(end, full)) as p:
            panel(f.mul(p.index, shape.width), shape.width)
    if rest:
        with f.when(f.compare("sgt", end, literal(full, INT))):
            panel(full * shape.width, rest)
    return module.add(f, "matmul_panels")


def _pack_rows(
    f: Function, shape: Tile, element: str, source: Reg, n: int, depth: Index, columns: int, to: Reg
) -> None:
    """Copy ``columns`` columns of ``depth`` rows side by side."""
    kind, lanes = vector(element, shape.lanes), shape.lanes
    with f.loop(0, depth) as k:
        row, line = f.at(source, f.mul(k.index, n), element), f.at(to, f.mul(k.index, shape.width), element)
        for v in range(-(-columns // lanes)):
            valid = min(lanes, columns - v * lanes)
            mask = f.mask(valid, lanes) if valid < lanes else None
            f.store(f.load(f.at(row, v * lanes, element), kind, mask), f.at(line, v * lanes, element))


def _clear(f: Function, shape: Tile, element: str, at: Reg, columns: int) -> None:
    """Set ``columns`` neighbours to 0."""
    for v in range(-(-columns // shape.lanes)):
        valid = min(shape.lanes, columns - v * shape.lanes)
        mask = f.mask(valid, shape.lanes) if valid < shape.lanes else None
        f.store(zero(vector(element, shape.lanes)), f.at(at, v * shape.lanes, element), mask)


def pack_transposed(module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...]) -> str:
    """``(b, panels, sizes..., begin, end)``: panels begin..end of the transpose of b [n, k]."""
    shape = tile(target, element, n)
    b, out = Reg("%b", "ptr"), Reg("%panels", "ptr")
    f = module.function([b, out, *range_parameters(names)])
    full, rest = divmod(n, shape.width)
    begin, end = Reg("%begin", INT), Reg("%end", INT)
    if full:
        with f.loop(begin, f.min(end, full)) as p:
            to = f.at(out, f.mul(p.index, k * shape.width), element)
            _pack_turned(f, shape, element, b, k, f.mul(p.index, shape.width), shape.width, 0, k, to)
    if rest:
        with f.when(f.compare("sgt", end, literal(full, INT))):
            to = f.at(out, full * k * shape.width, element)
            _pack_turned(f, shape, element, b, k, full * shape.width, rest, 0, k, to)
    return module.add(f, "pack_transposed")


def _pack_turned(
    f: Function, shape: Tile, element: str, b: Reg, k: int, first: Index, rows: int, start: Index, depth: int, to: Reg
) -> None:
    """A panel of the transpose of b [n, k]: its rows first..first+rows, ``depth`` columns from ``start`` on."""
    lanes, kind = shape.lanes, vector(element, shape.lanes)

    def square(v: int, column: Index, count: int) -> None:
        """Turn lanes x ``count`` elements in registers."""
        mask = f.mask(count, lanes) if count < lanes else None
        turned = []
        for i in range(lanes):
            if v * lanes + i < rows:
                at = f.add(f.mul(f.add(first, v * lanes + i), k), f.add(start, column))
                turned.append(f.load(f.at(b, at, element), kind, mask))
            else:
                turned.append(zero(kind))
        line = f.at(to, f.add(f.mul(column, shape.width), v * lanes), element)
        for j, values in enumerate(transpose(f, turned)[:count]):
            f.store(values, f.at(line, j * shape.width, element))

    whole = depth // lanes * lanes
    for v in range(-(-rows // lanes)):
        with f.loop(0, whole, lanes) as c:
            square(v, c.index, lanes)
        if depth > whole:
            square(v, whole, depth - whole)


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


ROWS_OF_TERMS = 128  # so many rows of the right operand are copied side by side, to stay in the first cache


def matmul_t(
    module: Module,
    target: Target,
    element: str,
    m: int,
    n: int,
    names: tuple[str, ...],
    rows: Callable[[Function], Index] | None,
) -> str:
    """c[m, n] = a.T @ b for a [r, m] and b [r, n].

    With ``rows`` (the number r), units are tiles of rows of c: ``(a, b, c, sizes..., begin, end)``. Without it units are the
    rows of a and b, and c is what they add up to.
    """
    shape = tile(target, element, n)
    a, b, c = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%c", "ptr")
    f = module.function([a, b, c, *range_parameters(names)])
    begin, end = Reg("%begin", INT), Reg("%end", INT)
    block = ROWS_OF_TERMS
    panels = shape.panels(n)
    packed = f.emit(f"alloca {element}, i64 {block * shape.width}, align 64", "ptr")
    if rows is None:
        total: Index = f.sub(end, begin)
        first_row: Index = begin
        low: Index = 0
        height: Index = m
    else:
        total, first_row = rows(f), 0
        low = f.mul(begin, shape.rows_t)
        height = f.sub(f.min(f.mul(end, shape.rows_t), m), low)
    _zero_rows(f, c, low, height, n, element, shape.lanes)
    with f.loop(0, total, block) as blocks:
        depth = f.min(f.sub(total, blocks.index), block)
        at = f.add(first_row, blocks.index)
        for p in range(panels):
            columns = min(shape.width, n - p * shape.width)
            source = f.at(b, f.add(f.mul(at, n), p * shape.width), element)
            _pack_rows(f, shape, element, source, n, depth, columns, packed)
            tiles(
                f, module, shape, element, "t", rows=height, columns=columns, a=f.at(a, f.mul(at, m), element), b=packed,
                c=f.at(c, p * shape.width, element), lda=m, ldb=shape.width, ldc=n, panel=0, terms=Terms(depth), add=True, first=low,
            )  # fmt: skip
    return module.add(f, "matmul_t")


def _zero_rows(f: Function, c: Reg, low: Index, height: Index, n: int, element: str, lanes: int) -> None:
    kind = vector(element, lanes)
    start, stop = f.mul(low, n), f.mul(f.add(low, height), n)
    with f.loop(start, stop, lanes) as loop:
        f.store(zero(kind), f.at(c, loop.index, element), f.mask(f.sub(stop, loop.index), lanes))
