"""What weights are brought back to after each update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerkit import ops
from layerkit.fields import Configurable
from layerkit.registry import Registry
from layerkit.registry import serialize as registry_serialize

CONSTRAINTS = Registry("constraint")
_EPSILON = 1e-7


class Constraint(Configurable):
    """Base of all: a tensor from a tensor of the same shape, here the same."""

    def __call__(self, w: Any) -> Any:
        return w


def _norm(w: Any, axis: int | Sequence[int]) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


@CONSTRAINTS.add
class NonNeg(Constraint):
    """Negative weights become 0."""

    def __call__(self, w: Any) -> Any:
        return ops.relu(w)


@CONSTRAINTS.add
class MaxNorm(Constraint):
    """Vectors along ``axis`` no longer than ``max_value``."""

    max_value: float = 2
    axis: Any = 0

    def __call__(self, w: Any) -> Any:
        norms = _norm(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (_EPSILON + norms))


@CONSTRAINTS.add
class UnitNorm(Constraint):
    """Vectors along ``axis`` of length 1."""

    axis: Any = 0

    def __call__(self, w: Any) -> Any:
        return w / (_EPSILON + _norm(w, self.axis))


@CONSTRAINTS.add
class MinMaxNorm(Constraint):
    """Vectors along ``axis`` no shorter than ``min_value`` and no longer than ``max_value``."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: Any = 0

    def __call__(self, w: Any) -> Any:
        norms = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (_EPSILON + norms))


def get(identifier: Any) -> Any:
    """The constraint that a name, a mapping, an object or a function stands for."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type | Constraint)):
        return identifier
    return CONSTRAINTS.make(identifier)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
serialize, deserialize = registry_serialize, CONSTRAINTS.make
