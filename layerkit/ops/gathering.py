"""Elements by place: along an axis, slices that begin anywhere, and writing or collecting at given places.

Places are int32 and count from 0; negative ones count from the end. ``ScatterReduce`` is the one primitive here: sums are
``ScatterAdd`` of ``layerkit.ops.indexing``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError, DataError, ShapeError
from layerkit.ir import (
    Array,
    BadCase,
    Case,
    Op,
    Shape,
    Size,
    TensorType,
    Value,
    broadcast_shapes,
    product,
    show_shape,
)
from layerkit.ops import elementwise
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
    size,
)
from layerkit.ops.elementwise import cast, equal, greater_equal, less, logical_and, maximum, minimum, not_equal
from layerkit.ops.indexing import Gather, Iota, LastPlace, ScatterAdd, getitem, take
from layerkit.ops.reduction import broadcast_to
from layerkit.ops.shape import Slice, as_shape, moveaxis, reshape, stack
from layerkit.records import dataclass

_NUMPY = {"max": np.maximum, "min": np.minimum, "prod": np.multiply}


@dataclass(frozen=True)
class ScatterReduce(Op):
    """The largest, smallest or product of the rows with each number below ``rows``: (k, ...), i32 (k,) -> (rows, ...).

    A row that no number names holds the neutral element: the lowest, the highest, or 1. Numbers outside [0, rows) are left
    out.
    """

    name = "scatter_reduce"
    presets = {f"scatter_{f}": {"function": f} for f in _NUMPY}
    function: str
    rows: Size

    @property
    def word(self) -> str:
        return f"scatter_{self.function}"

    def infer(self, updates: TensorType, indices: TensorType) -> TensorType:
        return ScatterAdd(self.rows).infer(updates, indices)

    def reference(self, updates: Array, indices: Array) -> Array:
        shape: Any = (self.rows, *updates.shape[indices.ndim :])
        table = np.full(shape, neutral(self.function, dtypes.canonical(updates.dtype)), updates.dtype)
        known = (indices >= 0) & (indices < self.rows)
        _NUMPY[self.function].at(table, indices[known], updates[known])
        return table

    def vjp(self, g: Value, out: Value, updates: Value, indices: Value) -> tuple[Value | None, ...]:
        def gather(table: Any) -> Any:
            return apply(Gather(checked=False), table, indices)

        def add(rows: Any) -> Any:
            return apply(ScatterAdd(self.rows, checked=False), rows, indices)

        kind = updates.dtype
        if self.function != "prod":
            is_best = cast(equal(updates, gather(out)), kind)
            return gather(g) * is_best / maximum(gather(add(is_best)), 1.0), None
        is_zero = equal(updates, 0.0)
        zeros = gather(add(cast(is_zero, kind)))
        rest = gather(apply(self, elementwise.where(is_zero, 1.0, updates), indices))  # of those that are not 0
        alone = elementwise.where(equal(zeros, 1.0), rest, 0.0)
        slope = elementwise.where(equal(zeros, 0.0), rest / elementwise.where(is_zero, 1.0, updates), 0.0)
        return gather(g) * elementwise.where(is_zero, alone, slope), None

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for function in _NUMPY:
            yield Case(cls(function, 2), ((9, 2), (9,)), (0.5, 2.0), distinct=True, integers={1: (-1, 2)})
            yield Case(cls(function, 2), ((6,), (6,)), (-2.0, -0.5), distinct=True, integers={1: (0, 2)})

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("max", 5), (TensorType("float32", (4, 3)), TensorType("int32", (2,))), ShapeError, "(4,)")


def neutral(function: str, dtype: str) -> Any:
    """The number that changes no maximum, minimum or product."""
    if function == "prod":
        return 1
    if dtype == "bool":
        return function == "min"
    if dtypes.is_floating(dtype):
        return -np.inf if function == "max" else np.inf
    limits = np.iinfo(dtypes.numpy_dtype(dtype))
    return limits.min if function == "max" else limits.max


# Reading -------------------------------------------------------------------------------------------------------------


@composite(
    example((3, 4), (3, 2), integers={1: (0, 4)}, axis=1),
    example((3, 4), (2, 1), integers={1: (-3, 3)}, axis=0),
    example((3, 2), (4,), integers={1: (0, 6)}),
)
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Any:
    """Elements by their places along ``axis``, of each row its own; without ``axis`` of the flattened tensor.

    Shapes:
        x: (..., n, ...)    indices: (..., m, ...), the other axes broadcast    returns: (..., m, ...)
    Raises:
        DataError: a place outside [-n, n), when the program runs.

    Example:
        >>> take_along_axis(np.array([[1, 2], [3, 4]]), np.array([[1], [0]]), 1)
        array([[2],
               [3]])
    """
    x, indices = operand(x), operand(indices)
    if axis is None:
        x, indices, axis = reshape(x, (-1,)), reshape(indices, (-1,)), 0
    axis = axis_of(axis, x.ndim, "take_along_axis")
    if indices.ndim != x.ndim:
        raise ShapeError(
            "'take_along_axis' has places for each row.", expected=f"{x.ndim} axes", got=f"{indices.ndim} axes"
        )
    x, indices = moveaxis(x, axis, -1), moveaxis(_from_front(indices, x.shape[axis]), axis, -1)
    front = broadcast_shapes("take_along_axis", (x.shape[:-1], indices.shape[:-1]))
    n = x.shape[-1]
    x, indices = broadcast_to(x, (*front, n)), broadcast_to(indices, (*front, indices.shape[-1]))
    first = apply(Iota(product(front), "int32")) * size(n)
    flat = reshape(first, (*front, 1)) + indices
    flat = elementwise.where(less(indices, 0), -1, flat)
    return moveaxis(apply(Gather(), reshape(x, (-1,)), flat), -1, axis)


def _from_front(places: Any, n: Size) -> Any:
    """Places as numbers from the front, int32, and -1 for those that do not exist."""
    places = cast(places, "int32")
    if not isinstance(places, Value) and isinstance(n, int):
        counted = np.where(places < 0, places + n, places)
        return np.where((counted >= 0) & (counted < n), counted, -1).astype("int32")
    places = elementwise.where(less(places, 0), places + size(n), places)
    return elementwise.where(logical_and(greater_equal(places, 0), less(places, size(n))), places, -1)


def get_item(x: Tensor, key: Any) -> Any:
    """``x[key]``."""
    return getitem(operand(x), key) if isinstance(operand(x), Value) else operand(x)[key]


def slice(inputs: Tensor, start_indices: Tensor, shape: Sequence[int]) -> Any:
    """The part of ``inputs`` that begins at ``start_indices``, numbers or a tensor, moved so that all of it is inside.

    Example:
        >>> slice(np.arange(9).reshape(3, 3), (1, 1), (2, 1))
        array([[4],
               [7]])
    """
    x = operand(inputs)
    counts = as_shape("slice", shape)
    starts = _starts(x, start_indices, counts)
    if not isinstance(starts, Value):
        stops = tuple(a + n for a, n in zip(starts, counts, strict=True))
        return apply(Slice(starts, stops, (1,) * x.ndim), x)
    for axis, count in enumerate(counts):
        if x.shape[axis] != count:
            x = take(x, starts[axis] + apply(Iota(count, "int32")), axis)
    return x


def slice_update(inputs: Tensor, start_indices: Tensor, updates: Tensor) -> Any:
    """``inputs`` with ``updates`` written over the part that begins at ``start_indices``.

    Example:
        >>> slice_update(np.zeros(4), (1,), np.array([5.0, 6.0]))
        array([0., 5., 6., 0.])
    """
    x = operand(inputs)
    updates = cast(updates, dtype_of(x))
    starts = _starts(x, start_indices, updates.shape)
    inside: Any = None
    for axis, count in enumerate(updates.shape):
        places = reshape(apply(Iota(x.shape[axis], "int32")) - starts[axis], (-1,))
        is_in = logical_and(greater_equal(places, 0), less(places, count))
        updates = take(updates, minimum(maximum(places, 0), count - 1), axis)
        is_in = reshape(is_in, tuple(-1 if i == axis else 1 for i in range(x.ndim)))
        inside = is_in if inside is None else logical_and(inside, is_in)
    return updates if inside is None else elementwise.where(inside, updates, x)


def _starts(x: Any, start_indices: Any, shape: Shape) -> Any:
    """Where the part begins: numbers, or an int32 tensor, such that it ends inside."""
    if len(shape) != x.ndim:
        raise ShapeError("a slice has a size for each axis.", expected=f"{x.ndim} sizes", got=show_shape(shape))
    starts = cast(operand(start_indices), "int32")
    if starts.shape != (x.ndim,):
        raise ShapeError("a slice begins somewhere on each axis.", expected=f"{x.ndim} numbers", got=str(starts.shape))
    for n, count in zip(x.shape, shape, strict=True):
        if isinstance(n, int) and isinstance(count, int) and count > n:
            raise ShapeError(
                "a slice is no larger than its tensor.", expected=show_shape(x.shape), got=show_shape(shape)
            )
    if isinstance(starts, Value):
        room = stack([size(n - count) for n, count in zip(x.shape, shape, strict=True)])
        return maximum(minimum(starts, room), 0)
    ends = (n - count for n, count in zip(x.shape, shape, strict=True))
    return tuple(
        max(min(int(a), end), 0) if isinstance(end, int) else int(a) for a, end in zip(starts, ends, strict=True)
    )


def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Any, ...]:
    """Numbers of elements as places on each axis of a tensor of ``shape``.

    Example:
        >>> unravel_index(np.array([0, 5]), (2, 3))
        (array([0, 1]), array([0, 2]))
    """
    rest, places = operand(indices), []
    for n in reversed(as_shape("unravel_index", shape)):
        places.append(rest % n)
        rest = rest // n
    return tuple(reversed(places))


# Choosing ------------------------------------------------------------------------------------------------------------


def where(condition: Tensor, x1: Tensor = None, x2: Tensor = None) -> Any:
    """``x1`` where ``condition`` is true, else ``x2``; with a condition alone the places where it is true (arrays only)."""
    return nonzero(condition) if x1 is None and x2 is None else elementwise.where(condition, x1, x2)


def nonzero(x: Tensor) -> tuple[Array, ...]:
    """The places of the elements that are not 0, for each axis. How many is known for arrays only.

    Example:
        >>> nonzero(np.array([0, 7, 8]))
        (array([1, 2], dtype=int32),)
    """
    x = operand(x)
    if isinstance(x, Value):
        raise DataError(
            "how many elements are not 0 is not known in a program.",
            expected="an array", got=str(x.type), fix="use ops.where(condition, x1, x2), or ops.count_nonzero",
        )  # fmt: skip
    return tuple(part.astype("int32") for part in np.nonzero(x))


def select(condlist: Sequence[Tensor], choicelist: Sequence[Tensor], default: Tensor = 0) -> Any:
    """For each element the choice whose condition is the first to be true, else ``default``.

    Example:
        >>> select([np.array([True, False])], [np.array([1, 2])], 9)
        array([1, 9])
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ArgumentError(
            "'select' has a choice for each condition.", expected=str(len(condlist)), got=str(len(choicelist))
        )
    *choices, result = operands(*choicelist, default)
    for condition, choice in reversed(list(zip(condlist, choices, strict=True))):
        result = elementwise.where(condition, choice, result)
    return result


