"""Convolution and pooling over one or two spatial axes, channels last."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import OneOf, PerAxis, PositiveInt
from layerkit.ir import show_shape
from layerkit.layers.base import Layer
from layerkit.layers.common import Activation, Constraint, DataFormat, Initializer, Regularizer, _Affine
from layerkit.ops.core import type_of
from layerkit.ops.windows import check_images

Window = Annotated[Any, PerAxis()]
OptionalWindow = Annotated[Any, PerAxis(optional=True)]
Padding = Annotated[str, OneOf(("valid", "same"))]


class _Conv(_Affine):
    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Window = 1
    groups: PositiveInt = 1

    rank: ClassVar[int]

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != self.rank + 2:
            return  # call says it better
        channels = input_shape[-1]
        if channels is None or channels % self.groups or self.filters % self.groups:
            raise ArgumentError(
                "channels and filters are divided among the groups.",
                expected=f"channels and filters that {self.groups} divides",
                got=f"{channels} channels, {self.filters} filters",
            )
        _check_steps(self)
        self.add_kernel_and_bias((*self.kernel_size, channels // self.groups, self.filters))

    def call(self, inputs: Any) -> Any:
        check_images(type(self).__name__, self.rank, type_of(inputs))
        if inputs.shape[-1] != self.kernel.shape[-2] * self.groups:
            raise ShapeError(
                "the input has another number of channels than the layer was built for.",
                expected=show_shape((*inputs.shape[:-1], self.kernel.shape[-2] * self.groups)),
                got=show_shape(inputs.shape),
            )
        return self.finish(ops.conv(inputs, self.kernel, self.strides, self.padding, None, self.dilation_rate))


def _check_steps(layer: Any) -> None:
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise ArgumentError("strides and dilation_rate exclude each other.", expected="one of them 1", got=repr(layer))


class Conv1D(_Conv):
    """Convolution over time.

    Shapes:
        inputs: (batch, time, channels)    returns: (batch, new time, filters)
        kernel: (kernel_size, channels / groups, filters)    bias: (filters,)
    Source: Dumoulin and Visin 2016, arXiv:1603.07285.
    """

    rank = 1


class Conv2D(_Conv):
    """Convolution over height and width.

    Shapes:
        inputs: (batch, height, width, channels)    returns: (batch, new height, new width, filters)
        kernel: (*kernel_size, channels / groups, filters)    bias: (filters,)
    Source: Dumoulin and Visin 2016, arXiv:1603.07285.

    Example:
        >>> import numpy as np
        >>> Conv2D(8, 3, padding="same", activation="relu")(np.ones((1, 6, 6, 3))).shape
        (1, 6, 6, 8)
    """

    rank = 2


class DepthwiseConv2D(Layer):
    """Convolution over height and width of each channel for itself, ``depth_multiplier`` times.

    Shapes:
        inputs: (batch, height, width, channels)    returns: (batch, new height, new width, channels * depth_multiplier)
        kernel: (*kernel_size, channels, depth_multiplier)    bias: (channels * depth_multiplier,)
    Source: Howard et al. 2017, arXiv:1704.04861.

    Example:
        >>> import numpy as np
        >>> DepthwiseConv2D(3, depth_multiplier=2)(np.ones((1, 6, 6, 3))).shape
        (1, 4, 4, 6)
    """

    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    depth_multiplier: PositiveInt = 1
    data_format: DataFormat = None
    dilation_rate: Window = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    rank: ClassVar[int] = 2

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != self.rank + 2:
            return  # call says it better
        _check_steps(self)
        shape = (*self.kernel_size, input_shape[-1], self.depth_multiplier)
        self.kernel = self.add_weight(
            shape, self.depthwise_initializer,
            regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint, name="kernel",
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (input_shape[-1] * self.depth_multiplier,), self.bias_initializer,
                regularizer=self.bias_regularizer, constraint=self.bias_constraint, name="bias",
            )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        check_images(type(self).__name__, self.rank, type_of(inputs))
        *window, channels, times = self.kernel.shape
        if inputs.shape[-1] != channels:
            raise ShapeError(
                "the input has another number of channels than the layer was built for.",
                expected=show_shape((*inputs.shape[:-1], channels)),
                got=show_shape(inputs.shape),
            )
        kernel = ops.reshape(self.kernel, (*window, 1, channels * times))  # a group for each channel
        y = ops.conv(inputs, kernel, self.strides, self.padding, None, self.dilation_rate)
        return self.activation(y if self.bias is None else y + self.bias)


class _Pooling(Layer):
    pool_size: Window = 2
    strides: OptionalWindow = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    rank: ClassVar[int]
    pool: ClassVar[Any]

    def call(self, inputs: Any) -> Any:
        check_images(type(self).__name__, self.rank, type_of(inputs))
        return type(self).pool(inputs, self.pool_size, self.strides, self.padding)


class MaxPooling1D(_Pooling):
    """Largest of each window: (batch, time, channels) -> (batch, new time, channels)."""

    rank, pool = 1, staticmethod(ops.max_pool)


class MaxPooling2D(_Pooling):
    """Largest of each window: (batch, height, width, channels) -> (batch, new height, new width, channels)."""

    rank, pool = 2, staticmethod(ops.max_pool)


class AveragePooling1D(_Pooling):
    """Mean of each window, padding not counted: (batch, time, channels) -> (batch, new time, channels)."""

    rank, pool = 1, staticmethod(ops.average_pool)


class AveragePooling2D(_Pooling):
    """Mean of each window, padding not counted: (batch, height, width, channels) -> (batch, new height, new width, channels)."""

    rank, pool = 2, staticmethod(ops.average_pool)


class _GlobalPooling(Layer):
    data_format: DataFormat = None
    keepdims: bool = False

    rank: ClassVar[int]

    def axes(self, inputs: Any) -> tuple[int, ...]:
        """The spatial axes."""
        check_images(type(self).__name__, self.rank, type_of(inputs))
        return tuple(range(1, self.rank + 1))


class GlobalAveragePooling1D(_GlobalPooling):
    """Mean over time, of the steps that count: (batch, time, channels) -> (batch, channels)."""

    rank = 1

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axes = self.axes(inputs)
        if mask is None:
            return ops.mean(inputs, axes, self.keepdims)
        counts = ops.expand_dims(ops.cast(mask, type_of(inputs).dtype), -1)
        return ops.sum(inputs * counts, axes, self.keepdims) / ops.sum(counts, axes, self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    """Mean over height and width: (batch, height, width, channels) -> (batch, channels)."""

    rank = 2

    def call(self, inputs: Any) -> Any:
        return ops.mean(inputs, self.axes(inputs), self.keepdims)


class GlobalMaxPooling1D(_GlobalPooling):
    """Largest over time: (batch, time, channels) -> (batch, channels)."""

    rank = 1

    def call(self, inputs: Any) -> Any:
        return ops.max(inputs, self.axes(inputs), self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling):
    """Largest over height and width: (batch, height, width, channels) -> (batch, channels)."""

    rank = 2

    def call(self, inputs: Any) -> Any:
        return ops.max(inputs, self.axes(inputs), self.keepdims)
