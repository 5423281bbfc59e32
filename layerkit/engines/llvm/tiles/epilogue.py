"""What is done with the sums of a product while they are still in registers: bias, activation, residual, scale and shift.

An epilogue works on a grid of rows and columns. ``joining.py`` makes epilogues of the loops that follow products; whoever
holds finished sums in registers calls ``Applied.put`` for them, a vector of columns at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from typing import Any

from layerkit.engines.llvm.codegen.builder import Function, Index, Reg, literal, vector
from layerkit.engines.llvm.loops import elements
from layerkit.records import dataclass


@dataclass(frozen=True)
class Place:
    """Where a tensor is read or written: at ``row * stride + column * step + offset`` from a pointer.

    Attributes:
        pointer: which of the epilogue's pointers.
        dtype: of the tensor.
        stride: elements from row to row; 0: all rows meet the same.
        step: elements from column to column, 1 or 0.
        offset: elements from the start.
    """

    pointer: int
    dtype: str
    stride: int
    step: int
    offset: int


@dataclass(frozen=True)
class Term:
    """One number of each element, computed from earlier ones.

    Attributes:
        kind: "sum", "load", "literal", or the family of an op: "unary", "binary", "where", "cast".
        dtype: of the number.
        args: earlier terms.
        word: of the op.
        place: what is loaded.
        text: what a literal is compared by (0.0 is not -0.0).
        number: the literal.
    """

    kind: str
    dtype: str
    args: tuple[int, ...] = ()
    word: str = ""
    place: Place | None = None
    text: str = ""
    number: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Epilogue:
    """A straight line of terms, the last of which is stored.

    Attributes:
        terms: in order.
        result: where the last one goes; its pointer follows those of the tensors that are read.
    """

    terms: tuple[Term, ...]
    result: Place

    @cached_property
    def reads(self) -> tuple[Place, ...]:
        """What is loaded, by pointer."""
        return tuple(dict.fromkeys(t.place for t in self.terms if t.place is not None))

    @cached_property
    def shared(self) -> frozenset[int]:
        """Terms that are the same in all rows."""
        found: set[int] = set()
        for i, term in enumerate(self.terms):
            is_still = term.place is None or term.place.stride == 0
            if term.kind != "sum" and is_still and found.issuperset(term.args):
                found.add(i)
        return frozenset(found)

    @property
    def parameters(self) -> list[Reg]:
        """The pointers, as parameters of a function."""
        return [Reg(f"%tensor{i}", "ptr") for i in range(self.result.pointer + 1)]

    def moved(self, f: Function, pointers: Sequence[Reg], row: Index, column: Index) -> list[Reg]:
        """The pointers, moved to another first row and column."""
        result = list(pointers)
        for place in (*self.reads, self.result):
            shift = f.add(f.mul(row, place.stride), f.mul(column, place.step))
            result[place.pointer] = f.at(pointers[place.pointer], shift, elements.memory_type(place.dtype))
        return result


class Applied:
    """An epilogue being written into a function, for a tile of the grid to whose corner its pointers were moved."""

    def __init__(self, f: Function, epilogue: Epilogue, pointers: Sequence[Reg], lanes: int) -> None:
        self.f, self.epilogue, self.pointers, self.lanes = f, epilogue, pointers, lanes
        self._shared: dict[tuple[Index, int], Reg] = {}
        """Terms that all rows share, by column and number."""

    def prefetch(self, row: Index, column: Index, found: Index | None = None) -> None:
        """Bring what ``put`` will read of a row nearer; it comes while sums are made."""
        for place in self.epilogue.reads:
            if place.stride:
                self.f.prefetch(self._at(place, row, column, found))

    def put(self, sums: Reg, row: Index, column: Index, mask: Reg | None, found: Index | None = None) -> None:
        """Store what becomes of the sums of ``lanes`` columns of a row.

        Args:
            sums: a vector.
            row: of the tile.
            column: the first, of the tile.
            mask: columns that exist.
            found: elements to this row in all tensors with a stride, where rows do not follow each other.
        """
        known: list[Reg] = []
        for i, term in enumerate(self.epilogue.terms):
            value = self._shared.get((column, i))
            if value is None:
                args = [known[a] for a in term.args]
                value = sums if term.kind == "sum" else self._term(term, args, row, column, mask, found)
                if i in self.epilogue.shared:
                    self._shared[column, i] = value
            known.append(value)
        result = self.epilogue.result
        elements.store(self.f, known[-1], self._at(result, row, column, found), result.dtype, mask)

    def _at(self, place: Place, row: Index, column: Index, found: Index | None) -> Reg:
        f, kind = self.f, elements.memory_type(place.dtype)
        base = f.at(self.pointers[place.pointer], f.add(place.offset, f.mul(column, place.step)), kind)
        if place.stride == 0:
            return base
        return f.at(base, f.mul(row, place.stride) if found is None else found, kind)

    def _term(
        self, term: Term, args: Sequence[Reg], row: Index, column: Index, mask: Reg | None, found: Index | None
    ) -> Reg:
        f = self.f
        kind = self.epilogue.terms[term.args[0]].dtype if term.args else ""
        match term.kind:
            case "literal":
                return literal(term.number, vector(elements.TYPES[term.dtype], self.lanes))
            case "load":
                assert term.place is not None
                at = self._at(term.place, row, column, found)
                if term.place.step == 0:
                    return f.splat(elements.load(f, at, term.dtype, 1), self.lanes)
                return elements.load(f, at, term.dtype, self.lanes, mask)
            case "unary":
                return elements.unary(f, term.word, args[0], kind)
            case "binary":
                return elements.binary(f, term.word, args[0], args[1], kind)
            case "where":
                return elements.where(f, *args)
            case "cast":
                return elements.cast(f, args[0], kind, term.dtype)
        raise AssertionError(term.kind)