# Writing -------------------------------------------------------------------------------------------------------------


def scatter(indices: Tensor, values: Tensor, shape: Sequence[int]) -> Any:
    """Zeros of ``shape`` to which ``values`` are added at ``indices``.

    Shapes:
        indices: (..., k), places on the first k axes    values: (..., *shape[k:])    returns: shape

    Example:
        >>> scatter(np.array([[0], [2], [0]]), np.array([1.0, 2.0, 3.0]), (3,))
        array([4., 0., 2.])
    """
    values = operand(values)
    sizes = as_shape("scatter", shape)
    rows, numbers, updates = _rows(sizes, indices, values)
    return reshape(apply(ScatterAdd(rows, checked=False), updates, numbers), sizes)


def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Any:
    """``inputs`` with ``updates`` written at ``indices``; of several for one place the last counts.

    Shapes:
        inputs: shape    indices: (..., k), places on the first k axes    updates: (..., *shape[k:])    returns: shape
    Args:
        inputs: the tensor.
        indices: places, integers; those that do not exist are left out.
        updates: the numbers.
        reduction: None writes; "add", "mul", "max" and "min" join with what is there.

    Example:
        >>> scatter_update(np.array([1.0, 2.0, 3.0]), np.array([[1]]), np.array([9.0]))
        array([1., 9., 3.])
    """
    check_choice("scatter_update", "reduction", reduction, [None, "add", "mul", "max", "min"])
    x = operand(inputs)
    updates = cast(updates, dtype_of(x))
    rows, numbers, updates = _rows(x.shape, indices, updates)
    table = reshape(x, (rows, *updates.shape[1:]))
    if reduction is None:
        last = apply(LastPlace(rows + 1), elementwise.where(less(numbers, 0), size(rows), numbers))[:-1]
        is_new = reshape(greater_equal(last, 0), (rows, *(1 for _ in updates.shape[1:])))
        table = elementwise.where(is_new, apply(Gather(checked=False), updates, last), table)
    elif reduction == "add":
        table = table + apply(ScatterAdd(rows, checked=False), updates, numbers)
    else:
        function = {"mul": "prod"}.get(reduction, reduction)
        joined = apply(ScatterReduce(function, rows), updates, numbers)
        joins = {"prod": elementwise.multiply, "max": maximum, "min": minimum}
        table = joins[function](table, joined)
    return reshape(table, x.shape)


