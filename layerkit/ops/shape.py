"""Ops that move numbers without changing them: reshape, transpose, concatenate, slice, pad, reverse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import Array, BadCase, Case, Dim, Op, Shape, Size, TensorType, Value, product, show_shape, unify
from layerkit.ops.core import Axis, Tensor, apply, axes_of, axis_of, check_choice, operand, operands, type_of, whole
from layerkit.records import dataclass

# Primitives ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reshape(Op):
    """The same numbers, in row-major order, in another shape."""

    name = "reshape"
    moves = True
    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        if x.size != product(self.shape) and unify(x.size, product(self.shape)) is None:
            raise ShapeError(
                f"'reshape' cannot turn {x.size} elements into {product(self.shape)}.",
                expected=f"a shape of {x.size} elements, as {show_shape(x.shape)} has",
                got=show_shape(self.shape),
            )
        return x.with_shape(self.shape)

    def reference(self, x: Array) -> Array:
        return x.reshape(self.shape)  # type: ignore[arg-type]

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (apply(Reshape(x.shape), g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls((4, 3)), ((2, 6),))
        yield Case(cls(()), ((1, 1),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls((5,)), (TensorType("float32", (2, 3)),), ShapeError, "a shape of 6 elements, as (2, 3) has")


@dataclass(frozen=True)
class Transpose(Op):
    """Axes in another order: axis ``i`` of the output is axis ``order[i]`` of the input."""

    name = "transpose"
    moves = True
    order: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.order) != list(range(x.rank)):
            raise ShapeError(
                "'transpose' needs each axis once.",
                expected=f"an order of the axes {show_shape(range(x.rank))}",
                got=show_shape(self.order),
            )
        return x.with_shape(x.shape[i] for i in self.order)

    def reference(self, x: Array) -> Array:
        return x.transpose(self.order)

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (apply(Transpose(tuple(int(i) for i in np.argsort(self.order))), g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls((1, 0)), ((2, 3),))
        yield Case(cls((2, 0, 1)), ((2, 3, 4),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls((0, 0)), (TensorType("float32", (2, 3)),), ShapeError, "an order of the axes (0, 1)")


@dataclass(frozen=True)
class Concatenate(Op):
    """Tensors one after the other along ``axis``; the other axes agree."""

    name = "concatenate"
    moves = True
    axis: int

    def infer(self, *xs: TensorType) -> TensorType:
        first = xs[0]
        joined: Size = 0
        for x in xs:
            others = [
                unify(a, b) is not None
                for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=False))
                if i != self.axis
            ]
            if x.rank != first.rank or x.dtype != first.dtype or not all(others) or not 0 <= self.axis < first.rank:
                raise ShapeError(
                    f"'concatenate' needs tensors that differ in axis {self.axis} only.",
                    expected=f"like {first}",
                    got=str(x),
                )
            joined = joined + x.shape[self.axis]
        return first.with_shape((*first.shape[: self.axis], joined, *first.shape[self.axis + 1 :]))

    def reference(self, *xs: Array) -> Array:
        return np.concatenate(xs, axis=self.axis)

    def vjp(self, g: Value, out: Value, *xs: Value) -> tuple[Value | None, ...]:
        parts, start = [], 0
        for x in xs:
            stop: Size = start + x.shape[self.axis]
            parts.append(slice_axis(g, self.axis, start, stop))
            start = stop  # type: ignore[assignment]
        return tuple(parts)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls(0), ((2, 3), (1, 3)))
        yield Case(cls(1), ((2, 3), (2, 1), (2, 2)))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        types = (TensorType("float32", (2, 3)), TensorType("float32", (3, 3)))
        yield BadCase(cls(1), types, ShapeError, "like f32[2,3]")


@dataclass(frozen=True)
class Slice(Op):
    """``x[start:stop:step]`` on every axis; starts and stops within the axis, steps positive."""

    name = "slice"
    moves = True
    start: Shape
    stop: Shape
    step: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.start) == len(self.stop) == len(self.step) == x.rank:
            raise ShapeError(
                "'slice' needs bounds for each axis.", expected=f"{x.rank} bounds", got=show_shape(self.start)
            )
        for a, b, size in zip(self.start, self.stop, x.shape, strict=True):
            if all(isinstance(v, int) for v in (a, b, size)) and not 0 <= a <= b <= size:
                raise ShapeError(
                    "'slice' needs bounds within the axis.", expected=f"0 <= start <= stop <= {size}", got=f"{a}:{b}"
                )
        return x.with_shape(_steps(b - a, s) for a, b, s in zip(self.start, self.stop, self.step, strict=True))

    def reference(self, x: Array) -> Array:
        return x[tuple(map(slice, self.start, self.stop, self.step))]

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        covered = [n * s - (s - 1) if n != 0 else 0 for n, s in zip(out.shape, self.step, strict=True)]
        high = tuple(size - a - c for size, a, c in zip(x.shape, self.start, covered, strict=True))
        return (apply(Pad(self.start, high, tuple(s - 1 for s in self.step), 0.0), g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls((1, 0), (3, 4), (1, 1)), ((3, 4),))
        yield Case(cls((0, 1), (3, 7), (2, 3)), ((3, 8),))
        yield Case(cls((2,), (2,), (1,)), ((3,),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls((1,), (5,), (1,)), (TensorType("float32", (3,)),), ShapeError, "0 <= start <= stop <= 3")


@dataclass(frozen=True)
class Pad(Op):
    """``value`` before, after and between the elements of each axis."""

    name = "pad"
    moves = True
    low: Shape
    high: Shape
    between: tuple[int, ...]
    value: float

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.low) == len(self.high) == len(self.between) == x.rank:
            raise ShapeError(
                "'pad' needs a width for each axis.", expected=f"{x.rank} widths", got=show_shape(self.low)
            )
        if any(isinstance(n, int) and n < 0 for n in (*self.low, *self.high, *self.between)):
            raise ShapeError("'pad' cannot take away.", expected="widths >= 0", got=f"{self.low} and {self.high}")
        return x.with_shape(
            lo + hi + (n + (n - 1) * m if m and n != 0 else n)
            for n, lo, hi, m in zip(x.shape, self.low, self.high, self.between, strict=True)
        )

    def reference(self, x: Array) -> Array:
        y = np.full(self.infer(type_of(x)).shape, self.value, x.dtype)  # type: ignore[arg-type]
        inside = (
            slice(lo, lo + n + (n - 1) * m if n else lo, m + 1)
            for n, lo, m in zip(x.shape, self.low, self.between, strict=True)
        )
        y[tuple(inside)] = x
        return y

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        stop = tuple(
            lo + (n + (n - 1) * m if n != 0 else 0) for n, lo, m in zip(x.shape, self.low, self.between, strict=True)
        )
        return (apply(Slice(self.low, stop, tuple(m + 1 for m in self.between)), g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls((1, 0), (0, 2), (0, 0), 0.0), ((2, 3),))
        yield Case(cls((0, 1), (1, 0), (2, 1), -1.5), ((2, 3),))
        yield Case(cls((1,), (1,), (3,), 0.0), ((0,),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls((-1,), (0,), (0,), 0.0), (TensorType("float32", (3,)),), ShapeError, "widths >= 0")


@dataclass(frozen=True)
class Reverse(Op):
    """The elements along ``axes`` in reverse order."""

    name = "reverse"
    moves = True
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        for a in self.axes:
            axis_of(a, x.rank, "reverse")
        return x

    def reference(self, x: Array) -> Array:
        return np.flip(x, self.axes)

    def vjp(self, g: Value, out: Value, x: Value) -> tuple[Value | None, ...]:
        return (apply(self, g),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(cls((0,)), ((3, 2),))
        yield Case(cls((0, 2)), ((3, 2, 2),))

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls((2,)), (TensorType("float32", (3,)),), ShapeError, "axis in [-1, 1)")


def _steps(size: Size, step: int) -> Size:
    return size if step == 1 else (size + (step - 1)) // step


def as_shape(op: str, shape: Any) -> Shape:
    """A shape given as one size or several."""
    sizes = tuple(shape) if isinstance(shape, list | tuple | np.ndarray) and np.ndim(shape) else (shape,)
    for n in sizes:
        if not isinstance(n, int | np.integer | Dim) or isinstance(n, bool):
            raise ArgumentError(f"'{op}' has a shape that is none.", expected="whole numbers", got=repr(shape)[:60])
    return tuple(n if isinstance(n, Dim) else int(n) for n in sizes)


# Public functions ----------------------------------------------------------------------------------------------------


def reshape(x: Tensor, newshape: Sequence[Size]) -> Any:
    """The same numbers in another shape; one size may be -1, which stands for what is left.

    Example:
        >>> reshape(np.arange(6), (2, -1)).shape
        (2, 3)
    """
    x = operand(x)
    newshape = as_shape("reshape", newshape)
    unknown = [i for i, n in enumerate(newshape) if isinstance(n, int) and n == -1]
    if len(unknown) > 1:
        raise ShapeError("'reshape' can find one size only.", expected="-1 once", got=show_shape(newshape))
    if unknown:
        rest = product(n for n in newshape if not (isinstance(n, int) and n == -1))
        total = product(x.shape)
        if rest == 0 or (isinstance(total, int) and isinstance(rest, int) and total % rest):
            raise ShapeError(
                f"'reshape' cannot divide {total} elements.",
                expected=f"a shape that divides {show_shape(x.shape)}",
                got=show_shape(newshape),
            )
        newshape = tuple(total // rest if i in unknown else n for i, n in enumerate(newshape))
    return x if tuple(x.shape) == newshape else apply(Reshape(tuple(newshape)), x)


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Any:
    """Axes in another order, by default reversed."""
    x = operand(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(axis_of(int(a), x.ndim, "transpose") for a in axes)
    return x if order == tuple(range(x.ndim)) else apply(Transpose(order), x)


def swapaxes(x: Tensor, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    x = operand(x)
    order = list(range(x.ndim))
    a, b = axis_of(axis1, x.ndim, "swapaxes"), axis_of(axis2, x.ndim, "swapaxes")
    order[a], order[b] = order[b], order[a]
    return transpose(x, order)


def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Axes moved, the others kept in order."""
    x = operand(x)
    sources, destinations = ((v,) if isinstance(v, int | np.integer) else tuple(v) for v in (source, destination))
    a = [axis_of(int(v), x.ndim, "moveaxis") for v in sources]
    b = [axis_of(int(v), x.ndim, "moveaxis") for v in destinations]
    order = [i for i in range(x.ndim) if i not in a]
    for to, axis in sorted(zip(b, a, strict=True)):
        order.insert(to, axis)
    return transpose(x, order)


