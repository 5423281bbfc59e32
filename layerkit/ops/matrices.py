"""The product of matrices, on which most of the time is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerkit.errors import DTypeError, ShapeError
from layerkit.ir import (
    Array,
    BadCase,
    Case,
    Op,
    Size,
    TensorType,
    Value,
    broadcast_shapes,
    product,
    show_shape,
    unify,
)
from layerkit.ops.core import Tensor, apply, axis_of, operands
from layerkit.ops.reduction import broadcast_to
from layerkit.ops.shape import expand_dims, reshape, squeeze, swapaxes, transpose
from layerkit.records import dataclass


@dataclass(frozen=True)
class MatMul(Op):
    """Products of matrices: (..., m, k), (..., k, n) -> (..., m, n), the axes in front equal."""

    name = "matmul"

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.dtype != b.dtype:
            raise DTypeError("'matmul' needs one dtype.", expected=a.dtype, got=b.dtype, fix="ops.cast one of them")
        fits = a.rank == b.rank >= 2 and a.shape[:-2] == b.shape[:-2]
        if not fits or unify(a.shape[-1], b.shape[-2]) is None:
            raise ShapeError(
                "'matmul' needs inner sizes that agree.",
                expected=show_shape((*a.shape[:-1], b.shape[-2])) if b.rank >= 2 else "two matrices",
                got=f"{show_shape(a.shape)} @ {show_shape(b.shape)}",
            )
        return a.with_shape((*a.shape[:-1], b.shape[-1]))

    def reference(self, a: Array, b: Array) -> Array:
        return np.matmul(a, b)

    def vjp(self, g: Value, out: Value, a: Value, b: Value) -> tuple[Value | None, ...]:
        return apply(self, g, swapaxes(b, -1, -2)), apply(self, swapaxes(a, -1, -2), g)

    def multiply_adds(self, a: TensorType, b: TensorType) -> Size:  # type: ignore[override]
        return product((*a.shape, b.shape[-1]))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(), ((3, 4), (4, 2)))
        yield Case(cls(), ((2, 3, 4), (2, 4, 1)))
        yield Case(cls(), ((0, 4), (4, 2)))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls(), (TensorType("float32", (3, 4)), TensorType("float32", (5, 2))), ShapeError, "(3, 5)")
        yield BadCase(cls(), (TensorType("float32", (3, 4)), TensorType("float64", (4, 2))), DTypeError, "float32")


def matmul(x1: Tensor, x2: Tensor) -> Any:
    """Product of matrices by NumPy's rule: vectors become rows or columns, axes in front broadcast.

    Shapes:
        x1: (..., m, k) or (k,)    x2: (..., k, n) or (k,)    returns: (..., m, n), less the axes added to vectors
    Raises:
        ShapeError: the inner sizes differ.

    Example:
        >>> matmul(np.ones((5, 2, 3)), np.ones((3, 4))).shape
        (5, 2, 4)
    """
    x1, x2 = operands(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        raise ShapeError(
            "'matmul' needs axes to sum over.", expected="vectors or matrices", got="a scalar", fix="multiply with *"
        )
    if x1.ndim == 1:
        return squeeze(matmul(expand_dims(x1, 0), x2), -1 if x2.ndim == 1 else -2)
    if x2.ndim == 1:
        return squeeze(matmul(x1, expand_dims(x2, 1)), -1)
    if x1.ndim > 2 and x2.ndim == 2:  # one product with all rows below each other
        _check_inner(x1, x2)
        rows = reshape(x1, (product(x1.shape[:-1]), x1.shape[-1]))
        return reshape(apply(MatMul(), rows, x2), (*x1.shape[:-1], x2.shape[-1]))
    front = broadcast_shapes("matmul", (x1.shape[:-2], x2.shape[:-2]))
    return apply(MatMul(), broadcast_to(x1, (*front, *x1.shape[-2:])), broadcast_to(x2, (*front, *x2.shape[-2:])))


def _check_inner(x1: Any, x2: Any) -> None:
    if unify(x1.shape[-1], x2.shape[-2]) is None:
        raise ShapeError(
            "'matmul' needs inner sizes that agree.",
            expected=show_shape((*x1.shape[:-1], x2.shape[-2])),
            got=f"{show_shape(x1.shape)} @ {show_shape(x2.shape)}",
        )


def dot(x1: Tensor, x2: Tensor) -> Any:
    """Sum of products over the last axis of x1 and the last but one (or only) axis of x2; a scalar multiplies."""
    x1, x2 = operands(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    return tensordot(x1, x2, ([-1], [-1 if x2.ndim == 1 else -2]))


def tensordot(x1: Tensor, x2: Tensor, axes: int | Sequence[Any] = 2) -> Any:
    """Sum of products over paired axes: those of ``axes[0]`` in x1 with those of ``axes[1]`` in x2.

    A number pairs so many of the last of x1 with the first of x2.

    Example:
        >>> tensordot(np.ones((2, 3)), np.ones((3, 4)), 1).shape
        (2, 4)
    """
    x1, x2 = operands(x1, x2)
    left, right = (range(x1.ndim - axes, x1.ndim), range(axes)) if isinstance(axes, int) else axes
    a, b = (
        [axis_of(int(i), x.ndim, "tensordot") for i in ([given] if isinstance(given, int) else given)]
        for given, x in ((left, x1), (right, x2))
    )
    kept_a, kept_b = [i for i in range(x1.ndim) if i not in a], [i for i in range(x2.ndim) if i not in b]
    rows = reshape(transpose(x1, kept_a + a), (product(x1.shape[i] for i in kept_a), product(x1.shape[i] for i in a)))
    columns = reshape(
        transpose(x2, b + kept_b), (product(x2.shape[i] for i in b), product(x2.shape[i] for i in kept_b))
    )
    return reshape(matmul(rows, columns), (*(x1.shape[i] for i in kept_a), *(x2.shape[i] for i in kept_b)))
