"""Convolution over one or more spatial axes, channels last, with stride, dilation, groups and padding.

The convolution y[n, o, f] = sum over u, c of x[n, o*stride + u*dilation - before, c] * kernel[u, c, f] is linear in ``x``
and in ``kernel``; its two gradients are linear in the same way, so each of the three ops has the other two as its
gradients, and gradients of gradients come for free. Source: Dumoulin and Visin 2016, arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from math import prod
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError, DTypeError, ShapeError
from layerkit.ir import Array, BadCase, Case, Op, Shape, Size, TensorType, Value, product, show_shape, unify
from layerkit.ops.core import Tensor, apply, operands, type_of
from layerkit.ops.shape import channels_last, from_channels_last
from layerkit.ops.windows import (
    Padding,
    check_images,
    crop,
    out_sizes,
    pad_spatial,
    pad_widths,
    padding_of,
    taps,
    windows,
)
from layerkit.records import dataclass


@dataclass(frozen=True)
class _Convolution(Op):
    """What the three ops share."""

    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int

    def _same_fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(_Convolution)}

    def _widths(self, sizes: Sequence[int], window: Sequence[int]) -> tuple[tuple[int, int], ...]:
        return pad_widths(sizes, window, self.strides, self.dilation, self.padding)

    def _columns(self, x: Array, window: Sequence[int]) -> Array:
        """All windows as rows of a matrix for each group: (groups, batch * prod(out), prod(window) * channels)."""
        view = windows(pad_spatial(x, self._widths(x.shape[1:-1], window)), window, self.strides, self.dilation)
        rows, taps_ = prod(view.shape[: x.ndim - 1]), prod(window)
        grouped = view.reshape(rows, taps_, self.groups, x.shape[-1] // self.groups)
        return grouped.transpose(2, 0, 1, 3).reshape(self.groups, rows, -1)

    def _by_group(self, kernel: Array) -> Array:
        """(*window, channels, filters) -> (groups, prod(window) * channels, filters / groups)."""
        return kernel.reshape(-1, self.groups, kernel.shape[-1] // self.groups).transpose(1, 0, 2)

    def _rows(self, g: Array) -> Array:
        """(batch, *out, filters) -> (groups, batch * prod(out), filters / groups)."""
        return g.reshape(-1, self.groups, g.shape[-1] // self.groups).transpose(1, 0, 2)


@dataclass(frozen=True)
class Conv(_Convolution):
    """Cross-correlation: (batch, *spatial, c), (*window, c / groups, f) -> (batch, *out, f)."""

    name = "conv"

    def infer(self, x: TensorType, kernel: TensorType) -> TensorType:
        rank = len(self.strides)
        check_images("conv", rank, x)
        if kernel.rank != rank + 2:
            raise ShapeError(
                "'conv' needs a kernel (*window, channels, filters).", expected=f"{rank + 2} axes", got=str(kernel)
            )
        if x.dtype != kernel.dtype:
            raise DTypeError("'conv' needs one dtype.", expected=x.dtype, got=kernel.dtype, fix="ops.cast one of them")
        channels, filters = kernel.shape[-2:]
        if unify(x.shape[-1], channels * self.groups) is None:
            raise ShapeError(
                "'conv' has a kernel for another number of channels.",
                expected=show_shape((*x.shape[:-1], channels * self.groups)),
                got=show_shape(x.shape),
            )
        if isinstance(filters, int) and filters % self.groups:
            raise ShapeError(
                "'conv' needs filters for each group.", expected=f"a multiple of {self.groups}", got=str(filters)
            )
        window: Sequence[Any] = kernel.shape[:-2]
        out = out_sizes("conv", x.shape[1:-1], window, self.strides, self.dilation, self.padding)
        return x.with_shape((x.shape[0], *out, filters))

    def reference(self, x: Array, kernel: Array) -> Array:
        window = kernel.shape[:-2]
        y = np.matmul(self._columns(x, window), self._by_group(kernel))
        out: Any = out_sizes("conv", x.shape[1:-1], window, self.strides, self.dilation, self.padding)
        return y.transpose(1, 0, 2).reshape(x.shape[0], *out, kernel.shape[-1])

    def vjp(self, g: Value, out: Value, x: Value, kernel: Value) -> tuple[Value | None, ...]:
        same = self._same_fields()
        window: Any = kernel.shape[:-2]
        return apply(ConvInputGrad(**same, sizes=x.shape[1:-1]), g, kernel), apply(
            ConvKernelGrad(**same, window=window), x, g
        )

    def multiply_adds(self, x: TensorType, kernel: TensorType) -> Size:  # type: ignore[override]
        return product((*self.infer(x, kernel).shape, *kernel.shape[:-1]))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x, kernel in _settings():
            yield Case(cls(*op), (x, kernel))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        shapes = ((1, 4, 4, 3), (3, 3, 2, 8)), ((1, 2, 4, 3), (3, 3, 3, 8)), ((1, 4, 3), (3, 3, 3, 8))
        channels, small, flat = (tuple(TensorType("float32", s) for s in pair) for pair in shapes)
        plain = cls((1, 1), "valid", (1, 1), 1)
        yield BadCase(plain, channels, ShapeError, "(1, 4, 4, 2)")
        yield BadCase(plain, small, ShapeError, "at least 3 along the axis")
        yield BadCase(plain, flat, ShapeError, "(batch, height, width, channels)")


@dataclass(frozen=True)
class ConvInputGrad(_Convolution):
    """Gradient of ``Conv`` by its input: (batch, *out, f), (*window, c / groups, f) -> (batch, *sizes, c)."""

    name = "conv_input_grad"
    sizes: Shape

    def infer(self, g: TensorType, kernel: TensorType) -> TensorType:
        return g.with_shape((g.shape[0], *self.sizes, kernel.shape[-2] * self.groups))

    def reference(self, g: Array, kernel: Array) -> Array:
        window, out = kernel.shape[:-2], g.shape[1:-1]
        channels = kernel.shape[-2] * self.groups
        columns = np.matmul(self._rows(g), self._by_group(kernel).swapaxes(1, 2))  # (groups, rows, taps * c / groups)
        columns = columns.reshape(self.groups, -1, prod(window), kernel.shape[-2]).transpose(1, 2, 0, 3)
        columns = columns.reshape(g.shape[0], *out, *window, channels)
        widths = self._widths(self.sizes, window)  # type: ignore[arg-type]
        padded = np.zeros(
            (g.shape[0], *(n + a + b for n, (a, b) in zip(self.sizes, widths, strict=True)), channels), g.dtype
        )
        skip = (slice(None),) * (1 + len(out))
        for place, met in taps(window, out, self.strides, self.dilation):
            padded[met] += columns[(*skip, *place)]
        return crop(padded, widths)

    def vjp(self, g: Value, out: Value, x: Value, kernel: Value) -> tuple[Value | None, ...]:
        same = self._same_fields()
        window: Any = kernel.shape[:-2]
        return apply(Conv(**same), g, kernel), apply(ConvKernelGrad(**same, window=window), g, x)

    def multiply_adds(self, g: TensorType, kernel: TensorType) -> Size:  # type: ignore[override]
        return product((*g.shape, *kernel.shape[:-1]))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x, kernel in _settings():
            y = Conv(*op).infer(TensorType("float32", x), TensorType("float32", kernel)).shape
            yield Case(cls(*op, sizes=x[1:-1]), (y, kernel))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ConvKernelGrad(_Convolution):
    """Gradient of ``Conv`` by its kernel: (batch, *spatial, c), (batch, *out, f) -> (*window, c / groups, f)."""

    name = "conv_kernel_grad"
    window: tuple[int, ...]

    def infer(self, x: TensorType, g: TensorType) -> TensorType:
        return x.with_shape((*self.window, x.shape[-1] // self.groups, g.shape[-1]))

    def reference(self, x: Array, g: Array) -> Array:
        columns = self._columns(x, self.window)
        kernel = np.matmul(columns.swapaxes(1, 2), self._rows(g))  # (groups, taps * c / groups, f / groups)
        return kernel.transpose(1, 0, 2).reshape(*self.window, x.shape[-1] // self.groups, g.shape[-1])

    def vjp(self, g: Value, out: Value, x: Value, y: Value) -> tuple[Value | None, ...]:
        same = self._same_fields()
        return apply(ConvInputGrad(**same, sizes=x.shape[1:-1]), y, g), apply(Conv(**same), x, g)

    def multiply_adds(self, x: TensorType, g: TensorType) -> Size:  # type: ignore[override]
        return product((*g.shape, *self.window, x.shape[-1] // self.groups))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x, kernel in _settings():
            y = Conv(*op).infer(TensorType("float32", x), TensorType("float32", kernel)).shape
            yield Case(cls(*op, window=kernel[:-2]), (x, y))  # type: ignore[arg-type]


def _settings() -> Iterator[tuple[tuple[Any, Any, Any, Any], tuple[int, ...], tuple[int, ...]]]:
    """(fields, shape of x, shape of kernel) for the cases of all three ops."""
    yield ((1, 1), "valid", (1, 1), 1), (2, 4, 5, 3), (3, 2, 3, 4)
    yield ((2, 2), "same", (1, 1), 1), (1, 5, 4, 2), (3, 3, 2, 3)
    yield ((1, 1), "same", (2, 1), 2), (1, 5, 4, 4), (3, 2, 2, 6)
    yield ((2, 1), ((1, 0), (2, 1)), (1, 2), 1), (2, 4, 4, 1), (2, 2, 1, 2)
    yield ((1, 1), "same", (1, 1), 3), (1, 3, 3, 3), (3, 3, 1, 6)
    yield ((3,), "valid", (1,), 1), (2, 8, 2), (2, 2, 3)
    yield ((1,), "same", (3,), 1), (2, 6, 2), (3, 2, 2)
    yield ((2,), "same", (1,), 1), (1, 4, 1), (1, 1, 2)
    yield ((1, 2, 1), "same", (1, 1, 1), 1), (1, 3, 4, 2, 2), (2, 3, 1, 2, 3)
    yield ((1, 1, 1), "valid", (1, 2, 1), 2), (2, 2, 4, 3, 2), (2, 2, 2, 1, 2)


def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Any:
    """Slide ``kernel`` over the spatial axes of ``inputs``.

    Shapes:
        inputs: (batch, *spatial, channels)    kernel: (*window, channels / groups, filters)
        returns: (batch, *out, filters), with out = ceil(spatial / strides) when padding is "same"
    Args:
        inputs: the images or series.
        kernel: the weights; fewer channels than ``inputs`` has make groups.
        strides: step of the window, one number or one for each axis.
        padding: "valid", "same", or (before, after) for each axis.
        data_format: "channels_last", "channels_first" (of ``inputs`` and the result), or None for the former.
        dilation_rate: distance of neighbours in the window.

    Raises:
        ShapeError: the channels do not fit, or the window is larger than its input.

    Example:
        >>> conv(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 8)), padding="same").shape
        (1, 4, 4, 8)
    """
    inputs, kernel = operands(inputs, kernel)
    inputs = channels_last("conv", inputs, data_format)
    rank = kernel.ndim - 2
    if isinstance(padding, str):
        padding = padding_of("conv", padding)
    channels, per_group = inputs.shape[-1], kernel.shape[-2]
    if isinstance(channels, int) and isinstance(per_group, int) and per_group and channels % per_group:
        raise ShapeError(
            "'conv' has a kernel for another number of channels.",
            expected=show_shape((*inputs.shape[:-1], per_group)),
            got=show_shape(inputs.shape),
        )
    op = Conv(
        per_axis(strides, rank, "strides"),
        padding,
        per_axis(dilation_rate, rank, "dilation_rate"),
        channels // per_group if isinstance(channels, int) else 1,
    )
    return from_channels_last(apply(op, inputs, kernel), data_format)


def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Any:
    """``conv`` the other way round: each element of ``inputs`` is spread over a window of a larger result.

    It is the gradient of a convolution by its input. With e = (window - 1) * dilation_rate + 1, the length of an axis is
    (n - 1) * strides + e + output_padding for "valid", and (n - 1) * strides + e % 2 + output_padding for "same", where
    output_padding, if not given, makes them (n - 1) * strides + max(e, strides) and n * strides.

    Shapes:
        inputs: (batch, *spatial, channels)    kernel: (*window, filters, channels)    returns: (batch, *out, filters)
    Args:
        inputs: the images or series.
        kernel: the weights.
        strides: how far apart neighbours of ``inputs`` are spread.
        padding: "valid" keeps all of the result, "same" cuts it at both ends.
        output_padding: elements more at the end, fewer than ``strides``.
        data_format: "channels_last", "channels_first" (of ``inputs`` and the result), or None for the former.
        dilation_rate: distance of neighbours in the window.

    Raises:
        ShapeError: the channels do not fit.
    Source: Dumoulin and Visin 2016, section 4, arXiv:1603.07285.

    Example:
        >>> conv_transpose(np.ones((1, 2, 1)), np.ones((3, 1, 1)), strides=2).ravel()
        array([1., 1., 2., 1., 1.])
    """
    padding = padding_of("conv_transpose", padding)
    inputs, kernel = operands(inputs, kernel)
    inputs = channels_last("conv_transpose", inputs, data_format)
    rank = kernel.ndim - 2
    check_images("conv_transpose", rank, type_of(inputs))
    if unify(inputs.shape[-1], kernel.shape[-1]) is None:
        raise ShapeError(
            "'conv_transpose' has a kernel for another number of channels.",
            expected=show_shape((*inputs.shape[:-1], kernel.shape[-1])),
            got=show_shape(inputs.shape),
        )
    steps, dilation = per_axis(strides, rank, "strides"), per_axis(dilation_rate, rank, "dilation_rate")
    more = (None,) * rank if output_padding is None else per_axis(output_padding, rank, "output_padding", 0)
    sizes, widths = [], []
    for n, k, s, d, extra in zip(inputs.shape[1:-1], kernel.shape[:-2], steps, dilation, more, strict=True):
        if extra is not None and extra >= s:
            raise ArgumentError(
                "'output_padding' reaches the next element.", expected=f"less than the strides, {s}", got=str(extra)
            )
        reach = (k - 1) * d + 1
        if padding == "valid":
            length = max(reach, s) if extra is None else reach + extra
        else:
            length = s if extra is None else reach % 2 + extra
        cut = max(0, reach - length)
        sizes.append((n - 1) * s + length)
        widths.append((cut // 2, cut - cut // 2))
    op = ConvInputGrad(steps, tuple(widths), dilation, 1, tuple(sizes))
    return from_channels_last(apply(op, inputs, kernel), data_format)


def per_axis(value: int | Sequence[int], rank: int, name: str, low: int = 1) -> tuple[int, ...]:
    """One number for each spatial axis."""
    numbers: tuple[Any, ...] = tuple(value) if isinstance(value, list | tuple) else (value,) * rank
    if len(numbers) != rank or not all(isinstance(n, int | np.integer) and n >= low for n in numbers):
        raise ArgumentError(
            f"'{name}' needs a number for each axis.", expected=f"{rank} numbers >= {low}", got=repr(value)
        )
    return tuple(int(n) for n in numbers)
