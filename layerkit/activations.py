"""Activation functions by name; all of them are functions of ``layerkit.ops`` with Keras's defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layerkit import ops
from layerkit.errors import UnknownNameError, did_you_mean
from layerkit.ops import (
    elu,
    hard_sigmoid,
    leaky_relu,
    log_softmax,
    mish,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)


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


swish = silu

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        elu, exponential, gelu, hard_sigmoid, leaky_relu, linear, log_softmax, mish, relu, relu6, selu, sigmoid, silu,
        softmax, softplus, softsign, tanh,
    )
} | {"swish": silu}  # fmt: skip


def get(identifier: Any) -> Any:
    """The function of that name; None is ``linear``, a function is itself.

    Raises:
        UnknownNameError: there is none of that name.
    """
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