def concatenate(xs: Sequence[Tensor], axis: int = 0) -> Any:
    """Tensors one after the other along ``axis``."""
    xs = operands(*_several("concatenate", xs))
    return xs[0] if len(xs) == 1 else apply(Concatenate(axis_of(axis, xs[0].ndim, "concatenate")), *xs)


def _several(op: str, xs: Any) -> Any:
    if not hasattr(xs, "__len__") or isinstance(xs, str) or len(xs) == 0:
        raise ArgumentError(f"'{op}' takes tensors.", expected="a list of at least one", got=repr(xs)[:40])
    return xs


def stack(x: Sequence[Tensor], axis: int = 0) -> Any:
    """Tensors of one shape along a new axis."""
    xs = operands(*_several("stack", x))
    return concatenate([expand_dims(v, axis) for v in xs], axis_of(axis, xs[0].ndim + 1, "stack"))


def expand_dims(x: Tensor, axis: Axis) -> Any:
    """New axes of size 1; ``axis`` counts in the result."""
    x = operand(x)
    count = 1 if isinstance(axis, int) else len(axis or ())
    new = axes_of(axis, x.ndim + count, "expand_dims")
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if i in new else next(sizes) for i in range(x.ndim + count)))


def squeeze(x: Tensor, axis: Axis = None) -> Any:
    """Axes of size 1 taken away: those in ``axis``, by default all."""
    x = operand(x)
    gone = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else axes_of(axis, x.ndim, "squeeze")
    for i in gone:
        if x.shape[i] != 1:
            raise ShapeError(
                "'squeeze' takes away axes of size 1 only.", expected=f"axis {i} of size 1", got=show_shape(x.shape)
            )
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


