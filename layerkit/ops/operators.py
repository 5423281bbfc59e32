"""Arithmetic, comparison and indexing on symbolic tensors: ``x + 1``, ``x @ w``, ``x[:, 0]``."""

from __future__ import annotations

from typing import Any

from layerkit.ir import Dim, Value
from layerkit.ops import elementwise as e
from layerkit.ops.core import operand, size
from layerkit.ops.indexing import getitem
from layerkit.ops.matrices import matmul
from layerkit.ops.scientific import square
from layerkit.ops.shape import reshape, transpose

METHODS: dict[str, Any] = {
    "__add__": e.add,
    "__radd__": lambda x, y: e.add(y, x),
    "__sub__": e.subtract,
    "__rsub__": lambda x, y: e.subtract(y, x),
    "__mul__": e.multiply,
    "__rmul__": lambda x, y: e.multiply(y, x),
    "__truediv__": e.divide,
    "__rtruediv__": lambda x, y: e.divide(y, x),
    "__floordiv__": e.floor_divide,
    "__rfloordiv__": lambda x, y: e.floor_divide(y, x),
    "__mod__": e.mod,
    "__rmod__": lambda x, y: e.mod(y, x),
    "__pow__": lambda x, y: square(x) if isinstance(y, int) and y == 2 else e.power(x, y),
    "__rpow__": lambda x, y: e.power(y, x),
    "__matmul__": matmul,
    "__rmatmul__": lambda x, y: matmul(y, x),
    "__neg__": e.negative,
    "__abs__": e.abs,
    "__lt__": e.less,
    "__le__": e.less_equal,
    "__gt__": e.greater,
    "__ge__": e.greater_equal,
    "__eq__": e.equal,
    "__ne__": e.not_equal,
    "__and__": e.logical_and,
    "__rand__": e.logical_and,
    "__or__": e.logical_or,
    "__ror__": e.logical_or,
    "__xor__": e.logical_xor,
    "__invert__": e.logical_not,
    "__getitem__": lambda x, key: getitem(operand(x), key),
}


def attach(cls: type) -> None:
    """Give a class of tensors its operators."""
    hash_ = cls.__hash__
    for name, method in METHODS.items():
        setattr(cls, name, lambda self, *args, _method=method: _method(self, *args))
    cls.__hash__ = hash_  # type: ignore[method-assign]
    methods = {
        "T": property(transpose),
        "reshape": lambda self, *shape: reshape(
            self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        ),
        "astype": lambda self, dtype: e.cast(self, dtype),
    }
    for name, method in methods.items():
        setattr(cls, name, method)


attach(Value)

# An unknown size divides and is divided as the tensor that it will be.
setattr(Dim, "__truediv__", lambda self, other: size(self) / other)  # noqa: B010  (types cannot follow an attached operator)
setattr(Dim, "__rtruediv__", lambda self, other: other / size(self))  # noqa: B010
