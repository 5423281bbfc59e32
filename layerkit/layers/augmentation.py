"""Images turned, moved, scaled, sheared and mirrored at random in training, each in its own way.

They are ops of the program: on any engine, the same for any number of threads, repeatable from the seed.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from layerkit import ops
from layerkit.fields import OneOf
from layerkit.layers.common import DataFormat
from layerkit.layers.images import Range, _Augmentation
from layerkit.ops.core import apply, dtype_of
from layerkit.ops.indexing import Gather

Factor = Annotated[Any, Range()]
Part = Annotated[Any, Range(0.0, (0, 1))]
FillMode = Annotated[str, OneOf(("reflect", "wrap", "constant", "nearest"))]
Reading = Annotated[str, OneOf(("nearest", "bilinear"))]


class RandomFlip(_Augmentation):
    """Images mirrored in training, each with probability one half for each direction.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical".
        seed: a number, for draws that do not depend on the model's seed.
        data_format: "channels_last", "channels_first" or None.
    """

    mode: Annotated[str, OneOf(("horizontal", "vertical", "horizontal_and_vertical"))] = "horizontal_and_vertical"
    seed: int | None = None
    data_format: DataFormat = None

    def changed(self, images: Any) -> Any:
        for axis, word in ((2, "horizontal"), (1, "vertical")):
            if word in self.mode:
                is_flipped = ops.expand_dims(self.draw(images, (0.0, 1.0)) < 0.5, -1)
                images = ops.where(is_flipped, ops.flip(images, axis), images)
        return images


# Moved pixels --------------------------------------------------------------------------------------------------------


class _Moving(_Augmentation):
    """Each pixel of the result is read from another place of the image."""

    def changed(self: Any, images: Any) -> Any:
        _, height, width, _ = images.shape
        kind = dtype_of(images)
        rows, columns = np.arange(height, dtype=kind)[None, :, None], np.arange(width, dtype=kind)[None, None, :]
        y, x = self.place(images, rows, columns)
        shape = (images.shape[0], height, width)
        y, x = ops.broadcast_to(y, shape), ops.broadcast_to(x, shape)
        return sampled(images, y, x, self.interpolation, self.fill_mode, self.fill_value)

    def place(self, images: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
        """Where the pixels in these rows and columns are read: twice (batch, height, width), or what is repeated to it."""
        raise NotImplementedError


class RandomTranslation(_Moving):
    """Images moved in training, each by a share of its height and width.

    Args:
        height_factor: shares of the height, downwards: [-f, f], or (least, greatest).
        width_factor: shares of the width, to the right.
        fill_mode: what is beyond the edges: "reflect", "wrap", "nearest", or "constant".
        interpolation: "nearest" or "bilinear".
        seed: a number, for draws that do not depend on the model's seed.
        fill_value: the colour for "constant".
        data_format: "channels_last", "channels_first" or None.
    """

    height_factor: Factor
    width_factor: Factor
    fill_mode: FillMode = "reflect"
    interpolation: Reading = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def place(self, images: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
        down, right = self.draw(images, self.height_factor), self.draw(images, self.width_factor)
        return rows - down * float(images.shape[1]), columns - right * float(images.shape[2])


class RandomRotation(_Moving):
    """Images turned about their middle in training, each by a share of a whole turn, against the clock if positive.

    Args:
        factor: shares of a whole turn: [-f, f], or (least, greatest).
        fill_mode: what is beyond the edges: "reflect", "wrap", "nearest", or "constant".
        interpolation: "nearest" or "bilinear".
        seed: a number, for draws that do not depend on the model's seed.
        fill_value: the colour for "constant".
        data_format: "channels_last", "channels_first" or None.
    """

    factor: Factor
    fill_mode: FillMode = "reflect"
    interpolation: Reading = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def place(self, images: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
        angle = self.draw(images, self.factor) * (2 * math.pi)
        middle_y, middle_x = (images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2
        y, x = rows - middle_y, columns - middle_x
        cos, sin = ops.cos(angle), ops.sin(angle)
        return sin * x + cos * y + middle_y, cos * x - sin * y + middle_x


class RandomZoom(_Moving):
    """Images scaled about their middle in training: made smaller by positive factors, larger by negative ones.

    Args:
        height_factor: changes of scale: [-f, f], or (least, greatest).
        width_factor: the same for the width; None: as much as the height.
        fill_mode: what is beyond the edges: "reflect", "wrap", "nearest", or "constant".
        interpolation: "nearest" or "bilinear".
        seed: a number, for draws that do not depend on the model's seed.
        fill_value: the colour for "constant".
        data_format: "channels_last", "channels_first" or None.
    """

    height_factor: Factor
    width_factor: Factor = None
    fill_mode: FillMode = "reflect"
    interpolation: Reading = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def place(self, images: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
        tall = 1.0 + self.draw(images, self.height_factor)
        wide = tall if self.width_factor is None else 1.0 + self.draw(images, self.width_factor)
        middle_y, middle_x = (images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2
        return (rows - middle_y) * tall + middle_y, (columns - middle_x) * wide + middle_x


class RandomShear(_Moving):
    """Images sheared in training: moved to a side by a share of how far down a pixel is, and up or down by how far right.

    Args:
        x_factor: shares to either side: [0, f], or (least, greatest).
        y_factor: the same, up or down.
        interpolation: "nearest" or "bilinear".
        fill_mode: what is beyond the edges: "reflect", "wrap", "nearest", or "constant".
        fill_value: the colour for "constant".
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    x_factor: Part = 0.0
    y_factor: Part = 0.0
    interpolation: Reading = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    data_format: DataFormat = None
    seed: int | None = None

    def place(self, images: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
        down, right = (self.draw_either_way(images, f) for f in (self.y_factor, self.x_factor))
        return rows + down * columns, columns + right * rows


def sampled(images: Any, y: Any, x: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
    """The numbers of images at places between pixels: (b, h, w, c), (b, m, n), (b, m, n) -> (b, m, n, c)."""
    if interpolation == "nearest":
        return _pixels(images, _rounded(y), _rounded(x), fill_mode, fill_value)
    top, left = ops.floor(y), ops.floor(x)
    down, right = ops.expand_dims(y - top, -1), ops.expand_dims(x - left, -1)

    def row(at: Any) -> Any:
        a, b = (_pixels(images, at, left + step, fill_mode, fill_value) for step in (0.0, 1.0))
        return a * (1.0 - right) + b * right

    return row(top) * (1.0 - down) + row(top + 1.0) * down


def _rounded(x: Any) -> Any:
    """The nearest whole number; halves away from 0."""
    return ops.where(x < 0.0, ops.ceil(x - 0.5), ops.floor(x + 0.5))


def _pixels(images: Any, row: Any, column: Any, fill_mode: str, fill_value: float) -> Any:
    """The pixels at whole places, which may lie outside."""
    batch, height, width, channels = images.shape
    y, x = _inside(row, height, fill_mode), _inside(column, width, fill_mode)
    first = ops.reshape(ops.arange(batch), (batch, 1, 1)) * (height * width)
    number = first + ops.cast(y, "int32") * width + ops.cast(x, "int32")
    found = apply(Gather(checked=False), ops.reshape(images, (batch * height * width, channels)), number)
    if fill_mode != "constant":
        return found
    is_inside = ops.logical_and(ops.equal(y, row), ops.equal(x, column))
    return ops.where(ops.expand_dims(is_inside, -1), found, fill_value)


def _inside(at: Any, size: int, fill_mode: str) -> Any:
    """The place inside [0, size) that stands for one that may be outside."""
    if fill_mode == "wrap":
        return at - ops.floor(at / float(size)) * float(size)
    if fill_mode == "reflect":
        place = at - ops.floor(at / (2.0 * size)) * (2.0 * size)
        return ops.where(place >= size, (2.0 * size - 1.0) - place, place)
    return ops.clip(at, 0.0, size - 1.0)
