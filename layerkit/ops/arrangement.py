"""Tensors put together and taken apart: tiles, stacks, diagonals, triangles, blocks of images.

Functions over ``reshape``, ``transpose``, ``concatenate`` and slices, with the names and defaults of ``keras.ops``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import Size, number, product, show_shape
from layerkit.ops.core import Tensor, apply, axis_of, check_choice, composite, dtype_of, example, operand, whole
from layerkit.ops.creation import arange
from layerkit.ops.elementwise import cast, where
from layerkit.ops.indexing import take
from layerkit.ops.reduction import broadcast_to, sum
from layerkit.ops.shape import (
    Pad,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    reshape,
    slice_axis,
    split,
    squeeze,
    stack,
    swapaxes,
    transpose,
)

TOGETHER = 16  # parts that one op puts together, where there may be thousands

# Repeating and turning -----------------------------------------------------------------------------------------------


@composite(example((2, 3), repeats=(2, 1, 3)), example((2, 1, 3), repeats=2))
def tile(x: Tensor, repeats: int | Sequence[int]) -> Any:
    """``x`` beside itself, ``repeats`` times along each of the last axes.

    Example:
        >>> tile(np.array([1, 2]), 3)
        array([1, 2, 1, 2, 1, 2])
    """
    x = operand(x)
    given = repeats if isinstance(repeats, list | tuple | np.ndarray) else [repeats]
    times = tuple(whole("tile", "repeats", n, 0) for n in given)
    rank = max(x.ndim, len(times))
    sizes = (1,) * (rank - x.ndim) + tuple(x.shape)
    times = (1,) * (rank - len(times)) + times
    between = tuple(n for size in sizes for n in (1, size))
    wide = tuple(n for t, size in zip(times, sizes, strict=True) for n in (t, size))
    return reshape(broadcast_to(reshape(x, between), wide), tuple(t * n for t, n in zip(times, sizes, strict=True)))


@composite(example((2, 3), repeats=2), example((2, 3), repeats=3, axis=0), example((3, 2), repeats=[1, 0, 2], axis=0))
def repeat(x: Tensor, repeats: int | Sequence[int], axis: int | None = None) -> Any:
    """Each element along ``axis`` several times; without ``axis`` of the flattened tensor.

    Example:
        >>> repeat(np.array([1, 2]), 2)
        array([1, 1, 2, 2])
    """
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim, "repeat")
    counts = np.asarray(repeats)
    if counts.size == 1:
        wide = broadcast_to(
            expand_dims(x, axis + 1), (*x.shape[: axis + 1], int(counts.reshape(())), *x.shape[axis + 1 :])
        )
        return reshape(wide, (*x.shape[:axis], x.shape[axis] * int(counts.reshape(())), *x.shape[axis + 1 :]))
    return take(x, np.repeat(np.arange(len(counts), dtype="int32"), counts), axis)


@composite(example((2, 3), shift=2), example((4, 3), shift=(-1, 2), axis=(0, 1)))
def roll(x: Tensor, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """Elements moved on by ``shift`` places; what leaves at the end comes in at the front.

    Example:
        >>> roll(np.array([1, 2, 3, 4]), 1)
        array([4, 1, 2, 3])
    """
    x = operand(x)
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, 0), x.shape)
    shifts, axes = ([int(n) for n in part] for part in np.broadcast_arrays(np.ravel(shift), np.ravel(axis)))
    for a, s in zip(axes, shifts, strict=True):
        a = axis_of(a, x.ndim, "roll")
        size = x.shape[a]
        at = -int(s) if not isinstance(size, int) else (size - int(s) % size) % size if size else 0
        at = size + at if not isinstance(size, int) and at < 0 else at  # type: ignore[assignment]
        if isinstance(at, int) and at == 0:
            continue
        x = concatenate([slice_axis(x, a, at, size), slice_axis(x, a, 0, at)], a)
    return x


@composite(example((2, 3)), example((2, 3), k=3), example((2, 3, 2), k=2, axes=(1, 2)))
def rot90(array: Tensor, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """A quarter turn from the first to the second of two ``axes``, ``k`` times.

    Example:
        >>> rot90(np.array([[1, 2], [3, 4]]))
        array([[2, 4],
               [1, 3]])
    """
    x = operand(array)
    a, b = (axis_of(i, x.ndim, "rot90") for i in axes)
    if a == b:
        raise ArgumentError("'rot90' turns in a plane.", expected="two axes", got=str(axes))
    match whole("rot90", "k", k) % 4:
        case 1:
            return swapaxes(flip(x, b), a, b)
        case 2:
            return flip(x, (a, b))
        case 3:
            return flip(swapaxes(x, a, b), b)
    return x


def fliplr(x: Tensor) -> Any:
    """Columns in reverse order."""
    return flip(x, 1)


def flipud(x: Tensor) -> Any:
    """Rows in reverse order."""
    return flip(x, 0)


# Joining and splitting -----------------------------------------------------------------------------------------------


def ravel(x: Tensor) -> Any:
    """All elements along one axis."""
    return reshape(x, (-1,))


@composite(example((2, 3), (2,)), example((2, 3), (1, 3), axis=0))
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Any:
    """``x2`` after ``x1`` along ``axis``; without ``axis`` both flattened."""
    return concatenate([ravel(x1), ravel(x2)]) if axis is None else concatenate([x1, x2], axis)


def hstack(xs: Sequence[Tensor]) -> Any:
    """Tensors beside each other: along the second axis, vectors along their only one."""
    xs = [_with_rank(x, 1) for x in xs]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1)


def vstack(xs: Sequence[Tensor]) -> Any:
    """Tensors below each other: along the first axis, vectors as rows."""
    return concatenate([_with_rank(x, 2) for x in xs], 0)


def column_stack(xs: Sequence[Tensor]) -> Any:
    """Tensors beside each other, vectors as columns.

    Example:
        >>> column_stack([np.array([1, 2]), np.array([3, 4])])
        array([[1, 3],
               [2, 4]])
    """
    columns = [operand(x) for x in xs]
    return concatenate([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in columns], 1)


def dstack(xs: Sequence[Tensor]) -> Any:
    """Tensors behind each other: along the third axis, vectors and matrices with a new one."""
    return concatenate([_with_rank(x, 3) for x in xs], 2)


def _with_rank(x: Tensor, rank: int) -> Any:
    """``x`` with at least so many axes: a vector is one row, a matrix one layer."""
    x = operand(x)
    if x.ndim == 0:
        x = reshape(x, (1,))
    if rank >= 2 and x.ndim == 1:
        x = expand_dims(x, 0)
    return expand_dims(x, 2) if rank == 3 and x.ndim == 2 else x


def array_split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """``x`` cut along ``axis``, the first parts one longer where it cannot be cut evenly."""
    x = operand(x)
    if not isinstance(indices_or_sections, int):
        return split(x, indices_or_sections, axis)
    count = whole("array_split", "indices_or_sections", indices_or_sections, 1)
    size = x.shape[axis_of(axis, x.ndim, "array_split")]
    lengths = [size // count + (i < size % count) for i in range(count)]
    return split(x, np.cumsum(lengths)[:-1].tolist(), axis)


def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """``x`` cut along its second axis; a vector along its only one."""
    x = operand(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """``x`` cut along its first axis."""
    return split(x, indices_or_sections, 0)


def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """``x`` cut along its third axis."""
    return split(x, indices_or_sections, 2)


def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Any]:
    """The slices of ``x`` along ``axis``, as a list."""
    x = operand(x)
    axis = axis_of(axis, x.ndim, "unstack")
    count = x.shape[axis] if num is None else num
    if count != x.shape[axis]:
        raise ShapeError("'unstack' gives all slices.", expected=f"num={x.shape[axis]}", got=f"{num=}")
    return [squeeze(part, axis) for part in split(x, count, axis)] if count else []


# Padding -------------------------------------------------------------------------------------------------------------


def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Any:
    """More elements before and after each axis, as many as ``pad_width`` says.

    Args:
        x: the tensor.
        pad_width: (before, after) for each axis, one such pair for all, or one number.
        mode: "constant", or what is repeated: the "edge", the inside as in a mirror ("reflect" without the edge itself,
            "symmetric" with it), or the other end ("wrap").
        constant_values: for "constant"; 0 unless given.

    Example:
        >>> pad(np.array([1, 2, 3]), 2, mode="reflect")
        array([3, 2, 1, 2, 3, 2, 1])
    """
    x = operand(x)
    check_choice("pad", "mode", mode, ["constant", "edge", "reflect", "symmetric", "wrap"])
    if mode != "constant" and constant_values is not None:
        raise ArgumentError(
            "'constant_values' are for mode='constant'.", expected="None", got=repr(constant_values), fix="leave it out"
        )
    pairs = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    if mode == "constant":
        low, high = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        if not any(low) and not any(high):
            return x
        return apply(Pad(low, high, (0,) * x.ndim, float(constant_values or 0.0)), x)
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            places = np.pad(np.arange(number(x.shape[axis]), dtype="int32"), (before, after), mode)  # type: ignore[call-overload]
            x = take(x, places, axis)
    return x


# Diagonals and triangles ---------------------------------------------------------------------------------------------


@composite(example((3, 4)), example((2, 4, 3), offset=-1, axis1=1, axis2=2), example((3, 2, 4), offset=2, axis1=-1))
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements x[i, i + offset] of two axes, as a last axis.

    Example:
        >>> diagonal(np.array([[1, 2], [3, 4]]))
        array([1, 4])
    """
    x, offset = operand(x), whole("diagonal", "offset", offset)
    a, b = axis_of(axis1, x.ndim, "diagonal"), axis_of(axis2, x.ndim, "diagonal")
    if a == b:
        raise ArgumentError("a diagonal goes through two axes.", expected="two axes", got=f"{axis1} and {axis2}")
    x = moveaxis(x, (a, b), (-2, -1))
    rows, columns = x.shape[-2:]
    low, left = max(-offset, 0), max(offset, 0)
    count = max(min(rows - low, columns - left), 0)
    flat = reshape(x, (*x.shape[:-2], rows * columns))
    first = low * columns + left if count else 0
    return slice_axis(
        flat, flat.ndim - 1, first, first + max((count - 1) * (columns + 1) + 1, 0) * bool(count), columns + 1
    )


