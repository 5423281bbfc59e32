"""Layers that change the shape only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from layerkit import ops
from layerkit.fields import Check, Number, Shape
from layerkit.ir import product
from layerkit.layers.base import Layer
from layerkit.layers.common import DataFormat


class Flatten(Layer):
    """All axes but the batch become one: (batch, ...) -> (batch, n)."""

    data_format: DataFormat = None

    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs, (inputs.shape[0], product(inputs.shape[1:])))


class Reshape(Layer):
    """Another shape for each sample; one size may be -1: (batch, ...) -> (batch, *target_shape)."""

    target_shape: Annotated[Any, Shape(-1)]

    def call(self, inputs: Any) -> Any:
        if -1 not in self.target_shape:
            return ops.reshape(inputs, (inputs.shape[0], *self.target_shape))
        rest = product(n for n in self.target_shape if n != -1)
        found = product(inputs.shape[1:]) // rest
        return ops.reshape(inputs, (inputs.shape[0], *(found if n == -1 else n for n in self.target_shape)))


@dataclass(frozen=True)
class Widths(Check):
    """Zeros before and after each of the owner's ``rank`` spatial axes."""

    expected: str = "a whole number >= 0, one for each axis, or a pair for each axis"

    def __call__(self, value: Any, owner: Any) -> tuple[tuple[int, int], ...]:
        number = Number(int, 0)
        if isinstance(value, int):
            value = (value,) * owner.rank
        elif owner.rank == 1 and isinstance(value, Sequence) and len(value) == 2:
            value = (value,)
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != owner.rank:
            raise ValueError
        pairs = [(w, w) if isinstance(w, int) else tuple(w) for w in value]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError
        return tuple((number(a, owner), number(b, owner)) for a, b in pairs)


class _ZeroPadding(Layer):
    padding: Annotated[Any, Widths()] = 1
    data_format: DataFormat = None

    rank: ClassVar[int]

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)))


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps: (batch, time, channels) -> (batch, time + both, channels)."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: (batch, height, width, channels) -> (batch, height + both, width + both, channels)."""

    rank = 2
