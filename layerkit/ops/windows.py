"""The geometry of sliding windows, shared by convolution and pooling.

``padding`` is "valid" (none), "same" (zeros, so that a stride of 1 keeps the size; an odd one goes to the end) or a pair
(before, after) for each spatial axis. Tensors are (batch, *spatial, channels).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerkit.errors import ShapeError
from layerkit.ir import Array, Dim, Size, show_shape
from layerkit.ops.core import check_choice

Padding = str | tuple[tuple[int, int], ...]


def padding_of(op: str, padding: str) -> str:
    """The word for a padding, in small letters."""
    word = str(padding).lower()
    check_choice(op, "padding", word, ["valid", "same"])
    return word


def out_size(op: str, size: Size, window: int, stride: int, dilation: int, padding: str | tuple[int, int]) -> Size:
    """The number of windows along one axis."""
    if padding == "same":
        return (size + (stride - 1)) // stride if stride > 1 else size
    low, high = (0, 0) if isinstance(padding, str) else padding
    extent = (window - 1) * dilation + 1
    room = size + (low + high - extent)
    if isinstance(room, int) and room < 0:
        raise ShapeError(
            f"'{op}' has a window that is larger than its input.",
            expected=f"at least {extent - low - high} along the axis",
            got=str(size),
            fix='use padding="same", a smaller window, or fewer strides and poolings before it',
        )
    return room // stride + 1 if stride > 1 else room + 1


def out_sizes(
    op: str,
    sizes: Sequence[Size],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: Padding,
) -> tuple[Size, ...]:
    """The number of windows along each spatial axis."""
    pads: Sequence[Any] = [padding] * len(window) if isinstance(padding, str) else padding
    return tuple(out_size(op, *axis) for axis in zip(sizes, window, strides, dilation, pads, strict=True))


def pad_widths(
    sizes: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int], padding: Padding
) -> tuple[tuple[int, int], ...]:
    """What is added before and after each spatial axis."""
    if padding == "valid":
        return ((0, 0),) * len(window)
    if not isinstance(padding, str):
        return padding
    widths = []
    for n, k, s, d in zip(sizes, window, strides, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        widths.append((total // 2, total - total // 2))
    return tuple(widths)


def pad_spatial(x: Array, widths: Sequence[tuple[int, int]], value: Any = 0) -> Array:
    """``x`` with its spatial axes padded."""
    return np.pad(x, ((0, 0), *widths, (0, 0)), constant_values=value) if any(map(any, widths)) else x


def windows(x: Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Array:
    """A view of all windows of a padded tensor: (batch, *out, *window, channels)."""
    rank = len(window)
    spatial = tuple(range(1, rank + 1))
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=spatial)  # (batch, *positions, channels, *extent)
    steps = (
        slice(None),
        *(slice(None, None, s) for s in strides),
        slice(None),
        *(slice(None, None, d) for d in dilation),
    )
    view = view[steps]
    return view.transpose(*range(rank + 1), *range(rank + 2, 2 * rank + 2), rank + 1)


def taps(
    window: Sequence[int], out: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[Any, Any]]:
    """For each place in the window: its index, and the slices of the padded tensor that it meets as the window slides."""
    for place in np.ndindex(*window):
        met = (
            slice(u * d, u * d + (n - 1) * s + 1, s) for u, n, s, d in zip(place, out, strides, dilation, strict=True)
        )
        yield place, (slice(None), *met)


def crop(x: Array, widths: Sequence[tuple[int, int]]) -> Array:
    """``x`` without its padding."""
    return x[(slice(None), *(slice(a, n - b) for (a, b), n in zip(widths, x.shape[1:-1], strict=True)))]


def check_images(op: str, rank: int, x: Any) -> None:
    """Refuse a tensor that is not (batch, *spatial, channels)."""
    if x.rank != rank + 2:
        axes = {1: "(batch, time, channels)", 2: "(batch, height, width, channels)"}.get(rank, "(batch, ..., channels)")
        raise ShapeError(
            f"'{op}' needs {rank + 2} axes.",
            expected=axes,
            got=show_shape(x.shape),
            fix="add the axis of channels: x[..., None]" if x.rank == rank + 1 else None,
        )


def is_known(sizes: Sequence[Size]) -> bool:
    """Whether all sizes are numbers."""
    return not any(isinstance(n, Dim) for n in sizes)
