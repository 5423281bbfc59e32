"""Pooling over one, two or three spatial axes: windows, everything at once, and a wanted number of parts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.fields import OneOf, PerAxis
from layerkit.ir import show_shape
from layerkit.layers.common import DataFormat, Window, _Spatial
from layerkit.ops.core import type_of
from layerkit.ops.windows import is_known

OptionalWindow = Annotated[Any, PerAxis(optional=True)]
Padding = Annotated[str, OneOf(("valid", "same"))]

# Windows -------------------------------------------------------------------------------------------------------------


class _Pooling(_Spatial):
    pool_size: Window
    strides: OptionalWindow = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    pool: ClassVar[Any]

    def over(self, inputs: Any) -> Any:
        return type(self).pool(inputs, self.pool_size, self.strides, self.padding)


class _MaxPooling(_Pooling):
    pool_size: Window = 2

    pool = staticmethod(ops.max_pool)


class MaxPooling1D(_MaxPooling):
    """Largest of each window: (batch, time, channels) -> (batch, new time, channels)."""

    rank = 1


class MaxPooling2D(_MaxPooling):
    """Largest of each window: (batch, height, width, channels) -> (batch, new height, new width, channels)."""

    rank = 2


class MaxPooling3D(_MaxPooling):
    """Largest of each window: (batch, depth, height, width, channels) -> the same axes, fewer of each."""

    rank = 3


class _AveragePooling(_Pooling):
    pool = staticmethod(ops.average_pool)


class AveragePooling1D(_AveragePooling):
    """Mean of each window, padding not counted: (batch, time, channels) -> (batch, new time, channels)."""

    rank = 1


class AveragePooling2D(_AveragePooling):
    """Mean of each window, padding not counted: (batch, height, width, channels) -> (batch, new height, new width, channels)."""

    rank = 2


class AveragePooling3D(_AveragePooling):
    """Mean of each window, padding not counted: (batch, depth, height, width, channels) -> the same axes, fewer of each."""

    rank = 3


# Everything at once --------------------------------------------------------------------------------------------------


class _GlobalPooling(_Spatial):
    data_format: DataFormat = None
    keepdims: bool = False

    pool: ClassVar[Any]

    def over(self, inputs: Any) -> Any:
        return type(self).pool(inputs, tuple(range(1, self.rank + 1)), self.keepdims)


class GlobalAveragePooling1D(_GlobalPooling):
    """Mean over time, of the steps that count: (batch, time, channels) -> (batch, channels)."""

    rank, pool = 1, staticmethod(ops.mean)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        time = 2 if self.channels_first else 1
        counts = ops.expand_dims(ops.cast(mask, type_of(inputs).dtype), 3 - time)
        return ops.sum(inputs * counts, time, self.keepdims) / ops.sum(counts, time, self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    """Mean over height and width: (batch, height, width, channels) -> (batch, channels)."""

    rank, pool = 2, staticmethod(ops.mean)


class GlobalAveragePooling3D(_GlobalPooling):
    """Mean over depth, height and width: (batch, depth, height, width, channels) -> (batch, channels)."""

    rank, pool = 3, staticmethod(ops.mean)


class GlobalMaxPooling1D(_GlobalPooling):
    """Largest over time: (batch, time, channels) -> (batch, channels)."""

    rank, pool = 1, staticmethod(ops.max)


class GlobalMaxPooling2D(_GlobalPooling):
    """Largest over height and width: (batch, height, width, channels) -> (batch, channels)."""

    rank, pool = 2, staticmethod(ops.max)


class GlobalMaxPooling3D(_GlobalPooling):
    """Largest over depth, height and width: (batch, depth, height, width, channels) -> (batch, channels)."""

    rank, pool = 3, staticmethod(ops.max)


# A wanted number of parts --------------------------------------------------------------------------------------------


class _AdaptivePooling(_Spatial):
    output_size: Window
    data_format: DataFormat = None

    pool: ClassVar[Any]

    def over(self, inputs: Any) -> Any:
        if not is_known(inputs.shape[1:-1]):
            raise ShapeError(
                "parts of an axis need its size.", expected="known spatial axes", got=show_shape(inputs.shape),
                fix="give them sizes in Input(shape=...), or use a global pooling layer",
            )  # fmt: skip
        return type(self).pool(inputs, self.output_size)


class _AdaptiveAveragePooling(_AdaptivePooling):
    pool = staticmethod(ops.adaptive_average_pool)


class _AdaptiveMaxPooling(_AdaptivePooling):
    pool = staticmethod(ops.adaptive_max_pool)


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """Mean of each of ``output_size`` parts of a series: (batch, time, channels) -> (batch, output_size, channels).

    Example:
        >>> import numpy as np
        >>> AdaptiveAveragePooling1D(2)(np.arange(5.0).reshape(1, 5, 1)).ravel()
        array([1., 3.], dtype=float32)
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """Mean of each part of images: (batch, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """Mean of each part of volumes: (batch, depth, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 3


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """Largest of each of ``output_size`` parts of a series: (batch, time, channels) -> (batch, output_size, channels)."""

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """Largest of each part of images: (batch, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """Largest of each part of volumes: (batch, depth, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
