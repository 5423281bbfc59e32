"""Images of other colours: brighter, of other contrast, hue or sharpness, in part, or erased in part.

Where a factor is a range, a number of it is drawn for each image, in training alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar

import numpy as np

from layerkit import ops, random
from layerkit.errors import ShapeError
from layerkit.fields import Check, Number
from layerkit.ir import show_shape
from layerkit.layers.common import DataFormat
from layerkit.layers.images import Range, _Augmentation, _Images
from layerkit.ops.core import dtype_of
from layerkit.records import dataclass


@dataclass(frozen=True)
class _Bounds(Check):
    """The least and greatest number of a pixel."""

    expected: str = "the least and the greatest number of a pixel"

    def __call__(self, value: Any, owner: Any) -> Any:
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2 or not value[0] < value[1]:
            raise ValueError
        return value


Bounds = Annotated[Any, _Bounds()]
Change = Annotated[Any, Range()]
Part = Annotated[Any, Range(0.0, (0, 1))]
Lessening = Annotated[Any, Range(0.0, (1, 1))]
Chance = Annotated[float, Number(float, 0, 1)]


class _Colours(_Images):
    """Layers that leave pixels where they are, and within ``value_range``."""

    _: KW_ONLY
    data_format: DataFormat = None

    keeps_places = True

    @property
    def bounds(self: Any) -> tuple[float, float]:
        """The least and greatest number of a pixel."""
        least, greatest = self.value_range
        return float(least), float(greatest)

    @property
    def span(self) -> float:
        """From one to the other."""
        return self.bounds[1] - self.bounds[0]

    def kept(self, images: Any) -> Any:
        """Images within their bounds."""
        return ops.clip(images, *self.bounds)


class _RandomColours(_Colours, _Augmentation):
    def each(self, images: Any, bounds: tuple[float, float] = (0.0, 1.0)) -> Any:
        """A number for each image: (batch, 1, 1, 1)."""
        return ops.expand_dims(self.draw(images, bounds), -1)

    def happens(self, images: Any, chance: tuple[float, float]) -> Any:
        """Which images it happens to, with a chance out of a range for each: (batch, 1, 1, 1)."""
        return self.each(images) < self.each(images, chance)


def grey(images: Any) -> Any:
    """How bright each pixel is: (..., 3) -> (..., 1). Source: ITU-R BT.601."""
    if images.shape[-1] == 1:
        return images
    if images.shape[-1] != 3:
        raise ShapeError("colours are red, green and blue.", expected="3 channels", got=show_shape(images.shape))
    return ops.sum(images * np.array([0.2989, 0.587, 0.114], dtype_of(images)), -1, keepdims=True)


class RandomContrast(_RandomColours):
    """Images of other contrast in training: (x - mean) * f + mean for each channel, f drawn for each image.

    Args:
        factor: (a, b) for f in [1 - a, 1 + b]; a number stands for both.
        value_range: the least and greatest number of a pixel, within which the result is kept.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Lessening
    value_range: Bounds = (0, 255)
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        less, more = self.factor
        scale = self.each(images, (1.0 - less, 1.0 + more))
        mean = ops.mean(images, (1, 2), keepdims=True)
        return self.kept((images - mean) * scale + mean)


class RandomBrightness(_RandomColours):
    """Images brighter or darker in training: a share of the range of pixels is added, drawn for each image.

    Args:
        factor: shares: [-f, f], or (least, greatest).
        value_range: the least and greatest number of a pixel, within which the result is kept.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Change
    value_range: Bounds = (0, 255)
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        return self.kept(images + self.each(images, self.factor) * self.span)


class RandomSaturation(_RandomColours):
    """Images of stronger or weaker colours in training: 0 makes them grey, 1/2 leaves them, 1 makes colours pure.

    Args:
        factor: [0, f], or (least, greatest), of which f is drawn; saturation is multiplied by f / (1 - f).
        value_range: the least and greatest number of a pixel, within which the result is kept.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Part
    value_range: Bounds = (0, 255)
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        factor = self.each(images, self.factor)
        x = (images - self.bounds[0]) / self.span
        value = ops.max(x, -1, keepdims=True)
        saturation = ops.divide_no_nan(value - ops.min(x, -1, keepdims=True), value)
        wanted = ops.clip(saturation * factor / ops.maximum(1.0 - factor, 1e-7), 0.0, 1.0)
        x = value - (value - x) * ops.divide_no_nan(wanted, saturation)  # of the same hue and value
        return self.kept(x * self.span + self.bounds[0])


