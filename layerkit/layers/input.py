"""``Input``: where data enters a functional model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from layerkit.dtypes import STRING, canonical
from layerkit.errors import ArgumentError
from layerkit.ir import BATCH, Size, Value, axis, placeholder
from layerkit.layers.base import Layer

_UNKNOWN = itertools.count()


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> Value:
    """A symbolic tensor that stands for a batch of data.

    Args:
        shape: sizes of one sample, without the batch; None where they vary.
        batch_size: a fixed batch; by default any.
        dtype: float32 unless given; "string" for texts, which a layer such as ``TextVectorization`` has to read.
        sparse: not available.
        ragged: not available.
        batch_shape: ``shape`` with the batch in front.
        name: the key under which ``fit`` finds its data in a dict.
        tensor: not available.
        optional: not available.

    Example:
        >>> Input((28, 28, 1)).shape
        (b, 28, 28, 1)
    """
    for argument, value in (("sparse", sparse), ("ragged", ragged), ("tensor", tensor), ("optional", optional)):
        if value:
            raise ArgumentError(
                f"'{argument}' of Input is not available.", expected="none", got=repr(value), fix="leave it out"
            )
    if batch_shape is not None:
        batch_size, *rest = batch_shape
        shape = tuple(rest)
    if shape is None:
        raise ArgumentError(
            "'Input' needs a shape.", expected="shape=(sizes of one sample)", got="none", fix="Input(shape=(8,))"
        )
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    sizes: list[Size] = []
    for n in shape:
        if n is not None and (type(n) is bool or not isinstance(n, int) or n < 0):
            raise ArgumentError(
                "a size in the shape of Input is wrong.", expected="whole numbers >= 0, or none", got=str(shape)
            )
        sizes.append(axis(f"n{next(_UNKNOWN)}") if n is None else n)
    kind = STRING if dtype == STRING else canonical(dtype or "float32")
    return placeholder(name or "", kind, (BATCH if batch_size is None else batch_size, *sizes))


class InputLayer(Layer):
    """The place in a model where an ``Input`` enters."""

    shape: Any = None
    batch_size: int | None = None

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask
