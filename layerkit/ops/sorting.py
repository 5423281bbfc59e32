"""Order: sorting, the largest k, ranks, places in a sorted series, distinct elements.

``ArgSort`` gives places, by which other tensors can be ordered, too; ``Sort`` the elements alone, at half the cost. Equal elements
keep their order; nan comes last (first where the order is descending).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError, DTypeError, ShapeError
from layerkit.ir import Array, BadCase, Case, Op, Size, TensorType, Value, nondifferentiable, number
from layerkit.ops.core import (
    Tensor,
    apply,
    axis_of,
    check_choice,
    composite,
    dtype_of,
    example,
    operand,
    operands,
    whole,
)
from layerkit.ops.cumulative import cumsum
from layerkit.ops.elementwise import (
    cast,
    equal,
    greater,
    greater_equal,
    isfinite,
    less,
    less_equal,
    logical_and,
    logical_not,
    not_equal,
    stop_gradient,
    where,
)
from layerkit.ops.gathering import segment_sum, take_along_axis
from layerkit.ops.reduction import any, min, sum
from layerkit.ops.shape import concatenate, expand_dims, flip, moveaxis, reshape, slice_axis, squeeze
from layerkit.records import dataclass


@dataclass(frozen=True)
class ArgSort(Op):
    """The places of the elements of the last axis in order, or the first ``count`` of them: (..., n) -> i32[..., count]."""

    name = "argsort"
    descending: bool
    count: Size | None = None

    def infer(self, x: TensorType) -> TensorType:
        if x.rank == 0:
            raise ShapeError("'argsort' cannot order a scalar.", expected="at least one axis", got=str(x))
        if x.dtype in dtypes.STORAGE:
            raise DTypeError(f"'argsort' does not compare {x.dtype}.", expected="float32 or float64", got=x.dtype)
        n = x.shape[-1]
        if isinstance(self.count, int) and isinstance(n, int) and not 0 <= self.count <= n:
            raise ShapeError("'argsort' has no more places.", expected=f"count in [0, {n}]", got=str(self.count))
        return TensorType("int32", (*x.shape[:-1], n if self.count is None else self.count))

    def reference(self, x: Array) -> Array:
        if self.descending:
            places = x.shape[-1] - 1 - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        else:
            places = np.argsort(x, axis=-1, kind="stable")
        return places[..., : self.count].astype("int32")

    vjp = nondifferentiable("places are integers")

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for descending in (False, True):
            yield Case(cls(descending), ((3, 7),), differentiable=False)
            yield Case(
                cls(descending), ((2, 2, 16),), integers={0: (0, 4)}, differentiable=False, label=f"ties {descending}"
            )
        for n, count in ((1, None), (16, 3), (40, 2), (33, None), (100, 40), (1100, None), (1100, 30), (2500, 5)):
            yield Case(
                cls(n % 3 == 1, count), ((9, n),), integers={0: (-50, 50)}, differentiable=False, label=f"{n} {count}"
            )
            yield Case(cls(n % 3 == 2, count), ((2, n),), differentiable=False, label=f"{n} {count} float")
        for dtype in (*dtypes.INTEGERS, "bool"):
            yield Case(
                cls(False), ((3, 21),), integers={0: (-3, 5)}, dtypes={0: dtype}, differentiable=False, label=dtype
            )
        yield Case(cls(False), ((3, 0),), differentiable=False, label="empty")
        yield Case(cls(False), ((300,),), dtypes={0: "bool"}, differentiable=False, label="bool")

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls(False), (TensorType("float32", ()),), ShapeError, "at least one axis")
        yield BadCase(cls(False, 4), (TensorType("float32", (3,)),), ShapeError, "count in [0, 3]")
        yield BadCase(cls(False), (TensorType("bfloat16", (3,)),), DTypeError, "float32 or float64")


@dataclass(frozen=True)
class Sort(Op):
    """The elements of the last axis in ascending order: (..., n) -> (..., n). Which of 0.0 and -0.0 comes first is not said."""

    name = "sort"

    def infer(self, x: TensorType) -> TensorType:
        ArgSort(False).infer(x)
        return x

    def reference(self, x: Array) -> Array:
        return np.sort(x, axis=-1)

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        """Each element has the cotangent of where it went: the places of the places in order."""
        return (take_along_axis(g, argsort(argsort(x)), -1),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(), ((3, 7),), label="few")
        for rows, n in ((2, 1), (17, 16), (9, 33), (5, 64), (33, 100), (2, 256), (1, 1100), (3, 2500)):
            yield Case(cls(), ((rows, n),), differentiable=False, label=f"{rows} {n}")
        yield Case(cls(), ((3, 2, 40),), integers={0: (0, 4)}, differentiable=False, label="ties")
        for dtype in (*dtypes.INTEGERS, "bool"):
            yield Case(cls(), ((3, 21),), integers={0: (-3, 5)}, dtypes={0: dtype}, differentiable=False, label=dtype)
        yield Case(cls(), ((3, 0),), differentiable=False, label="empty")

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls(), (TensorType("float32", ()),), ShapeError, "at least one axis")
        yield BadCase(cls(), (TensorType("bfloat16", (3,)),), DTypeError, "float32 or float64")


# Sorting -------------------------------------------------------------------------------------------------------------


def argsort(x: Tensor, axis: int | None = -1) -> Any:
    """The places of the elements along ``axis`` in ascending order, int32; without ``axis`` of the flattened tensor.

    Example:
        >>> argsort(np.array([3, 1, 2]))
        array([1, 2, 0], dtype=int32)
    """
    return _argsort(x, axis, descending=False)


def _argsort(x: Tensor, axis: int | None, descending: bool, count: Size | None = None) -> Any:
    x = operand(x)
    if axis is None or x.ndim == 0:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim, "argsort")
    return moveaxis(apply(ArgSort(descending, count), moveaxis(x, axis, -1)), -1, axis)


@composite(example((3, 4), distinct=True), example((4, 3), axis=0, distinct=True))
def sort(x: Tensor, axis: int | None = -1) -> Any:
    """The elements along ``axis`` in ascending order, nan last; without ``axis`` those of the flattened tensor.

    Example:
        >>> sort(np.array([3.0, 1.0, 2.0]))
        array([1., 2., 3.])
    """
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim, "sort")
    return moveaxis(apply(Sort(), moveaxis(x, axis, -1)), -1, axis)


def argpartition(x: Tensor, kth: int, axis: int | None = -1) -> Any:
    """Places such that the kth element is where sorting would put it, smaller ones before it: here all are sorted."""
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    size, kth = x.shape[axis_of(axis, x.ndim, "argpartition")], whole("argpartition", "kth", kth)
    if isinstance(size, int) and not -size <= kth < size:
        raise ArgumentError("'argpartition' has no such element.", expected=f"kth in [{-size}, {size})", got=f"{kth=}")
    return argsort(x, axis)


@composite(example((3, 5), k=2, distinct=True))
def top_k(x: Tensor, k: int, sorted: bool = True) -> Any:
    """The k largest of the last axis, the largest first, and their places: (..., n) -> (..., k), i32[..., k].

    Of equal ones the first comes first, whether ``sorted`` is asked for or not.

    Example:
        >>> top_k(np.array([1.0, 4.0, 2.0]), 2)
        (array([4., 2.]), array([1, 2], dtype=int32))
    """
    x, k = operand(x), whole("top_k", "k", k, 0)
    if x.ndim == 0 or (isinstance(x.shape[-1], int) and k > x.shape[-1]):
        raise ArgumentError(
            "'top_k' takes as many as there are.",
            expected=f"k in [0, {(*x.shape, 0)[-2 if x.ndim else -1]}]",
            got=f"{k=}",
        )
    places = _argsort(x, -1, descending=True, count=k)
    return take_along_axis(x, places, -1), places


def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Any:
    """Whether fewer than k predictions are larger than that of the target: i32[n], (n, classes) -> bool[n].

    A target outside the classes, or one whose prediction is not finite, is not among them.

    Example:
        >>> in_top_k(np.array([1, 0]), np.array([[0.1, 0.9], [0.2, 0.8]]), 1)
        array([ True, False])
    """
    targets, (predictions,) = operand(targets), operands(predictions, floating=True)
    classes = predictions.shape[-1]
    is_class = logical_and(greater_equal(targets, 0), less(targets, classes))
    safe = where(is_class, targets, 0)
    own = take_along_axis(predictions, expand_dims(safe, -1), -1)
    ahead = sum(cast(predictions > own, "int32"), -1)
    is_finite = logical_and(isfinite(squeeze(own, -1)), is_class)
    return logical_and(is_finite, ahead < k)


@composite(example((2, 4)), example((3, 2), axis=0))
def sparsemax(x: Tensor, axis: int = -1) -> Any:
    """The nearest probabilities to ``x`` along ``axis``: max(x - t, 0) with a t for which they add up to 1.

    Source: Martins and Astudillo 2016, arXiv:1602.02068.
    """
    (x,) = operands(x, floating=True)
    axis = axis_of(axis, x.ndim, "sparsemax")
    ordered = stop_gradient(moveaxis(flip(sort(x, axis), axis), axis, -1))
    rank = np.arange(1, number(x.shape[axis]) + 1).astype(dtype_of(x))
    is_in = ordered * rank > cumsum(ordered, -1) - 1.0
    least = moveaxis(min(where(is_in, ordered, math.inf), -1, keepdims=True), -1, axis)
    chosen = x >= least
    count = sum(cast(chosen, dtype_of(x)), axis, keepdims=True)
    level = (sum(where(chosen, x, 0.0), axis, keepdims=True) - 1.0) / count
    return where(chosen, x - level, 0.0)


# Places in a sorted series -------------------------------------------------------------------------------------------


def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Any:
    """Where to put ``values`` so that the series stays sorted: before equal ones ("left") or after ("right"), int32.

    Example:
        >>> searchsorted(np.array([1, 3, 5]), np.array([3, 4]))
        array([1, 2], dtype=int32)
    """
    check_choice("searchsorted", "side", side, ["left", "right"])
    series, values = operands(sorted_sequence, values)
    if series.ndim != 1:
        raise ShapeError("'searchsorted' takes one series.", expected="one axis", got=f"{series.ndim} axes")
    is_before = (less if side == "left" else less_equal)(series, expand_dims(values, -1))
    return sum(cast(is_before, "int32"), -1)


def digitize(x: Tensor, bins: Tensor) -> Any:
    """The number of the bin of each element; ``bins`` are the ascending borders, each the first number of its bin.

    Example:
        >>> digitize(np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0]))
        array([0, 1, 2], dtype=int32)
    """
    return searchsorted(bins, x, side="right")


# Sets ----------------------------------------------------------------------------------------------------------------


def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element of x1 is among those of x2, or is not if ``invert``.

    Example:
        >>> isin(np.array([1, 2, 3]), np.array([2, 5]))
        array([False,  True, False])
    """
    x1, x2 = operands(x1, x2)
    found = any(equal(expand_dims(x1, -1), reshape(x2, (-1,))), -1)
    return logical_not(found) if invert else found


