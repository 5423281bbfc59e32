"""What the scheduler wants to know of a nest: its units of work, and whose elements each of them touches."""

from __future__ import annotations

from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.nest import Nest
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
