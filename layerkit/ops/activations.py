"""Activation functions: composites, whose gradient and lowering follow from the ops that they use.

Names, defaults and conventions are those of ``keras.ops``. Whole numbers become float32 first.
"""

from __future__ import annotations

import math
from typing import Any

from layerkit.ops.core import Axis, Tensor, axis_of, composite, example, operands
from layerkit.ops.elementwise import (
    abs,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    sign,
    sqrt,
    stop_gradient,
    tanh,
    where,
)
from layerkit.ops.reduction import max, sum
from layerkit.ops.shape import split, squeeze


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


@composite(example((2, 3), domain=(0.1, 2.0)), example((2, 3), domain=(-2.0, -0.1), alpha=0.5))
def celu(x: Tensor, alpha: float = 1.0) -> Any:
    """X above 0, alpha * (exp(x / alpha) - 1) below. Source: arXiv:1704.07483."""
    (x,) = operands(x, floating=True)
    return where(x > 0.0, x, alpha * expm1(minimum(x, 0.0) / alpha))


@composite(example((2, 4)), example((4, 3), axis=0))
def glu(x: Tensor, axis: int = -1) -> Any:
    """The first half along ``axis`` times sigmoid of the second. Source: arXiv:1612.08083."""
    (x,) = operands(x, floating=True)
    value, gate = split(x, 2, axis_of(axis, x.ndim, "glu"))
    return value * sigmoid(gate)


@composite(example((2, 3), domain=(0.6, 2.0)))
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Any:
    """X where its size is above ``threshold``, else 0."""
    (x,) = operands(x, floating=True)
    return where(abs(x) > threshold, x, 0.0)


@composite(example((2, 3)))
def hard_silu(x: Tensor) -> Any:
    """x * hard_sigmoid(x), also called hard_swish. Source: arXiv:1905.02244."""
    (x,) = operands(x, floating=True)
    return x * hard_sigmoid(x)


@composite(example((2, 3), domain=(-0.9, 0.9)))
def hard_tanh(x: Tensor) -> Any:
    """``x`` kept within [-1, 1]."""
    (x,) = operands(x, floating=True)
    return minimum(maximum(x, -1.0), 1.0)


@composite(example((2, 3), domain=(0.6, 2.0)), example((2, 3), domain=(-0.4, 0.4)))
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Any:
    """``x`` moved towards 0 by ``threshold``, and 0 within it."""
    (x,) = operands(x, floating=True)
    return where(abs(x) > threshold, x - sign(x) * threshold, 0.0)


@composite(example((2, 3), domain=(-0.9, 0.9)), example((2, 3), domain=(1.1, 2.0)))
def sparse_plus(x: Tensor) -> Any:
    """0 up to -1, (x + 1)^2 / 4 up to 1, ``x`` above: a softplus that reaches 0."""
    (x,) = operands(x, floating=True)
    return where(x <= -1.0, 0.0, where(x < 1.0, (x + 1.0) * (x + 1.0) / 4.0, x))


@composite(example((2, 3), domain=(-0.9, 0.9)), example((2, 3), domain=(1.1, 2.0)))
def sparse_sigmoid(x: Tensor) -> Any:
    """(x + 1) / 2 kept within [0, 1]: the gradient of ``sparse_plus``."""
    (x,) = operands(x, floating=True)
    return where(x <= -1.0, 0.0, where(x < 1.0, 0.5 * (x + 1.0), 1.0))


@composite(example((2, 3)), example((2, 3), b=1))
def squareplus(x: Tensor, b: float = 4) -> Any:
    """(x + sqrt(x^2 + b)) / 2: a softplus without exponentials. Source: arXiv:2112.11687."""
    (x,) = operands(x, floating=True)
    return (x + sqrt(x * x + b)) / 2.0


@composite(example((2, 3)))
def tanh_shrink(x: Tensor) -> Any:
    """X - tanh(x)."""
    (x,) = operands(x, floating=True)
    return x - tanh(x)


@composite(example((2, 3), domain=(0.6, 2.0), threshold=0.5, default_value=3.0))
def threshold(x: Tensor, threshold: float, default_value: float) -> Any:
    """X where it is above ``threshold``, else ``default_value``."""
    (x,) = operands(x, floating=True)
    return where(x > threshold, x, default_value)


swish = silu
hard_swish = hard_silu
