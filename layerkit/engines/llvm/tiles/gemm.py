"""The building block of products and convolutions: a register tile that sums products over a batch of short runs.

A micro-kernel computes ``rows`` x ``vectors`` of the result. It has two forms, by which index of the left operand is
contiguous: "n", the summed one (forward, input gradients), and "t", the row (weight gradients). The sum runs over ``outer``
x ``inner`` x ``run``: the rows of a window, its columns, and what lies side by side in memory. Every element of the result
is summed by one register in this order, whatever the tile, so the tile never changes a bit.
"""

from __future__ import annotations

from collections.abc import Callable

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.tiles.epilogue import Applied, Epilogue
from layerkit.records import dataclass

Tail = tuple[Epilogue, list[Reg]]
"""An epilogue and its pointers."""

UNROLL = 2  # terms in a turn of the inner loop: more make longer code, not faster
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
    """The tile that wastes least: as few panels as can be, of nearly equal width."""
    lanes = target.lanes(WIDTH[element])
    needed = max(1, -(-columns // lanes))
    vectors = -(-needed // -(-needed // len(target.tiles)))
    choice = target.tiles[vectors - 1]
    return Tile(lanes, vectors, choice.rows, choice.rows_t)


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
    add: bool | None
    """Added to the result, instead of overwriting it; None: a number says whether."""
    table: bool = False
    """Rows of the left operand and the result are found through tables of offsets (i64 elements)."""
    epilogue: Epilogue | None = None
    """What is done with the sums before they are stored: its pointers follow; that of the result is not used."""


_PARAMS = ("a", "b", "c")
_NUMBERS = ("lda", "ldb", "ldc", "outer", "step.outer", "inner", "step.inner", "run", "valid", "add")


def micro_kernel(module: Module, which: Micro) -> str:
    """Its name; its parameters are ``_PARAMS``, for tables two more pointers, those of the epilogue, then ``_NUMBERS``."""
    return module.once(which, lambda: _write_micro_kernel(module, which))


def _write_micro_kernel(module: Module, which: Micro) -> str:
    tables = [Reg("%rows.a", "ptr"), Reg("%rows.c", "ptr")] if which.table else []
    tensors = which.epilogue.parameters if which.epilogue is not None else []
    params = [*(Reg(f"%{n}", "ptr") for n in _PARAMS), *tables, *tensors, *(Reg(f"%{n}", INT) for n in _NUMBERS)]
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

    is_added = f.compare("ne", n["add"], literal(0, INT)) if which.add is None else None
    applied = Applied(f, which.epilogue, tensors, which.lanes) if which.epilogue is not None else None
    founds = [f.load(f.at(tables[1], i, INT), INT) if which.table else None for i in range(which.rows)]
    for i, row in enumerate(rows_c):
        for column in range(0, which.vectors * which.lanes, which.lanes):
            if applied is not None:
                applied.prefetch(i, column, founds[i])
            elif which.add is False:  # where the sums will go comes nearer while they are made
                f.prefetch(f.at(row, column, element), write=True)
    start: list[Reg] = []
    for row in rows_c:
        for v in range(which.vectors):
            at = f.at(row, v * which.lanes, element)
            before = zero(kind) if which.add is False else f.load(at, kind, masked(v))
            start.append(before if is_added is None else f.select(is_added, before, zero(kind)))
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
            total, column = outer.results[1 + i * which.vectors + v], v * which.lanes
            if applied is None:
                f.store(total, f.at(row, column, element), masked(v))
            else:
                applied.put(total, i, column, masked(v), founds[i])
    return module.add(f, f"micro.{which.form}{which.rows}x{which.vectors}")


@dataclass(frozen=True)
class Terms:
    """What a sum runs over: ``outer`` x ``inner`` runs of ``run`` elements, with their distances in the left operand."""

    run: Index
    inner: Index = 1
    step_inner: Index = 0
    outer: Index = 1
    step_outer: Index = 0


def most_terms(target: Target, element: str, shape: Tile) -> int:
    """Terms that are summed in one go, so that a panel stays in the second cache."""
    return max(256, target.l2 // 2 // (shape.width * WIDTH[element]))


def tiles(
    f: Function, module: Module, shape: Tile, element: str, form: str, *, rows: Index, columns: int, a: Reg, b: Reg, c: Reg,
    lda: Index, ldb: int | Index, ldc: Index, panel: Index, terms: Terms, add: bool | Reg = False,
    tables: tuple[Reg, Reg] | None = None, slot: Index | None = None, tail: Tail | None = None, backward: Reg | None = None,
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
        add: whether to add to the result (a number that is not 0, if known at run time only).
        tables: for each row, offsets in ``a`` and in ``c``, instead of lda and ldc.
        slot: elements between tiles of ``a``, if it is packed tile by tile.
        tail: what is done with the sums, from the row and column of ``c`` on.
        backward: whether (i1) to begin with the last whole panel.
    """
    most = shape.rows if form == "n" else shape.rows_t
    count = f.div(f.add(rows, most - 1), most)
    safe = f.max(count, 1)
    low, extra = f.div(rows, safe), f.rem(rows, safe)
    full, rest = divmod(columns, shape.width)
    last = -(-rest // shape.lanes)

    def panel_loop(vectors: int, is_masked: bool, begin: int, end: int, valid: int) -> None:
        with f.loop(begin, end) as loop:
            p: Index = loop.index
            if backward is not None and end - begin > 1:
                p = f.select(backward, f.reg(f.sub(begin + end - 1, p)), loop.index)
            right = f.at(b, f.mul(p, panel), element)
            result = f.at(c, f.mul(p, shape.width), element)
            tensors = tail[0].moved(f, tail[1], 0, f.mul(p, shape.width)) if tail is not None else []
            for height, start, stop in ((f.add(low, 1), 0, extra), (low, extra, count)):
                _heights(height, start, stop, vectors, is_masked, right, result, valid, tensors)

    def _heights(
        height: Index,
        start: Index,
        stop: Index,
        vectors: int,
        is_masked: bool,
        right: Reg,
        result: Reg,
        valid: int,
        tensors: list[Reg],
    ) -> None:
        def call(rows_in: int) -> Callable[[], None]:
            def write() -> None:
                adds = None if isinstance(add, Reg) else add
                what = tail[0] if tail is not None else None
                which = Micro(element, shape.lanes, rows_in, vectors, form, is_masked, adds, tables is not None, what)
                name = micro_kernel(module, which)
                with f.loop(start, stop) as t:
                    # tiles before this one: the first `extra` have one row more
                    row = f.mul(t.index, rows_in)
                    if start != 0:
                        row = f.add(row, extra)
                    left = a
                    cell = result
                    given: list[Reg] = []
                    if tables is not None:
                        given = [f.at(tables[0], row, INT), f.at(tables[1], row, INT)]
                    else:
                        ahead = f.mul(row, lda) if form == "n" else row
                        left = f.at(a, ahead if slot is None else f.mul(t.index, slot), element)
                        cell = f.at(result, f.mul(row, ldc), element)
                    if what is not None:
                        given += what.moved(f, tensors, 0 if tables is not None else row, 0)
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
                        add if isinstance(add, Reg) else 0,
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