def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Tensor = None,
) -> Any:
    """The distinct elements (or slices along ``axis``) in ascending order.

    Inside a program their number has to be given: ``size`` of them, the rest filled with ``fill_value``, by default the
    smallest element.

    Args:
        x: the tensor.
        sorted: they are, always.
        return_index: also return where each stands first.
        return_inverse: also return which of them each element is.
        return_counts: also return how often each stands there.
        axis: compare slices along this axis (arrays only); None compares elements.
        size: how many to return.
        fill_value: what fills up to ``size``.

    Example:
        >>> unique(np.array([3, 1, 3]), return_counts=True)
        (array([1, 3]), array([1, 2], dtype=int32))
    """
    x = operand(x)
    if not isinstance(x, Value):
        found = np.unique(x, True, True, True, axis=axis)
        distinct, (first, inverse, counts) = found[0], (part.astype("int32") for part in found[1:])
        if size is not None:
            distinct, first, counts = _sized(distinct, first, counts, 0 if axis is None else axis, size, fill_value)
    else:
        if axis is not None or size is None:
            raise ArgumentError(
                "'unique' in a program returns a known number of elements.",
                expected="size=, and axis=None",
                got=f"{size=}, {axis=}",
            )
        distinct, first, inverse, counts = _unique(x, size, fill_value)
    wanted = [(True, distinct), (return_index, first), (return_inverse, inverse), (return_counts, counts)]
    parts = [part for is_wanted, part in wanted if is_wanted]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _sized(distinct: Array, first: Array, counts: Array, axis: int, size: int, fill: Any) -> tuple[Array, ...]:
    """Cut or filled up to ``size`` along ``axis``."""
    have = distinct.shape[axis]
    kept = np.take(distinct, np.arange(size)[:have], axis)
    more = size - kept.shape[axis]
    if more > 0:
        filler = np.take(distinct, [0], axis) if fill is None else np.full_like(np.take(distinct, [0], axis), fill)
        kept = np.concatenate([kept, np.repeat(filler, more, axis)], axis)
    return (
        kept,
        np.pad(first[:size], (0, max(more, 0)), constant_values=first[0]),
        np.pad(counts[:size], (0, max(more, 0))),
    )


def _unique(x: Any, size: int, fill: Any) -> tuple[Any, Any, Any, Any]:
    """By sorting: an element that differs from the one before it is new, and its number is how many were new so far."""
    shape = x.shape
    flat = reshape(x, (-1,))
    order = argsort(flat)
    ordered = take_along_axis(flat, order, 0)
    count = flat.shape[0]
    new = not_equal(slice_axis(ordered, 0, 1, count), slice_axis(ordered, 0, 0, count - 1))
    new = concatenate([np.ones(1, bool), new])
    which = cumsum(cast(new, "int32")) - 1
    counts = segment_sum(cast(equal(which, which), "int32"), which, size)
    is_there = greater(counts, 0)
    rows = segment_sum(where(new, order, 0), which, size)
    values = segment_sum(where(new, ordered, cast(0, dtype_of(x))), which, size)
    filler = slice_axis(ordered, 0, 0, 1) if fill is None else operand(fill, dtype_of(x))
    inverse = segment_sum(which, order, count)
    first = where(is_there, rows, slice_axis(order, 0, 0, 1))
    return where(is_there, values, filler), first, reshape(inverse, shape), counts
