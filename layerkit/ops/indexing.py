"""Reading and adding rows by number, ``x[...]``, and the numbers 0, 1, 2, ... themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError, DataError, DTypeError, LayerkitError, ShapeError
from layerkit.ir import Array, BadCase, Case, Dim, Op, Size, TensorType, Value, product, show_shape
from layerkit.ops.core import Tensor, apply, axis_of, operand, size, whole
from layerkit.ops.elementwise import cast, equal, greater_equal, less, logical_and, where
from layerkit.ops.reduction import broadcast_to, max
from layerkit.ops.shape import Reverse, Slice, expand_dims, moveaxis, reshape, transpose
from layerkit.records import dataclass

# Primitives ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gather(Op):
    """Rows of a table by number: (n, ...), i32 or i64 (rows...) -> (rows..., ...).

    A number outside [0, n) is an error, or reads zeros if they are not ``checked``.
    """

    name = "gather"
    moves = True
    checked: bool = True

    def infer(self, table: TensorType, indices: TensorType) -> TensorType:
        _check_indices("gather", table, indices)
        return table.with_shape((*indices.shape, *table.shape[1:]))

    def reference(self, table: Array, indices: Array) -> Array:
        if self.checked:
            check_range("gather", indices, len(table))
            return table[indices]
        rows = np.zeros((*indices.shape, *table.shape[1:]), table.dtype)
        known = _known(indices, len(table))
        rows[known] = table[indices[known]]
        return rows

    def vjp(self, g: Value, out: Value, table: Value, indices: Value) -> tuple[Value | None, ...]:
        return apply(ScatterAdd(table.shape[0], self.checked), g, indices), None

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(), ((4, 3), (2, 3)), integers={1: (0, 4)})
        yield Case(cls(), ((4,), ()), integers={1: (0, 4)}, dtypes={1: "int64"})
        yield Case(cls(checked=False), ((4, 3), (9,)), integers={1: (-2, 7)})
        yield Case(cls(checked=False), ((4,), (2, 9)), integers={1: (-2, 7)})

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        f32 = TensorType("float32", (4, 3))
        yield BadCase(cls(), (f32, TensorType("float32", (2,))), DTypeError, "int32 or int64")
        yield BadCase(cls(), (TensorType("float32", ()), TensorType("int32", (2,))), ShapeError, "a table with rows")


@dataclass(frozen=True)
class ScatterAdd(Op):
    """Rows added into a table of zeros with ``rows`` rows: (k..., ...), i32 or i64 (k...) -> (rows, ...).

    Rows with equal numbers are added in the order in which they stand. A number outside [0, rows) is an error, or its row
    is left out if they are not ``checked``.
    """

    name = "scatter_add"
    rows: Size
    checked: bool = True

    def infer(self, updates: TensorType, indices: TensorType) -> TensorType:
        if indices.dtype not in ("int32", "int64"):
            raise DTypeError("'scatter_add' needs whole numbers.", expected="int32 or int64", got=indices.dtype)
        if updates.shape[: indices.rank] != indices.shape:
            raise ShapeError(
                "'scatter_add' needs one number for each row.",
                expected=show_shape(updates.shape[: indices.rank]),
                got=show_shape(indices.shape),
            )
        return updates.with_shape((self.rows, *updates.shape[indices.rank :]))

    def reference(self, updates: Array, indices: Array) -> Array:
        table = np.zeros((self.rows, *updates.shape[indices.ndim :]), updates.dtype)  # type: ignore[arg-type]
        if self.checked:
            check_range("scatter_add", indices, self.rows)  # type: ignore[arg-type]
        else:
            known = _known(indices, self.rows)  # type: ignore[arg-type]
            indices, updates = indices[known], updates[known]
        np.add.at(table, indices, updates)
        return table

    def vjp(self, g: Value, out: Value, updates: Value, indices: Value) -> tuple[Value | None, ...]:
        return apply(Gather(self.checked), g, indices), None

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(4), ((2, 3, 2), (2, 3)), integers={1: (0, 4)})
        yield Case(cls(5), ((), ()), integers={1: (0, 4)}, dtypes={1: "int64"})
        yield Case(cls(4, checked=False), ((9, 3), (9,)), integers={1: (-2, 7)})
        yield Case(cls(4), ((3, 2, 2, 128), (3, 2)), integers={1: (0, 4)}, label="wide")
        yield Case(cls(4), ((0, 3), (0,)), integers={1: (0, 4)}, differentiable=False, label="none")

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        types = (TensorType("float32", (4, 3)), TensorType("int32", (2,)))
        yield BadCase(cls(5), types, ShapeError, "(4,)")


@dataclass(frozen=True)
class LastPlace(Op):
    """For each number below ``rows`` the last place where it stands, or -1: i32 or i64 (k,) -> i32 (rows,).

    A number outside [0, rows) is an error.
    """

    name = "last_place"
    rows: Size

    def infer(self, numbers: TensorType) -> TensorType:
        if numbers.dtype not in ("int32", "int64"):
            raise DTypeError("'last_place' needs whole numbers.", expected="int32 or int64", got=numbers.dtype)
        if numbers.rank != 1:
            raise ShapeError("'last_place' needs a list of numbers.", expected="one axis", got=str(numbers))
        return TensorType("int32", (self.rows,))

    def reference(self, numbers: Array) -> Array:
        check_range("last_place", numbers, self.rows)  # type: ignore[arg-type]
        places = np.full(self.rows, -1, np.int32)  # type: ignore[arg-type]
        for place, number in enumerate(numbers.tolist()):
            places[number] = place
        return places

    def vjp(self, g: Value, out: Value, numbers: Value) -> tuple[Value | None, ...]:
        return (None,)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(5), ((9,),), integers={0: (0, 5)})
        yield Case(cls(40), ((3,),), integers={0: (0, 40)}, dtypes={0: "int64"})

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls(5), (TensorType("float32", (4,)),), DTypeError, "int32 or int64")
        yield BadCase(cls(5), (TensorType("int32", (4, 2)),), ShapeError, "one axis")


@dataclass(frozen=True)
class Iota(Op):
    """0, 1, 2, ...: () -> (size,)."""

    name = "iota"
    size: Size
    dtype: str

    def infer(self) -> TensorType:
        return TensorType(self.dtype, (self.size,))

    def reference(self) -> Array:
        return np.arange(self.size, dtype=dtypes.numpy_dtype(self.dtype))  # type: ignore[arg-type]

    def vjp(self, g: Value, out: Value) -> tuple[()]:  # type: ignore[override]
        return ()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(4, "int32"), ())
        yield Case(cls(3, "float32"), ())


def _check_indices(op: str, table: TensorType, indices: TensorType) -> None:
    if indices.dtype not in ("int32", "int64"):
        raise DTypeError(
            f"'{op}' needs whole numbers.", expected="int32 or int64", got=indices.dtype, fix="cast them to int32"
        )
    if table.rank == 0:
        raise ShapeError(f"'{op}' cannot count the rows of a scalar.", expected="a table with rows", got=str(table))


def _known(indices: Array, rows: int) -> Array:
    """Which row numbers are in [0, rows)."""
    known: Array = (indices >= 0) & (indices < rows)
    return known


def check_range(op: str, indices: Array, rows: int) -> None:
    """Refuse row numbers outside [0, rows)."""
    if indices.size and (indices.min() < 0 or indices.max() >= rows):
        bad = indices[(indices < 0) | (indices >= rows)].reshape(-1)[0]
        raise DataError(
            f"'{op}' has no row {bad}.",
            expected=f"whole numbers in [0, {rows})",
            got=str(bad),
            fix="enlarge the table (for an Embedding: input_dim), or correct the numbers",
        )


# Public functions ----------------------------------------------------------------------------------------------------


def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Any:
    """Elements by number along ``axis``; without it from the flattened tensor.

    Numbers that are known beforehand may count from the end, as negative ones do; those that are computed may not: an
    unknown word of a text is -1 as often as not.

    Raises:
        DataError: a number outside [0, n), when the program runs.

    Example:
        >>> take(np.array([[1, 2, 3], [4, 5, 6]]), [2, 0], axis=1)
        array([[3, 1],
               [6, 4]])
    """
    x, indices = operand(x), operand(indices)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim, "take")
    if not isinstance(indices, Value) and isinstance(x.shape[axis], int):
        indices = np.where(indices < 0, indices + np.asarray(x.shape[axis], indices.dtype), indices)
    taken = apply(Gather(), moveaxis(x, axis, 0), indices)
    new, rest = list(range(indices.ndim)), list(range(indices.ndim, taken.ndim))
    return transpose(taken, rest[:axis] + new + rest[axis:])  # the new axes go where the old one was


def scatter_add(updates: Tensor, indices: Tensor, rows: Size) -> Any:
    """Rows added into a table of zeros: the mirror image of ``take(table, indices, axis=0)``."""
    return apply(ScatterAdd(rows), operand(updates), operand(indices))


def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: str | None = None, sparse: bool = False) -> Any:
    """1 at the class, 0 elsewhere, along a new axis; a class outside [0, num_classes) gives zeros.

    Example:
        >>> one_hot([1, 0], 3)
        array([[0., 1., 0.],
               [1., 0., 0.]], dtype=float32)
    """
    _check_dense(sparse)
    x, num_classes = operand(x), whole("one_hot", "num_classes", num_classes, 0)
    axis = axis_of(axis, x.ndim + 1, "one_hot")
    shape = tuple(num_classes if i == axis else 1 for i in range(x.ndim + 1))
    hot = equal(expand_dims(x, axis), reshape(cast(np.arange(num_classes), dtypes.canonical(x.dtype)), shape))
    return cast(hot, dtype or "float32")


def multi_hot(inputs: Tensor, num_classes: int, axis: int = -1, dtype: str | None = None, sparse: bool = False) -> Any:
    """1 at each of the classes along the last axis of ``inputs``, 0 elsewhere: (..., n) -> (..., num_classes).

    Example:
        >>> multi_hot([0, 2], 4)
        array([1., 0., 1., 0.], dtype=float32)
    """
    hot = one_hot(inputs, num_classes, axis, dtype, sparse)
    return max(hot, 0 if operand(inputs).ndim == 1 else 1)


def _check_dense(sparse: bool) -> None:
    if sparse:
        raise ArgumentError("tensors are dense.", expected="sparse=False", got="sparse=True")


def getitem(x: Any, key: Any) -> Any:
    """``x[key]`` for numbers, slices, ``...``, ``None``, and tensors of whole numbers, which broadcast."""
    keys = list(key) if isinstance(key, tuple) else [key]
    used = sum(k is not None and k is not Ellipsis for k in keys)
    if used > x.ndim:
        raise ShapeError(f"there are {used} indices for {x.ndim} axes.", expected=f"at most {x.ndim}", got=str(used))
    where = [i for i, k in enumerate(keys) if k is Ellipsis]
    fill = [slice(None)] * (x.ndim - used)
    keys = keys[: where[0]] + fill + keys[where[0] + 1 :] if where else keys + fill
    start: list[Size] = []
    stop: list[Size] = []
    step: list[int] = []
    flipped: list[int] = []
    gathered: list[tuple[int, Any]] = []
    shape_keys: list[Size] = []
    for axis, k in enumerate(k for k in keys if k is not None):
        size = x.shape[axis]
        a, b, s = _bounds(k, size, axis)
        start, stop, step = [*start, a], [*stop, b], [*step, s if s > 0 else -s]
        if s < 0:
            flipped.append(axis)
        if not isinstance(k, slice | int | np.integer | Dim):
            gathered.append((axis, k))
    if tuple(start) != (0,) * x.ndim or tuple(stop) != tuple(x.shape) or set(step) - {1}:
        x = apply(Slice(tuple(start), tuple(stop), tuple(step)), x)
    if flipped:
        x = apply(Reverse(tuple(flipped)), x)
    sizes = iter(x.shape)
    for k in keys:
        if k is None:
            shape_keys.append(1)
        elif isinstance(k, int | np.integer | Dim):
            next(sizes)
        else:
            shape_keys.append(next(sizes))
    if gathered:
        if len(shape_keys) != x.ndim:
            raise LayerkitError("a tensor as index does not mix with numbers and None.", fix="use ops.take")
        places = [(axis, _places(indices)) for axis, indices in gathered]
        return take(x, places[0][1], places[0][0]) if len(places) == 1 else _at(x, places)
    return reshape(x, tuple(shape_keys))


def _places(indices: Any) -> Any:
    """A tensor as index: whole numbers."""
    indices = operand(indices)
    if indices.dtype == "bool":
        raise DataError(
            "how many elements a mask keeps is not known in a program.",
            expected="whole numbers", got="truth values", fix="use ops.where(mask, x, 0)",
        )  # fmt: skip
    return indices if indices.dtype in ("int32", "int64") else cast(indices, "int32")


def _at(x: Any, gathered: list[tuple[int, Any]]) -> Any:
    """Elements by their places on several axes, which broadcast: a row number each of a table of those axes.

    The new axes stand where the first of the old ones stood if those were neighbours, else in front.
    """
    axes = [axis for axis, _ in gathered]
    rest = [i for i in range(x.ndim) if i not in axes]
    table = reshape(transpose(x, axes + rest), (product(x.shape[a] for a in axes), *(x.shape[i] for i in rest)))
    rows: Any = None
    for axis, places in gathered:
        n = size(x.shape[axis])
        places = cast(places, "int32")
        places = where(less(places, 0), places + n, places)
        inside = logical_and(greater_equal(places, 0), less(places, n))  # else it would be a place in another row
        rows = where(inside, places if rows is None else rows * n + places, -1)
    taken = apply(Gather(), table, rows)
    first = sum(i < axes[0] for i in rest) if axes == list(range(axes[0], axes[-1] + 1)) else 0
    new, old = list(range(rows.ndim)), list(range(rows.ndim, taken.ndim))
    return transpose(taken, old[:first] + new + old[first:])


def _bounds(key: Any, size: Size, axis: int) -> tuple[Size, Size, int]:
    """Start, stop and step with which ``Slice``, then ``Reverse`` for a negative step, gives ``x[key]``."""
    if isinstance(key, slice):
        step = 1 if key.step is None else int(key.step)
        if isinstance(size, int) and not any(isinstance(v, Dim) for v in (key.start, key.stop)):
            a, b, s = key.indices(size)
            count = len(range(a, b, s))
            if s > 0:
                return a, (a if not count else b), s
            last = a + (count - 1) * s
            return (last, a + 1, s) if count else (0, 0, s)
        first: Size = 0 if key.start is None else _from_end(key.start, size)
        last_: Size = size if key.stop is None else _from_end(key.stop, size)
        if step < 0 and (key.start is not None or key.stop is not None):
            raise LayerkitError(
                "a backward slice of an unknown axis cannot have bounds.", got=str(key), fix="give the axis a size"
            )
        return first, last_, step
    if isinstance(key, int | np.integer | Dim):
        at = _from_end(key if isinstance(key, Dim) else int(key), size)
        if isinstance(size, int) and isinstance(at, int) and not 0 <= at < size:
            raise ShapeError(
                f"axis {axis} has no element {key}.", expected=f"an index in [{-size}, {size})", got=str(key)
            )
        return at, at + 1, 1
    return 0, size, 1


def _from_end(index: Size, size: Size) -> Size:
    return size + index if isinstance(index, int) and index < 0 else index


def fill(shape: tuple[Size, ...], value: float, dtype: str = "float32") -> Any:
    """A tensor of one number."""
    return broadcast_to(np.asarray(value, dtypes.numpy_dtype(dtype)), tuple(shape)) if shape else operand(value, dtype)
