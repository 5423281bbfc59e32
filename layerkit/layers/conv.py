"""Convolutions over one, two or three spatial axes: whole, by channel, separated, and transposed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import Check, OneOf, PerAxis, PositiveInt
from layerkit.layers.common import (
    Activation,
    Constraint,
    DataFormat,
    Initializer,
    Regularizer,
    Window,
    _Affine,
    _Spatial,
    declared_weight,
)
from layerkit.records import dataclass


@dataclass(frozen=True)
class _PaddingWord(Check):
    expected: str = "'valid' or 'same', or 'causal' for series"
    words: ClassVar[tuple[str, ...]] = ("valid", "same", "causal")

    def __call__(self, value: Any, owner: Any) -> str:
        return str(OneOf(self.words if owner.rank == 1 else self.words[:2])(value, owner))


Padding = Annotated[str, OneOf(("valid", "same"))]
CausalPadding = Annotated[str, _PaddingWord()]
OutputPadding = Annotated[Any, PerAxis(0, optional=True)]


def _check_steps(layer: Any) -> None:
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise ArgumentError(
            "strides and dilation_rate exclude each other.", layer=type(layer).__name__, expected="one of them 1",
            got=repr(layer),
        )  # fmt: skip


class _Sliding(_Spatial):
    """Layers that slide a kernel, in steps (``strides``) or with gaps in it (``dilation_rate``)."""

    def check_together(self) -> None:
        _check_steps(self)


class _Conv(_Sliding, _Affine):
    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: CausalPadding = "valid"
    data_format: DataFormat = None
    dilation_rate: Window = 1
    groups: PositiveInt = 1

    def check_together(self) -> None:
        super().check_together()
        if self.filters % self.groups:
            raise ArgumentError(
                "filters are divided among the groups.", layer=type(self).__name__,
                expected=f"filters that {self.groups} divides", got=f"{self.filters} filters",
            )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        channels = self.channels(input_shape)
        if channels is None:
            return
        if channels % self.groups:
            raise ArgumentError(
                "channels are divided among the groups.",
                expected=f"channels that {self.groups} divides",
                got=f"{channels} channels",
            )
        self.add_kernel_and_bias((*self.kernel_size, channels // self.groups, self.filters))

    def over(self, inputs: Any) -> Any:
        self.check_channels(inputs, self.kernel.shape[-2] * self.groups)
        return self.finish(ops.conv(inputs, self.kernel, self.strides, _widths(self), dilation_rate=self.dilation_rate))


def _widths(layer: Any) -> Any:
    """The layer's padding; "causal" puts all of it before, so that no output sees a later input."""
    if layer.padding != "causal":
        return layer.padding
    return tuple(((k - 1) * d, 0) for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True))


