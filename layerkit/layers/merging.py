"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import show_shape, unify
from layerkit.layers.base import Layer


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
        masks = [m for m in previous_mask or [] if m is not None]
        return reduce(ops.logical_or, masks) if len(masks) == len(inputs) and masks else None


def _check_broadcast(name: str, inputs: Sequence[Any]) -> None:
    first = inputs[0]
    for x in inputs[1:]:
        fits = x.ndim == first.ndim and all(
            1 in (a, b) or unify(a, b) is not None for a, b in zip(x.shape, first.shape, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"'{name}' needs tensors of one shape.",
                expected=show_shape(first.shape),
                got=show_shape(x.shape),
                fix="use Concatenate, or bring them to one shape with a Dense or Conv2D layer of equal size",
            )


class Add(_Merge):
    """Sum of tensors of one shape."""

    def merge(self, inputs: list[Any]) -> Any:
        _check_broadcast("Add", inputs)
        return reduce(ops.add, inputs)


class Subtract(_Merge):
    """First tensor less the second."""

    def merge(self, inputs: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ArgumentError("'Subtract' takes two tensors.", expected="2", got=str(len(inputs)))
        _check_broadcast("Subtract", inputs)
        return inputs[0] - inputs[1]


class Multiply(_Merge):
    """Product, element by element, of tensors of one shape."""

    def merge(self, inputs: list[Any]) -> Any:
        _check_broadcast("Multiply", inputs)
        return reduce(ops.multiply, inputs)


class Average(_Merge):
    """Mean of tensors of one shape."""

    def merge(self, inputs: list[Any]) -> Any:
        _check_broadcast("Average", inputs)
        return reduce(ops.add, inputs) / len(inputs)


class Maximum(_Merge):
    """Largest, element by element, of tensors of one shape."""

    def merge(self, inputs: list[Any]) -> Any:
        _check_broadcast("Maximum", inputs)
        return reduce(ops.maximum, inputs)


class Concatenate(_Merge):
    """Tensors one after the other along ``axis``; the other axes agree."""

    axis: int = -1

    def merge(self, inputs: list[Any]) -> Any:
        return ops.concatenate(inputs, self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        masks = previous_mask or []
        if not any(m is not None for m in masks):
            return None
        full = []
        for x, m in zip(inputs, masks, strict=True):
            mask = ops.ones_like(x, "bool") if m is None else ops.expand_dims(m, -1) if m.ndim < x.ndim else m
            full.append(ops.broadcast_to(mask, x.shape))
        return ops.all(ops.concatenate(full, self.axis), axis=-1)


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Add()(inputs)``."""
    return Add(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """``Concatenate(axis)(inputs)``."""
    return Concatenate(axis=axis, **kwargs)(inputs)
