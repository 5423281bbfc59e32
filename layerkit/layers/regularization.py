"""Layers that act in training only: noise, elements dropped, penalties on what passes."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from layerkit import ops, random, regularizers
from layerkit.fields import NonNegativeFloat, Number, Rate, Shape
from layerkit.layers.base import Layer
from layerkit.layers.common import DataFormat
from layerkit.ops.core import dtype_of, type_of
from layerkit.ops.windows import check_images


class _Random(Layer):
    """Layers that draw numbers; an argument ``seed`` makes them independent of the model's seed."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.seed_generator = random.SeedGenerator(self._config.get("seed"))
        return self

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class _Dropping(_Random):
    """Layers that set elements to 0, as many together as ``choice`` leaves axes of size 1."""

    rate: Rate

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        keep = random.uniform(self.choice(inputs), seed=self.seed_generator) >= self.rate
        scale = 1.0 / (1.0 - self.rate) if self.rate < 1 else 0.0
        return ops.where(keep, inputs * scale, 0.0)

    def choice(self, inputs: Any) -> tuple[Any, ...]:
        """The shape of what is chosen."""
        return tuple(inputs.shape)


NoiseShape = Annotated[Any, Shape(1, unknown=True)]


def _noise_shape(layer: Any, inputs: Any) -> tuple[Any, ...]:
    """``noise_shape`` with the sizes of ``inputs`` where it has None."""
    wanted = layer.noise_shape or (None,) * inputs.ndim
    return tuple(n if w is None else w for w, n in zip(wanted, inputs.shape, strict=True))


class Dropout(_Dropping):
    """A share ``rate`` of the elements is set to 0 in training, the others are divided by 1 - rate.

    Args:
        rate: share of the elements that is dropped.
        noise_shape: shape of the choice; sizes of 1 drop along that axis together.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Srivastava et al. 2014.
    """

    rate: Rate
    noise_shape: NoiseShape = None
    seed: int | None = None

    def choice(self, inputs: Any) -> tuple[Any, ...]:
        return _noise_shape(self, inputs)


class _SpatialDropout(_Dropping):
    """Whole channels are dropped."""

    rank: ClassVar[int]

    def choice(self, inputs: Any) -> tuple[Any, ...]:
        check_images(type(self).__name__, self.rank, type_of(inputs))
        channel = 1 if getattr(self, "data_format", None) == "channels_first" else inputs.ndim - 1
        return tuple(n if i in (0, channel) else 1 for i, n in enumerate(inputs.shape))


class SpatialDropout1D(_SpatialDropout):
    """A share ``rate`` of the channels of each series is set to 0 in training, the others are divided by 1 - rate.

    Source: Tompson et al. 2014, arXiv:1411.4280.
    """

    rate: Rate
    seed: int | None = None

    rank = 1


class SpatialDropout2D(_SpatialDropout):
    """A share ``rate`` of the channels of each image is set to 0 in training, the others are divided by 1 - rate.

    Source: Tompson et al. 2014, arXiv:1411.4280.
    """

    rate: Rate
    data_format: DataFormat = None
    seed: int | None = None

    rank = 2


class SpatialDropout3D(_SpatialDropout):
    """A share ``rate`` of the channels of each volume is set to 0 in training, the others are divided by 1 - rate.

    Source: Tompson et al. 2014, arXiv:1411.4280.
    """

    rate: Rate
    data_format: DataFormat = None
    seed: int | None = None

    rank = 3


class GaussianNoise(_Random):
    """Normal noise of standard deviation ``stddev`` is added in training."""

    stddev: NonNegativeFloat
    seed: int | None = None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        return inputs + random.normal(inputs.shape, 0.0, self.stddev, dtype_of(inputs), self.seed_generator)


RateBelowOne = Annotated[float, Number(float, 0, 1, open_high=True)]


class GaussianDropout(_Random):
    """Multiplied by normal noise of mean 1 and variance rate / (1 - rate) in training. Source: Srivastava et al. 2014."""

    rate: RateBelowOne
    seed: int | None = None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        deviation = math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * random.normal(inputs.shape, 1.0, deviation, dtype_of(inputs), self.seed_generator)


class AlphaDropout(_Random):
    """A share ``rate`` of the elements becomes the least value of ``selu``, then mean and variance are restored.

    Args:
        rate: share of the elements that is dropped.
        noise_shape: shape of the choice; sizes of 1 drop along that axis together.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """

    rate: RateBelowOne
    noise_shape: NoiseShape = None
    seed: int | None = None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        least = -1.6732632423543772 * 1.0507009873554805
        keep = random.uniform(_noise_shape(self, inputs), seed=self.seed_generator) >= self.rate
        factor = ((1.0 - self.rate) * (1.0 + self.rate * least**2)) ** -0.5
        return ops.where(keep, inputs, least) * factor - factor * least * self.rate


class ActivityRegularization(Layer):
    """What passes is penalised: l1 * sum(|x|) + l2 * sum(x^2), divided by the batch size, is added to the loss."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**{"activity_regularizer": regularizers.L1L2(l1, l2), **kwargs})

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask
