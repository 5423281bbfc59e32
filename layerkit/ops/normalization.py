"""Normalisation: moments, and tensors scaled by them; composites.

Names, defaults and conventions are those of ``keras.ops``.
"""

from __future__ import annotations

import math
from typing import Any

from layerkit.ops.core import Axis, Tensor, axes_of, axis_of, composite, dtype_of, example, operands
from layerkit.ops.elementwise import abs, cast, maximum, power, rsqrt, sqrt
from layerkit.ops.reduction import max, mean, min, sum
from layerkit.ops.shape import reshape, squeeze

EPSILON = 1e-7  # Keras's: what keeps a division from dividing by 0


@composite(example((4, 3), axes=(0,)), example((2, 4, 3), axes=(0, -1), keepdims=True))
def moments(x: Tensor, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> Any:
    """Mean and variance along ``axes``; ``synchronized`` is for machines that share a batch and changes nothing here."""
    (x,) = operands(x, floating=True)
    centre = mean(x, axes, keepdims=True)
    variance = mean((x - centre) * (x - centre), axes, keepdims=True)
    if keepdims:
        return centre, variance
    gone = axes_of(axes, x.ndim, "moments")
    return squeeze(centre, gone), squeeze(variance, gone)


@composite(example((4, 3), (3,), (3,), axis=-1, domain=(0.5, 2.0)))
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor = None,
    scale: Tensor = None,
    epsilon: float = 1e-3,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, each of them a vector along ``axis``."""
    x, mean, variance = operands(x, mean, variance, floating=True)
    axis = axis_of(axis, x.ndim, "batch_normalization")
    along = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
    factor = rsqrt(reshape(variance, along) + epsilon)
    if scale is not None:
        factor = factor * reshape(scale, along)
    y = (x - reshape(mean, along)) * factor
    return y if offset is None else y + reshape(offset, along)


@composite(example((2, 4), (4,), (4,)), example((2, 3, 4), (3, 4), (3, 4), axis=(1, 2)))
def layer_normalization(
    x: Tensor, gamma: Tensor = None, beta: Tensor = None, axis: Axis = -1, epsilon: float | None = None
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over ``axis``; epsilon is 1e-7 unless given.

    Source: arXiv:1607.06450.
    """
    (x,) = operands(x, floating=True)
    axes = axes_of(axis, x.ndim, "layer_normalization")
    centre, variance = moments(x, axes, keepdims=True)
    along = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    y = (x - centre) * rsqrt(variance + (EPSILON if epsilon is None else epsilon))
    y = y if gamma is None else y * reshape(gamma, along)
    return y if beta is None else y + reshape(beta, along)


@composite(example((2, 4), (4,)), example((2, 3, 4), (3, 4), axis=(1, 2)))
def rms_normalization(x: Tensor, scale: Tensor = None, axis: Axis = -1, epsilon: float | None = None) -> Any:
    """x / sqrt(mean(x^2) + epsilon) * scale over ``axis``; epsilon is 1e-7 unless given. Source: arXiv:1910.07467."""
    (x,) = operands(x, floating=True)
    axes = axes_of(axis, x.ndim, "rms_normalization")
    y = x * rsqrt(mean(x * x, axes, keepdims=True) + (EPSILON if epsilon is None else epsilon))
    return y if scale is None else y * reshape(scale, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))


@composite(example((2, 4)), example((2, 4), order=3, domain=(0.2, 2.0)))
def normalize(x: Tensor, axis: int = -1, order: float = 2, epsilon: float | None = None) -> Any:
    """``x`` divided by its norm of an ``order`` along ``axis``; what is no longer than epsilon (1e-7) is divided by that.

    Example:
        >>> normalize([[3.0, 4.0]])
        array([[0.6, 0.8]], dtype=float32)
    """
    (x,) = operands(x, floating=True)
    least = EPSILON if epsilon is None else epsilon
    if order == 2:
        return x * rsqrt(maximum(sum(x * x, axis, keepdims=True), least * least))
    return x / maximum(vector_norm(x, order, axis, keepdims=True), least)


def vector_norm(x: Any, order: float, axis: Axis, keepdims: bool) -> Any:
    """(sum of |x|^order)^(1/order), with its limits: the largest, the smallest, and (0) the number of those not 0."""
    size = abs(x)
    if order == math.inf:
        return max(size, axis, keepdims)
    if order == -math.inf:
        return min(size, axis, keepdims)
    if order == 0:
        return sum(cast(size > 0.0, dtype_of(x)), axis, keepdims)
    if order == 1:
        return sum(size, axis, keepdims)
    if order == 2:
        return sqrt(sum(x * x, axis, keepdims))
    return power(sum(power(size, float(order)), axis, keepdims), 1.0 / order)
