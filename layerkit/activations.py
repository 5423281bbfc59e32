"""Activation functions by name; all of them are functions of ``layerkit.ops`` with Keras's defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layerkit import ops
from layerkit.errors import UnknownNameError, did_you_mean
from layerkit.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from layerkit.ops.core import dtype_of
from layerkit.registry import named
from layerkit.registry import serialize as registry_serialize


def linear(x: Any) -> Any:
    """``x`` itself."""
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """``x`` above ``threshold`` and up to ``max_value``, ``negative_slope`` times the distance to it below."""
    if negative_slope == 0.0 and threshold == 0.0:
        y = ops.relu(x)
    else:
        y = ops.where(x > threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else ops.minimum(y, max_value)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function of x."""
    return ops.gelu(x, approximate)


def exponential(x: Any) -> Any:
    """exp(x)."""
    return ops.exp(x)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The nearest point of non-negative numbers that sum to 1 along ``axis``; many of them are 0.

    With z sorted downwards, it is max(x - t, 0) with t such that what is left sums to 1: t = (sum of the k largest - 1) / k
    for the greatest k with 1 + k * z[k] > sum of the k largest. Source: Martins and Astudillo 2016, arXiv:1602.02068.

    Example:
        >>> import numpy as np
        >>> sparsemax(np.array([0.5, 1.0, -1.0])).tolist()
        [0.25, 0.75, 0.0]
    """
    x = ops.moveaxis(ops.convert_to_tensor(x), axis, -1)
    falling = ops.flip(ops.sort(x, -1), -1)
    ranks = ops.cast(ops.arange(1, x.shape[-1] + 1), dtype_of(x))
    is_kept = 1.0 + ranks * falling > ops.cumsum(falling, -1)
    count = ops.sum(ops.cast(is_kept, dtype_of(x)), -1, keepdims=True)
    bound = (ops.sum(ops.where(is_kept, falling, 0.0), -1, keepdims=True) - 1.0) / count
    return ops.moveaxis(ops.relu(x - bound), -1, axis)


swish = silu

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear,
        log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign,
        sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink, threshold,
    )
} | {"swish": silu, "hard_swish": hard_swish}  # fmt: skip


def get(identifier: Any) -> Any:
    """The function of that name; None is ``linear``, a function is itself.

    Raises:
        UnknownNameError: there is none of that name.
    """
    identifier = named(identifier)
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    if not isinstance(identifier, str) or identifier not in ACTIVATIONS:
        raise UnknownNameError(
            f"there is no activation '{identifier}'.",
            got=str(identifier),
            fix=did_you_mean(str(identifier), ACTIVATIONS),
        )
    return ACTIVATIONS[identifier]


serialize, deserialize = registry_serialize, get
