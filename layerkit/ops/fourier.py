"""Discrete Fourier transforms, of sequences and of windows that slide over them.

Complex numbers are pairs (real, imaginary) of tensors. A length that is a product is transformed in two stages, each a
product of matrices, so the work is O(n^1.5) and runs at the speed of those.
Source: Cooley and Tukey 1965, "An algorithm for the machine calculation of complex Fourier series".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError
from layerkit.ir import number
from layerkit.ops.arrangement import extract_sequences, pad
from layerkit.ops.core import Tensor, dtype_of, operand, operands, whole
from layerkit.ops.matrices import matmul
from layerkit.ops.shape import concatenate, flip, reshape, slice_axis, swapaxes

Pair = tuple[Any, Any]
SMALL = 64  # lengths up to here are transformed in one stage


def _dft(x: Pair, sign: int) -> Pair:
    """Sum over n of x[n] exp(sign * 2 pi i k n / N) along the last axis."""
    re, im = x
    n = number(re.shape[-1])
    a = next((d for d in range(math.isqrt(n), 1, -1) if n % d == 0), 1) if n > SMALL else 1
    if a == 1:
        return _times(x, np.outer(np.arange(n), np.arange(n)) / n, sign)
    b = n // a
    split = [swapaxes(reshape(part, (*part.shape[:-1], a, b)), -1, -2) for part in (re, im)]  # (..., b, a)
    first = _dft((split[0], split[1]), sign)
    twist = sign * 2 * math.pi * np.outer(np.arange(b), np.arange(a)) / n
    cos, sin = (f(twist).astype(dtype_of(re)) for f in (np.cos, np.sin))
    turned = first[0] * cos - first[1] * sin, first[0] * sin + first[1] * cos
    second = _dft((swapaxes(turned[0], -1, -2), swapaxes(turned[1], -1, -2)), sign)  # (..., a, b)
    whole = [reshape(swapaxes(part, -1, -2), re.shape) for part in second]
    return whole[0], whole[1]


def _times(x: Pair, turns: Any, sign: int) -> Pair:
    """The product with the matrix exp(sign * 2 pi i * turns)."""
    angle = sign * 2 * math.pi * (turns % 1.0)
    cos, sin = (f(angle).astype(dtype_of(x[0])) for f in (np.cos, np.sin))
    return matmul(x[0], cos) - matmul(x[1], sin), matmul(x[0], sin) + matmul(x[1], cos)


def _pair(x: Any) -> Pair:
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ArgumentError("complex numbers are pairs.", expected="(real, imaginary)", got=repr(type(x).__name__))
    re, im = operands(*x, floating=True)
    return re, im


def fft(x: Any) -> Pair:
    """The Fourier transform along the last axis of a pair (real, imaginary).

    Example:
        >>> fft((np.array([1.0, 0.0]), np.array([0.0, 0.0])))
        (array([1., 1.]), array([0., 0.]))
    """
    return _dft(_pair(x), -1)


def fft2(x: Any) -> Pair:
    """The Fourier transform along the last two axes."""
    return _both(_pair(x), -1)


def ifft2(x: Any) -> Pair:
    """The way back from ``fft2``."""
    re, im = _both(_pair(x), 1)
    count = number(re.shape[-1]) * number(re.shape[-2])
    return re / count, im / count


def _both(x: Pair, sign: int) -> Pair:
    rows = _dft(x, sign)
    columns = _dft((swapaxes(rows[0], -1, -2), swapaxes(rows[1], -1, -2)), sign)
    return swapaxes(columns[0], -1, -2), swapaxes(columns[1], -1, -2)


def rfft(x: Tensor, fft_length: int | None = None) -> Pair:
    """The first half of the Fourier transform of real numbers, whose other half is its mirror image: n // 2 + 1 numbers.

    Args:
        x: real sequences along the last axis.
        fft_length: they are cut or filled with zeros to this length.
    """
    (x,) = operands(x, floating=True)
    n = number(x.shape[-1]) if fft_length is None else whole("rfft", "fft_length", fft_length, 1)
    x = _fitted(x, n)
    re, im = _dft((x, x * 0.0), -1)
    last = x.ndim - 1
    return slice_axis(re, last, 0, n // 2 + 1), slice_axis(im, last, 0, n // 2 + 1)


def irfft(x: Any, fft_length: int | None = None) -> Any:
    """The way back from ``rfft``: real sequences of ``fft_length``, by default twice the numbers less 2."""
    re, im = _pair(x)
    n = 2 * (number(re.shape[-1]) - 1) if fft_length is None else fft_length
    half, last = n // 2 + 1, re.ndim - 1
    re, im = _fitted(re, half), _fitted(im, half)
    mirrored = [flip(slice_axis(part, last, 1, n - half + 1), last) for part in (re, im)]
    whole = concatenate([re, mirrored[0]], last), concatenate([im, -mirrored[1]], last)
    # numbers that are their own mirror image are real
    keep = np.ones(n, dtype_of(re))
    keep[0] = 0
    if n % 2 == 0:
        keep[n // 2] = 0
    return _dft((whole[0], whole[1] * keep), 1)[0] / n


def _fitted(x: Any, n: int) -> Any:
    """The last axis cut, or filled with zeros, to length ``n``."""
    have, last = number(x.shape[-1]), x.ndim - 1
    if have >= n:
        return slice_axis(x, last, 0, n)
    return pad(x, [(0, 0)] * last + [(0, n - have)])


# Sliding windows -----------------------------------------------------------------------------------------------------


def _window(window: Any, sequence_length: int, fft_length: int, kind: str) -> Any:
    """The weights of a window of ``sequence_length``, in the middle of ``fft_length``."""
    if window is None:
        return np.ones(fft_length, kind)
    if isinstance(window, str):
        turn = 2 * math.pi * np.arange(sequence_length) / sequence_length
        shapes = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46)}
        if window not in shapes:
            raise ArgumentError(
                f"there is no window {window!r}.", expected="'hann', 'hamming', None, weights", got=repr(window)
            )
        base, swing = shapes[window]
        weights = base - swing * np.cos(turn)
    else:
        weights = np.asarray(operand(window))
    low = (fft_length - sequence_length) // 2
    return np.pad(weights, (low, fft_length - sequence_length - low)).astype(kind)


def stft(
    x: Tensor, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> Pair:
    """``rfft`` of windows that slide over the last axis: (..., n) -> twice (..., windows, fft_length // 2 + 1).

    Args:
        x: real sequences.
        sequence_length: length of a window.
        sequence_stride: its step.
        fft_length: windows are filled with zeros to this length.
        window: "hann", "hamming", weights; None takes ``fft_length`` elements as they are.
        center: whether both ends are continued as in a mirror, so that the first window has the first element in its middle.
    """
    (x,) = operands(x, floating=True)
    for name, value in (("sequence_length", sequence_length), ("sequence_stride", sequence_stride)):
        whole("stft", name, value, 1)
    weights = _window(window, sequence_length, fft_length, dtype_of(x))
    if center:
        half = fft_length // 2
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="reflect")
    return rfft(extract_sequences(x, fft_length, sequence_stride) * weights)


def _added_up(frames: Any, step: int) -> Any:
    """Windows (..., count, n), each ``step`` after the one before, added where they overlap; zeros fill the last block."""
    *front, count, n = frames.shape
    blocks, none = -(-n // step), [(0, 0)] * len(front)
    frames = reshape(pad(frames, [*none, (0, 0), (0, blocks * step - n)]), (*front, count, blocks, step))
    summed: Any = 0.0
    for i in reversed(range(blocks)):  # the earliest window first
        block = reshape(slice_axis(frames, len(front) + 1, i, i + 1), (*front, count, step))
        summed = summed + pad(block, [*none, (i, blocks - 1 - i), (0, 0)])
    return reshape(summed, (*front, (count + blocks - 1) * step))


def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """The way back from ``stft``: windows added up where they overlap, divided by the sum of their squared weights.

    Without weights (``window=None``) the sum stays as it is.

    Args:
        x: a pair of (..., windows, fft_length // 2 + 1).
        sequence_length: length of a window.
        sequence_stride: its step.
        fft_length: length of the transforms.
        length: length of the result; by default as long as the windows reach.
        window: the one of ``stft``.
        center: the one of ``stft``.
    """
    for name, value in (("sequence_length", sequence_length), ("sequence_stride", sequence_stride)):
        whole("istft", name, value, 1)
    frames = irfft(x, fft_length)
    kind = dtype_of(frames)
    weights = _window(window, sequence_length, fft_length, kind)
    count, last = number(frames.shape[-2]), frames.ndim - 2
    total = fft_length + (count - 1) * sequence_stride
    scale = np.zeros(total)
    for at in range(0, count * sequence_stride, sequence_stride):
        scale[at : at + fft_length] += weights.astype("float64") ** 2
    summed = slice_axis(_added_up(frames * weights, sequence_stride), last, 0, total)
    if window is not None:
        summed = summed * (1 / np.where(scale > 1e-10, scale, 1.0)).astype(kind)
    start = fft_length // 2 if center else 0
    stop = total - fft_length // 2 if center and length is None else total if length is None else start + length
    have = min(stop, total)
    result = slice_axis(summed, last, start, have)
    return result if have == stop else pad(result, [(0, 0)] * last + [(0, stop - have)])
