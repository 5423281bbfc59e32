"""Composites: functions over other ops, whose gradient and lowering follow from theirs.

Names, defaults and conventions are those of ``keras.ops`` and ``keras.activations``.
"""

from __future__ import annotations

import math
from typing import Any

from layerkit.errors import ShapeError
from layerkit.ir import show_shape
from layerkit.ops.core import Axis, Tensor, axis_of, composite, example, operand, operands
from layerkit.ops.elementwise import (
    abs,
    cast,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    rsqrt,
    sigmoid,
    stop_gradient,
    tanh,
    where,
)
from layerkit.ops.indexing import one_hot
from layerkit.ops.reduction import max, mean, sum
from layerkit.ops.shape import reshape, squeeze

EPSILON = 1e-7  # Keras's: probabilities are kept this far from 0 and 1

# Activations ---------------------------------------------------------------------------------------------------------


@composite(example((2, 3)), example((3, 2), axis=0))
def softmax(x: Tensor, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along ``axis``, shifted so that nothing overflows."""
    (x,) = operands(x, floating=True)
    e = exp(x - stop_gradient(max(x, axis, keepdims=True)))
    return e / sum(e, axis, keepdims=True)


@composite(example((2, 3)), example((3, 2), axis=0))
def log_softmax(x: Tensor, axis: int = -1) -> Any:
    """log(softmax(x)), without the loss of precision of doing both."""
    (x,) = operands(x, floating=True)
    shifted = x - stop_gradient(max(x, axis, keepdims=True))
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


@composite(example((2, 3), axis=1))
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along ``axis``, shifted so that nothing overflows."""
    (x,) = operands(x, floating=True)
    top = stop_gradient(max(x, axis, keepdims=True))
    result = log(sum(exp(x - top), axis, keepdims=True)) + top
    return result if keepdims else squeeze(result, axis if axis is not None else tuple(range(x.ndim)))


@composite(example((2, 3)))
def softplus(x: Tensor) -> Any:
    """log(1 + exp(x))."""
    (x,) = operands(x, floating=True)
    return log1p(exp(-abs(x))) + relu(x)


@composite(example((2, 3)))
def log_sigmoid(x: Tensor) -> Any:
    """log(sigmoid(x))."""
    (x,) = operands(x, floating=True)
    return -softplus(-x)


@composite(example((2, 3)))
def silu(x: Tensor) -> Any:
    """x * sigmoid(x), also called swish."""
    (x,) = operands(x, floating=True)
    return x * sigmoid(x)


@composite(example((2, 3)), example((2, 3), approximate=False))
def gelu(x: Tensor, approximate: bool = True) -> Any:
    """x times the normal distribution function of x; ``approximate`` uses tanh. Source: arXiv:1606.08415."""
    (x,) = operands(x, floating=True)
    if approximate:
        return 0.5 * x * (1.0 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


@composite(example((2, 3), domain=(0.1, 2.0)), example((2, 3), domain=(-2.0, -0.1)))
def elu(x: Tensor, alpha: float = 1.0) -> Any:
    """X above 0, alpha * (exp(x) - 1) below."""
    (x,) = operands(x, floating=True)
    return where(x > 0.0, x, alpha * expm1(minimum(x, 0.0)))


@composite(example((2, 3), domain=(0.1, 2.0)), example((2, 3), domain=(-2.0, -0.1)))
def selu(x: Tensor) -> Any:
    """The scaled elu that keeps mean and variance. Source: arXiv:1706.02515."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


@composite(example((2, 3), domain=(0.1, 2.0)), example((2, 3), domain=(-2.0, -0.1)))
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Any:
    """X above 0, negative_slope * x below."""
    (x,) = operands(x, floating=True)
    return where(x > 0.0, x, negative_slope * x)


@composite(example((2, 3), domain=(0.1, 2.0)))
def relu6(x: Tensor) -> Any:
    """min(max(x, 0), 6)."""
    return minimum(relu(x), 6)


@composite(example((2, 3)))
def hard_sigmoid(x: Tensor) -> Any:
    """relu6(x + 3) / 6."""
    (x,) = operands(x, floating=True)
    return relu6(x + 3.0) / 6.0


@composite(example((2, 3), domain=(0.1, 2.0)))
def softsign(x: Tensor) -> Any:
    """x / (1 + |x|)."""
    (x,) = operands(x, floating=True)
    return x / (1.0 + abs(x))


@composite(example((2, 3)))
def mish(x: Tensor) -> Any:
    """x * tanh(softplus(x)). Source: arXiv:1908.08681."""
    (x,) = operands(x, floating=True)
    return x * tanh(softplus(x))


@composite(example((2, 3)))
def square(x: Tensor) -> Any:
    """x * x."""
    x = operand(x)
    return x * x


def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Any:
    """``x`` kept within [x_min, x_max]."""
    return minimum(maximum(x, x_min), x_max)


# Normalisation -------------------------------------------------------------------------------------------------------


@composite(example((4, 3), axes=(0,)))
def moments(x: Tensor, axes: Axis, keepdims: bool = False) -> Any:
    """Mean and variance along ``axes``."""
    (x,) = operands(x, floating=True)
    centre = mean(x, axes, keepdims=True)
    variance = mean(square(x - centre), axes, keepdims=True)
    if keepdims:
        return centre, variance
    gone = tuple(a % x.ndim for a in ((axes,) if isinstance(axes, int) else axes or range(x.ndim)))
    return squeeze(centre, gone), squeeze(variance, gone)


@composite(example((4, 3), (3,), (3,), (3,), (3,), axis=-1, domain=(0.5, 2.0)))
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor = None,
    scale: Tensor = None,
    axis: int = -1,
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
    x: Tensor, gamma: Tensor = None, beta: Tensor = None, axis: Axis = -1, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over ``axis``. Source: arXiv:1607.06450."""
    (x,) = operands(x, floating=True)
    axes = sorted(axis_of(a, x.ndim, "layer_normalization") for a in ((axis,) if isinstance(axis, int) else axis or ()))
    centre, variance = moments(x, axes, keepdims=True)
    along = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    y = (x - centre) * rsqrt(variance + epsilon)
    y = y if gamma is None else y * reshape(gamma, along)
    return y if beta is None else y + reshape(beta, along)


# Losses --------------------------------------------------------------------------------------------------------------


@composite(
    example((2, 3), (2, 3), domain=(0.1, 0.9)),
    example((2, 3), (2, 3), domain=(0.1, 0.9), from_logits=True),
)
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target * log(output)) along ``axis``: (..., classes), (..., classes) -> (...)."""
    target, output = operands(target, output, floating=True)
    _same_shape("categorical_crossentropy", target, output)
    return -sum(target * _log_probabilities(output, from_logits, axis), axis)


@composite(
    example((2,), (2, 3), domain=(0.1, 0.9), integers={0: (0, 3)}),
    example((2,), (2, 3), domain=(0.1, 0.9), integers={0: (0, 3)}, from_logits=True),
)
def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Any:
    """-log(output) at the class ``target``: (...) or (..., 1), (..., classes) -> (...)."""
    target, (output,) = operand(target), operands(output, floating=True)
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = squeeze(target, -1)
    target = cast(target, "int32")
    log_p = _log_probabilities(output, from_logits, axis)
    hot = one_hot(
        target, output.shape[axis], axis=axis, dtype=log_p.dtype if isinstance(log_p.dtype, str) else log_p.dtype.name
    )
    _same_shape("sparse_categorical_crossentropy", hot, output)
    return -sum(hot * log_p, axis)


@composite(
    example((2, 3), (2, 3), domain=(0.1, 0.9)),
    example((2, 3), (2, 3), domain=(0.1, 0.9), from_logits=True),
)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Any:
    """-target * log(output) - (1 - target) * log(1 - output), for each element."""
    target, output = operands(target, output, floating=True)
    _same_shape("binary_crossentropy", target, output)
    if from_logits:
        return -(target * log_sigmoid(output) + (1.0 - target) * log_sigmoid(-output))
    output = clip(output, EPSILON, 1.0 - EPSILON)
    return -(target * log(output) + (1.0 - target) * log(1.0 - output))


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return log_softmax(output, axis)
    return log(clip(output / sum(output, axis, keepdims=True), EPSILON, 1.0 - EPSILON))


def _same_shape(op: str, target: Any, output: Any) -> None:
    from layerkit.ir import unify

    if target.ndim != output.ndim or any(unify(a, b) is None for a, b in zip(target.shape, output.shape, strict=True)):
        raise ShapeError(
            f"'{op}' needs a target for each output.", expected=show_shape(output.shape), got=show_shape(target.shape)
        )
