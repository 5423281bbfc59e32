"""Where an element lies: sums of loop counters times sizes.

A kernel has loop axes; an ``Affine`` says which number one index has at a turn of those loops: a constant plus a factor
for each axis. The index of an element is one ``Affine`` for each axis of its tensor, and its place in memory is again an
``Affine``. Reshapes, transposes, slices and broadcasts only change these sums, so none of them moves data.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from layerkit.ir import Dim, Shape, Size, product
from layerkit.records import dataclass


@dataclass(frozen=True)
class Affine:
    """``constant + sum(factors[j] * counter[j])``."""

    factors: tuple[Size, ...]
    constant: Size = 0

    def __add__(self, other: Affine) -> Affine:
        both = zip(self.factors, other.factors, strict=True)
        return Affine(tuple(a + b for a, b in both), self.constant + other.constant)

    def scaled(self, by: Size) -> Affine:
        """This, times a size."""
        return self if by == 1 else Affine(tuple(f * by for f in self.factors), self.constant * by)

    def shifted(self, by: Size) -> Affine:
        """This, plus a size."""
        return Affine(self.factors, self.constant + by)

    @property
    def depth(self) -> int:
        """The number of outer loops that have to be entered before the number is known."""
        return max((j + 1 for j, f in enumerate(self.factors) if f != 0), default=0)


Place = tuple[Affine, ...]
"""One index for each axis of a tensor."""


def identity(axes: Sequence[Size]) -> Place:
    """The counters themselves: the place in a tensor whose shape is the loop axes; on an axis of size 1 it is 0."""
    return _identity(tuple(axes))


@lru_cache(maxsize=1024)
def _identity(axes: Shape) -> Place:
    return tuple(Affine(tuple(int(i == j and axes[j] != 1) for i in range(len(axes)))) for j in range(len(axes)))


@lru_cache(maxsize=1024)
def strides(shape: Shape) -> tuple[Size, ...]:
    """Elements from one index to the next on each axis, row-major.

    >>> strides((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(product(shape[i + 1 :]) for i in range(len(shape)))


@lru_cache(maxsize=4096)
def linear(place: Place, shape: Shape, rank: int) -> Affine:
    """The place as a number of elements from the start; ``rank`` is the number of loop axes."""
    total = Affine((0,) * rank)
    for index, stride in zip(place, strides(shape), strict=True):
        total = total + index.scaled(stride)
    return total


def whole(axes: Sequence[Size]) -> Affine:
    """The number of each turn: its place in a tensor whose shape is the loop axes."""
    return linear(identity(axes), tuple(axes), len(axes))


@lru_cache(maxsize=4096)
def broadcast(place: Place, shape: Shape, to: Shape, rank: int) -> Place:
    """The place in a tensor of ``shape`` that is read where it is broadcast ``to`` another shape."""
    own = place[len(to) - len(shape) :]
    still = Affine((0,) * rank)
    return tuple(still if n == 1 else index for index, n in zip(own, shape, strict=True))


def split(number: Affine, shape: Shape, axes: Sequence[Size]) -> Place | None:
    """The place in a tensor of ``shape`` of its element ``number``; None where it is not a sum of counters."""
    if any(isinstance(size, int) and size == 0 for size in shape):
        return (Affine((0,) * len(axes)),) * len(shape)  # there is no element whose place it could be
    place: list[Affine] = []
    for size in reversed(shape[1:]):
        high, low = [], []
        for factor in number.factors:
            whole = _divide(factor, size)
            high.append(0 if whole is None else whole)
            low.append(factor if whole is None else 0)
        whole = _divide(number.constant, size)
        if whole is None and isinstance(number.constant, int) and isinstance(size, int):
            rest_high, rest_low = divmod(number.constant, size)
        else:
            rest_high, rest_low = (0, number.constant) if whole is None else (whole, 0)  # type: ignore[assignment]
        inner = Affine(tuple(low), rest_low)
        if not _is_below(inner, size, axes):
            return None
        place.append(inner)
        number = Affine(tuple(high), rest_high)
    if shape:
        place.append(number)
    return tuple(reversed(place))


def _divide(a: Size, b: Size) -> Size | None:
    """a / b where it is whole for sure."""
    if isinstance(a, int) and isinstance(b, int):
        return None if b == 0 or a % b else a // b
    if isinstance(a, int):
        return 0 if a == 0 else None
    return a._divide(b)


def _is_below(number: Affine, size: Size, axes: Sequence[Size]) -> bool:
    """Whether 0 <= number < size at every turn, as far as can be known."""
    top = number.constant
    used = [(f, n) for f, n in zip(number.factors, axes, strict=True) if f != 0]
    if not used and top == 0:
        return True
    if any(isinstance(f, int) and f < 0 for f, _ in used) or (isinstance(top, int) and top < 0):
        return False
    for factor, count in used:
        top = top + factor * (count - 1)
    gap = size - 1 - top
    if isinstance(gap, int):
        return gap >= 0
    # a polynomial in sizes that are at least 1: not negative if its coefficients are not, or if it is c*(n - 1)
    coefficients = [c for _, c in gap.terms]
    return all(c >= 0 for c in coefficients) or (sum(coefficients) >= 0 and all(c >= 0 for k, c in gap.terms if k))


def refine(shapes: Sequence[Shape]) -> tuple[Size, ...] | None:
    """Axes fine enough for all of ``shapes`` (of one number of elements): each shape's axes are products of theirs.

    >>> refine([(6, 4), (2, 12)])
    (2, 3, 4)
    """
    marks: list[Size] = [1]
    for shape in shapes:
        running: Size = 1
        for size in reversed(shape):
            running = running * size
            if size != 1 and running not in marks:
                marks.append(running)
    order = sorted(marks, key=_magnitude)
    axes: list[Size] = []
    for small, large in zip(order, order[1:], strict=False):
        factor = _divide(large, small)
        if factor is None:
            return None
        axes.append(factor)
    return tuple(reversed(axes))


def _magnitude(size: Size) -> tuple[int, int]:
    """An order in which every divisor of a size comes before it."""
    if isinstance(size, int):
        return 0, size
    return max(len(key) for key, _ in size.terms), max(c for _, c in size.terms)


def is_symbolic(size: Size) -> bool:
    """Whether a size is known only when the program runs."""
    return isinstance(size, Dim)
