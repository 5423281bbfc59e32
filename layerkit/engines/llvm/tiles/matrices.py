"""Whole products of matrices: loops over blocks that stay in the second cache, operands packed where they are used.

``matmul`` takes a right operand that was packed before (weights). ``stack`` packs both, block by block, and reads them
through any strides: weight gradients, whose sum runs over rows, and stacks of matrices with axes in front.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, size_registers
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.tiles.epilogue import Epilogue
from layerkit.engines.llvm.tiles.gemm import WIDTH, Terms, most_terms, tile, tiles
from layerkit.engines.llvm.tiles.packing import Matrix, slot, to_panels, to_tiles
from layerkit.ir import Size, product
from layerkit.records import dataclass

FEW = 8  # units of one product: fewer are made more where that is cheap, as threads would wait for each other


def matmul(
    module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...], scale: int = 1,
    epilogue: Epilogue | None = None, *, is_repeated: bool = False,
) -> str:  # fmt: skip
    """``(a, panels, c, sizes..., begin, end)``: the rows of units begin..end of c[., n] = a[., k] @ b.

    The tensors of an ``epilogue`` come in the place of ``c``; it needs sums that are finished in one go. If it
    ``is_repeated`` with the same panels, few rows go through them to and fro: what the last call read last is still in the
    first cache.
    """
    key = ("matmul", element, k, n, names, scale, epilogue, is_repeated)
    return module.once(key, lambda: _write_matmul(module, target, element, k, n, names, scale, epilogue, is_repeated))


def _write_matmul(
    module: Module, target: Target, element: str, k: int, n: int, names: tuple[str, ...], scale: int,
    epilogue: Epilogue | None, is_repeated: bool,
) -> str:  # fmt: skip
    shape = tile(target, element, n)
    tensors = [Reg("%c", "ptr")] if epilogue is None else epilogue.parameters
    a, b, c = Reg("%a", "ptr"), Reg("%b", "ptr"), tensors[-1]
    f = module.kernel([a, b, *tensors], names)
    begin = f.mul(Reg("%begin", INT), scale)
    rows = f.sub(f.mul(Reg("%end", INT), scale), begin)
    left, result = f.at(a, f.mul(begin, k), element), f.at(c, f.mul(begin, n), element)
    tail = None if epilogue is None else (epilogue, epilogue.moved(f, tensors, begin, 0))
    most = most_terms(target, element, shape)
    backward = _to_and_fro(f, module, rows, shape.rows) if is_repeated else None
    for start in range(0, k, most) or (0,):
        tiles(
            f, module, shape, element, "n", rows=rows, columns=n, a=f.at(left, start, element),
            b=f.at(b, start * shape.width, element), c=result, lda=k, ldb=shape.width, ldc=n, panel=k * shape.width,
            terms=Terms(min(most, k - start)), add=start > 0, tail=tail, backward=backward,
        )  # fmt: skip
    return module.add(f, "matmul")


def _to_and_fro(f: Function, module: Module, rows: Index, few: int) -> Reg:
    """True in every other call that has ``few`` rows at most."""
    cell = module.cell()
    was = f.load(cell, INT)
    is_few = f.compare("sle", f.reg(rows), literal(few, INT))
    with f.when(is_few):  # others do not touch the cell: threads would wait for each other's line
        f.store(f.binary("xor", was, literal(1, INT)), cell)
    return f.binary("and", is_few, f.compare("ne", was, literal(0, INT)))


@dataclass(frozen=True)
class Cut:
    """An axis in equal blocks, but for the last."""

    size: int
    block: int

    @property
    def count(self) -> int:
        """How many blocks."""
        return -(-self.size // self.block)

    def each(self, f: Function, index: Index, write: Callable[[Index, int], None]) -> None:
        """``write(start, size)`` for the block with this number."""
        last = self.size - (self.count - 1) * self.block
        if last == self.block:
            write(f.mul(index, self.block), self.block)
        elif self.count == 1:
            write(0, last)
        else:
            is_last = f.reg(f.div(f.add(index, 1), self.count))
            f.choose(
                is_last,
                [
                    (0, lambda: write(f.mul(index, self.block), self.block)),
                    (1, lambda: write((self.count - 1) * self.block, last)),
                ],
            )


def cut(size: int, most: int, multiple: int) -> Cut:
    """Nearly equal blocks of at most ``most``, as multiples of something where there are several."""
    count = max(1, -(-size // max(most, multiple)))
    return Cut(size, size if count == 1 else -(-size // (count * multiple)) * multiple)


@dataclass(frozen=True)
class Stack:
    """Products (front..., m, k) @ (front..., k, n) -> (front..., m, n), operands read through strides.

    Attributes:
        front: axes that both operands have in front.
        m, k, n: sizes. The number of terms may be unknown, that of rows too where the terms of a row are contiguous.
        a, b: places over the axes (front..., m, k) and (front..., k, n).
        rows, columns: how results are cut into blocks. Without axes in front, blocks are the units of work.
        in_parts: units are terms instead, and the result is what those of a range add up to.
    """

    front: tuple[Size, ...]
    m: Size
    k: Size
    n: int
    a: Affine
    b: Affine
    rows: Cut | None
    columns: Cut
    in_parts: bool = False

    @property
    def blocks(self) -> int:
        """Blocks of one result."""
        return self.columns.count * (1 if self.rows is None else self.rows.count)

    @property
    def units(self) -> Size:
        """Parts of the work that are independent of each other."""
        return self.k if self.in_parts else product(self.front) if self.front else self.blocks


def side_of(target: Target, element: str) -> int:
    """Rows, columns and terms of a block: both operands' parts and the result take three quarters of the second cache."""
    return max(64, isqrt(target.l2 // (4 * WIDTH[element])) // 64 * 64)


def blocks(target: Target, element: str, m: Size, n: int, *, apart: bool) -> tuple[Cut | None, Cut]:
    """Rows and columns of the blocks of a product; where they are the units of work, there should be some (``apart``)."""
    shape, side = tile(target, element, n), side_of(target, element)
    rows = cut(m, side, shape.rows_t) if isinstance(m, int) else None
    columns = cut(n, side, shape.width)
    if apart and rows is None:
        columns = cut(n, -(-n // FEW), shape.width)
    elif apart and rows is not None and rows.count * columns.count == 1:  # not more: narrow ones copy rows more often
        columns = cut(n, side // 2, shape.width)
    return rows, columns


def stack(module: Module, target: Target, element: str, what: Stack, names: tuple[str, ...], scale: int) -> str:
    """``(a, b, c, sizes..., begin, end)``: units begin * scale to end * scale of a stack of products."""
    return module.once(
        ("stack", element, what, names, scale), lambda: _write_stack(module, target, element, what, names, scale)
    )


def _write_stack(module: Module, target: Target, element: str, what: Stack, names: tuple[str, ...], scale: int) -> str:
    a, b, c = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%c", "ptr")
    f = module.kernel([a, b, c], names)
    sizes = Sizes(f, size_registers(names))
    begin, end = f.mul(Reg("%begin", INT), scale), f.mul(Reg("%end", INT), scale)
    writer = _Blocks(
        f, module, target, element, what, sizes(what.m), f.sub(end, begin) if what.in_parts else sizes(what.k)
    )
    strides = [[sizes(x) for x in (*place.factors, place.constant)] for place in (what.a, what.b)]
    front = [sizes(x) for x in what.front]
    sizes(what.m * what.n)  # what is unknown is computed before the loop
    if what.in_parts:
        with f.loop(0, what.blocks) as block:
            left, right = (
                Matrix(f.at(p, own[-1], element), own[-3], own[-2]) for p, own in zip((a, b), strides, strict=True)
            )
            writer.block(block.index, left.moved(f, element, 0, begin), right.moved(f, element, begin, 0), c)
        return module.add(f, "stack")
    with f.loop(begin, end) as unit:
        rest: Index = unit.index if front else 0
        offsets: list[Index] = [strides[0][-1], strides[1][-1]]
        for axis in reversed(range(len(front))):
            counter = f.rem(rest, front[axis]) if axis else rest
            rest = f.div(rest, front[axis]) if axis else 0
            offsets = [f.add(at, f.mul(counter, own[axis])) for at, own in zip(offsets, strides, strict=True)]
        left, right = (
            Matrix(f.at(p, at, element), own[-3], own[-2]) for p, at, own in zip((a, b), offsets, strides, strict=True)
        )
        result = f.at(c, f.mul(unit.index, sizes(what.m * what.n)), element) if front else c
        if front:
            with f.loop(0, what.blocks) as block:
                writer.block(block.index, left, right, result)
        else:
            writer.block(unit.index, left, right, result)
    return module.add(f, "stack")


class _Blocks:
    """Writes the product of one block of a result; operands are packed into memory that all blocks share."""

    def __init__(
        self, f: Function, module: Module, target: Target, element: str, what: Stack, height: Index, terms: Index
    ) -> None:
        self.f, self.module, self.element, self.what = f, module, element, what
        self.height, self.terms = height, terms
        self.shape = tile(target, element, what.n)
        self.depth = side_of(target, element)
        if isinstance(terms, int):
            self.depth = max(1, min(self.depth, terms))
        # panels apart by no power of two, or their lines would meet in few sets of the cache
        self.panel, self.slot = (self.depth + 1) * self.shape.width, slot(self.shape, self.depth)
        most = what.columns.block
        self.right = f.emit(f"alloca {element}, i64 {self.shape.panels(most) * self.panel}, align 64", "ptr")
        self.is_turned = what.a.factors[-1] != 1
        self.is_copied = self.is_turned and self.shape.panels(what.n) > 1
        if self.is_copied:
            assert what.rows is not None
            count = -(-what.rows.block // self.shape.rows_t)
            self.left = f.emit(f"alloca {element}, i64 {count * self.slot}, align 64", "ptr")

    def block(self, index: Index, a: Matrix, b: Matrix, c: Reg) -> None:
        """The block with a number, of one product."""
        f, what = self.f, self.what
        i, j = f.div(index, what.columns.count), f.rem(index, what.columns.count)

        def columns(first: Index, width: int) -> None:
            def rows(top: Index, height: Index) -> None:
                cell = f.at(c, f.add(f.mul(top, what.n), first), self.element)
                left, right = a.moved(f, self.element, top, 0), b.moved(f, self.element, 0, first)
                self._sum(left, right, cell, height, width)

            if what.rows is None:
                rows(0, self.height)
            else:
                what.rows.each(f, i, rows)

        what.columns.each(f, j, columns)

    def _sum(self, a: Matrix, b: Matrix, c: Reg, rows: Index, columns: int) -> None:
        """All terms of a block, in parts that fit the cache; without terms it is 0."""
        f, terms, depth = self.f, self.terms, self.depth
        if isinstance(terms, int):
            with f.loop(0, max(terms, 1) // depth) as turn:
                self._part(a, b, c, rows, columns, f.mul(turn.index, depth), min(depth, terms))
            if terms % depth:
                self._part(a, b, c, rows, columns, terms - terms % depth, terms % depth)
            return
        with f.loop(0, f.max(terms, 1), depth) as loop:
            self._part(a, b, c, rows, columns, loop.index, f.min(f.sub(terms, loop.index), depth))

    def _part(self, a: Matrix, b: Matrix, c: Reg, rows: Index, columns: int, start: Index, depth: Index) -> None:
        f, element, shape, what = self.f, self.element, self.shape, self.what
        right, left = b.moved(f, element, start, 0), a.moved(f, element, 0, start)
        to_panels(f, shape, element, right, depth, columns, self.right, self.panel)
        add = False if self.terms == self.depth else f.reg(start)
        if self.is_copied:
            assert isinstance(rows, int)
            to_tiles(f, shape, element, left, depth, rows, self.left, self.slot)
        lda = shape.rows_t if self.is_copied else left.column if self.is_turned else left.row
        tiles(
            f, self.module, shape, element, "t" if self.is_turned else "n", rows=rows, columns=columns,
            a=self.left if self.is_copied else left.at, b=self.right, c=c, lda=lda, ldb=shape.width, ldc=what.n,
            panel=self.panel, terms=Terms(depth), add=add, slot=self.slot if self.is_copied else None,
        )  # fmt: skip
