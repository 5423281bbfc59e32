"""Averages, quantiles, counts, and reductions that leave out nan; composites with the names of ``keras.ops``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import Value, number, product, show_shape
from layerkit.ops.conv import conv
from layerkit.ops.core import (
    Axis,
    Tensor,
    axes_of,
    check_choice,
    composite,
    dtype_of,
    example,
    operand,
    operands,
    size,
    whole,
)
from layerkit.ops.creation import linspace
from layerkit.ops.elementwise import (
    cast,
    ceil,
    divide,
    floor,
    isnan,
    maximum,
    minimum,
    not_equal,
    round_half_even,
    sqrt,
    where,
)
from layerkit.ops.gathering import segment_sum, take_along_axis
from layerkit.ops.matrices import matmul
from layerkit.ops.reduction import all, any, argmax, argmin, broadcast_to, max, mean, min, prod, sum
from layerkit.ops.shape import flip, moveaxis, reshape, transpose
from layerkit.ops.sorting import searchsorted, sort

# Plain ---------------------------------------------------------------------------------------------------------------


def average(x: Tensor, axis: Axis = None, weights: Tensor = None) -> Any:
    """Mean along ``axis`` in which each element counts with its weight.

    Args:
        x: the tensor.
        axis: along which; None is all.
        weights: in the shape of ``x``, or one for each place along ``axis``.

    Example:
        >>> float(average(np.array([1.0, 5.0]), weights=np.array([3.0, 1.0])))
        2.0
    """
    if weights is None:
        return mean(x, axis)
    x, weights = operands(x, weights, floating=True)
    if weights.ndim != x.ndim:
        along = axes_of(axis, x.ndim, "average")
        if weights.ndim != 1 or len(along) != 1:
            raise ShapeError(
                "'average' needs a weight for each element.",
                expected=show_shape(x.shape),
                got=show_shape(weights.shape),
            )
        weights = reshape(weights, tuple(-1 if i == along[0] else 1 for i in range(x.ndim)))
    return divide(sum(x * weights, axis), sum(broadcast_to(weights, x.shape), axis))


@composite(example((3, 4), axis=-1, distinct=True))
def ptp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element along ``axis`` less the smallest."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def count_nonzero(x: Tensor, axis: Axis = None) -> Any:
    """How many elements along ``axis`` are not 0, int32."""
    return sum(cast(not_equal(x, 0), "int32"), axis)


@composite(example((3, 5)))
def corrcoef(x: Tensor) -> Any:
    """Correlations of the rows: (n, observations) -> (n, n)."""
    (x,) = operands(x, floating=True)
    centred = reshape(x, (1, -1)) if x.ndim < 2 else x
    centred = centred - mean(centred, -1, keepdims=True)
    spread = sqrt(sum(centred * centred, -1, keepdims=True))
    result = maximum(minimum(matmul(centred / spread, transpose(centred / spread)), 1.0), -1.0)
    return reshape(result, ()) if x.ndim < 2 else result


@composite(example((5,), (3,)), example((4,), (3,), mode="full"), example((3,), (4,), mode="same"))
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Any:
    """Sums of products as x2 slides over x1: where it is inside ("valid"), touches ("full"), or in the middle ("same").

    Example:
        >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0]))
        array([2., 3.])
    """
    check_choice("correlate", "mode", mode, ["valid", "same", "full"])
    x1, x2 = operands(x1, x2, floating=True)
    if x1.ndim != 1 or x2.ndim != 1:
        got = f"{show_shape(x1.shape)} and {show_shape(x2.shape)}"
        raise ShapeError("'correlate' takes two sequences.", expected="(n,) and (m,)", got=got)
    n, m = number(x1.shape[0]), number(x2.shape[0])
    if n < m:
        return flip(correlate(x2, x1, mode), 0)
    low = {"valid": 0, "full": m - 1, "same": m // 2}[mode]
    high = {"valid": 0, "full": m - 1, "same": m - 1 - m // 2}[mode]
    return reshape(conv(reshape(x1, (1, n, 1)), reshape(x2, (m, 1, 1)), 1, ((low, high),)), (-1,))


# Quantiles -----------------------------------------------------------------------------------------------------------

_METHODS = ["linear", "lower", "higher", "midpoint", "nearest"]


@composite(example((3, 5), q=0.3, axis=-1, distinct=True), example((4, 2), q=(0.1, 0.75), axis=0, distinct=True))
def quantile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The number below which a part ``q`` of the elements along ``axis`` lies; nan if one of them is.

    Args:
        x: the tensor.
        q: a part, in [0, 1], or several: their axis comes first in the result.
        axis: along which; None is all.
        method: between two elements: "linear", "lower", "higher", "midpoint", "nearest".
        keepdims: keep the axes with size 1.

    Example:
        >>> quantile(np.array([1.0, 2.0, 4.0]), 0.25)
        array(1.5)
    """
    return _quantile(x, q, axis, method, keepdims, skip_nan=False)


