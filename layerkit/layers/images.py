"""Images of other sizes: resized, or cut out. The same in training and otherwise, but for ``RandomCrop``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from layerkit import ops, random
from layerkit.dtypes import is_floating
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import Check, Number, OneOf, PositiveInt
from layerkit.ir import show_shape
from layerkit.layers.base import Layer
from layerkit.layers.common import DataFormat
from layerkit.layers.regularization import _Random
from layerkit.layers.upsampling import resized
from layerkit.ops.core import dtype_of
from layerkit.ops.windows import is_known
from layerkit.records import dataclass

Interpolation = Annotated[str, OneOf(("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"))]


class _Images(Layer):
    """``over`` sees float images (batch, height, width, channels) of known size; one image alone is a batch of one.

    Of a mapping, the images are what is called "images"; the rest passes by.
    """

    keeps_places: ClassVar[bool] = False
    """Whether each pixel stays where it is, so that masks and boxes of the images stay as they are."""

    def call(self, data: Any, training: bool = False) -> Any:
        if isinstance(data, dict):
            return {**data, "images": self.call(self._images_of(data), training)}
        x = ops.cast(data, self.compute_dtype)
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"'{type(self).__name__}' needs images.", expected="(batch, height, width, channels), or one image",
                got=show_shape(x.shape),
            )  # fmt: skip
        is_first = getattr(self, "data_format", None) == "channels_first"
        is_one = x.ndim == 3
        x = ops.expand_dims(x, 0) if is_one else x
        x = ops.moveaxis(x, 1, -1) if is_first else x
        if not is_known(x.shape[1:3]):
            raise ShapeError(
                f"'{type(self).__name__}' needs to know height and width.", expected="images of known size",
                got=show_shape(x.shape), fix="give Input(shape=...) a height and a width",
            )  # fmt: skip
        y = self.over(x, training)
        y = ops.moveaxis(y, -1, 1) if is_first else y
        return ops.squeeze(y, 0) if is_one else y

    def _images_of(self, data: dict[str, Any]) -> Any:
        others = [] if self.keeps_places else sorted({"segmentation_masks", "bounding_boxes"} & set(data))
        if "images" not in data or others:
            raise ArgumentError(
                f"'{type(self).__name__}' changes images alone.", expected='{"images": ..., "labels": ...}', got=str(sorted(data)),
            )  # fmt: skip
        return data["images"]

    def over(self, images: Any, training: bool) -> Any:
        """The changed images."""
        raise NotImplementedError


@dataclass(frozen=True)
class Range(Check):
    """The least and the greatest of a range within [least, 1]; a number f stands for [f * alone[0], f * alone[1]]."""

    least: float = -1.0
    alone: tuple[int, int] = (-1, 1)

    @property
    def expected(self) -> str:  # type: ignore[override]
        return f"a number, or the least and the greatest, in [{self.least:g}, 1]"

    def __call__(self, value: Any, owner: Any) -> tuple[float, float]:
        number = Number(float, self.least, 1)
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
            low, high = (number(v, owner) for v in value)
            return (low, high) if self.alone == (1, 1) or low <= high else (high, low)
        size = abs(number(value, owner))
        return size * self.alone[0], size * self.alone[1]


class _Augmentation(_Images, _Random):
    """Layers that change images in training, each in its own way."""

    trains_alone = True

    def draw(self, images: Any, bounds: tuple[float, float] = (0.0, 1.0)) -> Any:
        """A number for each image: (batch, 1, 1)."""
        return random.uniform((images.shape[0], 1, 1), *bounds, dtype_of(images), self.seed_generator)

    def draw_either_way(self, images: Any, bounds: tuple[float, float]) -> Any:
        """``draw`` with either sign."""
        size = self.draw(images, bounds)
        return ops.where(self.draw(images) < 0.5, -size, size)

    def over(self, images: Any, training: bool) -> Any:
        return self.changed(images) if training else images

    def changed(self, images: Any) -> Any:
        """The images as they are in training."""
        raise NotImplementedError


class Resizing(_Images):
    """Images brought to one size.

    Args:
        height: rows of the result.
        width: columns of the result.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether images are cut to the proportions of the result before.
        pad_to_aspect_ratio: whether a border is put around them for that.
        fill_mode: "constant": the border is of one colour.
        fill_value: the colour of the border.
        antialias: whether all pixels that become one are averaged when images get smaller.
        data_format: "channels_last", "channels_first" or None.
    Source: Keys 1981 (bicubic); Duchon 1979 (lanczos).

    Example:
        >>> import numpy as np
        >>> Resizing(1, 2)(np.arange(4.0).reshape(1, 1, 4, 1)).ravel()
        array([0.5, 2.5], dtype=float32)
    """

    height: PositiveInt
    width: PositiveInt
    interpolation: Interpolation = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Annotated[str, OneOf(("constant",))] = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    data_format: DataFormat = None

    def call(self, data: Any, training: bool = False) -> Any:
        y = super().call(data, training)
        if isinstance(data, dict):
            return y
        kind = dtype_of(data)
        return (
            y
            if is_floating(kind)
            else ops.cast(ops.clip(ops.round(y), 0, 255) if kind == "uint8" else ops.round(y), kind)
        )

    def over(self, images: Any, training: bool) -> Any:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ArgumentError(
                "an image is cut or padded, not both.", expected="one of crop_to_aspect_ratio, pad_to_aspect_ratio",
                got="both",
            )  # fmt: skip
        if self.crop_to_aspect_ratio:
            images = _proportioned(images, self.height, self.width)
        if self.pad_to_aspect_ratio:
            rows, columns = images.shape[1:3]
            more = [(max(rows, columns * self.height // self.width) - rows) // 2]
            more.append((max(columns, rows * self.width // self.height) - columns) // 2)
            images = ops.pad(images, ((0, 0), *((m, m) for m in more), (0, 0)), constant_values=self.fill_value)
        return resized(images, (self.height, self.width), self.interpolation, self.antialias)


def _proportioned(images: Any, height: int, width: int) -> Any:
    """The middle of images, as much as there is of the proportions height : width."""
    rows, columns = images.shape[1:3]
    return _middle(images, min(rows, max(1, columns * height // width)), min(columns, max(1, rows * width // height)))


def _middle(images: Any, height: int, width: int) -> Any:
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


class CenterCrop(_Images):
    """The middle of images; those that are too small are resized, after cutting them to the proportions wanted.

    Args:
        height: rows of the result.
        width: columns of the result.
        data_format: "channels_last", "channels_first" or None.
    """

    height: PositiveInt
    width: PositiveInt
    data_format: DataFormat = None

    def over(self, images: Any, training: bool) -> Any:
        rows, columns = images.shape[1:3]
        if rows >= self.height and columns >= self.width:
            return _middle(images, self.height, self.width)
        return resized(_proportioned(images, self.height, self.width), (self.height, self.width), "bilinear")


class RandomCrop(_Images, _Random):
    """A part of the images, in training at a place that is drawn for each batch.

    Otherwise, and where images are smaller than the part, it is as much of the middle as has the proportions of the part,
    resized.

    Args:
        height: rows of the part.
        width: columns of the part.
        seed: a number, for places that do not depend on the model's seed.
        data_format: "channels_last", "channels_first" or None.
    """

    height: PositiveInt
    width: PositiveInt
    seed: int | None = None
    data_format: DataFormat = None

    trains_alone = True

    def over(self, images: Any, training: bool) -> Any:
        rows, columns = images.shape[1:3]
        if not training or rows < self.height or columns < self.width:
            return resized(_proportioned(images, self.height, self.width), (self.height, self.width), "bilinear")
        draws = random.uniform((2,), seed=self.seed_generator)
        for axis, size in ((1, self.height), (2, self.width)):
            first = ops.floor(draws[axis - 1] * (images.shape[axis] - size + 1))
            images = ops.take(images, ops.cast(first, "int32") + ops.arange(size), axis)
        return images
