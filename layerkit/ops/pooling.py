"""Pooling: the largest, or the sum, of each window.

Max pooling chooses one element of each window, the first of the largest; padding is never chosen. Its gradient sends the
cotangent to the chosen element (``MaxPoolGrad``), whose own gradient reads the chosen elements of another tensor
(``MaxPoolGather``): the two are each other's mirror image, as ``SumPool`` and ``SumPoolGrad`` are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from math import prod
from typing import Any

import numpy as np

from layerkit.errors import ShapeError
from layerkit.ir import Array, BadCase, Case, Op, Shape, TensorType, Value
from layerkit.ops.conv import per_axis
from layerkit.ops.core import Tensor, apply, operand, type_of
from layerkit.ops.reduction import broadcast_to
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
class _Pool(Op):
    """What the pooling ops share."""

    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def _same_fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(_Pool)}

    def _dilation(self) -> tuple[int, ...]:
        return (1,) * len(self.window)

    def _infer(self, x: TensorType) -> TensorType:
        check_images(self.name, len(self.window), x)
        out = out_sizes(self.name, x.shape[1:-1], self.window, self.strides, self._dilation(), self.padding)
        return x.with_shape((x.shape[0], *out, x.shape[-1]))

    def _widths(self, sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
        return pad_widths(sizes, self.window, self.strides, self._dilation(), self.padding)

    def _windows(self, x: Array, value: Any) -> Array:
        """(batch, *out, prod(window), channels), the padding filled with ``value``."""
        padded = pad_spatial(x, self._widths(x.shape[1:-1]), value)
        view = windows(padded, self.window, self.strides, self._dilation())
        return view.reshape(*view.shape[: x.ndim - 1], prod(self.window), x.shape[-1])

    def _chosen(self, x: Array) -> Array:
        """The place in its window of each chosen element: (batch, *out, channels)."""
        return self._windows(x, _lowest(x.dtype)).argmax(axis=-2)

    def _spread(self, sizes: Sequence[int], g: Array, chosen: Array | None) -> Array:
        """Each cotangent added to the elements of its window, or to the chosen one only."""
        widths = self._widths(sizes)
        padded = np.zeros(
            (g.shape[0], *(n + a + b for n, (a, b) in zip(sizes, widths, strict=True)), g.shape[-1]), g.dtype
        )
        for i, (_, met) in enumerate(taps(self.window, g.shape[1:-1], self.strides, self._dilation())):
            padded[met] += g if chosen is None else np.where(chosen == i, g, 0)
        return crop(padded, widths)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest of each window: (batch, *spatial, c) -> (batch, *out, c)."""

    name = "max_pool"

    def infer(self, x: TensorType) -> TensorType:
        return self._infer(x)

    def reference(self, x: Array) -> Array:
        return self._windows(x, _lowest(x.dtype)).max(axis=-2)

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (apply(MaxPoolGrad(**self._same_fields()), x, g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x in _settings():
            yield Case(cls(*op), (x,), distinct=True)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        small = TensorType("float32", (1, 2, 2, 3))
        yield BadCase(cls((3, 3), (1, 1), "valid"), (small,), ShapeError, "at least 3 along the axis")
        yield BadCase(cls((3,), (1,), "valid"), (small,), ShapeError, "(batch, time, channels)")


@dataclass(frozen=True)
class MaxPoolGrad(_Pool):
    """Cotangents sent to the chosen elements of ``x``: (batch, *spatial, c), (batch, *out, c) -> (batch, *spatial, c)."""

    name = "max_pool_grad"

    def infer(self, x: TensorType, g: TensorType) -> TensorType:
        return x

    def reference(self, x: Array, g: Array) -> Array:
        return self._spread(x.shape[1:-1], g, self._chosen(x))

    def vjp(self, g: Value, out: Value, x: Value, y: Value) -> tuple[Value | None, ...]:
        return None, apply(MaxPoolGather(**self._same_fields()), x, g)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x in _settings():
            yield Case(cls(*op), (x, _pooled(op, x)), distinct=True)


@dataclass(frozen=True)
class MaxPoolGather(_Pool):
    """Elements of ``values`` where those of ``x`` are chosen: twice (batch, *spatial, c) -> (batch, *out, c)."""

    name = "max_pool_gather"

    def infer(self, x: TensorType, values: TensorType) -> TensorType:
        return self._infer(x)

    def reference(self, x: Array, values: Array) -> Array:
        return np.take_along_axis(self._windows(values, 0), self._chosen(x)[..., None, :], axis=-2).squeeze(-2)

    def vjp(self, g: Value, out: Value, x: Value, values: Value) -> tuple[Value | None, ...]:
        return None, apply(MaxPoolGrad(**self._same_fields()), x, g)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x in _settings():
            yield Case(cls(*op), (x, x), distinct=True)


@dataclass(frozen=True)
class SumPool(_Pool):
    """The sum of each window, padding being 0: (batch, *spatial, c) -> (batch, *out, c)."""

    name = "sum_pool"

    def infer(self, x: TensorType) -> TensorType:
        return self._infer(x)

    def reference(self, x: Array) -> Array:
        return self._windows(x, 0).sum(axis=-2, dtype=x.dtype)

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (apply(SumPoolGrad(**self._same_fields(), sizes=x.shape[1:-1]), g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x in _settings():
            yield Case(cls(*op), (x,))


@dataclass(frozen=True)
class SumPoolGrad(_Pool):
    """Each cotangent added to all elements of its window: (batch, *out, c) -> (batch, *sizes, c)."""

    name = "sum_pool_grad"
    sizes: Shape

    def infer(self, g: TensorType) -> TensorType:
        return g.with_shape((g.shape[0], *self.sizes, g.shape[-1]))

    def reference(self, g: Array) -> Array:
        return self._spread(self.sizes, g, None)  # type: ignore[arg-type]

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (apply(SumPool(**self._same_fields()), g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for op, x in _settings():
            yield Case(cls(*op, sizes=x[1:-1]), (_pooled(op, x),))


def _settings() -> Iterator[tuple[tuple[Any, Any, Any], tuple[int, ...]]]:
    yield ((2, 2), (2, 2), "valid"), (2, 5, 4, 3)
    yield ((3, 2), (1, 2), "same"), (1, 4, 5, 2)
    yield ((3,), (2,), "same"), (2, 6, 2)
    yield ((2,), (1,), "valid"), (1, 4, 1)
    yield ((2, 1, 2), (1, 1, 2), "same"), (1, 2, 2, 3, 2)


def _pooled(op: tuple[Any, ...], x: tuple[int, ...]) -> Any:
    return MaxPool(*op).infer(TensorType("float32", x)).shape


def _arguments(op: str, x: Any, pool_size: Any, strides: Any, padding: str) -> tuple[Any, ...]:
    window = per_axis(pool_size, x.ndim - 2, "pool_size")
    strides = per_axis(pool_size if strides is None else strides, x.ndim - 2, "strides")
    return window, strides, padding_of(op, padding)


def max_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Largest element of each window; ``strides`` is ``pool_size`` unless given.

    Example:
        >>> max_pool(np.arange(4.0).reshape(1, 4, 1), 2).reshape(-1)
        array([1., 3.])
    """
    x = channels_last("max_pool", operand(inputs), data_format)
    return from_channels_last(apply(MaxPool(*_arguments("max_pool", x, pool_size, strides, padding)), x), data_format)


def average_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Mean of the elements of each window that are not padding; ``strides`` is ``pool_size`` unless given.

    Example:
        >>> average_pool(np.arange(3.0).reshape(1, 3, 1), 2, padding="same").reshape(-1)
        array([0.5, 2. ])
    """
    x = channels_last("average_pool", operand(inputs), data_format)
    op = SumPool(*_arguments("average_pool", x, pool_size, strides, padding))
    if op.padding == "valid":
        return from_channels_last(apply(op, x) / prod(op.window), data_format)
    ones = broadcast_to(operand(1.0, type_of(x).dtype), (1, *x.shape[1:-1], 1))
    return from_channels_last(apply(op, x) / apply(op, ones), data_format)
