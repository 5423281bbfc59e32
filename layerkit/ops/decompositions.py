"""Matrices taken apart: Cholesky, LU, QR, eigenvalues, singular values, and what follows from them.

All are loops (``scan``) over rows, columns or pairs of columns of known number, over any axes in front, so gradients come
by themselves: the work is O(n^3), for eigenvalues and singular values O(n^4), which suits matrices of up to about a
hundred rows. Where eigenvalues or singular values are equal, gradients of their vectors are not defined.
Source: Golub and Van Loan 2013, "Matrix Computations", 4th edition.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import number, show_shape
from layerkit.ops.arrangement import diagonal, triu
from layerkit.ops.core import Axis, Tensor, axes_of, check_choice, dtype_of, operands
from layerkit.ops.elementwise import (
    abs,
    cast,
    equal,
    greater,
    greater_equal,
    log,
    logical_and,
    not_equal,
    sign,
    sqrt,
    where,
)
from layerkit.ops.gathering import take_along_axis
from layerkit.ops.matrices import matmul
from layerkit.ops.normalization import vector_norm
from layerkit.ops.reduction import argmax, broadcast_to, max, min, prod, sum
from layerkit.ops.scan import scan
from layerkit.ops.shape import concatenate, expand_dims, flip, moveaxis, reshape, squeeze, swapaxes
from layerkit.ops.sorting import argsort


def _matrices(op: str, x: Tensor, square: bool = True) -> Any:
    (x,) = operands(x, floating=True)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        wanted = "(..., n, n)" if square else "(..., m, n)"
        raise ShapeError(f"'{op}' takes matrices.", expected=wanted, got=show_shape(x.shape))
    return x


def _eye(n: int, like: Any) -> Any:
    return np.eye(n, dtype=dtype_of(like))


def _column(x: Any, e: Any) -> Any:
    """The column of matrices that the unit vector ``e`` picks: (..., m, n), (n,) -> (..., m)."""
    return sum(x * e, -1)


def _row(x: Any, e: Any) -> Any:
    """The row that ``e`` picks: (..., m, n), (m,) -> (..., n)."""
    return sum(x * reshape(e, (-1, 1)), -2)


def _outer(a: Any, b: Any) -> Any:
    return expand_dims(a, -1) * expand_dims(b, -2)


# Triangles -----------------------------------------------------------------------------------------------------------


def cholesky(x: Tensor, upper: bool = False) -> Any:
    """The lower triangle L with L L^T = x, or its transpose if ``upper``; nan where x is not positive definite.

    Example:
        >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
        array([[2., 0.],
               [1., 2.]])
    """
    x = _matrices("cholesky", x)
    n = number(x.shape[-1])
    units, places = _eye(n, x), np.arange(n)

    def step(rest: Any, e: Any) -> tuple[Any, Any]:
        column = _column(rest, e)
        pivot = sum(column * e, -1, keepdims=True)
        column = where(_from(e, places), column, 0.0) / sqrt(pivot)
        return rest - _outer(column, column), column

    _, columns = scan(step, (x + swapaxes(x, -1, -2)) * 0.5, units)
    return moveaxis(columns, 0, -2) if upper else moveaxis(columns, 0, -1)


def _from(e: Any, places: Any) -> Any:
    """Whether each place is that of the unit vector or behind it."""
    return greater_equal(cast(places, dtype_of(e)), sum(e * cast(places, dtype_of(e))))


def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Any:
    """The x with a x = b for triangles ``a``: (..., n, n), (..., n) or (..., n, m); the other half of a is not read."""
    a, b = operands(_matrices("solve_triangular", a), b, floating=True)
    is_vector = b.ndim == a.ndim - 1
    b = expand_dims(b, -1) if is_vector else b
    n = number(a.shape[-1])
    steps = moveaxis(a, -2, 0), moveaxis(b, -2, 0), _eye(n, a)

    def step(x: Any, each: tuple[Any, Any, Any]) -> tuple[Any, None]:
        row, right, e = each  # (..., n), (..., m), (n,)
        places = np.arange(n)
        known = where(_from(e, places), 0.0, row) if lower else where(_from(e, places), row, 0.0) * (1.0 - e)
        rest = right - squeeze(matmul(expand_dims(known, -2), x), -2)
        found = rest / sum(row * e, -1, keepdims=True)
        return x + reshape(e, (n, 1)) * expand_dims(found, -2), None

    x, _ = scan(step, b * 0.0, steps, reverse=not lower)
    return squeeze(x, -1) if is_vector else x


def cholesky_inverse(x: Tensor, upper: bool = False) -> Any:
    """The inverse of the matrix whose Cholesky triangle is ``x``."""
    x = _matrices("cholesky_inverse", x)
    triangle = swapaxes(x, -1, -2) if upper else x
    half = solve_triangular(triangle, broadcast_to(_eye(number(x.shape[-1]), x), x.shape), lower=True)
    return matmul(swapaxes(half, -1, -2), half)


# LU ------------------------------------------------------------------------------------------------------------------


def lu_factor(x: Tensor) -> tuple[Any, Any]:
    """LU with the largest pivots: both triangles in one matrix, and with which row each was exchanged, int32.

    Shapes:
        x: (..., n, n)    returns: (..., n, n), the ones on the diagonal of L not kept, and (..., n)
    """
    x = _matrices("lu_factor", x)
    n = number(x.shape[-1])
    places = np.arange(n, dtype="int32")

    def step(rest: Any, e: Any) -> tuple[Any, Any]:
        k = cast(sum(e * cast(places, dtype_of(e))), "int32")
        size = where(greater_equal(places, k), abs(_column(rest, e)), -1.0)
        best = argmax(size, -1, keepdims=True)  # (..., 1)
        order = where(equal(places, k), best, where(equal(places, best), k, places))
        rest = take_along_axis(rest, expand_dims(order, -1), -2)
        row = _row(rest, e)
        pivot = sum(row * e, -1, keepdims=True)
        is_zero = equal(pivot, 0.0)
        factors = where(is_zero, 0.0, _column(rest, e) / where(is_zero, 1.0, pivot))
        factors = where(greater(places, k), factors, 0.0)
        rest = rest - _outer(factors, where(greater(places, k), row, 0.0))
        is_below = logical_and(greater(reshape(places, (n, 1)), k), equal(places, k))
        return where(is_below, expand_dims(factors, -1), rest), squeeze(best, -1)

    lu, pivots = scan(step, x, _eye(n, x))
    return lu, moveaxis(pivots, 0, -1)


def _exchanged(b: Any, pivots: Any) -> Any:
    """The rows of ``b`` exchanged as ``lu_factor`` did."""
    n = number(pivots.shape[-1])
    places = np.arange(n, dtype="int32")

    def step(order: Any, each: tuple[Any, Any]) -> tuple[Any, None]:
        best, k = expand_dims(each[0], -1), each[1]
        swapped = where(equal(places, k), best, where(equal(places, best), k, places))
        return take_along_axis(order, swapped, -1), None

    order, _ = scan(step, broadcast_to(places, pivots.shape), (moveaxis(pivots, -1, 0), places))
    return take_along_axis(b, expand_dims(order, -1), -2)


def solve(a: Tensor, b: Tensor) -> Any:
    """The x with a x = b: (..., n, n), (n,) or (..., n, m).

    Example:
        >>> solve(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([4.0, 3.0]))
        array([2., 1.])
    """
    a, b = operands(_matrices("solve", a), b, floating=True)
    is_vector = b.ndim == a.ndim - 1
    b = expand_dims(b, -1) if is_vector else b
    lu, pivots = lu_factor(a)
    n = number(a.shape[-1])
    lower = where(np.tri(n, k=-1, dtype=bool), lu, _eye(n, a))
    x = solve_triangular(lu, solve_triangular(lower, _exchanged(b, pivots), lower=True))
    return squeeze(x, -1) if is_vector else x


def inv(x: Tensor) -> Any:
    """The inverse of matrices; inf or nan where there is none."""
    x = _matrices("inv", x)
    return solve(x, broadcast_to(_eye(number(x.shape[-1]), x), x.shape))


def _diagonal_and_sign(x: Any) -> tuple[Any, Any]:
    lu, pivots = lu_factor(x)
    moved = not_equal(pivots, np.arange(number(x.shape[-1]), dtype="int32"))
    odd = sum(cast(moved, "int32"), -1) % 2
    return diagonal(lu, 0, -2, -1), where(equal(odd, 1), -1.0, cast(1.0, dtype_of(x)))


def det(x: Tensor) -> Any:
    """The determinant of matrices: (..., n, n) -> (...)."""
    values, turned = _diagonal_and_sign(_matrices("det", x))
    return prod(values, -1) * turned


def slogdet(x: Tensor) -> tuple[Any, Any]:
    """The sign of the determinant, and the logarithm of its size."""
    values, turned = _diagonal_and_sign(_matrices("slogdet", x))
    return prod(sign(values), -1) * turned, sum(log(abs(values)), -1)


def logdet(x: Tensor) -> Any:
    """The logarithm of the determinant of matrices for which it is positive."""
    return slogdet(x)[1]


# QR ------------------------------------------------------------------------------------------------------------------


def qr(x: Tensor, mode: str = "reduced") -> tuple[Any, Any]:
    """Q R = x with columns of Q at right angles and R an upper triangle, by Householder's reflections.

    Shapes:
        x: (..., m, n)    returns: (..., m, k), (..., k, n), with k = min(m, n) if ``mode`` is "reduced", m if "complete"
    """
    check_choice("qr", "mode", mode, ["reduced", "complete"])
    x = _matrices("qr", x, square=False)
    m, n = (number(v) for v in x.shape[-2:])
    count = m - 1 if m <= n else n
    start = broadcast_to(_eye(m, x), (*x.shape[:-2], m, m))
    columns, rows = np.eye(n, dtype=dtype_of(x))[:count], np.eye(m, dtype=dtype_of(x))[:count]

    def step(state: tuple[Any, Any], each: tuple[Any, Any]) -> tuple[tuple[Any, Any], None]:
        (q, r), (column, row) = state, each
        v = where(_from(row, np.arange(m)), _column(r, column), 0.0)
        head = sum(v * row, -1, keepdims=True)
        tail = sum(v * v * (1.0 - row), -1, keepdims=True)
        is_flat = equal(tail, 0.0)  # nothing to reflect
        length = sqrt(where(is_flat, 1.0, head * head + tail))
        v = v + where(head >= 0.0, length, -length) * row
        v = where(is_flat, 0.0, v / sqrt(where(is_flat, 1.0, sum(v * v, -1, keepdims=True))))
        r = r - _outer(2.0 * v, squeeze(matmul(expand_dims(v, -2), r), -2))
        q = q - _outer(squeeze(matmul(q, expand_dims(v, -1)), -1), 2.0 * v)
        return (q, r), None

    (q, r), _ = scan(step, (start, x), (columns, rows)) if count else ((start, x), None)
    kept = m if mode == "complete" or m < n else n
    return q[..., :kept], triu(r[..., :kept, :])


# Eigenvalues and singular values -------------------------------------------------------------------------------------

SWEEPS = 10
"""Over all pairs of columns; Jacobi's method converges quadratically, and hundred columns take eight."""


