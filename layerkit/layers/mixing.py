"""Batches of images in which each is mixed with another of the batch, and so are their labels, in training."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from layerkit import ops, random
from layerkit.errors import ArgumentError
from layerkit.fields import PositiveFloat
from layerkit.layers.common import DataFormat
from layerkit.layers.images import Range, _Augmentation
from layerkit.ops.core import dtype_of


class _Mixing(_Augmentation):
    """``mixed`` says what part of another image each gets, and its share in the labels.

    They take images, or a mapping of images, one-hot labels, and what else ``takes`` says.
    """

    takes = {"images", "labels"}

    def call(self, data: Any, training: bool = False) -> Any:
        given = data if isinstance(data, dict) else {"images": data}
        if "images" not in given or set(given) - self.takes:
            raise ArgumentError(
                f"'{type(self).__name__}' mixes images and what goes with them.", layer=self.describe(),
                expected=f"images, or a mapping of {', '.join(sorted(self.takes))}", got=", ".join(sorted(given)),
            )  # fmt: skip
        if not training:
            return data
        found = self._mix(given)
        return found if isinstance(data, dict) else found["images"]

    def _mix(self, data: dict[str, Any]) -> dict[str, Any]:
        is_first = getattr(self, "data_format", None) == "channels_first"
        images = ops.cast(data["images"], self.compute_dtype)
        images = ops.moveaxis(images, 1, -1) if is_first else images
        other = random.shuffle(ops.arange(images.shape[0]), seed=self.seed_generator)
        part, share = self.mixed(images)

        def mean(x: Any, share: Any) -> Any:
            return x + share * (ops.take(x, other, 0) - x)

        mixed = mean(images, part)
        found = {"images": ops.moveaxis(mixed, -1, 1) if is_first else mixed}
        if "labels" in data:
            labels = ops.cast(data["labels"], self.compute_dtype)
            found["labels"] = mean(labels, ops.reshape(share, (share.shape[0], *(1,) * (labels.ndim - 1))))
        if "segmentation_masks" in data:
            masks = data["segmentation_masks"]
            where = ops.moveaxis(part, -1, 1) if is_first else part
            found["segmentation_masks"] = ops.where(where > 0.5, ops.take(masks, other, 0), masks)
        return found

    def mixed(self, images: Any) -> tuple[Any, Any]:
        """The share of the other image in each pixel, and in the labels (batch, 1, 1, 1)."""
        raise NotImplementedError


class MixUp(_Mixing):
    """Each image becomes a mean of itself and another, with weights out of a beta distribution, and so do its labels.

    Shapes:
        data: {"images": (batch, height, width, channels), "labels": (batch, classes)}    returns: the same
    Args:
        alpha: both parameters of the distribution; small ones mix little.
        data_format: "channels_last", "channels_first" or None.
        seed: a number, for draws that do not depend on the model's seed.
    Source: Zhang et al. 2017, arXiv:1710.09412.
    """

    alpha: PositiveFloat = 0.2
    data_format: DataFormat = None
    seed: int | None = None

    def mixed(self, images: Any) -> tuple[Any, Any]:
        shape = (images.shape[0], 1, 1, 1)
        share = 1.0 - random.beta(shape, self.alpha, self.alpha, dtype_of(images), self.seed_generator)
        return share, share


class CutMix(_Mixing):
    """A rectangle of each image comes from another, and labels are mixed by areas.

    Shapes:
        data: {"images": (batch, height, width, channels), "labels": (batch, classes)}    returns: the same
    Args:
        factor: both parameters of the beta distribution of areas: out of [0, f], or of (least, greatest), for each image.
        seed: a number, for draws that do not depend on the model's seed.
        data_format: "channels_last", "channels_first" or None.
    Source: Yun et al. 2019, arXiv:1905.04899.
    """

    takes = {"images", "labels", "segmentation_masks"}

    factor: Annotated[Any, Range(0.0, (0, 1))] = 1.0
    seed: int | None = None
    data_format: DataFormat = None

    def mixed(self, images: Any) -> tuple[Any, Any]:
        kind = dtype_of(images)
        alpha = ops.maximum(ops.expand_dims(self.draw(images, self.factor), -1), 1e-3)
        kept = random.beta((images.shape[0], 1, 1, 1), alpha, alpha, kind, self.seed_generator)
        side, part, share = ops.sqrt(1.0 - kept), np.ones((1, 1, 1, 1), kind), np.ones((1, 1, 1, 1), kind)
        for axis in (1, 2):
            size = images.shape[axis]
            middle = ops.floor(ops.expand_dims(self.draw(images), -1) * size)
            half = ops.floor(side * size) / 2.0
            first, last = ops.clip(ops.floor(middle - half), 0, size), ops.clip(ops.floor(middle + half), 0, size)
            place = np.arange(size, dtype=kind).reshape([size if i == axis else 1 for i in range(4)])
            part = part * ops.cast(ops.logical_and(place >= first, place < last), kind)
            share = share * (last - first) / size
        return part, share
