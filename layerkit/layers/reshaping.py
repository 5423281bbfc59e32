"""Layers that move numbers, repeat them, cut them off or put zeros around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import Check, Number, PositiveInt, Shape
from layerkit.ir import product, show_shape
from layerkit.layers.base import Layer
from layerkit.layers.common import DataFormat, _Spatial
from layerkit.records import dataclass


class Identity(Layer):
    """What goes in comes out."""

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class Flatten(Layer):
    """All axes but the batch become one: (batch, ...) -> (batch, n); channels end up last if they came first."""

    data_format: DataFormat = None

    def call(self, inputs: Any) -> Any:
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.shape[0], product(inputs.shape[1:])))


class Reshape(Layer):
    """Another shape for each sample; one size may be -1: (batch, ...) -> (batch, *target_shape)."""

    target_shape: Annotated[Any, Shape(-1)]

    def check_together(self) -> None:
        if list(self.target_shape).count(-1) > 1:
            raise ArgumentError(
                "only one size can be found from the others.", layer="Reshape", expected="-1 once, or not at all",
                got=show_shape(self.target_shape),
            )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        self._check_sizes(inputs.shape[1:])
        if -1 not in self.target_shape:
            return ops.reshape(inputs, (inputs.shape[0], *self.target_shape))
        rest = product(n for n in self.target_shape if n != -1)
        found = product(inputs.shape[1:]) // rest
        return ops.reshape(inputs, (inputs.shape[0], *(found if n == -1 else n for n in self.target_shape)))

    def _check_sizes(self, sizes: Any) -> None:
        """Of a sample alone: with the batch, whose size may be unknown, other numbers could be made to fit."""
        if not all(isinstance(n, int) for n in sizes):
            return
        count, rest = math.prod(sizes), math.prod(n for n in self.target_shape if n != -1)
        if count != rest if -1 not in self.target_shape else rest == 0 or count % rest:
            wanted = f"{count} elements" if -1 not in self.target_shape else f"a divisor of {count}"
            raise ShapeError(
                f"'target_shape' of Reshape does not fit a sample of {count} elements.", expected=wanted,
                got=f"{show_shape(self.target_shape)}: {rest}",
                fix=None if -1 in self.target_shape else "one size may be -1: it is found from the others",
            )  # fmt: skip


class Permute(Layer):
    """The axes of each sample in another order; ``dims`` counts them from 1.

    Example:
        >>> import numpy as np
        >>> Permute((2, 1))(np.ones((5, 3, 4))).shape
        (5, 4, 3)
    """

    dims: Annotated[Any, Shape(1)]

    def call(self, inputs: Any) -> Any:
        if sorted(self.dims) != list(range(1, inputs.ndim)):
            raise ArgumentError(
                "'dims' has to name each axis of a sample once.",
                expected=f"the numbers {show_shape(range(1, inputs.ndim))} in some order", got=show_shape(self.dims),
            )  # fmt: skip
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Each sample ``n`` times, as a series: (batch, features) -> (batch, n, features)."""

    n: PositiveInt

    def call(self, inputs: Any) -> Any:
        if inputs.ndim != 2:
            raise ShapeError(
                "only vectors are repeated.", expected="(batch, features)", got=show_shape(inputs.shape),
                fix="add a Flatten layer before it",
            )  # fmt: skip
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (inputs.shape[0], self.n, inputs.shape[1]))


# Around the edges ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Widths(Check):
    """How much before and after each of the owner's ``rank`` spatial axes."""

    expected: str = "a whole number >= 0, one for each axis, or a pair for each axis"

    def __call__(self, value: Any, owner: Any) -> tuple[tuple[int, int], ...]:
        number = Number(int, 0)
        if isinstance(value, int):
            value = (value,) * owner.rank
        elif owner.rank == 1 and isinstance(value, Sequence) and not isinstance(next(iter(value), None), Sequence):
            value = (value,)
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != owner.rank:
            raise ValueError
        pairs = [(w, w) if isinstance(w, int) else tuple(w) for w in value]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError
        return tuple((number(a, owner), number(b, owner)) for a, b in pairs)


class _ZeroPadding(_Spatial):
    padding: Annotated[Any, Widths()] = 1
    data_format: DataFormat = None

    def over(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)))


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps: (batch, time, channels) -> (batch, time + both, channels)."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: (batch, height, width, channels) -> (batch, height + both, width + both, channels)."""

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes: each spatial axis of (batch, depth, height, width, channels) grows by both widths."""

    rank = 3


class _Cropping(_Spatial):
    cropping: Annotated[Any, Widths()] = 1

    def over(self, inputs: Any) -> Any:
        for axis, (before, after) in enumerate(self.cropping, start=1):
            size = inputs.shape[axis]
            if isinstance(size, int) and before + after >= size:
                raise ShapeError(
                    "nothing is left of an axis.", expected=f"more than {before + after} along axis {axis}",
                    got=show_shape(inputs.shape), fix="crop less",
                )  # fmt: skip
            inputs = inputs[(slice(None),) * axis + (slice(before, size - after),)]
        return inputs


class Cropping1D(_Cropping):
    """Steps cut off before and after: (batch, time, channels) -> (batch, time - both, channels)."""

    rank = 1


class Cropping2D(_Cropping):
    """Edges cut off images: (batch, height, width, channels) -> (batch, height - both, width - both, channels)."""

    cropping: Annotated[Any, Widths()] = 0
    data_format: DataFormat = None

    rank = 2


class Cropping3D(_Cropping):
    """Edges cut off volumes: each spatial axis of (batch, depth, height, width, channels) loses both widths."""

    cropping: Annotated[Any, Widths()] = 1
    data_format: DataFormat = None

    rank = 3