class RandomHue(_RandomColours):
    """Images of other hues in training: hues are turned by half a share of the whole circle, to either side.

    Args:
        factor: shares: [0, f], or (least, greatest).
        value_range: the least and greatest number of a pixel, within which the result is kept.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Part
    value_range: Bounds = (0, 255)
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        x = (images - self.bounds[0]) / self.span
        red, green, blue = (x[..., i : i + 1] for i in range(3))
        value, least = ops.max(x, -1, keepdims=True), ops.min(x, -1, keepdims=True)
        chroma = value - least
        sixth = ops.divide_no_nan(
            ops.where(ops.equal(value, red), green - blue, ops.where(ops.equal(value, green), blue - red, red - green)),
            chroma,
        ) + ops.where(ops.equal(value, red), 0.0, ops.where(ops.equal(value, green), 2.0, 4.0))
        turned = ops.expand_dims(self.draw_either_way(images, self.factor), -1)
        sixth = sixth + 3.0 * turned  # of the six between red and red
        place = ops.mod(sixth + np.array([5.0, 3.0, 1.0], dtype_of(x)), 6.0)
        x = value - chroma * ops.clip(ops.minimum(place, 4.0 - place), 0.0, 1.0)
        return self.kept(x * self.span + self.bounds[0])


class RandomColorJitter(_RandomColours):
    """Brightness, contrast, saturation and hue changed in training, one after the other, as far as they are given.

    Args:
        value_range: the least and greatest number of a pixel, within which the result is kept.
        brightness_factor: as for ``RandomBrightness``.
        contrast_factor: as for ``RandomContrast``.
        saturation_factor: as for ``RandomSaturation``.
        hue_factor: as for ``RandomHue``.
        seed: a number, for draws that do not depend on the model's seed.
        data_format: "channels_last", "channels_first" or None.
    """

    value_range: Bounds = (0, 255)
    brightness_factor: Change | None = None
    contrast_factor: Lessening | None = None
    saturation_factor: Part | None = None
    hue_factor: Part | None = None
    seed: int | None = None
    data_format: DataFormat = None

    steps: ClassVar[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        kinds = (
            (RandomBrightness, "brightness"),
            (RandomContrast, "contrast"),
            (RandomSaturation, "saturation"),
            (RandomHue, "hue"),
        )
        given = self._config
        seed = given.get("seed")
        self.steps = [
            make(
                given[f"{word}_factor"],
                given.get("value_range", (0, 255)),
                dtype=given.get("dtype"),
                seed=None if seed is None else seed + i,  # with one seed all steps would draw the same numbers
            )
            for i, (make, word) in enumerate(kinds)
            if given.get(f"{word}_factor") is not None
        ]
        return self

    def changed(self, images: Any) -> Any:
        for step in self.steps:
            images = step(images, training=True)
        return images


class RandomGrayscale(_RandomColours):
    """Images made grey in training, each with a probability; they keep their channels.

    Args:
        factor: the probability.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Chance = 0.5
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        return ops.where(self.each(images) < self.factor, grey(images), images)


class RandomColorDegeneration(_RandomColours):
    """Images brought nearer to grey in training.

    Args:
        factor: how far: [0, f], or (least, greatest); 1 is grey.
        value_range: the least and greatest number of a pixel, within which the result is kept.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Part
    value_range: Bounds = (0, 255)
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        return self.kept(images + self.each(images, self.factor) * (grey(images) - images))


class RandomInvert(_RandomColours):
    """Images made their negatives in training, each with a probability.

    Args:
        factor: the probability: out of [0, f], or of (least, greatest), for each image.
        value_range: the least and greatest number of a pixel.
        seed: a number, for draws that do not depend on the model's seed.
        data_format: "channels_last", "channels_first" or None.
    """

    factor: Part = 1.0
    value_range: Bounds = (0, 255)
    seed: int | None = None
    data_format: DataFormat = None

    def changed(self, images: Any) -> Any:
        return ops.where(self.happens(images, self.factor), sum(self.bounds) - images, images)


class RandomSharpness(_RandomColours):
    """Images blurred or sharpened in training: 0 blurs them, 1/2 leaves them, 1 sharpens them.

    Args:
        factor: [0, f], or (least, greatest).
        value_range: the least and greatest number of a pixel, within which the result is kept.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Part
    value_range: Bounds = (0, 255)
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        window = np.ones((3, 3)) / 13.0
        window[1, 1] = 5.0 / 13.0
        blurred = _filtered(images, window)
        return self.kept(blurred + (images - blurred) * (2.0 * self.each(images, self.factor)))