def _rows(shape: Shape, indices: Tensor, updates: Any) -> tuple[Size, Any, Any]:
    """Number of rows, row numbers (k,), rows (k, ...): the places on the first axes as one; -1 where there is none."""
    indices = operand(indices)
    if indices.ndim == 0 or not isinstance(indices.shape[-1], int) or not 0 < indices.shape[-1] <= len(shape):
        expected = f"(..., k) with 1 <= k <= {len(shape)}"
        raise ShapeError("places stand along the last axis.", expected=expected, got=show_shape(indices.shape))
    depth = indices.shape[-1]
    count = product(indices.shape[:-1])
    number: Any = None
    is_known: Any = None
    for axis in range(depth):
        place = _from_front(reshape(indices[..., axis], (count,)), shape[axis])
        exists = not_equal(place, -1)
        is_known = exists if is_known is None else logical_and(is_known, exists)
        number = place if number is None else number * size(shape[axis]) + place
    number = elementwise.where(is_known, number, -1)
    rest = tuple(shape[depth:])
    updates = broadcast_to(updates, (*indices.shape[:-1], *rest))
    return product(shape[:depth]), number, reshape(updates, (count, *rest))


# Segments ------------------------------------------------------------------------------------------------------------


@composite(example((6, 2), (6,), integers={1: (0, 3)}, num_segments=4))
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: Size | None = None, sorted: bool = False) -> Any:
    """The sum of the rows of each segment: (n, ...), i32[n] -> (num_segments, ...); of an empty one 0.

    Args:
        data: the rows.
        segment_ids: the segment of each; rows of segments that do not exist are left out.
        num_segments: one more than the largest if not given (arrays only).
        sorted: that they are in order changes nothing.

    Example:
        >>> segment_sum(np.array([1, 2, 3]), np.array([0, 0, 1]))
        array([3, 3])
    """
    data, ids, count = _segments(data, segment_ids, num_segments)
    return apply(ScatterAdd(count, checked=False), data, ids)


