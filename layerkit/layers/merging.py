"""Layers that make one tensor of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import product, show_shape, unify
from layerkit.layers.base import Layer
from layerkit.ops.core import axis_of
from layerkit.trace import get_mask


class _Merge(Layer):
    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, list | tuple) or len(inputs) < 1:
            raise ArgumentError(
                "a merging layer takes a list of tensors.", expected="a list", got=str(inputs), fix="pass [a, b]"
            )
        return self.merge(list(inputs))

    def merge(self, inputs: list[Any]) -> Any:
        """One tensor from several."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        masks = _masks_of(inputs, previous_mask)
        return None if any(m is None for m in masks) else reduce(ops.logical_or, masks)


def _masks_of(inputs: Any, masks: Any) -> list[Any]:
    """A mask, or None, for each of the inputs."""
    if not isinstance(inputs, list | tuple) or not isinstance(masks, list | tuple | None):
        raise ArgumentError("a merging layer takes a list of tensors, and a list of masks.", expected="[a, b]",
                            got=type(masks if isinstance(inputs, list | tuple) else inputs).__name__)  # fmt: skip
    if masks is not None and len(masks) != len(inputs):
        raise ArgumentError("there is another number of masks.", expected=str(len(inputs)), got=str(len(masks)))
    return [None if m is None else ops.cast(m, "bool") for m in masks or [None] * len(inputs)]


class _Elementwise(_Merge):
    """Tensors of one shape; axes of size 1 are repeated, and where axes are missing they are put after the batch."""

    def merge(self, inputs: list[Any]) -> Any:
        most = max(x.ndim for x in inputs)
        inputs = [ops.expand_dims(x, tuple(range(1, 1 + most - x.ndim))) if x.ndim < most else x for x in inputs]
        first = inputs[0]
        for x in inputs[1:]:
            if not all(1 in (a, b) or unify(a, b) is not None for a, b in zip(x.shape, first.shape, strict=True)):
                raise ShapeError(
                    f"'{type(self).__name__}' needs tensors of one shape.",
                    expected=show_shape(first.shape),
                    got=show_shape(x.shape),
                    fix="use Concatenate, or bring them to one shape with a Dense or Conv2D layer of equal size",
                )
        return self.combine(inputs)

    def combine(self, inputs: list[Any]) -> Any:
        """One tensor from several of as many axes."""
        raise NotImplementedError


class Add(_Elementwise):
    """Sum of tensors of one shape."""

    def combine(self, inputs: list[Any]) -> Any:
        return reduce(ops.add, inputs)


class Subtract(_Elementwise):
    """First tensor less the second."""

    def combine(self, inputs: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ArgumentError("'Subtract' takes two tensors.", expected="2", got=str(len(inputs)))
        return inputs[0] - inputs[1]


class _Selecting(_Elementwise):
    """What a mask leaves out of one tensor does not count; where nothing counts at all it is 0."""

    neutral: ClassVar[float]

    def merge(self, inputs: list[Any]) -> Any:
        masks = [get_mask(x) for x in inputs]
        counts = [None if m is None else _like(m, x) for m, x in zip(masks, inputs, strict=True)]
        kept = [x if c is None else ops.where(c, x, self.neutral) for c, x in zip(counts, inputs, strict=True)]
        merged = super().merge(kept)
        return merged if any(c is None for c in counts) else ops.where(reduce(ops.logical_or, counts), merged, 0.0)


def _like(mask: Any, x: Any) -> Any:
    """``mask`` with axes of size 1 behind, as many axes as ``x`` has."""
    return ops.expand_dims(mask, tuple(range(mask.ndim, x.ndim))) if mask.ndim < x.ndim else mask


class Multiply(_Selecting):
    """Product, element by element, of tensors of one shape."""

    neutral = 1.0

    def combine(self, inputs: list[Any]) -> Any:
        return reduce(ops.multiply, inputs)


class Average(_Elementwise):
    """Mean of tensors of one shape."""

    def combine(self, inputs: list[Any]) -> Any:
        return reduce(ops.add, inputs) / len(inputs)


class Maximum(_Selecting):
    """Largest, element by element, of tensors of one shape."""

    neutral = -math.inf

    def combine(self, inputs: list[Any]) -> Any:
        return reduce(ops.maximum, inputs)


class Minimum(_Selecting):
    """Least, element by element, of tensors of one shape."""

    neutral = math.inf

    def combine(self, inputs: list[Any]) -> Any:
        return reduce(ops.minimum, inputs)


class Dot(_Merge):
    """For each sample the sum of products over one axis of each of two tensors; the other axes follow one another.

    Args:
        axes: the axis to sum over, or a pair: one for each tensor. The batch is axis 0.
        normalize: whether both are brought to length 1 along their axes before; the sums are then cosines.

    Example:
        >>> import numpy as np
        >>> Dot((1, 2))([np.ones((5, 3, 4)), np.ones((5, 2, 3))]).shape
        (5, 4, 2)
    """

    axes: Any
    normalize: bool = False

    def merge(self, inputs: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ArgumentError("'Dot' takes two tensors.", expected="2", got=str(len(inputs)))
        axes = (self.axes,) * 2 if isinstance(self.axes, int) else tuple(self.axes)
        a, b = (axis_of(i, x.ndim, "Dot") for i, x in zip(axes, inputs, strict=True))
        x, y = inputs
        if 0 in (a, b) or unify(x.shape[a], y.shape[b]) is None:
            raise ShapeError(
                "'Dot' needs an axis of equal size in each tensor, which is not the batch.",
                expected=f"axis {b} of size {x.shape[a]}", got=f"{show_shape(x.shape)} and {show_shape(y.shape)}",
            )  # fmt: skip
        if self.normalize:
            x, y = (_unit(v, i) for v, i in ((x, a), (y, b)))
        left, right = ops.moveaxis(x, a, -1), ops.moveaxis(y, b, 1)
        rows, columns = left.shape[1:-1], right.shape[2:]
        product_ = ops.matmul(
            ops.reshape(left, (left.shape[0], product(rows), left.shape[-1])),
            ops.reshape(right, (*right.shape[:2], product(columns))),
        )
        return ops.reshape(product_, (left.shape[0], *((*rows, *columns) or (1,))))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None


def _unit(x: Any, axis: int) -> Any:
    """``x`` with vectors of length 1 along ``axis``; vectors of length 0 stay."""
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, 1e-12))


class Concatenate(_Merge):
    """Tensors one after the other along ``axis``; the other axes agree."""

    axis: int = -1

    def merge(self, inputs: list[Any]) -> Any:
        return ops.concatenate(inputs, self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        masks = _masks_of(inputs, previous_mask)
        if all(m is None for m in masks):
            return None
        full = []
        for x, m in zip(inputs, masks, strict=True):
            mask = ops.ones_like(x, "bool") if m is None else _like(m, x)
            full.append(ops.broadcast_to(mask, x.shape))
        return ops.any(ops.concatenate(full, self.axis), axis=-1)


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Add()(inputs)``."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Subtract()(inputs)``."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Multiply()(inputs)``."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Average()(inputs)``."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Maximum()(inputs)``."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Minimum()(inputs)``."""
    return Minimum(**kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: Any = -1, **kwargs: Any) -> Any:
    """``Dot(axes)(inputs)``."""
    return Dot(axes=axes, **kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """``Concatenate(axis)(inputs)``."""
    return Concatenate(axis=axis, **kwargs)(inputs)
