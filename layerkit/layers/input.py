"""``Input``: where data enters a functional model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from layerkit.dtypes import STRING, canonical
from layerkit.errors import ArgumentError
from layerkit.fields import PositiveInt, Resolved, Shape
from layerkit.ir import BATCH, Size, Value, axis, placeholder
from layerkit.layers.base import Layer

_UNKNOWN = itertools.count()


def _dtype(name: str | None) -> str:
    return STRING if name == STRING else canonical(name or "float32")


def Input(
    shape: Annotated[
        Sequence[int | None] | None, Shape(unknown=True, expected="a list of whole numbers, null where they vary")
    ] = None,
    batch_size: PositiveInt | None = None,
    dtype: Annotated[str | None, Resolved(_dtype, "the name of a dtype")] = None,
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
    _refuse(sparse=sparse, ragged=ragged, tensor=tensor, optional=optional)
    if batch_shape is not None:
        if shape is not None or batch_size is not None:
            raise ArgumentError(
                "'batch_shape' stands for 'shape' and 'batch_size'.", expected="one or the other",
                got=f"batch_shape={tuple(batch_shape)}, shape={shape}, batch_size={batch_size}",
            )  # fmt: skip
        batch_size, *rest = batch_shape
        shape = tuple(rest)
    if shape is None:
        raise ArgumentError(
            "'Input' needs a shape.", expected="shape=(sizes of one sample)", got="none", fix="Input(shape=(8,))"
        )
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    sizes: list[Size] = []
    for n in shape:
        if n is not None and (type(n) is bool or not isinstance(n, int | np.integer) or n < 0):
            raise ArgumentError(
                "a size in the shape of Input is wrong.", expected="whole numbers >= 0, or none", got=str(shape)
            )
        sizes.append(axis(f"n{next(_UNKNOWN)}") if n is None else int(n))
    kind = _dtype(dtype)
    return placeholder(name or "", kind, (BATCH if batch_size is None else batch_size, *sizes))


def _refuse(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise ArgumentError(
                f"'{name}' of Input is not available.", expected="none", got=repr(value), fix="leave it out"
            )


class InputLayer(Layer):
    """The place in a model where an ``Input`` enters; ``output`` is that symbolic tensor.

    Args:
        shape: as in ``Input``, like the others.
        batch_size: a fixed batch; by default any.
        dtype: float32 unless given.
        sparse: not available.
        ragged: not available.
        batch_shape: ``shape`` with the batch in front.
        input_tensor: the symbolic tensor, instead of a new one.
        optional: not available.
        name: its name in the model.

    Example:
        >>> InputLayer((28, 28), batch_size=4).batch_shape
        (4, 28, 28)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        _refuse(sparse=sparse, ragged=ragged, optional=optional)
        if input_tensor is None:
            input_tensor = Input(shape, batch_size, dtype, batch_shape=batch_shape, name=name)
        elif not isinstance(input_tensor, Value):
            raise ArgumentError(
                "'input_tensor' is a symbolic tensor.",
                expected="what Input(...) returned",
                got=type(input_tensor).__name__,
            )
        self._tensor = input_tensor
        self.dtype, self.sparse, self.ragged = input_tensor.dtype, False, False
        given = tuple(batch_shape) if batch_shape else None if shape is None else (batch_size, *shape)
        known = zip(given or (), self.batch_shape, strict=False)
        wrong_batch = batch_size is not None and batch_size != self.batch_shape[0]
        if wrong_batch or any(a not in (None, b) for a, b in known) or (given and len(given) != len(self.batch_shape)):
            raise ArgumentError("'input_tensor' has another shape.", expected=str(given), got=str(self.batch_shape))
        if dtype not in (None, self.dtype):
            raise ArgumentError("'input_tensor' has another dtype.", expected=dtype, got=self.dtype)

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """The shape of what enters, None for unknown sizes."""
        return tuple(n if isinstance(n, int) else None for n in self._tensor.shape)

    @property
    def output(self) -> Value:
        """The symbolic tensor."""
        found: Value = self._tensor
        return found

    input = output

    def call(self, inputs: Any = None) -> Any:
        return inputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask

    def get_config(self) -> dict[str, Any]:
        """The arguments for another one like it."""
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "name": self.name if self._is_named else None}
