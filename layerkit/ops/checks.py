"""Ops that let numbers pass and refuse others: they end a program before it changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit.dtypes import is_floating
from layerkit.errors import DTypeError, NonFiniteError
from layerkit.ir import Array, BadCase, Case, Op, TensorType, Value
from layerkit.ops.core import Tensor, apply, operand
from layerkit.records import dataclass


@dataclass(frozen=True)
class RequireFinite(Op):
    """``x``, if all its numbers are finite; else the program ends with an error, and no state has changed."""

    name = "require_finite"

    def infer(self, x: TensorType) -> TensorType:
        if not is_floating(x.dtype):
            raise DTypeError("'require_finite' needs floats.", expected="a float", got=str(x))
        return x

    def reference(self, x: Array) -> Array:
        if not np.isfinite(x).all():
            raise NonFiniteError("a number is not finite.", expected="finite numbers", got=str(x.reshape(-1)[:4]))
        return x

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (g,)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(), ((2, 3),))
        yield Case(cls(), ((),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls(), (TensorType("int32", (3,)),), DTypeError, "a float")


def require_finite(x: Tensor) -> Any:
    """``x``, if all its numbers are finite.

    Raises:
        NonFiniteError: one is not; in a compiled step nothing has been assigned then.

    Example:
        >>> require_finite(np.float32(1.5))
        array(1.5, dtype=float32)
    """
    return apply(RequireFinite(), operand(x))
