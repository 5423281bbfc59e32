"""Functions of tensors, with the names and meaning of ``keras.ops``.

On arrays they compute at once; on symbolic tensors they add to the program. Every function that computes on floats has
a gradient, unless it is piecewise constant.
"""

from collections.abc import Sequence
from typing import Any

from layerkit.ir import Size
from layerkit.ops import operators as _operators  # attaches arithmetic to symbolic tensors
from layerkit.ops.conv import conv
from layerkit.ops.core import Tensor, dtype_of, operand, shape, size
from layerkit.ops.elementwise import (
    abs,
    add,
    arctan2,
    cast,
    ceil,
    cos,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    not_equal,
    power,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    stop_gradient,
    subtract,
    tan,
    tanh,
    where,
)
from layerkit.ops.indexing import arange, fill, one_hot, scatter_add, take
from layerkit.ops.linalg import dot, matmul, tensordot
from layerkit.ops.nn import (
    batch_normalization,
    binary_crossentropy,
    categorical_crossentropy,
    clip,
    elu,
    gelu,
    hard_sigmoid,
    layer_normalization,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    mish,
    moments,
    relu6,
    selu,
    silu,
    softmax,
    softplus,
    softsign,
    sparse_categorical_crossentropy,
    square,
)
from layerkit.ops.pooling import average_pool, max_pool
from layerkit.ops.reduction import all, any, argmax, argmin, broadcast_to, max, mean, min, sum, var
from layerkit.ops.scan import scan
from layerkit.ops.shape import (
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    pad,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    transpose,
)


def zeros(shape: Sequence[Size], dtype: str = "float32") -> Any:
    """A tensor of zeros."""
    return fill(tuple(shape), 0, dtype)


def ones(shape: Sequence[Size], dtype: str = "float32") -> Any:
    """A tensor of ones."""
    return fill(tuple(shape), 1, dtype)


def zeros_like(x: Tensor, dtype: str | None = None) -> Any:
    """Zeros of the shape and dtype of ``x``."""
    x = operand(x)
    return broadcast_to(cast(0, dtype or dtype_of(x)), x.shape)


def ones_like(x: Tensor, dtype: str | None = None) -> Any:
    """Ones of the shape and dtype of ``x``."""
    x = operand(x)
    return broadcast_to(cast(1, dtype or dtype_of(x)), x.shape)


def convert_to_tensor(x: Tensor, dtype: str | None = None) -> Any:
    """``x`` as an array or symbolic tensor."""
    return operand(x, dtype)
