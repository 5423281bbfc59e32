"""Layers that act in training only."""

from __future__ import annotations

from typing import Any

from layerkit import ops, random
from layerkit.fields import Rate
from layerkit.layers.base import Layer


class Dropout(Layer):
    """A share ``rate`` of the elements is set to 0 in training, the others are divided by 1 - rate.

    Args:
        rate: share of the elements that is dropped.
        noise_shape: shape of the choice; sizes of 1 drop along that axis together.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Srivastava et al. 2014.
    """

    rate: Rate
    noise_shape: Any = None
    seed: int | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.seed_generator = random.SeedGenerator(self._config.get("seed"))
        return self

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        shape = inputs.shape
        if self.noise_shape is not None:
            shape = tuple(n if wanted is None else wanted for wanted, n in zip(self.noise_shape, shape, strict=True))
        keep = random.uniform(shape, seed=self.seed_generator) >= self.rate
        scale = 1.0 / (1.0 - self.rate) if self.rate < 1 else 0.0
        return ops.where(keep, inputs * scale, 0.0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask
