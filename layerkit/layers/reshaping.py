"""Layers that change the shape only."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import ops
from layerkit.fields import Shape
from layerkit.ir import product
from layerkit.layers.base import Layer
from layerkit.layers.common import DataFormat


class Flatten(Layer):
    """All axes but the batch become one: (batch, ...) -> (batch, n)."""

    data_format: DataFormat = None

    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs, (inputs.shape[0], product(inputs.shape[1:])))


class Reshape(Layer):
    """Another shape for each sample; one size may be -1: (batch, ...) -> (batch, *target_shape)."""

    target_shape: Annotated[Any, Shape(-1)]

    def call(self, inputs: Any) -> Any:
        if -1 not in self.target_shape:
            return ops.reshape(inputs, (inputs.shape[0], *self.target_shape))
        rest = product(n for n in self.target_shape if n != -1)
        found = product(inputs.shape[1:]) // rest
        return ops.reshape(inputs, (inputs.shape[0], *(found if n == -1 else n for n in self.target_shape)))
