"""Products of vectors and tensors besides that of matrices: inner, outer, cross, Kronecker, attention; distances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit.errors import ShapeError
from layerkit.ir import broadcast_shapes, number, show_shape
from layerkit.ops.activations import softmax
from layerkit.ops.core import Tensor, composite, dtype_of, example, operand, operands
from layerkit.ops.elementwise import sqrt, tanh, where
from layerkit.ops.linalg import matmul, tensordot
from layerkit.ops.reduction import broadcast_to, sum
from layerkit.ops.shape import expand_dims, moveaxis, reshape, stack, swapaxes


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


# Attention -----------------------------------------------------------------------------------------------------------


@composite(
    example((1, 3, 2, 4), (1, 5, 2, 4), (1, 5, 2, 4)),
    example((2, 4, 4, 2), (2, 4, 2, 2), (2, 4, 2, 2), is_causal=True, attn_logits_soft_cap=2.0),
)
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(query . key * scale) . value for each head. Source: arXiv:1706.03762.

    Shapes:
        query: (batch, time, heads, size)    key, value: (batch, other time, key heads, size)
        bias, mask: broadcast to (batch, heads, time, other time)    returns: (batch, time, heads, size)
    Args:
        query: what asks.
        key: what is compared with it; several heads of the query may share one.
        value: what is averaged.
        bias: added to the products.
        mask: which of them count.
        scale: 1 / sqrt(size) unless given.
        is_causal: only those count that are not later.
        flash_attention: changes nothing here: the engine chooses how to compute it.
        attn_logits_soft_cap: products beyond it are bent back by tanh.

    Raises:
        ShapeError: the heads of the query are no multiple of those of the key.
    """
    query, key, value = operands(query, key, value, floating=True)
    if query.ndim != 4 or key.ndim != 4 or value.ndim != 4:
        got = ", ".join(show_shape(x.shape) for x in (query, key, value))
        raise ShapeError("'dot_product_attention' needs 4 axes.", expected="(batch, time, heads, size)", got=got)
    heads, shared = query.shape[2], key.shape[2]
    if heads % shared:
        raise ShapeError(
            "heads of the query share those of the key.", expected=f"a multiple of {shared}", got=str(heads)
        )
    q, k, v = (swapaxes(x, 1, 2) for x in (query, key, value))  # (B, heads, T, size)
    if heads != shared:
        k, v = (_repeat_heads(x, heads // shared) for x in (k, v))
    size = number(query.shape[-1])
    scores = matmul(q, swapaxes(k, -1, -2)) * (1 / math.sqrt(size) if scale is None else scale)
    if attn_logits_soft_cap is not None:
        scores = tanh(scores / attn_logits_soft_cap) * attn_logits_soft_cap
    if bias is not None:
        scores = scores + bias
    lowest = float(np.finfo(dtype_of(scores)).min) * 0.7
    if is_causal:
        rows, columns = (number(x.shape[2]) for x in (q, k))
        scores = where(np.tri(rows, columns, dtype=bool), scores, lowest)
    if mask is not None:
        scores = where(operand(mask, "bool"), scores, lowest)
    return swapaxes(matmul(softmax(scores), v), 1, 2)


def _repeat_heads(x: Any, times: int) -> Any:
    b, heads, *rest = x.shape
    return reshape(broadcast_to(expand_dims(x, 2), (b, heads, times, *rest)), (b, heads * times, *rest))
