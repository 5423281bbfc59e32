"""Penalties on weights and outputs, added to the loss."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import Configurable, NonNegativeFloat, OneOf
from layerkit.ops.core import dtype_of, operand
from layerkit.registry import Registry, named
from layerkit.registry import serialize as registry_serialize

REGULARIZERS = Registry("regularizer")


class Regularizer(Configurable):
    """Base of all: a scalar from a tensor."""

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError


@REGULARIZERS.add
class L1(Regularizer):
    """l1 * sum(|x|)."""

    l1: NonNegativeFloat = 0.01

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.abs(x))


@REGULARIZERS.add
class L2(Regularizer):
    """l2 * sum(x^2)."""

    l2: NonNegativeFloat = 0.01

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))


@REGULARIZERS.add
class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2)."""

    l1: NonNegativeFloat = 0.0
    l2: NonNegativeFloat = 0.0

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.abs(x)) + self.l2 * ops.sum(ops.square(x))


@REGULARIZERS.add
class OrthogonalRegularizer(Regularizer):
    """factor * mean of the cosines, as they are without sign, between all pairs of rows (or columns) of a matrix.

    Args:
        factor: how much it counts.
        mode: "rows" or "columns".

    Example:
        >>> import numpy as np
        >>> print(OrthogonalRegularizer(1.0)(np.array([[1.0, 0.0], [1.0, 1.0]])).round(4))
        0.7071
    """

    factor: NonNegativeFloat = 0.01
    mode: Annotated[str, OneOf(("rows", "columns"))] = "rows"

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ArgumentError("rows and columns are those of a matrix.", expected="2 axes", got=str(tuple(x.shape)))
        x = ops.swapaxes(x, 0, 1) if self.mode == "columns" else operand(x)
        count = x.shape[0]
        x = x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), 1, keepdims=True), 1e-12))
        cosines = ops.matmul(x, ops.transpose(x)) * (1.0 - np.eye(count, dtype=dtype_of(x)))
        pairs = count * (count - 1) / 2
        return self.factor * 0.5 * ops.sum(ops.abs(cosines)) / max(pairs, 1.0)


def get(identifier: Any) -> Any:
    """The regularizer that a name, a mapping, an object or a function stands for."""
    identifier = named(identifier)
    if identifier is None or (callable(identifier) and not isinstance(identifier, type | Regularizer)):
        return identifier
    return REGULARIZERS.make("L1L2" if identifier == "l1_l2" else identifier)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
serialize, deserialize = registry_serialize, REGULARIZERS.make
