"""Penalties on weights and outputs, added to the loss."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.fields import Configurable
from layerkit.registry import Registry

REGULARIZERS = Registry("regularizer")


class Regularizer(Configurable):
    """Base of all: a scalar from a tensor."""

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError


@REGULARIZERS.add
class L1(Regularizer):
    """l1 * sum(|x|)."""

    l1: float = 0.01

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.abs(x))


@REGULARIZERS.add
class L2(Regularizer):
    """l2 * sum(x^2)."""

    l2: float = 0.01

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))


@REGULARIZERS.add
class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2)."""

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.abs(x)) + self.l2 * ops.sum(ops.square(x))


def get(identifier: Any) -> Any:
    """The regularizer that a name, a mapping, an object or a function stands for."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type | Regularizer)):
        return identifier
    return REGULARIZERS.make("L1L2" if identifier == "l1_l2" else identifier)
