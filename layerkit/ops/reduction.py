"""Reductions and their mirror image, broadcasting: each is the gradient of the other.

All reductions keep the dtype. The sum of no elements is 0; the largest of none is an error. Where several elements are
the largest, the gradient is shared equally among them; ``argmax`` returns the first. nan is larger and smaller than
everything, so it always shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import DTypeError, ShapeError
from layerkit.ir import (
    Array,
    BadCase,
    Case,
    Op,
    Shape,
    TensorType,
    Value,
    broadcast_shapes,
    nondifferentiable,
    product,
    show_shape,
    unify,
)
from layerkit.ops.core import Axis, Tensor, apply, axes_of, axis_of, dtype_of, operand, operands, size
from layerkit.ops.shape import as_shape, reshape
from layerkit.records import dataclass

_NUMPY = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}

# Primitives ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reduce(Op):
    """One number from all elements along ``axes``: (..., n, ...) -> (..., ...), or (..., 1, ...) with ``keepdims``."""

    name = "reduce"
    presets = {f"reduce_{f}": {"function": f} for f in _NUMPY}
    function: str
    axes: tuple[int, ...]
    keepdims: bool

    @property
    def word(self) -> str:
        return f"reduce_{self.function}"

    def infer(self, x: TensorType) -> TensorType:
        axes = axes_of(self.axes, x.rank, self.word)
        if x.dtype == "bool" and self.function in ("sum", "prod"):
            raise DTypeError(
                f"'{self.word}' does not compute with truth values.",
                expected="a number",
                got=str(x),
                fix="cast to int32",
            )
        if self.function in ("max", "min") and 0 in [x.shape[a] for a in axes]:
            raise ShapeError(f"'{self.word}' of no elements is not defined.", expected="axes with elements", got=str(x))
        if self.keepdims:
            return x.with_shape(1 if i in axes else n for i, n in enumerate(x.shape))
        return x.with_shape(n for i, n in enumerate(x.shape) if i not in axes)

    def reference(self, x: Array) -> Array:
        kind = {"dtype": x.dtype} if self.function in ("sum", "prod") else {}
        return _NUMPY[self.function](x, axis=self.axes, keepdims=self.keepdims, **kind)  # type: ignore[operator,no-any-return]

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        kept = tuple(1 if i in self.axes else n for i, n in enumerate(x.shape))
        g = reshape(g, kept)
        if self.function == "sum":
            return (broadcast_to(g, x.shape),)
        if self.function == "prod":
            return (g * _product_of_others(x, self.axes),)
        is_best = operand(x == reshape(out, kept), x.dtype)
        ties = apply(Reduce("sum", self.axes, True), is_best)
        return ((g / ties) * is_best,)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for function in _NUMPY:
            for axes, keepdims in (((0,), False), ((1,), True), ((0, 2), False), ((), False)):
                yield Case(cls(function, axes, keepdims), ((3, 4, 2),), distinct=True)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("sum", (2,), False), (TensorType("float32", (3, 4)),), ShapeError, "axis in [-2, 2)")
        yield BadCase(cls("max", (0,), False), (TensorType("float32", (0, 4)),), ShapeError, "axes with elements")
        yield BadCase(cls("sum", (0,), False), (TensorType("bool", (3,)),), DTypeError, "a number")


def _product_of_others(x: Any, axes: tuple[int, ...]) -> Any:
    """For each element the product of all others that it is multiplied with; exact where some are 0."""
    from layerkit.ops.cumulative import others  # running products, which a plain reduction has no use for
    from layerkit.ops.shape import transpose

    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    moved = transpose(x, order)
    flat = reshape(moved, (*moved.shape[: x.ndim - len(axes)], product(x.shape[a] for a in axes)))
    before, after = others(flat, flat.ndim - 1)
    return transpose(reshape(before * after, moved.shape), [int(i) for i in np.argsort(order)])


@dataclass(frozen=True)
class ArgReduce(Op):
    """The place of the first largest or smallest element along ``axis``: (..., n, ...) -> i32[..., ...]."""

    name = "arg_reduce"
    presets = {"argmax": {"function": "argmax"}, "argmin": {"function": "argmin"}}
    function: str
    axis: int

    @property
    def word(self) -> str:
        return self.function

    def infer(self, x: TensorType) -> TensorType:
        axis = axis_of(self.axis, x.rank, self.word)
        if x.shape[axis] == 0:
            raise ShapeError(
                f"'{self.word}' of no elements is not defined.", expected="an axis with elements", got=str(x)
            )
        return TensorType("int32", tuple(n for i, n in enumerate(x.shape) if i != axis))

    def reference(self, x: Array) -> Array:
        find = np.argmax if self.function == "argmax" else np.argmin
        return find(x, axis=self.axis).astype("int32")

    vjp = nondifferentiable("a place is an integer")

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for function in ("argmax", "argmin"):
            yield Case(cls(function, 1), ((3, 4),), differentiable=False)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("argmax", 0), (TensorType("float32", (0,)),), ShapeError, "an axis with elements")


@dataclass(frozen=True)
class Broadcast(Op):
    """Axes of size 1, and axes in front that are not there, repeated to fill ``shape``."""

    name = "broadcast"
    moves = True
    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        full = broadcast_shapes("broadcast", (x.shape, self.shape)) if x.rank <= len(self.shape) else ()
        if len(full) != len(self.shape) or [a for a, b in zip(full, self.shape, strict=True) if unify(a, b) is None]:
            raise ShapeError(
                f"'broadcast' cannot fill {show_shape(self.shape)}.",
                expected=f"a shape that broadcasts to {show_shape(self.shape)}",
                got=show_shape(x.shape),
            )
        return x.with_shape(self.shape)

    def reference(self, x: Array) -> Array:
        return np.broadcast_to(x, self.shape)  # type: ignore[arg-type]

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (sum_to(g, x.shape),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls((2, 3)), ((3,),))
        yield Case(cls((2, 3, 4)), ((2, 1, 4),))
        yield Case(cls((2,)), ((),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(
            cls((2, 3)), (TensorType("float32", (2,)),), ShapeError, "sizes that are equal or 1 on each axis, like (2,)"
        )


# Public functions ----------------------------------------------------------------------------------------------------


def broadcast_to(x: Tensor, shape: Shape) -> Any:
    """``x`` repeated to fill ``shape``."""
    x, shape = operand(x), as_shape("broadcast_to", shape)
    return x if tuple(x.shape) == shape else apply(Broadcast(shape), x)


def sum_to(x: Any, shape: Shape) -> Any:
    """``x`` summed over the axes along which ``shape`` was broadcast to get to its shape."""
    if tuple(x.shape) == tuple(shape):
        return x
    extra = x.ndim - len(shape)
    axes = (*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1))
    return reshape(apply(Reduce("sum", axes, False), x), shape)


def _reduce(function: str, x: Tensor, axis: Axis, keepdims: bool) -> Any:
    x = operand(x)
    return apply(Reduce(function, axes_of(axis, x.ndim, function), keepdims), x)


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum of the elements along ``axis``; truth values count as 0 and 1."""
    return _reduce("sum", _counted(x), axis, keepdims)


