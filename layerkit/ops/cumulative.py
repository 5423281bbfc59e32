"""Running sums and products along an axis, differences, and the area under points.

``Cumulate`` is the one primitive. The gradient of a running sum is a running sum in the other direction; that of a running
product is a recurrence from the end, which stays exact where elements are 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import DTypeError, ShapeError
from layerkit.ir import Array, BadCase, Case, Op, TensorType, Value
from layerkit.ops.core import Tensor, apply, axis_of, composite, dtype_of, example, operand, operands, whole
from layerkit.ops.elementwise import cast, isnan, not_equal, where
from layerkit.ops.reduction import sum
from layerkit.ops.scan import scan
from layerkit.ops.shape import concatenate, flip, moveaxis, reshape, slice_axis
from layerkit.records import dataclass

_NUMPY = {"sum": np.add, "prod": np.multiply}


@dataclass(frozen=True)
class Cumulate(Op):
    """The sum or product of all elements up to each one along ``axis``, from the end if ``reverse``: shape and dtype stay."""

    name = "cumulate"
    presets = {f"cumulate_{f}": {"function": f} for f in _NUMPY}
    function: str
    axis: int
    reverse: bool

    @property
    def word(self) -> str:
        return f"cumulate_{self.function}"

    def infer(self, x: TensorType) -> TensorType:
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"'{self.word}' has no such axis.", expected=f"axis in [0, {x.rank})", got=str(self.axis))
        if x.dtype == "bool" or x.dtype in dtypes.STORAGE:
            raise DTypeError(f"'{self.word}' does not take {x.dtype}.", expected="a number", got=x.dtype)
        return x

    def reference(self, x: Array) -> Array:
        way = slice(None, None, -1 if self.reverse else 1)
        at = tuple(way if i == self.axis else slice(None) for i in range(x.ndim))
        return _NUMPY[self.function].accumulate(x[at], axis=self.axis, dtype=x.dtype)[at]

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        if self.function == "sum":
            return (apply(Cumulate("sum", self.axis, not self.reverse), g),)
        if self.reverse:
            return (flip(_product_vjp(flip(g, self.axis), flip(x, self.axis), self.axis), self.axis),)
        return (_product_vjp(g, x, self.axis),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for function in _NUMPY:
            yield Case(cls(function, 1, False), ((3, 4),))
            yield Case(cls(function, 0, True), ((4, 3),))
            yield Case(cls(function, 1, True), ((2, 5, 3),))
        yield Case(cls("sum", 1, False), ((2, 3, 70),), label="wide")
        yield Case(cls("sum", 0, False), ((0,),), label="empty")

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("sum", 1, False), (TensorType("float32", (3,)),), ShapeError, "axis in [0, 1)")
        yield BadCase(cls("sum", 0, False), (TensorType("bool", (3,)),), DTypeError, "a number")


def others(x: Any, axis: int) -> tuple[Any, Any]:
    """For each element the product of those before it, and of those after it."""
    one = slice_axis(x, axis, 0, 1) * 0.0 + 1.0
    size = x.shape[axis]
    before = concatenate([one, slice_axis(apply(Cumulate("prod", axis, False), x), axis, 0, size - 1)], axis)
    after = concatenate([slice_axis(apply(Cumulate("prod", axis, True), x), axis, 1, size), one], axis)
    return before, after


def _product_vjp(g: Any, x: Any, axis: int) -> Any:
    """(product of those before) * s, where s[i] = g[i] + x[i + 1] * s[i + 1]."""
    before, _ = others(x, axis)
    size = x.shape[axis]
    following = concatenate([slice_axis(x, axis, 1, size), slice_axis(x, axis, 0, 1)], axis)  # the last one meets s = 0
    steps = moveaxis(g, axis, 0), moveaxis(following, axis, 0)

    def step(s: Any, each: Any) -> tuple[Any, Any]:
        s = each[0] + each[1] * s
        return s, s

    _, s = scan(step, steps[0][0] * 0.0, steps, reverse=True)
    return before * moveaxis(s, 0, axis)


def _cumulate(function: str, x: Tensor, axis: int | None, dtype: str | None) -> Any:
    x = operand(x)
    if dtype is not None and dtypes.canonical(dtype) != "bool":
        x = cast(x, dtype)
    elif dtype_of(x) == "bool":
        x = cast(x, "int32")
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return apply(Cumulate(function, axis_of(axis, x.ndim, f"cum{function}"), False), x)


def cumsum(x: Tensor, axis: int | None = None, dtype: str | None = None) -> Any:
    """The sum of all elements up to each one along ``axis``; without ``axis`` of the flattened tensor.

    Example:
        >>> cumsum(np.array([1, 2, 3]))
        array([1, 3, 6])
    """
    return _cumulate("sum", x, axis, dtype)


def cumprod(x: Tensor, axis: int | None = None, dtype: str | None = None) -> Any:
    """The product of all elements up to each one along ``axis``; without ``axis`` of the flattened tensor."""
    return _cumulate("prod", x, axis, dtype)


def nancumsum(x: Tensor, axis: int | None = None, dtype: str | None = None) -> Any:
    """``cumsum`` with nan counted as 0."""
    return cumsum(_without_nan(x, 0), axis, dtype)


def nancumprod(x: Tensor, axis: int | None = None, dtype: str | None = None) -> Any:
    """``cumprod`` with nan counted as 1."""
    return cumprod(_without_nan(x, 1), axis, dtype)


def _without_nan(x: Tensor, number: int) -> Any:
    x = operand(x)
    return where(isnan(x), number, x) if dtypes.is_floating(dtype_of(x)) else x


@composite(example((3, 4)), example((4, 3), n=2, axis=0))
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Any:
    """The difference of each element to the one before along ``axis``, taken ``n`` times.

    Example:
        >>> diff(np.array([1, 4, 9]))
        array([3, 5])
    """
    x = operand(a)
    axis = axis_of(axis, x.ndim, "diff")
    for _ in range(whole("diff", "n", n, 0)):
        size = x.shape[axis]
        if isinstance(size, int) and size == 0:
            return x
        low, high = slice_axis(x, axis, 0, size - 1), slice_axis(x, axis, 1, size)
        x = not_equal(high, low) if dtype_of(x) == "bool" else high - low
    return x


@composite(example((3, 4)), example((4, 3), (4,), axis=0))
def trapezoid(y: Tensor, x: Tensor = None, dx: float = 1.0, axis: int = -1) -> Any:
    """The area under the points ``y`` along ``axis``, at places ``x`` or ``dx`` apart, by trapezoids.

    Example:
        >>> trapezoid(np.array([1.0, 2.0, 3.0]))
        array(4.)
    """
    (y,) = operands(y, floating=True)
    axis = axis_of(axis, y.ndim, "trapezoid")
    size = y.shape[axis]
    heights = (slice_axis(y, axis, 1, size) + slice_axis(y, axis, 0, size - 1)) * 0.5
    if x is None:
        return sum(heights * dx, axis)
    width = diff(operands(y, x)[1], axis=axis if operand(x).ndim == y.ndim else 0)
    if width.ndim == 1:
        width = reshape(width, tuple(-1 if i == axis else 1 for i in range(y.ndim)))
    return sum(heights * width, axis)
