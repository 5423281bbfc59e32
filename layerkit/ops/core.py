"""What every family of ops uses: turning arguments into operands, and the register of composites.

An operand is a ``Value`` or an array. Whatever else users pass (a Python number, a list, a weight, an unknown size)
becomes one here, and here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError, DataError, DTypeError, ShapeError
from layerkit.ir import Array, Case, Dim, Op, TensorType, Value, make
from layerkit.ir import apply as apply_op
from layerkit.records import dataclass

Operand = Value | Array
Tensor = Any  # what users may pass: a Value, an array, a number, a list, a weight, an unknown size
Axis = int | Sequence[int] | None
_TENSORS = (Value, np.ndarray)  # a tuple: a union would be made anew at each use


def operand(x: Tensor, dtype: str | None = None) -> Any:
    """``x`` as a ``Value`` or an array; Python numbers and lists become float32, int32 or bool unless ``dtype`` says else."""
    x = _resolve(x)
    if isinstance(x, Value):
        return x if dtype is None or x.dtype == dtype else _cast(x, dtype)
    if isinstance(x, np.ndarray):
        return x if dtype is None or dtypes.canonical(x.dtype) == dtype else x.astype(dtypes.numpy_dtype(dtype))
    return np.asarray(x, dtype=dtypes.numpy_dtype(dtype or _weak_dtype(x)))


def operands(*xs: Tensor, floating: bool = False) -> list[Any]:
    """All of ``xs`` as operands of one dtype, the one to which they promote; a float one if ``floating``."""
    kind = xs[0].type.dtype if isinstance(xs[0], Value) else ""
    if all(isinstance(x, Value) and x.type.dtype == kind for x in xs) and (not floating or dtypes.is_floating(kind)):
        return list(xs)
    resolved = [_resolve(x) for x in xs]
    strong = [dtype_of(x) for x in resolved if isinstance(x, _TENSORS)]
    weak = [x for x in resolved if not isinstance(x, _TENSORS)]
    dtype = reduce(dtypes.promote, strong) if strong else reduce(dtypes.promote, map(_weak_dtype, weak))
    if strong:
        for x in weak:
            dtype = dtypes.promote_scalar(dtype, x)
    if floating and not dtypes.is_floating(dtype):
        dtype = "float32"
    return [operand(x, dtype) for x in resolved]


def apply(op: Op, *inputs: Any) -> Any:
    """Use ``op`` on operands; bfloat16 and float16 are computed with as float32, and results rounded to them."""
    stored = [] if op.moves else [kind for kind in map(dtype_of, inputs) if kind in dtypes.STORAGE]
    if not stored:
        return apply_op(op, *inputs)
    narrow = reduce(dtypes.promote, stored)
    out = apply_op(op, *(_cast(x, "float32") if dtype_of(x) in dtypes.STORAGE else x for x in inputs))
    outs = tuple(
        _cast(y, narrow) if dtype_of(y) == "float32" else y for y in (out if isinstance(out, tuple) else (out,))
    )
    return outs if isinstance(out, tuple) else outs[0]


def dtype_of(x: Any) -> str:
    """The dtype of an operand."""
    return x.dtype if isinstance(x, Value) else dtypes.canonical(x.dtype)


def type_of(x: Any) -> TensorType:
    """The type of an operand."""
    return x.type if isinstance(x, Value) else TensorType(dtypes.canonical(x.dtype), x.shape)


def _resolve(x: Tensor) -> Any:
    if isinstance(x, _TENSORS):
        return x
    if isinstance(x, np.generic):
        return np.asarray(x)
    if hasattr(x, "__layerkit_value__"):
        return x.__layerkit_value__()
    if isinstance(x, Dim):
        return size(x)
    if isinstance(x, bool | int | float):
        return x
    if isinstance(x, list | tuple) and any(isinstance(v, Value | Dim) or hasattr(v, "__layerkit_value__") for v in x):
        return _stack(x)
    try:
        array = np.asarray(x)
    except ValueError as e:
        raise DataError("rows of unequal length are no tensor.", expected="rows of one length", got=repr(x)[:60]) from e
    if array.dtype.kind in "OUSMmc":
        raise DTypeError(
            f"{type(x).__name__} is not a tensor.", expected="numbers, an array or a tensor", got=repr(x)[:60]
        )
    return (
        array if hasattr(x, "dtype") else array.astype(dtypes.numpy_dtype(_weak_dtype(array.reshape(-1)[:1].tolist())))
    )


def _weak_dtype(x: Any) -> str:
    number = x[0] if isinstance(x, list) and x else x
    return "bool" if isinstance(number, bool) else "int32" if isinstance(number, int) else "float32"


def _cast(x: Value, dtype: str) -> Any:
    from layerkit.ops.elementwise import cast  # the one step up: a cast is an op like any other

    return cast(x, dtype)


def _stack(xs: Sequence[Any]) -> Any:
    from layerkit.ops.shape import stack

    return stack(xs)


def axes_of(axis: Axis, rank: int, op: str) -> tuple[int, ...]:
    """``axis`` as sorted non-negative numbers; None is all of them."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, Iterable) and not isinstance(axis, str) else (axis,)
    found = sorted(axis_of(a, rank, op) for a in given)
    if len(set(found)) < len(found):
        raise ShapeError(f"'{op}' is given an axis twice.", expected=f"different axes of {rank}", got=f"axis={axis}")
    return tuple(found)