class Conv1D(_Conv):
    """Convolution over time; with padding "causal" a step sees itself and earlier ones only.

    Shapes:
        inputs: (batch, time, channels)    returns: (batch, new time, filters)
        kernel: (kernel_size, channels / groups, filters)    bias: (filters,)
    Source: Dumoulin and Visin 2016, arXiv:1603.07285; van den Oord et al. 2016, arXiv:1609.03499 (causal).

    Example:
        >>> import numpy as np
        >>> Conv1D(4, 3, padding="causal", dilation_rate=2)(np.ones((1, 9, 2))).shape
        (1, 9, 4)
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


class Conv3D(_Conv):
    """Convolution over depth, height and width, such as volumes or the time, height and width of films.

    Shapes:
        inputs: (batch, depth, height, width, channels)    returns: (batch, new depth, new height, new width, filters)
        kernel: (*kernel_size, channels / groups, filters)    bias: (filters,)
    Source: Dumoulin and Visin 2016, arXiv:1603.07285.

    Example:
        >>> import numpy as np
        >>> Conv3D(2, (1, 3, 3))(np.ones((1, 4, 6, 6, 3))).shape
        (1, 4, 4, 4, 2)
    """

    rank = 3


class _DepthwiseConv(_Sliding):
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

    def build(self, input_shape: Any) -> None:
        channels = self.channels(input_shape)
        if channels is None:
            return
        self.kernel = declared_weight(
            self, "depthwise", (*self.kernel_size, channels, self.depth_multiplier), name="kernel"
        )
        self.bias = declared_weight(self, "bias", (channels * self.depth_multiplier,)) if self.use_bias else None

    def over(self, inputs: Any) -> Any:
        self.check_channels(inputs, self.kernel.shape[-2])
        y = ops.depthwise_conv(inputs, self.kernel, self.strides, self.padding, dilation_rate=self.dilation_rate)
        return self.activation(y if self.bias is None else y + self.bias)


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution over time of each channel for itself, ``depth_multiplier`` times.

    Shapes:
        inputs: (batch, time, channels)    returns: (batch, new time, channels * depth_multiplier)
        kernel: (kernel_size, channels, depth_multiplier)    bias: (channels * depth_multiplier,)
    Source: Howard et al. 2017, arXiv:1704.04861.
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
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

    rank = 2


class _SeparableConv(_Sliding):
    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Window = 1
    depth_multiplier: PositiveInt = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    pointwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    pointwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    pointwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    def build(self, input_shape: Any) -> None:
        channels = self.channels(input_shape)
        if channels is None:
            return
        times, ones = self.depth_multiplier, (1,) * self.rank
        self.depthwise_kernel = declared_weight(
            self, "depthwise", (*self.kernel_size, channels, times), name="depthwise_kernel"
        )
        self.pointwise_kernel = declared_weight(
            self, "pointwise", (*ones, channels * times, self.filters), name="pointwise_kernel"
        )
        self.bias = declared_weight(self, "bias", (self.filters,)) if self.use_bias else None

    def over(self, inputs: Any) -> Any:
        self.check_channels(inputs, self.depthwise_kernel.shape[-2])
        y = ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding,
            dilation_rate=self.dilation_rate,
        )  # fmt: skip
        return self.activation(y if self.bias is None else y + self.bias)


class SeparableConv1D(_SeparableConv):
    """Convolution over time of each channel for itself, then a mixture of channels at each step.

    Shapes:
        inputs: (batch, time, channels)    returns: (batch, new time, filters)
        depthwise_kernel: (kernel_size, channels, depth_multiplier)
        pointwise_kernel: (1, channels * depth_multiplier, filters)    bias: (filters,)
    Source: Chollet 2017, arXiv:1610.02357.
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """Convolution over height and width of each channel for itself, then a mixture of channels at each pixel.

    Shapes:
        inputs: (batch, height, width, channels)    returns: (batch, new height, new width, filters)
        depthwise_kernel: (*kernel_size, channels, depth_multiplier)
        pointwise_kernel: (1, 1, channels * depth_multiplier, filters)    bias: (filters,)
    Source: Chollet 2017, arXiv:1610.02357.

    Example:
        >>> import numpy as np
        >>> SeparableConv2D(8, 3, padding="same")(np.ones((1, 6, 6, 3))).shape
        (1, 6, 6, 8)
    """

    rank = 2


class _ConvTranspose(_Sliding, _Affine):
    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    output_padding: OutputPadding = None
    data_format: DataFormat = None
    dilation_rate: Window = 1

    def check_together(self) -> None:
        super().check_together()
        for padding, stride in zip(self.output_padding or (), self.strides, strict=False):
            if padding >= stride:
                raise ArgumentError(
                    "output_padding chooses among the sizes that one stride makes alike.", layer=type(self).__name__,
                    expected=f"less than the strides, {stride}", got=str(padding),
                )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        channels = self.channels(input_shape)
        if channels is None:
            return
        self.kernel = declared_weight(self, "kernel", (*self.kernel_size, self.filters, channels))
        self.bias = declared_weight(self, "bias", (self.filters,)) if self.use_bias else None

    def over(self, inputs: Any) -> Any:
        self.check_channels(inputs, self.kernel.shape[-1])
        y = ops.conv_transpose(
            inputs, self.kernel, self.strides, self.padding, self.output_padding, dilation_rate=self.dilation_rate
        )
        return self.finish(y)


class Conv1DTranspose(_ConvTranspose):
    """Convolution over time the other way round: each step is spread over several of a longer series.

    Shapes:
        inputs: (batch, time, channels)    returns: (batch, new time, filters); see ``ops.conv_transpose`` for its length
        kernel: (kernel_size, filters, channels)    bias: (filters,)
    Source: Dumoulin and Visin 2016, section 4, arXiv:1603.07285.
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """Convolution over height and width the other way round: each pixel is spread over several of a larger image.

    Shapes:
        inputs: (batch, height, width, channels)    returns: (batch, new height, new width, filters)
        kernel: (*kernel_size, filters, channels)    bias: (filters,)
    Source: Dumoulin and Visin 2016, section 4, arXiv:1603.07285.

    Example:
        >>> import numpy as np
        >>> Conv2DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 6, 6, 3))).shape
        (1, 12, 12, 8)
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """Convolution over depth, height and width the other way round.

    Shapes:
        inputs: (batch, depth, height, width, channels)    returns: (batch, new depth, new height, new width, filters)
        kernel: (*kernel_size, filters, channels)    bias: (filters,)
    Source: Dumoulin and Visin 2016, section 4, arXiv:1603.07285.
    """

    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    data_format: DataFormat = None  # before output_padding here, after it in the others
    output_padding: OutputPadding = None
    dilation_rate: Window = 1

    rank = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
