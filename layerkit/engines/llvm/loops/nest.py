"""What a fused loop computes: any number of elementwise results and reductions over one set of loop axes, as data.

``writer.py`` makes a kernel of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import field, replace
from functools import cached_property
from typing import Any

from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.ir import Size
from layerkit.records import dataclass


@dataclass(frozen=True, eq=False)
class Expr:
    """A number for each turn of the loops."""

    kind: str
    """"load", "literal", "index", "size", "take", "random", or the family of an op: "unary", "binary", "where", "cast", "view"."""
    dtype: str
    args: tuple[Expr, ...] = ()
    word: str = ""
    number: Any = None
    buffer: Buffer | None = None
    place: Affine | None = None
    size: Size = 0

    @cached_property
    def depth(self) -> int:
        """The number of outer loops after which it is known."""
        own = self.place.depth if self.place is not None else 0
        return max([own, *(a.depth for a in self.args)])

    def key(self) -> tuple[Hashable, ...]:
        """Equal for expressions that are the same function of the same parts."""
        number = (type(self.number).__name__, repr(self.number))  # 0.0 is not -0.0, nor 1 True
        args = tuple(map(id, self.args))
        return (self.kind, self.dtype, args, self.word, number, id(self.buffer), self.place, self.size)


@dataclass(frozen=True, eq=False)
class Store:
    """An expression written to memory."""

    expr: Expr
    buffer: Buffer
    place: Affine
    add: bool = False
    """Added to what is there (windows that overlap)."""
    row: Expr | None = None
    """The row of the result to write to, of ``width`` elements; rows that do not exist are left out."""
    width: Size = 0
    rows: Size = 0
    function: str = "sum"
    """How it is added: "sum", "prod", "max" or "min"."""


@dataclass(frozen=True, eq=False)
class Fold:
    """An expression reduced over the axes on which ``place`` does not depend."""

    function: str
    expr: Expr
    buffer: Buffer
    place: Affine
    count: Size
    """Elements of the result."""


@dataclass(eq=False)
class Nest:
    """A kernel to be written.

    Attributes:
        axes: sizes of the loops.
        reduced: which of them are summed over, for some result.
        results: what is computed.
    """

    axes: list[Size]
    reduced: list[bool]
    results: list[Store | Fold] = field(default_factory=list)
    _seen: tuple[list[Store | Fold], list[Expr], list[Buffer]] | None = None

    def loads(self) -> list[Expr]:
        """Every expression, once."""
        return self._known()[1]

    def reads(self) -> list[Buffer]:
        """The tensors that it reads, in the order in which its function is given them."""
        return self._known()[2]

    def _known(self) -> tuple[list[Store | Fold], list[Expr], list[Buffer]]:
        if self._seen is not None and self._seen[0] == self.results:
            return self._seen
        seen: dict[int, Expr] = {}

        def visit(e: Expr) -> None:
            if id(e) not in seen:
                seen[id(e)] = e
                for a in e.args:
                    visit(a)

        for result in self.results:
            for e in parts(result):
                visit(e)
        found = list(seen.values())
        self._seen = list(self.results), found, list(dict.fromkeys(e.buffer for e in found if e.buffer is not None))
        return self._seen

    @property
    def is_mixed(self) -> bool:
        """Whether results are reduced over different axes: each over those on which its place does not depend."""
        return len({tuple(f == 0 for f in r.place.factors) for r in self.results if isinstance(r, Fold)}) > 1

    def signature(self) -> Hashable:
        """What its code depends on: equal signatures make equal functions."""
        buffers: dict[Buffer, int] = {}
        known: dict[int, int] = {}
        nodes: list[Hashable] = []

        def buffer(b: Buffer | None) -> int:
            return -1 if b is None else buffers.setdefault(b, len(buffers))

        def visit(e: Expr) -> int:
            if id(e) not in known:
                own = buffer(e.buffer)
                args = tuple(map(visit, e.args))
                number = (type(e.number).__name__, repr(e.number))  # 0.0 is not -0.0, nor 1 True
                nodes.append((e.kind, e.dtype, args, e.word, number, own, e.place, e.size))
                known[id(e)] = len(known)
            return known[id(e)]

        results: list[Hashable] = []
        for r in self.results:
            found = tuple(map(visit, parts(r)))
            rest = (r.add, r.width, r.rows, r.function) if isinstance(r, Store) else (r.function, r.count)
            results.append((type(r), found, buffer(r.buffer), r.place, rest))
        return tuple(self.axes), tuple(self.reduced), tuple(nodes), tuple(results)

    def collapse(self, keep_first: bool) -> None:
        """Make one axis of neighbours that are always walked through together; with ``keep_first`` not of the first."""
        for j in reversed(range(int(keep_first), len(self.axes) - 1)):
            places = [e.place for e in self.loads() if e.place is not None] + [r.place for r in self.results]
            outer, inner = self.axes[j], self.axes[j + 1]
            together = all(p.factors[j] == p.factors[j + 1] * inner for p in places)
            if self.reduced[j] == self.reduced[j + 1] and (together or 1 in (outer, inner)):
                self._merge(j, drop=j + 1 if inner == 1 else j)

    def _merge(self, j: int, drop: int) -> None:
        """Make one axis of two; counters of axis ``drop`` are no longer needed."""
        self.axes[j : j + 2] = [self.axes[j] * self.axes[j + 1]]
        self.reduced[j : j + 2] = [self.reduced[j]]
        self._move(lambda p: Affine((*p.factors[:drop], *p.factors[drop + 1 :]), p.constant))

    def split(self, inner: int) -> None:
        """Make two axes of a single one, the inner of a size that divides it."""
        (size,) = self.axes
        assert isinstance(size, int)
        self.axes, self.reduced = [size // inner, inner], self.reduced * 2
        self._move(lambda p: Affine((p.factors[0] * inner, p.factors[0]), p.constant))

    def _move(self, place: Callable[[Affine], Affine]) -> None:
        """Let all places be sums of other counters."""
        memo: dict[int, Expr] = {}

        def visit(e: Expr) -> Expr:
            if id(e) not in memo:
                at = None if e.place is None else place(e.place)
                memo[id(e)] = Expr(e.kind, e.dtype, tuple(map(visit, e.args)), e.word, e.number, e.buffer, at, e.size)
            return memo[id(e)]

        self.results = [
            replace(r, expr=visit(r.expr), place=place(r.place), row=r.row and visit(r.row))
            if isinstance(r, Store)
            else replace(r, expr=visit(r.expr), place=place(r.place))
            for r in self.results
        ]


def parts(result: Store | Fold) -> tuple[Expr, ...]:
    """The expressions of a result."""
    row = result.row if isinstance(result, Store) else None
    return (result.expr,) if row is None else (row, result.expr)
