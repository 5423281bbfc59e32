"""Facts about nests: their units of work, whose elements each of them touches, whether two can be one."""

from __future__ import annotations

from typing import Any

from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.fusion import CHEAP
from layerkit.engines.llvm.loops.nest import Expr, Fold, Nest, Store
from layerkit.ir import BATCH, Size


def units_along(size: Size) -> tuple[Size, int]:
    """Units of work along the first axis, and turns of it for each."""
    whole = affine._divide(size, BATCH) if affine.is_symbolic(size) else None
    return (BATCH, whole) if isinstance(whole, int) else (size, 1)


def place_is_local(nest: Nest, place: Affine, size: Size) -> bool:
    """Whether each turn of the first axis touches its own share of a tensor of ``size`` elements only."""
    share = affine._divide(size, nest.axes[0])
    if share is None or place.factors[0] != share:
        return False
    inner = Affine((0, *place.factors[1:]), place.constant)
    return affine._is_below(inner, share, nest.axes)


def reads_only_at(nest: Nest, buffer: Buffer, place: Affine) -> bool:
    """Whether all that is read of a buffer, at any turn, is its element at a place."""
    return all(e.kind == "load" and e.place == place for e in nest.loads() if e.buffer is buffer)


def draws(nest: Nest) -> bool:
    """Whether random numbers are drawn."""
    return any(e.kind == "random" for e in nest.loads())


def is_sized(nest: Nest) -> bool:
    """Whether an unknown size goes into the numbers."""
    sizes: list[Size] = [*nest.axes, *(e.size for e in nest.loads())]
    return any(map(affine.is_symbolic, sizes))


def row_local(nest: Nest, buffer: Buffer) -> bool:
    """Whether each turn of the first axis reads its own share of a tensor only."""
    uses = [e for e in nest.loads() if e.buffer is buffer]
    return all(e.kind == "load" and e.place is not None and place_is_local(nest, e.place, buffer.size) for e in uses)


# Of two nests --------------------------------------------------------------------------------------------------------


def have_sums_together(a: Nest, b: Nest) -> bool:
    """Whether the sums of two loops over the same axes can be those of one."""
    return a.reduced == b.reduced or not any(a.reduced) or not any(b.reduced) or _is_costly_twice(a, b)


def _is_costly_twice(a: Nest, b: Nest) -> bool:
    """Whether two loops that sum over different axes, but not over the last, compute the same costly function.

    As one loop they add to their results in memory, which is little beside the function.
    """
    if a.reduced[-1] or b.reduced[-1]:
        return False
    known: dict[Any, int] = {}
    numbers: dict[int, int] = {}

    def number(e: Expr) -> int:
        """Equal for expressions that are equal in all of their parts."""
        if id(e) not in numbers:
            key = (tuple(map(number, e.args)), *e.key()[:2], *e.key()[3:])
            numbers[id(e)] = known.setdefault(key, len(known))
        return numbers[id(e)]

    costly = [
        [e for e in n.loads() if e.kind == "unary" and e.word not in CHEAP and e.depth == len(n.axes)] for n in (a, b)
    ]
    return all(costly) and not {number(e) for e in costly[0]}.isdisjoint(map(number, costly[1]))


def sees_only_stores(nest: Nest, other: Nest) -> bool:
    """Whether all that ``nest`` reads of ``other``'s results is the element that is being computed."""
    stores = {r.buffer: r.place for r in other.results if isinstance(r, Store)}
    folds = {r.buffer for r in other.results if isinstance(r, Fold)}
    for e in nest.loads():
        if e.buffer in folds or (e.buffer in stores and (e.kind != "load" or e.place != stores[e.buffer])):
            return False
    written = {r.buffer for r in nest.results}
    return not any(e.buffer in written for e in other.loads())