def axis_of(axis: int, rank: int, op: str) -> int:
    """One axis as a non-negative number."""
    axis = whole(op, "axis", axis)
    if not -rank <= axis < rank:
        raise ShapeError(
            f"'{op}' has no axis {axis} to work on.", expected=f"axis in [{-rank}, {rank})", got=f"axis={axis}"
        )
    return axis % rank


# Unknown sizes as tensors --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SizeOf(Op):
    """The number of elements along an unknown axis, known when the program runs: () -> i32[]."""

    name = "size"
    size: Any

    def infer(self) -> TensorType:
        return TensorType("int32", ())

    def reference(self) -> Array:
        return np.asarray(self.size, "int32")

    def vjp(self, g: Value, out: Value) -> tuple[()]:  # type: ignore[override]
        return ()

    @classmethod
    def cases(cls) -> Iterator[Case]:  # type: ignore[no-untyped-def]
        yield Case(cls(3), ())


def size(x: int | Dim) -> Any:
    """A size as an int32 tensor; a known one is an array."""
    return make(SizeOf(x), ()).result if isinstance(x, Dim) else np.asarray(x, "int32")


def shape(x: Tensor) -> tuple[int | Dim, ...]:
    """The shape of ``x``; an unknown size in it can be used as a size, or in arithmetic as a tensor.

    Example:
        >>> shape(np.zeros((2, 3)))
        (2, 3)
    """
    return tuple(operand(x).shape)


# Composites ----------------------------------------------------------------------------------------------------------

COMPOSITES: dict[str, tuple[Callable[..., Any], tuple[Case, ...]]] = {}
"""Functions over ops, with the cases on which the generated tests compare engines and gradients."""

F = TypeVar("F", bound=Callable[..., Any])


def composite(*cases: Callable[[Callable[..., Any]], Case]) -> Callable[[F], F]:
    """Register a function over public ops for the generated tests."""

    def register(function: F) -> F:
        assert function.__name__ not in COMPOSITES, f"two composites are called '{function.__name__}'"
        COMPOSITES[function.__name__] = (function, tuple(case(function) for case in cases))
        return function

    return register


def example(
    *shapes: tuple[int, ...], label: str = "", differentiable: bool = True, **settings: Any
) -> Callable[..., Case]:
    """A case of the composite below it: settings of ``Case`` by their names, all others are arguments of the function."""
    own = {k: settings.pop(k) for k in ("domain", "distinct", "integers", "dtypes") if k in settings}
    shown = label or ",".join(f"{k}={v}" for k, v in settings.items())

    def build(function: Callable[..., Any]) -> Case:
        def run(*arrays: Any) -> Any:
            return function(*arrays, **settings)

        return Case(run, shapes, label=shown, differentiable=differentiable, **own)

    return build


def whole(op: str, name: str, value: Any, low: int | None = None) -> int:
    """An argument that has to be a whole number, not below ``low``."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or (low is not None and value < low):
        expected = "a whole number" if low is None else f"a whole number >= {low}"
        raise ArgumentError(f"'{op}' has a '{name}' that is none.", expected=expected, got=repr(value))
    return int(value)


def check_choice(op: str, name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse a value that is not one of ``choices``."""
    if value not in choices:
        raise ArgumentError(
            f"'{op}' has no {name} {value!r}.", expected=" or ".join(map(repr, choices)), got=repr(value)
        )


__all__ = ["COMPOSITES", "SizeOf", "Tensor", "apply", "composite", "example", "operand", "operands", "shape", "size"]