def _pairs(n: int, like: Any) -> tuple[Any, Any]:
    """The unit vectors of all pairs of columns, ``SWEEPS`` times."""
    units = _eye(n, like)
    first, second = (np.asarray(part, int) for part in np.triu_indices(n, 1))
    return np.tile(units[first], (SWEEPS, 1)), np.tile(units[second], (SWEEPS, 1))


def _rotation(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Cosine and sine of the rotation that makes [[a, c], [c, b]] diagonal; by the smaller angle."""
    gap = b - a
    is_zero = equal(c, 0.0)
    away = where(is_zero, 1.0, abs(gap) + sqrt(where(is_zero, 1.0, gap * gap + 4.0 * c * c)))
    tangent = where(is_zero, 0.0, where(gap >= 0.0, 2.0, -2.0) * c / away)
    cosine = 1.0 / sqrt(1.0 + tangent * tangent)
    return cosine, tangent * cosine


def _turned(x: Any, p: Any, q: Any, cosine: Any, sine: Any) -> Any:
    """Two columns of ``x`` rotated."""
    left, right = _column(x, p), _column(x, q)
    new_left, new_right = cosine * left - sine * right, sine * left + cosine * right
    return x + _outer(new_left - left, p) + _outer(new_right - right, q)


def eigh(x: Tensor) -> tuple[Any, Any]:
    """Eigenvalues of symmetric matrices, ascending, and their vectors as columns: (..., n, n) -> (..., n), (..., n, n).

    By Jacobi's rotations. The sign of a vector is not determined.
    """
    x = _matrices("eigh", x)
    n = number(x.shape[-1])
    x = (x + swapaxes(x, -1, -2)) * 0.5
    vectors = broadcast_to(_eye(n, x), x.shape)

    def step(state: tuple[Any, Any], each: tuple[Any, Any]) -> tuple[tuple[Any, Any], None]:
        (a, v), (p, q) = state, each
        to_p, to_q = _column(a, p), _column(a, q)
        entries = (sum(part * e, -1, keepdims=True) for part, e in ((to_p, p), (to_q, q), (to_p, q)))
        cosine, sine = _rotation(*entries)
        a = _turned(a, p, q, cosine, sine)
        a = swapaxes(_turned(swapaxes(a, -1, -2), p, q, cosine, sine), -1, -2)
        return (a, _turned(v, p, q, cosine, sine)), None

    if n > 1:
        (x, vectors), _ = scan(step, (x, vectors), _pairs(n, x))
    values = diagonal(x, 0, -2, -1)
    order = argsort(values)
    return take_along_axis(values, order, -1), take_along_axis(vectors, expand_dims(order, -2), -1)


def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U diag(s) V^T = x, the singular values descending: returns (U, s, V^T), or s alone without ``compute_uv``.

    By one-sided rotations (Hestenes 1958). The sign of a pair of vectors is not determined.

    Shapes:
        x: (..., m, n)    s: (..., k) with k = min(m, n)
        U: (..., m, m) and V^T: (..., n, n), or (..., m, k) and (..., k, n) without ``full_matrices``
    """
    x = _matrices("svd", x, square=False)
    m, n = (number(v) for v in x.shape[-2:])
    if m < n:
        found = svd(swapaxes(x, -1, -2), full_matrices, compute_uv)
        return (swapaxes(found[2], -1, -2), found[1], swapaxes(found[0], -1, -2)) if compute_uv else found
    right = broadcast_to(_eye(n, x), (*x.shape[:-2], n, n))

    def step(state: tuple[Any, Any], each: tuple[Any, Any]) -> tuple[tuple[Any, Any], None]:
        (u, v), (p, q) = state, each
        left, other = _column(u, p), _column(u, q)
        entries = (sum(a * b, -1, keepdims=True) for a, b in ((left, left), (other, other), (left, other)))
        cosine, sine = _rotation(*entries)
        return (_turned(u, p, q, cosine, sine), _turned(v, p, q, cosine, sine)), None

    work = x
    if n > 1:
        (work, right), _ = scan(step, (work, right), _pairs(n, x))
    square = sum(work * work, -2)
    is_zero = equal(square, 0.0)
    values = where(is_zero, 0.0, sqrt(where(is_zero, 1.0, square)))
    order = flip(argsort(values), -1)
    values = take_along_axis(values, order, -1)
    if not compute_uv:
        return values
    columns = expand_dims(order, -2)
    right = take_along_axis(right, columns, -1)
    base = expand_dims(where(equal(values, 0.0), 1.0, values), -2)
    left = take_along_axis(work, columns, -1) / base
    if full_matrices and m > n:
        left = concatenate([left, qr(left, "complete")[0][..., n:]], -1)
    return left, values, swapaxes(right, -1, -2)


# What follows --------------------------------------------------------------------------------------------------------


def _least(x: Any, rcond: float | None, factor: float = 1.0) -> float:
    """The part of the largest singular value below which one counts as 0: by default max(m, n) * epsilon."""
    m, n = (number(v) for v in x.shape[-2:])
    return factor * (m if m > n else n) * float(np.finfo(dtype_of(x)).eps) if rcond is None else rcond


def pinv(x: Tensor, rcond: float | None = None) -> Any:
    """The pseudo-inverse; singular values below ``rcond`` times the largest count as 0, by default 10 max(m, n) epsilon."""
    x = _matrices("pinv", x, square=False)
    u, s, vt = svd(x, full_matrices=False)
    is_kept = greater(s, max(s, -1, keepdims=True) * _least(x, rcond, 10.0))
    inverse = where(is_kept, 1.0 / where(is_kept, s, 1.0), 0.0)
    return matmul(swapaxes(vt, -1, -2) * expand_dims(inverse, -2), swapaxes(u, -1, -2))


def matrix_rank(x: Tensor, tol: float | None = None) -> Any:
    """How many singular values are larger than ``tol``, by default epsilon * max(m, n) times the largest, int32."""
    x = _matrices("matrix_rank", x, square=False)
    s = svd(x, compute_uv=False)
    limit = max(s, -1, keepdims=True) * _least(x, None) if tol is None else tol
    return sum(cast(greater(s, limit), "int32"), -1)


def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Any:
    """The shortest x that brings a x as near to b as can be: (m, n), (m,) or (m, k) -> (n,) or (n, k)."""
    a, b = operands(_matrices("lstsq", a, square=False), b, floating=True)
    return matmul(pinv(a, _least(a, rcond)), b)


def norm(x: Tensor, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Norm of vectors (one axis) or matrices (two); of the flattened tensor if neither ``ord`` nor ``axis`` is given.

    Args:
        x: the tensor.
        ord: for vectors a number p, of which (sum of sizes^p)^(1/p) is the norm, or inf, -inf, 0; by default 2. For
            matrices "fro" (default), "nuc", or 1, -1, 2, -2, inf, -inf.
        axis: one axis or two; by default those of a vector or matrix.
        keepdims: keep them with size 1.

    Example:
        >>> float(norm(np.array([3.0, 4.0])))
        5.0
    """
    (x,) = operands(x, floating=True)
    if axis is None and (ord is None or x.ndim not in (1, 2)):
        if ord is not None:
            raise ShapeError("'norm' with ord takes a vector or a matrix.", expected="axis=", got=show_shape(x.shape))
        return vector_norm(x, 2, tuple(range(x.ndim)), keepdims)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    axes_of(axes, x.ndim, "norm")
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ArgumentError(f"vectors have no norm {ord!r}.", expected="a number", got=repr(ord))
        return vector_norm(x, 2 if ord is None else ord, axes, keepdims)
    if ord is None or ord == "fro":
        return vector_norm(x, 2, axes, keepdims)
    check_choice("norm", "ord", ord, ["nuc", 1, -1, 2, -2, math.inf, -math.inf])
    x = moveaxis(x, axes, (-2, -1))
    if ord in (1, -1, math.inf, -math.inf):
        totals = sum(abs(x), -2 if ord in (1, -1) else -1)
        result = (max if ord > 0 else min)(totals, -1)
    else:
        values = svd(x, compute_uv=False)
        result = sum(values, -1) if ord == "nuc" else (max if ord > 0 else min)(values, -1)
    return expand_dims(result, sorted(a % (result.ndim + 2) for a in axes)) if keepdims else result
