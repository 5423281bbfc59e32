"""Tensors from a shape or a few numbers: constants, grids, windows of signal processing.

Names, defaults and dtypes are those of ``keras.ops``. What depends on known sizes alone is computed once, with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import ArgumentError
from layerkit.ir import Dim, Size, Value, product
from layerkit.ops.core import Tensor, apply, axis_of, check_choice, dtype_of, operand, operands, whole
from layerkit.ops.core import size as size_of
from layerkit.ops.elementwise import abs, cast, log, power, where
from layerkit.ops.indexing import Iota
from layerkit.ops.reduction import broadcast_to
from layerkit.ops.scientific import i0
from layerkit.ops.shape import as_shape, concatenate, expand_dims, moveaxis, reshape, stack

# Filled with one number ----------------------------------------------------------------------------------------------


def full(shape: Size | Sequence[Size], fill_value: Tensor, dtype: str | None = None) -> Any:
    """``fill_value`` (broadcast) everywhere; float32 unless ``dtype`` says else.

    Example:
        >>> full((2, 2), 7.0)
        array([[7., 7.],
               [7., 7.]], dtype=float32)
    """
    shape = as_shape("full", shape)
    kind = dtypes.canonical(dtype) if dtype else dtype_of(fill_value) if is_symbolic(fill_value) else "float32"
    value = cast(operand(fill_value), kind) if not isinstance(fill_value, int | float) else operand(fill_value, kind)
    return broadcast_to(value, shape)


def zeros(shape: Size | Sequence[Size], dtype: str | None = None) -> Any:
    """Zeros; float32 unless ``dtype`` says else."""
    return full(shape, 0, dtype)


def ones(shape: Size | Sequence[Size], dtype: str | None = None) -> Any:
    """Ones; float32 unless ``dtype`` says else."""
    return full(shape, 1, dtype)


def empty(shape: Size | Sequence[Size], dtype: str | None = None) -> Any:
    """Numbers that do not matter: zeros, so that results are repeatable."""
    return zeros(shape, dtype)


def full_like(x: Tensor, fill_value: Tensor, dtype: str | None = None) -> Any:
    """``fill_value`` everywhere, in the shape and dtype of ``x``."""
    x = operand(x)
    return full(x.shape, fill_value, dtype or dtype_of(x))


def zeros_like(x: Tensor, dtype: str | None = None) -> Any:
    """Zeros of the shape and dtype of ``x``."""
    return full_like(x, 0, dtype)


def ones_like(x: Tensor, dtype: str | None = None) -> Any:
    """Ones of the shape and dtype of ``x``."""
    return full_like(x, 1, dtype)


def empty_like(x: Tensor, dtype: str | None = None) -> Any:
    """Zeros of the shape and dtype of ``x``."""
    return full_like(x, 0, dtype)


def is_symbolic(x: Any) -> bool:
    """Whether ``x`` is a tensor whose numbers are not known yet."""
    return isinstance(x, Value) or hasattr(x, "__layerkit_value__")


# From numbers --------------------------------------------------------------------------------------------------------


def convert_to_tensor(
    x: Tensor, dtype: str | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Any:
    """``x`` as an array or symbolic tensor, of another dtype if one is given; all tensors are dense here."""
    if sparse or ragged:
        raise ArgumentError("tensors are dense.", expected="sparse=None, ragged=None", got=f"{sparse=}, {ragged=}")
    if dtype is None or isinstance(x, bool | int | float):
        return operand(x, None if dtype is None else dtypes.canonical(dtype))
    return cast(x, dtype)


def array(x: Tensor, dtype: str | None = None) -> Any:
    """``x`` as an array or symbolic tensor, of another dtype if one is given."""
    return convert_to_tensor(x, dtype)


def copy(x: Tensor) -> Any:
    """The same numbers, in memory of their own."""
    x = operand(x)
    return x if isinstance(x, Value) else x.copy()


def convert_to_numpy(x: Tensor) -> Any:
    """The numbers of ``x`` as an array of NumPy; an error inside a program."""
    return np.asarray(operand(x))


def is_tensor(x: Any) -> bool:
    """Whether ``x`` is an array or a symbolic tensor."""
    return isinstance(x, np.ndarray) or is_symbolic(x)


def dtype(x: Tensor) -> str:
    """The name of the dtype of ``x``."""
    return dtype_of(operand(x))


def size(x: Tensor) -> Any:
    """The number of elements of ``x``, int32; a size, as ``shape`` gives it, stands for itself."""
    return size_of(x if isinstance(x, int | Dim) else product(operand(x).shape))


def ndim(x: Tensor) -> int:
    """The number of axes of ``x``."""
    return len(operand(x).shape)


# Series --------------------------------------------------------------------------------------------------------------


def arange(start: Any, stop: Any = None, step: Any = None, dtype: str | None = None) -> Any:
    """Numbers from ``start`` up to, not including, ``stop``; int32 unless a number is a float.

    Example:
        >>> arange(2, 8, 3)
        array([2, 5], dtype=int32)
    """
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    kind = dtypes.canonical(dtype) if dtype else "float32" if float in map(type, (start, stop, step)) else "int32"
    for number in (start, stop, step):
        if not isinstance(number, int | float | np.number | Dim):
            raise ArgumentError("'arange' counts from number to number.", expected="numbers", got=repr(number)[:40])
    if isinstance(start, Dim) or isinstance(stop, Dim):
        numbers = apply(Iota(-((start - stop) // step), kind))
        return numbers if (step, start) == (1, 0) else numbers * step + start
    return np.arange(start, stop, step, dtype=dtypes.numpy_dtype(kind))


def linspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: str | None = None, axis: int = 0,
) -> Any:  # fmt: skip
    """``num`` numbers evenly spaced from ``start`` to ``stop``, without the last unless ``endpoint``.

    Example:
        >>> linspace(0.0, 1.0, 5)
        array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    start, stop = operands(start, stop, floating=True)
    kind = dtype_of(start)
    num = whole("linspace", "num", num, 0)
    gaps = num - 1 if endpoint else num
    step = (stop - start) / gaps if gaps > 0 else (stop - start) * math.nan
    part = np.arange(num, dtype=kind) / max(gaps, 1)
    shape = broadcast_to(start * 0.0 + stop * 0.0, (start + stop).shape)
    first, last = expand_dims(start + shape, 0), expand_dims(stop + shape, 0)
    part = reshape(part.astype(kind), (num, *(1 for _ in shape.shape)))
    numbers = first + (last - first) * part
    if endpoint and num > 1:
        numbers = concatenate([numbers[:-1], last])
    numbers = moveaxis(numbers, 0, axis)
    numbers = cast(numbers, dtype) if dtype else numbers
    return (numbers, step) if retstep else numbers


def logspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, base: Tensor = 10,
    dtype: str | None = None, axis: int = 0,
) -> Any:  # fmt: skip
    """``base`` to the power of the numbers of ``linspace``."""
    numbers = linspace(start, stop, num, endpoint, axis=axis)
    numbers = power(operands(base, numbers)[0], numbers)
    return cast(numbers, dtype) if dtype else numbers


def geomspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: str | None = None, axis: int = 0
) -> Any:
    """``num`` numbers from ``start`` to ``stop``, each the same multiple of the one before; both have one sign."""
    start, stop = operands(start, stop, floating=True)
    numbers = power(operands(10.0, start)[0], linspace(_log10(abs(start)), _log10(abs(stop)), num, endpoint, axis=axis))
    minus = where(start < 0.0, -1.0, 1.0)
    numbers = numbers * (expand_dims(minus, axis_of(axis, numbers.ndim, "geomspace")) if numbers.ndim > 1 else minus)
    return cast(numbers, dtype) if dtype else numbers


def _log10(x: Any) -> Any:
    return log(x) * (1 / math.log(10))


def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Any]:
    """For each vector a tensor over the grid that all of them span; "xy" exchanges the first two axes.

    Example:
        >>> meshgrid(np.array([1, 2]), np.array([3, 4]))
        [array([[1, 2],
               [1, 2]]), array([[3, 3],
               [4, 4]])]
    """
    check_choice("meshgrid", "indexing", indexing, ["xy", "ij"])
    xs = [reshape(operand(v), (-1,)) for v in x]
    order = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        order[:2] = [1, 0]
    sizes = [xs[i].shape[0] for i in order]
    return [
        broadcast_to(reshape(v, tuple(v.shape[0] if order[i] == k else 1 for i in range(len(xs)))), tuple(sizes))
        for k, v in enumerate(xs)
    ]


# Matrices ------------------------------------------------------------------------------------------------------------


def eye(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Any:
    """Ones on a diagonal of an (N, M) matrix, zeros elsewhere; ``k`` counts diagonals to the right."""
    return np.eye(N, M, k, dtype=dtypes.numpy_dtype(dtypes.canonical(dtype or "float32")))


def identity(n: int, dtype: str | None = None) -> Any:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Any:
    """Ones on and below a diagonal of an (N, M) matrix, zeros above."""
    return np.tri(N, M, k, dtype=dtypes.numpy_dtype(dtypes.canonical(dtype or "float32")))


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of a vector as columns: (n,) -> (n, N), the highest first unless ``increasing``.

    Example:
        >>> vander(np.array([1, 2, 3]))
        array([[1, 1, 1],
               [4, 2, 1],
               [9, 3, 1]])
    """
    x = operand(x)
    count = len(x) if N is None else N
    columns = [ones_like(x)]
    for _ in range(count - 1):
        columns.append(columns[-1] * x)
    if not count:
        return zeros((len(x), 0), dtype_of(x))
    return stack(columns if increasing else columns[::-1], axis=1)


# Windows -------------------------------------------------------------------------------------------------------------


def hanning(x: int) -> Any:
    """The Hann window of ``x`` points: half a cosine's distance from 1."""
    return _cosines(x, 0.5, 0.5)


def hamming(x: int) -> Any:
    """The Hamming window of ``x`` points."""
    return _cosines(x, 0.54, 0.46)


def blackman(x: int) -> Any:
    """The Blackman window of ``x`` points."""
    return _cosines(x, 0.42, 0.5, 0.08)


def _cosines(x: int, *weights: float) -> Any:
    turn = 2 * math.pi / max(int(x) - 1, 1) * np.arange(int(x))
    signs = [1, -1, 1]
    total = sum(s * w * np.cos(i * turn) for i, (s, w) in enumerate(zip(signs, weights, strict=False)))
    return np.asarray(total if int(x) > 1 else np.ones(int(x)), "float32")


def bartlett(x: int) -> Any:
    """The triangular window of ``x`` points."""
    return np.bartlett(int(x)).astype("float32")


def kaiser(x: int, beta: float) -> Any:
    """The Kaiser window of ``x`` points; a larger ``beta`` is narrower."""
    count = int(x)
    if count == 1:
        return np.ones(1, "float32")
    place = 2 * np.arange(count) / max(count - 1, 1) - 1
    return np.asarray(i0(beta * np.sqrt(np.maximum(1 - place * place, 0))) / i0(np.float64(beta)), "float32")
