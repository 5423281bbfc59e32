"""Arithmetic, comparison and indexing on symbolic tensors: ``x + 1``, ``x @ w``, ``x[:, 0]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerkit.errors import ArgumentTypeError
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
    "__rxor__": e.logical_xor,
    "__invert__": e.logical_not,
    "__getitem__": lambda x, key: getitem(operand(x), key),
}


_REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__", "floor_divide": "__rfloordiv__",
    "remainder": "__rmod__", "power": "__rpow__", "matmul": "__rmatmul__", "less": "__gt__", "less_equal": "__ge__",
    "greater": "__lt__", "greater_equal": "__le__", "equal": "__eq__", "not_equal": "__ne__", "bitwise_and": "__rand__",
    "bitwise_or": "__ror__", "bitwise_xor": "__rxor__",
}  # fmt: skip
"""What a tensor does when it stands to the right of an array, by the name that NumPy asks with."""
_REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any"}  # fmt: skip
_RENAMED = {"degrees": "rad2deg", "invert": "bitwise_not", "radians": "deg2rad", "remainder": "mod", "rint": "round"}
_ABSENT = {
    "bitwise_count", "copysign", "divmod", "float_power", "frexp", "isnat", "matvec", "modf", "positive", "spacing", "vecdot",
    "vecmat",
}  # fmt: skip
"""Functions of NumPy that ``layerkit.ops`` does not have."""


def reflected(tensor: Any, ufunc: Any, method: str, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """What ``array + tensor`` is, for which NumPy asks with its ``add``; NotImplemented where that is no operator."""
    own = _REFLECTED.get(ufunc.__name__)
    is_right = method == "__call__" and len(inputs) == 2 and inputs[1] is tensor and inputs[0] is not tensor
    target = options.get("out", inputs[:1])[0]  # of a += tensor: what it reads
    if own is None or not is_right or target is not inputs[0] or options.keys() - {"out"}:
        return NotImplemented
    return getattr(tensor, own)(inputs[0])


def _of_numpy(self: Value, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """``array + value`` is the value's own sum; other functions of NumPy are refused.

    Raises:
        ArgumentTypeError: says which function of ``layerkit.ops`` does it.
    """
    found = reflected(self, ufunc, method, inputs, kwargs)
    if found is not NotImplemented:
        return found
    names = _REDUCTIONS if method == "reduce" else _RENAMED
    name = names.get(ufunc.__name__, ufunc.__name__ if method == "__call__" and ufunc.__name__ not in _ABSENT else None)
    raise ArgumentTypeError(
        f"NumPy's '{ufunc.__name__}' takes numbers, and a symbolic tensor has none before the program runs.",
        got=str(self.type), fix=f"use layerkit.ops.{name}" if name else "write it with functions of layerkit.ops",
    )  # fmt: skip


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
setattr(Value, "__array_ufunc__", _of_numpy)  # noqa: B010 (written as an assignment mypy refuses it)

# An unknown size divides and is divided as the tensor that it will be.
setattr(Dim, "__truediv__", lambda self, other: size(self) / other)  # noqa: B010  (types cannot follow an attached operator)
setattr(Dim, "__rtruediv__", lambda self, other: other / size(self))  # noqa: B010
