"""Loops that follow a product and become its epilogue: all that they read of it is the element that they are at.

A product's result is a grid of rows and columns; a loop over the same grid is brought into terms of row and column. What
cannot be said in these terms stays a loop of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.fusion import CHEAP
from layerkit.engines.llvm.loops.nest import Expr, Nest, Store
from layerkit.engines.llvm.tiles.epilogue import Epilogue, Place, Term
from layerkit.ir import Size, product
from layerkit.records import dataclass

if TYPE_CHECKING:
    from layerkit.engines.llvm.lowering.lower import Item

MOST_TERMS = 16  # of an epilogue: every micro-kernel holds it once for each register

Where = tuple[int, int, int]
"""Elements from row to row, from column to column, from the start."""


@dataclass(eq=False)
class Product:
    """A product whose code waits for what is done with its sums.

    Attributes:
        kernel: what it is; its only result holds the sums, if nothing is done with them.
        rows, columns: of the result.
        write: writes the function.
        is_even: whether rows follow each other in memory; else all tensors with rows are laid out like the result.
    """

    kernel: Kernel
    rows: Size
    columns: int
    write: Callable[[Epilogue | None], str]
    is_even: bool = True
    is_open: bool = True
    """Whether something can be done with the sums in registers."""

    def __post_init__(self) -> None:
        self.sums = self.result = self.kernel.writes[0].buffer
        """Memory of the sums themselves, and of what is stored."""
        self._expr = Expr("load", self.sums.dtype, buffer=self.sums, place=Affine((self.columns, 1)))

    def take(self, nest: Nest) -> bool:
        """Let a loop be part of this, if it can be."""
        if not self.is_open or len(nest.results) != 1 or product(nest.axes) != self.rows * self.columns:
            return False
        (result,) = nest.results
        if not isinstance(result, Store) or result.add or result.row is not None:
            return False
        grid = _Grid(nest, self.columns)
        where = grid.where(result.place)
        expr = grid.expr(result.expr, self.result, self._expr)
        if expr is None or where != (self.columns, 1, 0) or not self._is_fit(expr):
            return False
        self.result, self._expr = result.buffer, expr
        return True

    def _is_fit(self, expr: Expr) -> bool:
        """Whether it is little work, and each tensor is met in one way, one that can be followed."""
        parts = _all(expr)
        is_cheap = all(e.word in CHEAP for e in parts if e.kind in ("unary", "binary"))
        met: dict[Buffer, Affine] = {}
        for e in parts:
            if e.buffer is not None and e.place is not None:
                is_same = met.setdefault(e.buffer, e.place) == e.place
                if not is_same or not (self.is_even or e.place.factors[0] in (0, self.columns)):
                    return False
        return is_cheap and len(parts) <= MOST_TERMS

    def finish(self) -> Kernel:
        """The kernel, with its code and all that it reads and writes."""
        kernel = self.kernel
        if self.result is self.sums:
            kernel.function = self.write(None)
            return kernel
        loads = [e for e in _all(self._expr) if e.kind == "load" and e.buffer is not self.sums]
        places = {e.buffer: e.place for e in loads if e.buffer is not None and e.place is not None}
        kernel.reads += [Use(b, rows=b.size == self.rows * p.factors[0]) for b, p in places.items()]
        kernel.writes = [Use(self.result, rows=True)]
        kernel.in_place = [(b, self.result) for b, p in places.items() if p == Affine((self.columns, 1))]
        kernel.function = self.write(self._epilogue(list(places)))
        return kernel

    def _epilogue(self, reads: Sequence[Buffer]) -> Epilogue:
        terms: list[Term] = []
        numbers: dict[int, int] = {}

        def visit(e: Expr) -> int:
            if id(e) not in numbers:
                made = term(e)
                numbers[id(e)] = len(terms)
                terms.append(made)
            return numbers[id(e)]

        def term(e: Expr) -> Term:
            if e.buffer is self.sums:
                return Term("sum", e.dtype)
            place = None
            if e.buffer is not None and e.place is not None:
                place = Place(reads.index(e.buffer), e.dtype, *_numbers(e.place))
            text = f"{type(e.number).__name__} {e.number!r}" if e.kind == "literal" else ""
            return Term(e.kind, e.dtype, tuple(map(visit, e.args)), e.word, place, text, e.number)

        visit(self._expr)
        return Epilogue(tuple(terms), Place(len(reads), self.result.dtype, self.columns, 1, 0))


def _numbers(place: Affine) -> Where:
    (stride, step), offset = place.factors, place.constant
    assert isinstance(stride, int)
    assert isinstance(step, int)
    assert isinstance(offset, int)
    return stride, step, offset


def _all(expr: Expr) -> list[Expr]:
    """An expression and all its parts, each once."""
    seen: dict[int, Expr] = {}
    stack = [expr]
    while stack:
        e = stack.pop()
        if id(e) not in seen:
            seen[id(e)] = e
            stack += e.args
    return list(seen.values())


class _Grid:
    """A loop seen as one over rows of ``columns`` elements."""

    def __init__(self, nest: Nest, columns: int) -> None:
        self.axes, self.columns = nest.axes, columns
        self._whole = affine.whole(nest.axes)
        self._memo: dict[int, Expr | None] = {}

    def expr(self, e: Expr, memory: Buffer, before: Expr) -> Expr | None:
        """An expression in terms of row and column, ``before`` in place of what it reads of ``memory``; None: impossible."""
        if id(e) not in self._memo:
            self._memo[id(e)] = self._make(e, memory, before)
        return self._memo[id(e)]

    def _make(self, e: Expr, memory: Buffer, before: Expr) -> Expr | None:
        if e.kind == "load" and e.place is not None:
            found = self.where(e.place)
            if found is None:
                return None
            stride, step, offset = found
            if e.buffer is memory:
                return before if found == (self.columns, 1, 0) else None
            return Expr("load", e.dtype, buffer=e.buffer, place=Affine((stride, step), offset))
        if e.kind == "literal":
            return e
        if e.kind not in ("unary", "binary", "where", "cast"):
            return None
        args: list[Expr] = []
        for a in e.args:
            made = self.expr(a, memory, before)
            if made is None:
                return None
            args.append(made)
        return Expr(e.kind, e.dtype, tuple(args), e.word, e.number)

    def where(self, place: Affine) -> Where | None:
        """A place in the loop in terms of row and column."""
        if not isinstance(place.constant, int):
            return None
        strides: set[int] = set()
        steps: set[int] = set()
        for factor, number, size in zip(place.factors, self._whole.factors, self.axes, strict=True):
            if size == 1:
                continue
            if isinstance(number, int) and number < self.columns:  # an axis within a row
                if factor not in (0, number) or not isinstance(size, int) or number * size > self.columns:
                    return None
                steps.add(int(factor == number))
                continue
            rows = affine._divide(number, self.columns)
            each = affine._divide(factor, rows) if rows is not None and factor != 0 else 0
            if rows is None or not isinstance(each, int):
                return None
            strides.add(each)
        if len(strides) > 1 or len(steps) > 1:
            return None
        return max(strides, default=0), max(steps, default=1), place.constant


def join(items: Sequence[Item], reaches: Callable[[set[Item], Item], bool]) -> list[Item]:
    """The items, those loops that follow products being part of them."""
    readers: dict[Buffer, list[Item]] = {}
    for item in items:
        for b in item.reads():
            readers.setdefault(b, []).append(item)
    gone: set[Item] = set()
    for item in items:
        here = item
        while here.product is not None:
            following = readers.get(here.product.result, [])
            if here.product.result.kind != "local" or len(following) != 1:
                break
            after = following[0]
            if after.nest is None or after.guard or after.whole or after.part:
                break
            if reaches(after.needs - {here}, here) or not here.product.take(after.nest):
                break
            after.product, after.nest = here.product, None
            after.need(here.needs)
            after.needs.discard(here)
            after.origins, after.words = here.origins | after.origins, here.words + after.words
            gone.add(here)
            here = after
    return [item for item in items if item not in gone]
