"""Convolutions made of the one in ``layerkit.ops.conv``: depthwise and separable; and pooling to a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit.errors import ShapeError
from layerkit.ir import number, show_shape, unify
from layerkit.ops.conv import conv, per_axis
from layerkit.ops.core import Tensor, composite, dtype_of, example, operands
from layerkit.ops.matrices import matmul
from layerkit.ops.reduction import max
from layerkit.ops.shape import channels_last, from_channels_last, moveaxis, reshape, slice_axis, stack


@composite(
    example((2, 4, 5, 3), (2, 3, 3, 2)),
    example((1, 6, 2), (3, 2, 1), strides=2, padding="same"),
)
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Any:
    """Slide a window of its own over each channel.

    Shapes:
        inputs: (batch, *spatial, channels)    kernel: (*window, channels, multiplier)
        returns: (batch, *out, channels * multiplier)
    Raises:
        ShapeError: the channels of ``inputs`` and ``kernel`` differ.
    """
    inputs, kernel = operands(inputs, kernel)
    inputs = channels_last("depthwise_conv", inputs, data_format)
    *window, channels, multiplier = kernel.shape
    if unify(inputs.shape[-1], channels) is None:
        raise ShapeError(
            "'depthwise_conv' has a kernel for another number of channels.",
            expected=show_shape((*inputs.shape[:-1], channels)),
            got=show_shape(inputs.shape),
        )
    kernel = reshape(kernel, (*window, 1, channels * multiplier))
    return from_channels_last(conv(inputs, kernel, strides, padding, None, dilation_rate), data_format)


@composite(example((2, 4, 5, 3), (2, 3, 3, 2), (1, 1, 6, 4), padding="same"))
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Any:
    """``depthwise_conv``, then a convolution that mixes the channels of each place.

    Shapes:
        inputs: (batch, *spatial, channels)
        depthwise_kernel: (*window, channels, multiplier)    pointwise_kernel: (*ones, channels * multiplier, filters)
        returns: (batch, *out, filters)
    """
    inputs, depthwise_kernel, pointwise_kernel = operands(inputs, depthwise_kernel, pointwise_kernel)
    x = channels_last("separable_conv", inputs, data_format)
    x = depthwise_conv(x, depthwise_kernel, strides, padding, None, dilation_rate)
    return from_channels_last(conv(x, pointwise_kernel), data_format)


# Pooling to a given size ---------------------------------------------------------------------------------------------


@composite(example((1, 5, 7, 2), output_size=(2, 3)), example((1, 5, 2), output_size=2))
def adaptive_average_pool(inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None) -> Any:
    """Means of windows that are spread evenly, so many along each axis: (batch, *spatial, c) -> (batch, *output_size, c)."""
    (inputs,) = operands(inputs, floating=True)
    x = channels_last("adaptive_average_pool", inputs, data_format)
    for axis, windows in _bins(x, output_size):
        weights = np.zeros((len(windows), x.shape[axis]), dtype_of(x))
        for row, (a, b) in zip(weights, windows, strict=True):
            row[a:b] = 1 / (b - a)
        x = moveaxis(matmul(moveaxis(x, axis, -1), weights.T), -1, axis)
    return from_channels_last(x, data_format)


@composite(example((1, 5, 7, 2), output_size=(2, 3), distinct=True))
def adaptive_max_pool(inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None) -> Any:
    """The largest of windows that are spread evenly: (batch, *spatial, c) -> (batch, *output_size, c)."""
    (inputs,) = operands(inputs)
    x = channels_last("adaptive_max_pool", inputs, data_format)
    for axis, windows in _bins(x, output_size):
        x = stack([max(slice_axis(x, axis, a, b), axis) for a, b in windows], axis)
    return from_channels_last(x, data_format)


def _bins(x: Any, output_size: int | Sequence[int]) -> list[tuple[int, list[tuple[int, int]]]]:
    """For each spatial axis its windows, as (first, end)."""
    counts = per_axis(output_size, x.ndim - 2, "output_size")
    sizes = [number(n) for n in x.shape[1:-1]]
    return [
        (axis, [(i * n // count, -((i + 1) * n // -count)) for i in range(count)])
        for axis, (n, count) in enumerate(zip(sizes, counts, strict=True), start=1)
    ]
