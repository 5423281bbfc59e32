"""Series, images and volumes made larger by a whole number, by repetition or by interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.fields import OneOf
from layerkit.ir import Array, show_shape
from layerkit.layers.common import DataFormat, Window, _Spatial
from layerkit.ops.core import dtype_of
from layerkit.ops.windows import is_known


class _UpSampling(_Spatial):
    size: Window = 2

    def over(self, inputs: Any) -> Any:
        return self.repeated(inputs)

    def repeated(self, inputs: Any) -> Any:
        """Each element ``size`` times along each spatial axis."""
        batch, *spatial, channels = inputs.shape
        apart = [n for size in spatial for n in (size, 1)]
        wide = [n for size, times in zip(spatial, self.size, strict=True) for n in (size, times)]
        whole = [size * times for size, times in zip(spatial, self.size, strict=True)]
        y = ops.broadcast_to(ops.reshape(inputs, (batch, *apart, channels)), (batch, *wide, channels))
        return ops.reshape(y, (batch, *whole, channels))


class UpSampling1D(_UpSampling):
    """Each step ``size`` times: (batch, time, channels) -> (batch, time * size, channels)."""

    rank = 1


class UpSampling2D(_UpSampling):
    """Each row and column ``size`` times: (batch, height, width, channels) -> (batch, height * a, width * b, channels).

    Pixels are squares, their centres half a pixel from their edges; beyond the image there is nothing to average over.

    Args:
        size: how many times, for rows and for columns.
        data_format: "channels_last", "channels_first" or None.
        interpolation: "nearest" repeats pixels; the others average their neighbours. Source: Keys 1981 (bicubic);
            Duchon 1979 (lanczos3, lanczos5).

    Raises:
        ShapeError: height or width is unknown, and interpolation is not "nearest".

    Example:
        >>> UpSampling2D((1, 2))(np.array([1.0, 2.0]).reshape(1, 1, 2, 1)).ravel()
        array([1., 1., 2., 2.], dtype=float32)
    """

    size: Window = 2
    data_format: DataFormat = None
    interpolation: Annotated[str, OneOf(("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"))] = "nearest"

    rank = 2

    def over(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            return self.repeated(inputs)
        _, height, width, _ = inputs.shape
        if not is_known((height, width)):
            raise ShapeError(
                "interpolation needs to know height and width.", expected="(batch, height, width, channels) with numbers",
                got=show_shape(inputs.shape), fix='give Input(shape=...) a height and a width, or use "nearest"',
            )  # fmt: skip
        (rows, columns) = self.size
        return resized(inputs, (height * rows, width * columns), self.interpolation)


class UpSampling3D(_UpSampling):
    """Each layer, row and column ``size`` times: (batch, depth, height, width, channels) -> the same axes, longer."""

    size: Window = 2
    data_format: DataFormat = None

    rank = 3


def resized(images: Any, sizes: tuple[int, int], interpolation: str, antialias: bool = False) -> Any:
    """Images of other sizes: (batch, height, width, channels) -> (batch, *sizes, channels).

    Args:
        images: float images of known height and width.
        sizes: height and width of the result.
        interpolation: "nearest", or the name of how neighbours are averaged.
        antialias: whether all pixels that become one are averaged when images get smaller.
    """
    for axis, new in enumerate(sizes, start=1):
        old = images.shape[axis]
        if interpolation == "nearest":
            images = ops.take(images, ((np.arange(new) + 0.5) * old / new).astype("int32"), axis)
        elif old != new:
            shares = between(old, new, WEIGHTS[interpolation], antialias).astype(dtype_of(images))
            images = ops.moveaxis(ops.matmul(ops.moveaxis(images, axis, -1), shares), -1, axis)
    return images


def between(size: int, new: int, weight: Callable[[Array], Array], antialias: bool = False) -> Array:
    """(size, new): how much each old pixel counts for each new one; the columns sum to 1.

    >>> between(2, 4, _triangle)
    array([[1.  , 0.75, 0.25, 0.  ],
           [0.  , 0.25, 0.75, 1.  ]])
    """
    centres = (np.arange(new) + 0.5) * size / new - 0.5
    reach = max(1.0, size / new) if antialias else 1.0
    weights = weight(np.abs(centres[None, :] - np.arange(size)[:, None]) / reach)
    return np.asarray(weights / weights.sum(axis=0))


def _triangle(x: Array) -> Array:
    return np.maximum(1.0 - x, 0.0)


def _keys(x: Array) -> Array:
    near, far = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


WEIGHTS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle,
    "bicubic": _keys,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