def prod(x: Tensor, axis: Axis = None, keepdims: bool = False, dtype: str | None = None) -> Any:
    """Product of the elements along ``axis``; of none 1."""
    return _reduce("prod", _counted(x if dtype is None else operand(x, dtypes.canonical(dtype))), axis, keepdims)


def _counted(x: Tensor) -> Any:
    """``x`` in a dtype that holds sums: truth values and short integers become int32, short unsigned ones uint32."""
    x = operand(x)
    wide = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}
    return operand(x, wide[dtype_of(x)]) if dtype_of(x) in wide else x


def max(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Tensor = None) -> Any:
    """Largest of the elements along ``axis``, and of ``initial`` if it is given."""
    return _extreme("max", x, axis, keepdims, initial)


def min(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Tensor = None) -> Any:
    """Smallest of the elements along ``axis``, and of ``initial`` if it is given."""
    return _extreme("min", x, axis, keepdims, initial)


def _extreme(function: str, x: Tensor, axis: Axis, keepdims: bool, initial: Tensor) -> Any:
    x = operand(x)
    if initial is None:
        return _reduce(function, x, axis, keepdims)
    from layerkit.ops.elementwise import logical_and, logical_or, maximum, minimum

    axes = axes_of(axis, x.ndim, function)
    rest = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    shape = rest if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
    first = broadcast_to(operand(initial, dtype_of(x)), shape)
    if 0 in [x.shape[a] for a in axes]:
        return first
    if dtype_of(x) == "bool":
        choose = logical_or if function == "max" else logical_and
    else:
        choose = maximum if function == "max" else minimum
    return choose(_reduce(function, x, axis, keepdims), first)


def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether an element along ``axis`` is true."""
    return _reduce("max", operand(x, "bool"), axis, keepdims)


def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether all elements along ``axis`` are true."""
    return _reduce("min", operand(x, "bool"), axis, keepdims)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean of the elements along ``axis``; of integers a float32."""
    (x,) = operands(x, floating=True)
    axes = axes_of(axis, x.ndim, "mean")
    count = operand(size(product(x.shape[a] for a in axes)), dtypes.canonical(x.dtype))
    return sum(x, axes, keepdims) / count


def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Square root of the variance along ``axis``."""
    from layerkit.ops.elementwise import sqrt

    return sqrt(var(x, axis, keepdims))


def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean squared distance from the mean along ``axis``."""
    (x,) = operands(x, floating=True)
    centred = x - mean(x, axis, keepdims=True)
    return mean(centred * centred, axis, keepdims)


def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """Place of the first largest element, int32; without ``axis`` in the flattened tensor."""
    return _arg_reduce("argmax", x, axis, keepdims)


def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """Place of the first smallest element, int32; without ``axis`` in the flattened tensor."""
    return _arg_reduce("argmin", x, axis, keepdims)


def _arg_reduce(function: str, x: Tensor, axis: int | None, keepdims: bool) -> Any:
    x = operand(x)
    axis = None if axis is None else axis_of(axis, x.ndim, function)
    kept = tuple(1 if axis is None or i == axis else n for i, n in enumerate(x.shape))
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    place = apply(ArgReduce(function, axis), x)
    return reshape(place, kept) if keepdims else place


amax, amin = max, min