def percentile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Any:
    """``quantile`` of parts given in percent."""
    return quantile(x, operands(q, floating=True)[0] / 100.0, axis, method, keepdims)


@composite(example((3, 5), axis=1, distinct=True), example((2, 4), distinct=True))
def median(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """The element in the middle along ``axis``, or the mean of the two that are; nan if an element is."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


def nanquantile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Any:
    """``quantile`` of the elements that are not nan; nan if all are."""
    return _quantile(x, q, axis, method, keepdims, skip_nan=True)


def nanpercentile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Any:
    """``percentile`` of the elements that are not nan; nan if all are."""
    return nanquantile(x, operands(q, floating=True)[0] / 100.0, axis, method, keepdims)


def nanmedian(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """``median`` of the elements that are not nan; nan if all are."""
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


def _quantile(x: Tensor, q: Tensor, axis: Axis, method: str, keepdims: bool, skip_nan: bool) -> Any:
    check_choice("quantile", "method", method, _METHODS)
    x, q = operands(x, q, floating=True)
    axes = axes_of(axis, x.ndim, "quantile")
    front = [i for i in range(x.ndim) if i not in axes]
    rows = transpose(x, [*front, *axes])
    ordered = sort(reshape(rows, (*rows.shape[: len(front)], product(x.shape[a] for a in axes))))
    kind = dtype_of(x)
    is_nan = isnan(ordered)
    count = sum(cast(~is_nan, kind), -1, keepdims=True)  # (*front, 1)
    last = count - 1.0 if skip_nan else operand(size(ordered.shape[-1] - 1), kind)
    place = reshape(q, (*(1 for _ in front), -1)) * last  # (*front, parts) or (1..., parts)
    low, high = maximum(floor(place), 0.0), maximum(ceil(place), 0.0)
    if method == "nearest":
        low = high = maximum(round_half_even(place), 0.0)
    below, above = (_at(ordered, p) for p in (low, high))
    match method:
        case "lower" | "nearest":
            result = below
        case "higher":
            result = above
        case "midpoint":
            result = (below + above) * 0.5
        case _:
            part = place - low
            result = below * (1.0 - part) + above * part
    is_bad = count == 0.0 if skip_nan else any(is_nan, -1, keepdims=True)
    result = where(is_bad, math.nan, result)
    if keepdims:
        result = reshape(result, (*(1 if i in axes else n for i, n in enumerate(x.shape)), result.shape[-1]))
    result = moveaxis(result, -1, 0)
    return reshape(result, (*q.shape, *result.shape[1:]))


def _at(ordered: Any, place: Any) -> Any:
    """Elements of the last axis at places that are whole."""
    place = broadcast_to(cast(place, "int32"), (*ordered.shape[:-1], place.shape[-1]))
    return take_along_axis(ordered, place, -1)


# Without nan ---------------------------------------------------------------------------------------------------------


def _split_nan(x: Tensor, filler: float) -> tuple[Any, Any]:
    """``x`` with ``filler`` in the place of nan, and where nan was (None if there can be none)."""
    x = operand(x)
    if not dtypes.is_floating(dtype_of(x)):
        return x, None
    gone = isnan(x)
    return where(gone, filler, x), gone


def nansum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum of the elements that are not nan."""
    return sum(_split_nan(x, 0.0)[0], axis, keepdims)


def nanprod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product of the elements that are not nan."""
    return prod(_split_nan(x, 1.0)[0], axis, keepdims)


def nanmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest of the elements that are not nan; nan if all are."""
    x, gone = _split_nan(x, -math.inf)
    largest = max(x, axis, keepdims)
    return largest if gone is None else where(all(gone, axis, keepdims), math.nan, largest)


def nanmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest of the elements that are not nan; nan if all are."""
    x, gone = _split_nan(x, math.inf)
    smallest = min(x, axis, keepdims)
    return smallest if gone is None else where(all(gone, axis, keepdims), math.nan, smallest)


def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """Place of the first largest element that is not nan; -1 if all are."""
    x, gone = _split_nan(x, -math.inf)
    place = argmax(x, axis, keepdims)
    return place if gone is None else where(all(gone, axis, keepdims), -1, place)


def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """Place of the first smallest element that is not nan; -1 if all are."""
    x, gone = _split_nan(x, math.inf)
    place = argmin(x, axis, keepdims)
    return place if gone is None else where(all(gone, axis, keepdims), -1, place)


def nanmean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean of the elements that are not nan; nan if all are."""
    x, gone = _split_nan(x, 0.0)
    if gone is None:
        return mean(x, axis, keepdims)
    return divide(sum(x, axis, keepdims), sum(cast(~gone, dtype_of(x)), axis, keepdims))


def nanvar(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean squared distance from their mean of the elements that are not nan; nan if all are."""
    (x,) = operands(x, floating=True)
    gap = x - nanmean(x, axis, keepdims=True)
    return nanmean(gap * gap, axis, keepdims)


def nanstd(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Any:
    """Square root of ``nanvar``."""
    return sqrt(nanvar(x, axis, keepdims))


# Counts --------------------------------------------------------------------------------------------------------------


def bincount(x: Tensor, weights: Tensor = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often each whole number from 0 occurs, or the sum of its weights: (n) -> (numbers), (b, n) -> (b, numbers).

    Args:
        x: whole numbers >= 0.
        weights: in the shape of ``x``.
        minlength: counts for at least so many numbers; in a program exactly so many, larger numbers are left out.
        sparse: must be False, tensors are dense.

    Example:
        >>> bincount(np.array([1, 1, 3]))
        array([0, 2, 0, 1], dtype=int32)
    """
    if sparse:
        raise ArgumentError("tensors are dense.", expected="sparse=False", got="sparse=True")
    x, minlength = cast(x, "int32"), whole("bincount", "minlength", minlength, 0)
    if x.ndim not in (1, 2):
        raise ShapeError("'bincount' counts in rows.", expected="(n,) or (batch, n)", got=show_shape(x.shape))
    if isinstance(x, Value):
        if not minlength:
            raise ArgumentError(
                "in a program the number of counts is given.", expected="minlength=", got=str(minlength)
            )
        count = minlength
    else:
        count = int(np.max(x, initial=minlength - 1)) + 1
    weights = broadcast_to(np.int32(1), x.shape) if weights is None else operand(weights)
    if x.ndim == 1:
        return segment_sum(weights, x, count)
    rows = x.shape[0]
    is_known = (x >= 0) & (x < count)
    places = where(is_known, x + reshape(np.arange(rows, dtype="int32") * count, (rows, 1)), -1)
    return reshape(segment_sum(reshape(weights, (-1,)), reshape(places, (-1,)), rows * count), (rows, count))


def histogram(x: Tensor, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Any, Any]:
    """Counts of the elements in ``bins`` equal parts of a range, and the borders of the parts: (bins,), (bins + 1,).

    Args:
        x: the tensor.
        bins: how many parts.
        range: lowest and highest border; by default the smallest and largest element. What is outside is not counted.

    Example:
        >>> histogram(np.array([0.0, 1.0, 1.0, 4.0]), bins=2)
        (array([3., 1.]), array([0., 2., 4.]))
    """
    (x,) = operands(reshape(x, (-1,)), floating=True)
    whole("histogram", "bins", bins, 1)
    if range is not None and not (len(range) == 2 and range[0] < range[1]):
        raise ArgumentError("'histogram' has no such range.", expected="(lowest, highest)", got=str(range))
    low, high = (min(x), max(x)) if range is None else (operand(v, dtype_of(x)) for v in range)
    is_flat = low == high
    low, high = where(is_flat, low - 0.5, low), where(is_flat, high + 0.5, high)
    edges = linspace(low, high, bins + 1)
    place = searchsorted(edges, x, side="right") - 1
    place = where(x == high, bins - 1, place)
    ones = broadcast_to(operand(1.0, dtype_of(x)), x.shape)
    return segment_sum(ones, where((x >= low) & (x <= high), place, -1), bins), edges