def slice_axis(x: Tensor, axis: int, start: Size, stop: Size, step: int = 1) -> Any:
    """``x`` from ``start`` up to ``stop`` along one axis."""
    x = operand(x)
    if start == 0 and stop == x.shape[axis] and step == 1:
        return x
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    stops = tuple(stop if i == axis else n for i, n in enumerate(x.shape))
    return apply(Slice(starts, stops, tuple(step if i == axis else 1 for i in range(x.ndim))), x)


def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """``x`` cut along ``axis``: into equal parts, or at the given places."""
    x = operand(x)
    axis = axis_of(axis, x.ndim, "split")
    size = x.shape[axis]
    if not isinstance(indices_or_sections, list | tuple | np.ndarray):
        indices_or_sections = whole("split", "indices_or_sections", indices_or_sections, 1)
        if isinstance(size, int) and size % indices_or_sections:
            raise ShapeError("'split' needs equal parts.", expected=f"a multiple of {indices_or_sections}", got=size)
        part = size // indices_or_sections
        places = [part * i for i in range(indices_or_sections + 1)]
    else:
        places = [0, *indices_or_sections, size]
    return [slice_axis(x, axis, a, b) for a, b in zip(places, places[1:], strict=False)]


def flip(x: Tensor, axis: Axis = None) -> Any:
    """The elements along ``axis`` in reverse order."""
    x = operand(x)
    return apply(Reverse(axes_of(axis, x.ndim, "flip")), x)


def channels_last(op: str, x: Any, data_format: str | None) -> Any:
    """Images or series with their channels moved to the end, if ``data_format`` says that they come first."""
    check_choice(op, "data_format", data_format, [None, "channels_last", "channels_first"])
    return moveaxis(x, 1, -1) if data_format == "channels_first" else x


def from_channels_last(x: Any, data_format: str | None) -> Any:
    """The way back from ``channels_last``."""
    return moveaxis(x, -1, 1) if data_format == "channels_first" else x