def segment_max(data: Tensor, segment_ids: Tensor, num_segments: Size | None = None, sorted: bool = False) -> Any:
    """The largest of the rows of each segment, of an empty one the lowest number; see ``segment_sum``."""
    data, ids, count = _segments(data, segment_ids, num_segments)
    return apply(ScatterReduce("max", count), data, ids)


def segment_min(data: Tensor, segment_ids: Tensor, num_segments: Size | None = None, sorted: bool = False) -> Any:
    """The smallest of the rows of each segment, of an empty one the highest number; see ``segment_sum``."""
    data, ids, count = _segments(data, segment_ids, num_segments)
    return apply(ScatterReduce("min", count), data, ids)


def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: Size | None = None, sorted: bool = False) -> Any:
    """The product of the rows of each segment, of an empty one 1; see ``segment_sum``."""
    data, ids, count = _segments(data, segment_ids, num_segments)
    return apply(ScatterReduce("prod", count), data, ids)


def _segments(data: Tensor, segment_ids: Tensor, num_segments: Size | None) -> tuple[Any, Any, Size]:
    data, ids = operand(data), cast(segment_ids, "int32")
    if ids.ndim != 1 or data.ndim == 0:
        raise ShapeError(
            "each row has its segment.",
            expected="(n, ...) and (n,)",
            got=f"{show_shape(data.shape)} and {show_shape(ids.shape)}",
        )
    if num_segments is None:
        if isinstance(ids, Value):
            raise ArgumentError("in a program the number of segments is given.", expected="num_segments=", got="None")
        num_segments = int(ids.max()) + 1 if ids.size else 0
    return data, ids, num_segments
