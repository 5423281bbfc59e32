"""Products of vectors and tensors besides that of matrices: inner, outer, cross, Kronecker; distances."""

from __future__ import annotations

from typing import Any

from layerkit.errors import ShapeError
from layerkit.ir import broadcast_shapes
from layerkit.ops.core import Tensor, composite, example, operands
from layerkit.ops.elementwise import sqrt, where
from layerkit.ops.matrices import tensordot
from layerkit.ops.reduction import broadcast_to, sum
from layerkit.ops.shape import expand_dims, moveaxis, reshape, stack


@composite(example((3,), (3,)), example((2, 3), (4, 3)))
def inner(x1: Tensor, x2: Tensor) -> Any:
    """Sum of products over the last axes: (..., k), (..., k) -> (..., ...); a scalar multiplies."""
    x1, x2 = operands(x1, x2)
    return x1 * x2 if x1.ndim == 0 or x2.ndim == 0 else tensordot(x1, x2, ([-1], [-1]))


@composite(example((3,), (2, 2)))
def outer(x1: Tensor, x2: Tensor) -> Any:
    """All products of two elements, both tensors flattened: (n), (m) -> (n, m)."""
    x1, x2 = operands(x1, x2)
    return reshape(x1, (-1, 1)) * reshape(x2, (1, -1))


@composite(example((3,), (3,)), example((2, 3), (3, 2)))
def vdot(x1: Tensor, x2: Tensor) -> Any:
    """Sum of products of the elements, both tensors flattened."""
    x1, x2 = operands(x1, x2)
    return sum(reshape(x1, (-1,)) * reshape(x2, (-1,)))


@composite(example((2, 3), (3, 1)), example((2,), (2, 2)))
def kron(x1: Tensor, x2: Tensor) -> Any:
    """Each element of x1 times all of x2, as blocks: (n, m), (p, q) -> (n * p, m * q).

    Example:
        >>> import numpy as np
        >>> kron(np.array([1, 10]), np.array([1, 2]))
        array([ 1,  2, 10, 20])
    """
    x1, x2 = operands(x1, x2)
    rank = max(x1.ndim, x2.ndim)
    a = (1,) * (rank - x1.ndim) + tuple(x1.shape)
    b = (1,) * (rank - x2.ndim) + tuple(x2.shape)
    left = reshape(x1, tuple(n for size in a for n in (size, 1)))
    right = reshape(x2, tuple(n for size in b for n in (1, size)))
    return reshape(left * right, tuple(n * m for n, m in zip(a, b, strict=True)))


@composite(example((2, 3), (3,)), example((3, 4), (3, 4), axis=0), example((2,), (3,)))
def cross(x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector at right angles to two vectors of 3 (or 2) elements; of two plane ones its length alone.

    Args:
        x1: the first vectors.
        x2: the second.
        axisa: the axis of the vectors of x1.
        axisb: that of x2.
        axisc: that of the result.
        axis: one axis for all three.

    Example:
        >>> import numpy as np
        >>> cross(np.array([1, 0, 0]), np.array([0, 1, 0]))
        array([0, 0, 1])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x1, x2 = operands(x1, x2)
    x1, x2 = moveaxis(x1, axisa, -1), moveaxis(x2, axisb, -1)
    n, m = x1.shape[-1], x2.shape[-1]
    if n not in (2, 3) or m not in (2, 3):
        raise ShapeError("'cross' takes vectors of 2 or 3 elements.", expected="2 or 3", got=f"{n} and {m}")
    a = [x1[..., i] for i in range(n)] + [None] * (3 - n)
    b = [x2[..., i] for i in range(m)] + [None] * (3 - m)

    def minor(i: int, j: int) -> Any:
        """a[i] b[j] - a[j] b[i], where what is not there is 0."""
        first = None if a[i] is None or b[j] is None else a[i] * b[j]
        second = None if a[j] is None or b[i] is None else a[j] * b[i]
        if second is None:
            return first
        return 0 - second if first is None else first - second

    if n == m == 2:
        return minor(0, 1)
    parts = [minor(1, 2), minor(2, 0), minor(0, 1)]
    shape = broadcast_shapes("cross", (p.shape for p in parts))
    return moveaxis(stack([broadcast_to(p, shape) for p in parts], -1), -1, axisc)


@composite(example((4, 3), (2, 3)))
def cdist(x: Tensor, y: Tensor) -> Any:
    """Distances between all rows: (..., n, d), (..., m, d) -> (..., n, m); at 0 the gradient is 0."""
    x, y = operands(x, y, floating=True)
    gap = expand_dims(x, -2) - expand_dims(y, -3)
    square = sum(gap * gap, -1)
    is_apart = square > 0.0
    return where(is_apart, sqrt(where(is_apart, square, 1.0)), 0.0)