class RandomGaussianBlur(_RandomColours):
    """Images blurred in training, by a window of a Gaussian's form.

    Args:
        factor: the probability for an image: out of [0, f], or of (least, greatest).
        kernel_size: rows and columns of the window, odd.
        sigma: standard deviation of the Gaussian, in pixels: (0, s], or (least, greatest), for each batch.
        value_range: the least and greatest number of a pixel, within which the result is kept.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Part = 1.0
    kernel_size: Any = 3
    sigma: Any = 1.0
    value_range: Bounds = (0, 255)
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        rows, columns = (self.kernel_size,) * 2 if isinstance(self.kernel_size, int) else self.kernel_size
        low, high = (0.0, self.sigma) if isinstance(self.sigma, float | int) else self.sigma
        sigma = ops.maximum(random.uniform((), low, high, dtype_of(images), self.seed_generator), 1e-3)

        def bell(size: int) -> Any:
            x = np.arange(size) - (size - 1) / 2
            weights = ops.exp(-0.5 * ops.square(x.astype(dtype_of(images)) / sigma))
            return weights / ops.sum(weights)

        window = ops.expand_dims(bell(rows), 1) * ops.expand_dims(bell(columns), 0)
        return ops.where(self.happens(images, self.factor), self.kept(_filtered(images, window)), images)


def _filtered(images: Any, window: Any) -> Any:
    """Each channel convolved with the window, the same size as before."""
    channels = images.shape[-1]
    kernel = ops.expand_dims(ops.expand_dims(ops.cast(window, dtype_of(images)), -1), -1)
    return ops.depthwise_conv(images, ops.broadcast_to(kernel, (*kernel.shape[:2], channels, 1)), 1, "same")


class RandomPosterization(_RandomColours):
    """Images with fewer levels of each channel in training.

    Args:
        factor: the most bits of a level that are kept, out of 8; how many, is drawn for each image.
        value_range: the least and greatest number of a pixel.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    """

    factor: Annotated[int, Number(int, 1, 8)]
    value_range: Bounds = (0, 255)
    data_format: DataFormat = None
    seed: int | None = None

    def changed(self, images: Any) -> Any:
        bits = ops.floor(self.each(images) * self.factor)  # one less than are kept
        step = ops.take(2.0 ** np.arange(7, -1, -1, dtype=dtype_of(images)), ops.cast(bits, "int32"))
        level = ops.floor((images - self.bounds[0]) * (255.0 / self.span) / step) * step
        return level * (self.span / 255.0) + self.bounds[0]


class RandomErasing(_RandomColours):
    """Images of which a rectangle is erased in training. Source: Zhong et al. 2017, arXiv:1708.04896.

    Args:
        factor: the probability for an image: out of [0, f], or of (least, greatest).
        scale: least and greatest share of the height, and of the width, that the rectangle has.
        fill_value: what it is filled with; by default normally distributed numbers.
        value_range: the least and greatest number of a pixel, within which the result is kept.
        seed: a number, for draws that do not depend on the model's seed.
        data_format: "channels_last", "channels_first" or None.
    """

    factor: Part = 1.0
    scale: Annotated[Any, Range(0.0, (1, 1))] = (0.02, 0.33)
    fill_value: Any = None
    value_range: Bounds = (0, 255)
    seed: int | None = None
    data_format: DataFormat = None

    def changed(self, images: Any) -> Any:
        is_erased = self.happens(images, self.factor)
        for axis in (1, 2):
            size = images.shape[axis]
            length = ops.floor(self.each(images, self.scale) * size)
            first = ops.floor(self.each(images) * (size - length + 1.0))
            place = np.arange(size, dtype=dtype_of(images)).reshape([size if i == axis else 1 for i in range(4)])
            is_erased = ops.logical_and(is_erased, ops.logical_and(place >= first, place < first + length))
        if self.fill_value is None:
            fill = random.normal(images.shape, dtype=dtype_of(images), seed=self.seed_generator)
            fill = fill * self.span + self.bounds[0]
        else:
            fill = np.asarray(self.fill_value, dtype_of(images))
        return ops.where(is_erased, self.kept(fill), images)


class Solarization(_RandomColours):
    """Bright pixels made their negatives, in training and otherwise.

    Args:
        addition_factor: a share of the range of pixels that is added before: [0, f], or (least, greatest), for each image.
        threshold_factor: a share of the range above which pixels are bright: [0, f], or (least, greatest), for each image.
        value_range: the least and greatest number of a pixel, within which the result is kept.
        seed: a number, for draws that do not depend on the model's seed.
    """

    addition_factor: Part = 0.0
    threshold_factor: Part = 0.0
    value_range: Bounds = (0, 255)
    seed: int | None = None

    def over(self, images: Any, training: bool) -> Any:
        least, _ = self.bounds
        x = self.kept(images + self.each(images, self.addition_factor) * self.span)
        threshold = least + self.each(images, self.threshold_factor) * self.span
        return ops.where(x < threshold, x, sum(self.bounds) - x)


class AutoContrast(_Colours):
    """Each channel of each image stretched over the whole range of pixels, in training and otherwise.

    Args:
        value_range: the least and greatest number of a pixel.

    Example:
        >>> AutoContrast()(np.array([[[10.0], [20.0], [30.0]]])).ravel().tolist()
        [0.0, 127.5, 255.0]
    """

    value_range: Bounds = (0, 255)

    def over(self, images: Any, training: bool) -> Any:
        low, high = (f(images, (1, 2), keepdims=True) for f in (ops.min, ops.max))
        is_flat = ops.equal(low, high)
        scale = self.span / ops.where(is_flat, 1.0, high - low)
        return ops.where(is_flat, images, self.kept((images - low) * scale + self.bounds[0]))
