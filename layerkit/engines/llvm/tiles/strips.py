"""How windows meet their images, worked out before any code is written: rows as tables, columns as strips of equal tiles.

Kernels that keep a tile of neighbouring positions in registers (depthwise convolutions, pooling) need no padding in
memory: what lies outside an image is left out, for rows by the tables, for columns by tiles of their own at the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as every

from layerkit.records import dataclass


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution or its gradient by the input: a result meets, with each element of the window, one operand.

    Result ``i`` and element ``u`` meet at (i * scale + u * step + shift) / divisor, where that is whole and inside.

    Attributes:
        size: operands along the axis.
        out: results along the axis.
        taps: elements of the window.
    """

    size: int
    out: int
    taps: int
    scale: int = 1
    step: int = 1
    shift: int = 0
    divisor: int = 1

    @classmethod
    def forward(cls, size: int, out: int, taps: int, stride: int, dilation: int, before: int) -> Axis:
        """Images are the operand."""
        return cls(size, out, taps, stride, dilation, -before)

    @classmethod
    def backward(cls, size: int, out: int, taps: int, stride: int, dilation: int, before: int) -> Axis:
        """Images (``size``) are the result, cotangents (``out``) the operand.

        >>> axis = Axis.backward(size=5, out=3, taps=3, stride=2, dilation=1, before=1)
        >>> [axis.met(i) for i in range(3)]
        [[(1, 0)], [(0, 1), (2, 0)], [(1, 1)]]
        """
        return cls(out, size, taps, 1, -dilation, before, stride)

    def meets(self, i: int, u: int) -> int | None:
        """Where result ``i`` meets its operand with element ``u``; None if it does not."""
        at = i * self.scale + u * self.step + self.shift
        if at % self.divisor or not 0 <= at // self.divisor < self.size:
            return None
        return at // self.divisor

    def met(self, i: int) -> list[tuple[int, int]]:
        """(element of the window, operand) that result ``i`` is made of."""
        found = [(u, self.meets(i, u)) for u in range(self.taps)]
        return [(u, at) for u, at in found if at is not None]


@dataclass(frozen=True)
class Strip:
    """``count`` tiles of ``width`` neighbouring results, one after the other, that meet their operands alike.

    Attributes:
        first: the first result.
        base, ahead: operand from which a tile counts its own, in the first tile; operands to the next tile.
        meets: (operand, counted from the tile's; result in the tile; element of the window).
    """

    first: int
    width: int
    count: int
    base: int
    ahead: int
    meets: tuple[tuple[int, int, int], ...]


def strips(axis: Axis, most: int) -> list[Strip]:
    """All results of an axis in tiles of nearly equal width, at most ``most``.

    >>> for strip in strips(Axis.forward(size=12, out=12, taps=3, stride=1, dilation=1, before=1), 3):
    ...     print(strip.first, strip.width, strip.count, len(strip.meets))
    0 3 1 8
    3 3 2 9
    9 3 1 8
    """
    units = -(-axis.out // axis.divisor)  # a tile begins where all tiles meet their operands alike
    tiles = -(-units // max(1, most // axis.divisor))
    low, extra = divmod(units, tiles)
    found: list[Strip] = []
    first = 0
    for t in range(tiles):
        width = min((low + (t < extra)) * axis.divisor, axis.out - first)
        base = first * axis.scale // axis.divisor
        meets = []
        for j, u in every(range(width), range(axis.taps)):
            at = axis.meets(first + j, u)
            if at is not None:
                meets.append((at - base, j, u))
        # the taps of a result stay in their order, whatever the operands' is
        alike = tuple(meets)
        if found and found[-1].width == width and found[-1].meets == alike:
            last = found[-1]
            found[-1] = Strip(last.first, width, last.count + 1, last.base, width * axis.scale // axis.divisor, alike)
        else:
            found.append(Strip(first, width, 1, base, width * axis.scale // axis.divisor, alike))
        first += width
    return found


@dataclass(frozen=True)
class Span:
    """Neighbouring results that all meet the same elements of the window: ``taps``, the first of them at ``base``."""

    first: int
    count: int
    taps: tuple[int, ...]
    base: int


def spans(axis: Axis) -> list[Span]:
    """Results that meet something, by the elements of the window they meet (for axes without divisor)."""
    found: list[Span] = []
    for i in range(axis.out):
        met = axis.met(i)
        taps = tuple(u for u, _ in met)
        if not met:
            continue
        if found and found[-1].taps == taps and found[-1].first + found[-1].count == i:
            last = found[-1]
            found[-1] = Span(last.first, last.count + 1, taps, last.base)
        else:
            found.append(Span(i, 1, taps, met[0][1]))
    return found


def row_tables(axes: Sequence[Axis]) -> tuple[list[int], list[tuple[int, int]]]:
    """What each row of results, counted over several axes, is made of.

    Returns:
        Where the entries of each row begin (one number more than there are rows), and the entries:
        (row of operands, row of the window), both counted over all axes.
    """
    starts, entries = [0], []
    met = [[axis.met(i) for i in range(axis.out)] for axis in axes]
    for row in every(*(range(axis.out) for axis in axes)):
        for choice in every(*(met[a][i] for a, i in enumerate(row))):
            operand = window = 0
            for axis, (u, at) in zip(axes, choice, strict=True):
                operand, window = operand * axis.size + at, window * axis.taps + u
            entries.append((operand, window))
        starts.append(len(entries))
    return starts, entries