@composite(example((3, 4)), example((2, 3, 3), offset=1, axis1=1, axis2=2))
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the elements of a diagonal."""
    return sum(diagonal(x, offset, axis1, axis2), -1)


@composite(example((3,)), example((2,), k=-1), example((3, 4), k=1))
def diag(x: Tensor, k: int = 0) -> Any:
    """A matrix with the vector ``x`` on its k-th diagonal; of a matrix that diagonal.

    Example:
        >>> diag(np.array([1, 2]))
        array([[1, 0],
               [0, 2]])
    """
    x = operand(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError("'diag' takes a vector or a matrix.", expected="(n,) or (n, m)", got=show_shape(x.shape))
    count, side = x.shape[0], x.shape[0] + abs(whole("diag", "k", k))
    cells = reshape(pad(reshape(x, (count, 1)), ((0, 0), (0, count))), (count * (count + 1),))
    square = reshape(slice_axis(cells, 0, 0, count * count), (count, count)) if count else reshape(x, (0, 0))
    return pad(square, ((side - count, 0), (0, side - count)) if k < 0 else ((0, side - count), (side - count, 0)))


def diagflat(x: Tensor, k: int = 0) -> Any:
    """A matrix with the elements of ``x`` on its k-th diagonal."""
    return diag(ravel(x), k)


@composite(example((3, 4)), example((2, 4, 3), k=-1))
def tril(x: Tensor, k: int = 0) -> Any:
    """The elements on and below the k-th diagonal of the last two axes, zeros above."""
    x = operand(x)
    return where(_below(x, k), x, cast(0, dtype_of(x)))


def _below(x: Any, k: int) -> Any:
    """Whether each place of the last two axes is on or below the k-th diagonal."""
    if x.ndim < 2:
        raise ShapeError("a triangle is part of a matrix.", expected="at least two axes", got=show_shape(x.shape))
    rows, columns = x.shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        return np.tri(rows, columns, whole("tril", "k", k), dtype=bool)
    return reshape(arange(rows), (-1, 1)) >= arange(columns) - whole("tril", "k", k)


@composite(example((3, 4)), example((2, 4, 3), k=1))
def triu(x: Tensor, k: int = 0) -> Any:
    """The elements on and above the k-th diagonal of the last two axes, zeros below."""
    x = operand(x)
    return where(_below(x, k - 1), cast(0, dtype_of(x)), x)


# Images and sequences ------------------------------------------------------------------------------------------------


@composite(example((1, 2, 3, 8), block_size=2), example((1, 8, 2, 3), block_size=2, data_format="channels_first"))
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last") -> Any:
    """Channels laid out as blocks of pixels: (b, h, w, c) -> (b, h * size, w * size, c / size^2)."""
    x, block_size = (
        _channels_last("depth_to_space", x, data_format),
        whole("depth_to_space", "block_size", block_size, 1),
    )
    b, h, w, c = x.shape
    if c % block_size**2:
        raise ShapeError(
            "'depth_to_space' needs whole blocks.", expected=f"a multiple of {block_size**2} channels", got=c
        )
    depth = c // block_size**2
    x = transpose(reshape(x, (b, h, w, block_size, block_size, depth)), (0, 1, 3, 2, 4, 5))
    return _channels_back(reshape(x, (b, h * block_size, w * block_size, depth)), data_format)


@composite(example((1, 4, 6, 2), block_size=2), example((1, 2, 4, 6), block_size=2, data_format="channels_first"))
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of pixels as channels: (b, h, w, c) -> (b, h / size, w / size, c * size^2)."""
    x, block_size = (
        _channels_last("space_to_depth", x, data_format),
        whole("space_to_depth", "block_size", block_size, 1),
    )
    b, h, w, c = x.shape
    if h % block_size or w % block_size:
        raise ShapeError(
            "'space_to_depth' needs whole blocks.", expected=f"multiples of {block_size}", got=f"{h} x {w}"
        )
    x = reshape(x, (b, h // block_size, block_size, w // block_size, block_size, c))
    x = transpose(x, (0, 1, 3, 2, 4, 5))
    return _channels_back(reshape(x, (b, h // block_size, w // block_size, c * block_size**2)), data_format)


def _channels_last(op: str, x: Tensor, data_format: str) -> Any:
    check_choice(op, "data_format", data_format, ["channels_last", "channels_first"])
    x = operand(x)
    if x.ndim != 4:
        raise ShapeError(f"'{op}' takes images.", expected="(batch, height, width, channels)", got=show_shape(x.shape))
    return transpose(x, (0, 2, 3, 1)) if data_format == "channels_first" else x


def _channels_back(x: Any, data_format: str) -> Any:
    return transpose(x, (0, 3, 1, 2)) if data_format == "channels_first" else x


@composite(
    example((1, 2, 4, 5), kernel_size=2), example((1, 2, 5, 4), kernel_size=(2, 1), stride=2, padding=1, dilation=2)
)
def unfold(
    x: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Any:
    """All windows of images as columns: (b, channels, h, w) -> (b, channels * window, places)."""
    x = operand(x)
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = map(_pair, (kernel_size, dilation, padding, stride))
    x = pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    b, c, h, w = x.shape
    rows, columns = (h - (kh - 1) * dh - 1) // sh + 1, (w - (kw - 1) * dw - 1) // sw + 1
    parts = [
        slice_axis(
            slice_axis(x, 2, i * dh, i * dh + (rows - 1) * sh + 1, sh), 3, j * dw, j * dw + (columns - 1) * sw + 1, sw
        )
        for i in range(kh)
        for j in range(kw)
    ]
    return reshape(stack(parts, 2), (b, c * kh * kw, rows * columns))


@composite(example((1, 8, 12), output_size=(4, 5), kernel_size=2))
def fold(
    x: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Any:
    """Windows as columns added into images, the mirror image of ``unfold``: (b, channels * window, places) -> images."""
    x = operand(x)
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = map(_pair, (kernel_size, dilation, padding, stride))
    h, w = (n + 2 * p for n, p in zip(_pair(output_size), (ph, pw), strict=True))
    rows, columns = (h - (kh - 1) * dh - 1) // sh + 1, (w - (kw - 1) * dw - 1) // sw + 1
    b, channels = x.shape[0], x.shape[1] // (kh * kw)
    x = reshape(x, (b, channels, kh * kw, rows, columns))
    total: Any = None
    for n, (i, j) in enumerate((i, j) for i in range(kh) for j in range(kw)):
        part = squeeze(slice_axis(x, 2, n, n + 1), 2)
        low = (0, 0, i * dh, j * dw)
        high = (0, 0, h - i * dh - ((rows - 1) * sh + 1), w - j * dw - ((columns - 1) * sw + 1))
        part = apply(Pad(low, high, (0, 0, sh - 1, sw - 1), 0.0), part)
        total = part if total is None else total + part
    return slice_axis(slice_axis(total, 2, ph, h - ph), 3, pw, w - pw)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise ArgumentError("one number or two.", expected="height and width", got=repr(value))
    return value[0], value[1]


@composite(example((2, 7), sequence_length=3, sequence_stride=2))
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Any:
    """Windows of the last axis: (..., n) -> (..., windows, sequence_length).

    Windows are put together from blocks as long as the stride, so there are few ops however long a window is.

    Example:
        >>> extract_sequences(np.arange(6), 3, 2)
        array([[0, 1, 2],
               [2, 3, 4]])
    """
    x = operand(x)
    last = axis_of(-1, x.ndim, "extract_sequences")
    for name, n in (("sequence_length", sequence_length), ("sequence_stride", sequence_stride)):
        whole("extract_sequences", name, n, 1)
    step = sequence_stride
    count = (x.shape[-1] - sequence_length) // step + 1
    blocks, rest = divmod(sequence_length, step)
    parts = []
    if blocks:
        parts.append(_in_a_row(_in_blocks(x, 0, count + (blocks - 1), step), blocks, 1, count))
    if rest:  # the last block of a window is cut; that of the last window may reach beyond the end
        x = pad(x, [(0, 0)] * last + [(0, step - rest)])
        parts.append(slice_axis(_in_blocks(x, blocks * step, count, step), last + 1, 0, rest))
    return concatenate(parts, -1)


def _in_blocks(x: Any, start: int, count: Size, size: int) -> Any:
    """``count`` blocks of the last axis, from ``start`` on: (..., count, size)."""
    part = slice_axis(x, x.ndim - 1, start, start + count * size)
    return reshape(part, (*part.shape[:-1], count, size))


def _in_a_row(x: Any, blocks: int, apart: int, count: Size) -> Any:
    """Rows i, i + apart, ... (so many ``blocks``) of (..., rows, size), one behind the other, for the first ``count`` i."""
    if blocks <= TOGETHER:
        return concatenate([slice_axis(x, x.ndim - 2, i * apart, i * apart + count) for i in range(blocks)], -1)
    groups, rest = divmod(blocks, TOGETHER)
    reach = (groups - 1) * TOGETHER * apart
    parts = [_in_a_row(_in_a_row(x, TOGETHER, apart, count + reach), groups, TOGETHER * apart, count)]
    if rest:
        tail = slice_axis(x, x.ndim - 2, groups * TOGETHER * apart, x.shape[-2])
        parts.append(_in_a_row(tail, rest, apart, count))
    return concatenate(parts, -1)


# A small language for all of these -----------------------------------------------------------------------------------


def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Any:
    """Axes by name, merged and split in brackets: ``"b (h p) c -> b h (p c)"`` with ``p=2``.

    Source: Rogozhnikov 2022, "Einops".

    Example:
        >>> rearrange(np.arange(6).reshape(2, 3), "a b -> (b a)")
        array([0, 3, 1, 4, 2, 5])
    """
    x = operand(tensor)
    before, after = (_groups(side) for side in _sides(pattern))
    if len(before) != x.ndim:
        raise ShapeError("'rearrange' names each axis.", expected=f"{x.ndim} axes before ->", got=pattern)
    sizes: dict[str, Size] = dict(axes_lengths)
    for group, size in zip(before, x.shape, strict=True):
        unknown = [name for name in group if name not in sizes]
        known = product(sizes[name] for name in group if name in sizes)
        if (
            len(unknown) > 1
            or (not unknown and known != size)
            or (isinstance(size, int) and isinstance(known, int) and known and size % known)
        ):
            raise ShapeError(
                f"'rearrange' cannot split {size} into {' '.join(group)}.", expected=str(known), got=str(size)
            )
        if unknown:
            sizes[unknown[0]] = size // known
    names = [name for group in before for name in group]
    wanted = [name for group in after for name in group]
    if sorted(names) != sorted(wanted):
        raise ArgumentError(
            "'rearrange' keeps every axis.", expected=" ".join(sorted(names)), got=" ".join(sorted(wanted))
        )
    x = transpose(reshape(x, tuple(sizes[n] for n in names)), [names.index(n) for n in wanted])
    return reshape(x, tuple(product(sizes[n] for n in group) for group in after))


def _sides(pattern: str) -> tuple[str, str]:
    before, arrow, after = pattern.partition("->")
    if not arrow:
        raise ArgumentError("a pattern has two sides.", expected='"a b -> b a"', got=repr(pattern))
    return before, after


def _groups(side: str) -> list[list[str]]:
    """The axes of one side of a pattern, each as the names that it is made of."""
    groups: list[list[str]] = []
    inside = False
    for token in side.replace("(", " ( ").replace(")", " ) ").split():
        if token in "()":
            inside = token == "("
            if inside:
                groups.append([])
        elif inside:
            groups[-1].append(token)
        else:
            groups.append([] if token == "1" else [token])
    return groups
