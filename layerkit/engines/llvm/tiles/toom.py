"""Short sums of products with fewer multiplications: the matrices of Toom and Cook, which Winograd used for convolutions.

``m`` neighbouring results of a window of ``r`` taps are A' [(G g) * (B' d)]: m + r - 1 products instead of m * r, where
``g`` are the taps and ``d`` the m + r - 1 numbers that they meet. The three transforms are sums with a few small factors.
They come from interpolating a polynomial at some points, and the points decide how much is lost to rounding: with those
used here, six products lose two (5 taps) to three times (3 taps) what the plain sum loses (root mean square, float32).

Source: Lavin and Gray 2015, arXiv:1509.09308; the choice of points: Barabasz et al. 2018, arXiv:1803.10986.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from layerkit.engines.llvm.codegen.builder import Function, Reg, literal
from layerkit.records import dataclass

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
"""Where the polynomials are met, besides infinity."""


@dataclass(frozen=True)
class Scheme:
    """The transforms of one axis.

    Attributes:
        results: m, results of one tile.
        taps: r, elements of the window.
        inputs: B', [n, n], of what the window meets.
        kernel: G, [n, r], of the window.
        outputs: A', [m, n], of the products.
    """

    results: int
    taps: int
    inputs: Matrix
    kernel: Matrix
    outputs: Matrix

    @property
    def products(self) -> int:
        """n, multiplications for a tile: as many numbers as its window positions meet."""
        return self.results + self.taps - 1


@cache
def scheme(taps: int) -> Scheme:
    """The transforms of a window of ``taps`` elements: six products, or one for a single tap.

    >>> scheme(3).results, scheme(5).results, scheme(1).results
    (4, 2, 1)
    """
    if taps == 1:
        one: Matrix = ((Fraction(1),),)
        return Scheme(1, 1, one, one, one)
    n = len(POINTS) + 1
    m = n - taps + 1
    inputs, kernel = [], []
    for j, p in enumerate(POINTS):
        others = [q for i, q in enumerate(POINTS) if i != j]
        factor = Fraction(1)
        for q in others:
            factor *= p - q
        inputs.append(_pad(_polynomial(others), n))
        kernel.append(tuple(p**i / factor for i in range(taps)))
    inputs.append(_polynomial(POINTS))
    kernel.append(tuple(Fraction(i == taps - 1) for i in range(taps)))
    outputs = tuple((*(p**i for p in POINTS), Fraction(i == m - 1)) for i in range(m))
    return Scheme(m, taps, tuple(inputs), tuple(kernel), outputs)


def _polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Coefficients of the product of (x - root), lowest power first."""
    found = [Fraction(1)]
    for root in roots:
        found = [a - root * b for a, b in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return tuple(found)


def _pad(row: tuple[Fraction, ...], size: int) -> tuple[Fraction, ...]:
    return (*row, *[Fraction(0)] * (size - len(row)))


def transposed(matrix: Matrix) -> Matrix:
    """Rows become columns."""
    return tuple(zip(*matrix, strict=True))


def both(f: Function, rows: Matrix, columns: Matrix, x: Sequence[Sequence[Reg]]) -> list[list[Reg]]:
    """``rows @ x @ columns.T`` for a small matrix of registers."""
    down, across = _recipe(rows), _recipe(columns)
    half = [down.multiply(f, column) for column in zip(*x, strict=True)]
    return [across.multiply(f, row) for row in zip(*half, strict=True)]


Terms = tuple[tuple[float, int], ...]
"""A sum: factors, and what they are factors of."""


@dataclass(frozen=True)
class _Recipe:
    """How to multiply by a matrix.

    Attributes:
        rows: the sum that each row is.
        shared: rows i and j that are the sum and the difference of two simpler sums: (i, j, sum, difference).
    """

    rows: tuple[Terms, ...]
    shared: tuple[tuple[int, int, Terms, Terms], ...]

    def multiply(self, f: Function, x: Sequence[Reg]) -> list[Reg]:
        """``matrix @ x``."""
        found: dict[int, Reg] = {}
        for i, j, same, other in self.shared:
            s, d = _sum(f, same, x), _sum(f, other, x)
            found[i], found[j] = f.binary("fadd", s, d), f.binary("fsub", s, d)
        return [found[i] if i in found else _sum(f, row, x) for i, row in enumerate(self.rows)]


@cache
def _recipe(matrix: Matrix) -> _Recipe:
    """Two rows whose sum and difference are simpler than they are share their work."""
    shared: list[tuple[int, int, Terms, Terms]] = []
    taken: set[int] = set()
    for i, a in enumerate(matrix):
        for j in range(i + 1, len(matrix)):
            if i in taken or j in taken:
                continue
            same = tuple((p + q) / 2 for p, q in zip(a, matrix[j], strict=True))
            other = tuple((p - q) / 2 for p, q in zip(a, matrix[j], strict=True))
            if any(same) and any(other) and _work(same) + _work(other) + 2 < _work(a) + _work(matrix[j]):
                shared.append((i, j, _terms(same), _terms(other)))
                taken |= {i, j}
    return _Recipe(tuple(map(_terms, matrix)), tuple(shared))


def _work(row: Sequence[Fraction]) -> int:
    """Instructions that a row takes."""
    return sum(c != 0 for c in row) - any(c == 1 for c in row)


def _terms(row: Sequence[Fraction]) -> Terms:
    """A term with factor 1 comes first, since it costs nothing."""
    order = sorted((i for i, c in enumerate(row) if c), key=lambda i: (row[i] != 1, row[i] != -1))
    return tuple((float(row[i]), i) for i in order)


def _sum(f: Function, terms: Terms, x: Sequence[Reg]) -> Reg:
    (c, i), *rest = terms
    total = x[i] if c == 1 else f.binary("fmul", x[i], literal(c, x[i].type))
    for c, i in rest:
        if abs(c) == 1:
            total = f.binary("fadd" if c == 1 else "fsub", total, x[i])
        else:
            total = f.fma(x[i], literal(c, x[i].type), total)
    return total
