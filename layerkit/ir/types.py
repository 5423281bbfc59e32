"""Types of values: a dtype and a shape whose sizes may be unknown until the program runs.

An unknown size is a ``Dim``: a polynomial with integer coefficients in named axes, such as ``b`` (the batch), ``10*b``
(the batch merged with ten time steps) or ``(t+1)//2`` (a time axis pooled by two). Type rules compute with sizes as if
they were integers; when the program runs, ``bind`` replaces the names by numbers. Asking a ``Dim`` for its truth or its
number before that is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from layerkit.dtypes import SHORT
from layerkit.errors import ShapeError
from layerkit.records import dataclass


@dataclass(frozen=True)
class Quotient:
    """``numerator // divisor`` that is not known to be whole: an axis of its own."""

    numerator: Dim
    divisor: int

    def __str__(self) -> str:
        return f"({self.numerator})//{self.divisor}"


Factor = str | Quotient


class Dim:
    """An unknown size: the sum of ``coefficient * product of axes``; built by ``axis`` and arithmetic only.

    >>> b = axis("b")
    >>> 10 * b, (10 * b) // 5, b + 3 - b, (b, 3) == (None, 3)
    (10*b, 2*b, 3, True)
    """

    __slots__ = ("_hash", "terms")
    terms: tuple[tuple[tuple[Factor, ...], int], ...]

    def __init__(self, terms: Mapping[tuple[Factor, ...], int]) -> None:
        self.terms = tuple(sorted(((k, v) for k, v in terms.items() if v), key=lambda term: (str(term[0]), term[1])))
        self._hash = hash(self.terms)

    def __eq__(self, other: object) -> bool:
        # Keras writes None for a size that is not known: x.shape == (None, 10) holds here too.
        return other is None or (isinstance(other, Dim) and self.terms == other.terms)

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Size) -> Size:
        if isinstance(other, int) and other == 0:
            return self
        sum_ = dict(self.terms)
        for key, coefficient in _terms(other):
            sum_[key] = sum_.get(key, 0) + coefficient
        return _size(sum_)

    __radd__ = __add__

    def __mul__(self, other: Size) -> Size:
        if isinstance(other, int):
            return self._scaled(other)
        if not isinstance(other, Dim):
            return NotImplemented
        product: dict[tuple[Factor, ...], int] = {}
        for left, x in self.terms:
            for right, y in _terms(other):
                key = tuple(sorted(left + right, key=str))
                product[key] = product.get(key, 0) + x * y
        return _size(product)

    __rmul__ = __mul__

    def _scaled(self, by: int) -> Size:
        if by in (0, 1):
            return self if by else 0
        scaled = object.__new__(Dim)
        scaled.terms = tuple([(key, coefficient * by) for key, coefficient in self.terms])
        scaled._hash = hash(scaled.terms)
        return scaled

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + (-1 * other)

    def __rsub__(self, other: Size) -> Size:
        return other + (-self)

    def __floordiv__(self, other: Size) -> Size:
        whole = self._divide(other)
        if whole is not None:
            return whole
        if isinstance(other, int):
            return Dim({(Quotient(self, other),): 1})
        raise ShapeError(
            f"{self} is not known to be a multiple of {other}.", expected=f"a multiple of {other}", got=self
        )

    def __rfloordiv__(self, other: int) -> Size:
        return Dim({(): other}) // self

    def __mod__(self, other: int) -> Size:
        return self - (self // other) * other

    def _divide(self, other: Size) -> Size | None:
        """The quotient where it is known to be whole."""
        if other == self:
            return 1
        divisor = list(_terms(other))
        if len(divisor) != 1:
            return None
        ((factors, coefficient),) = divisor
        quotient: dict[tuple[Factor, ...], int] = {}
        for key, value in self.terms:
            rest = list(key)
            for factor in factors:
                if factor not in rest:
                    return None
                rest.remove(factor)
            if value % coefficient:
                return None
            quotient[tuple(rest)] = value // coefficient
        return _size(quotient)

    def __bool__(self) -> bool:
        raise ShapeError(
            f"the truth of '{self}' is not known before the program runs.",
            fix="give the axis a size in Input(shape=...), or compute with ops.shape(x) instead of branching",
        )

    def _unknown(self, *_: Any) -> Any:
        raise ShapeError(
            f"'{self}' is not a number before the program runs.",
            fix="give the axis a size in Input(shape=...), or use ops.shape(x)[axis] as a tensor",
        )

    __index__ = __int__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown

    def __str__(self) -> str:
        return "+".join(_term_text(*term) for term in self.terms)

    __repr__ = __str__

    def bind(self, sizes: Mapping[str, int]) -> Size:
        """This size with the axes in ``sizes`` replaced by numbers."""
        total: Size = 0
        for key, coefficient in self.terms:
            product: Size = coefficient
            for factor in key:
                if isinstance(factor, Quotient):
                    product = product * (bind(factor.numerator, sizes) // factor.divisor)
                else:
                    product = product * (sizes[factor] if factor in sizes else axis(factor))
            total = total + product
        return total

    @property
    def has_quotient(self) -> bool:
        """Whether a division that may leave a rest is in it: then equal sizes may be written in several ways."""
        return any(isinstance(factor, Quotient) for factors, _ in self.terms for factor in factors)

    def axes(self) -> set[str]:
        """The names of the axes that it depends on."""
        names: set[str] = set()
        for key, _ in self.terms:
            for factor in key:
                names |= factor.numerator.axes() if isinstance(factor, Quotient) else {factor}
        return names


Size = int | Dim
Shape = tuple[Size, ...]


def axis(name: str) -> Dim:
    """The unknown size called ``name``."""
    return Dim({(name,): 1})


BATCH = axis("b")


def _terms(size: Size) -> Iterable[tuple[tuple[Factor, ...], int]]:
    return size.terms if isinstance(size, Dim) else (((), int(size)),)


def _size(terms: Mapping[tuple[Factor, ...], int]) -> Size:
    dim = Dim(terms)
    return dim if any(key for key, _ in dim.terms) else dict(dim.terms).get((), 0)


def _term_text(factors: tuple[Factor, ...], coefficient: int) -> str:
    shown = [str(coefficient)] if coefficient != 1 or not factors else []
    return "*".join(shown + [str(f) for f in factors])


def bind(size: Size, sizes: Mapping[str, int]) -> Size:
    """``size`` with the named axes replaced by numbers."""
    return size.bind(sizes) if isinstance(size, Dim) else size


def usual(size: Size) -> int:
    """``size``, or what it would be for batches of 32: for choices that must be made before the batch is known."""
    return _usual(size) if isinstance(size, Dim) else size


@lru_cache(maxsize=4096)
def _usual(size: Dim) -> int:
    return number(size.bind(dict.fromkeys(size.axes(), 32)))


def number(size: Size) -> int:
    """``size`` as an integer; a ``Dim`` is an error."""
    return size if isinstance(size, int) else size._unknown()


def product(sizes: Iterable[Size]) -> Size:
    """The number of elements of a shape.

    >>> product((axis("b"), 8, 8))
    64*b
    """
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def unify(a: Size, b: Size) -> Size | None:
    """The common size of two axes that must be equal, or None where they cannot be.

    An unknown axis other than the batch is taken to fit: each of its values is compiled, and so checked, on its own. Sizes
    that only the batch decides are checked here alone.

    >>> b, time = axis("b"), axis("time")
    >>> unify(b, 3 * b), unify(b, time * b)
    (None, b)
    """
    if a == b:
        return a
    if isinstance(a, int) and isinstance(b, int):
        return None
    if isinstance(a, Dim) and isinstance(b, Dim):
        is_decided = a.axes() == b.axes() == {"b"} and not (a.has_quotient or b.has_quotient)
        return None if is_decided or "b" in a.axes() ^ b.axes() else a
    dim, known = (a, b) if isinstance(a, Dim) else (b, a)
    return None if "b" in dim.axes() else known  # type: ignore[union-attr]


@dataclass(frozen=True)
class TensorType:
    """What is known of a value before the program runs.

    >>> TensorType("float32", (BATCH, 28, 28, 1))
    f32[b,28,28,1]
    """

    dtype: str
    shape: Shape

    def __str__(self) -> str:
        return f"{SHORT.get(self.dtype, self.dtype)}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @cached_property
    def size(self) -> Size:
        """The number of elements."""
        return product(self.shape)

    @cached_property
    def axes(self) -> frozenset[str]:
        """The names of the unknown axes in the shape."""
        return frozenset().union(*(d.axes() for d in self.shape if isinstance(d, Dim)))

    def with_shape(self, shape: Iterable[Size]) -> TensorType:
        """The same dtype in another shape."""
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: str) -> TensorType:
        """The same shape in another dtype."""
        return TensorType(dtype, self.shape)

    def bind(self, sizes: Mapping[str, int]) -> TensorType:
        """This type with the named axes replaced by numbers."""
        return self if not self.axes else self.with_shape(bind(size, sizes) for size in self.shape)
