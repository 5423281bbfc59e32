"""Groups of arguments that several layers share, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from layerkit import activations, constraints, initializers, ops, regularizers
from layerkit.errors import ShapeError
from layerkit.fields import Check, OneOf, PerAxis, Resolved
from layerkit.ir import show_shape
from layerkit.layers.base import Layer
from layerkit.ops.core import type_of
from layerkit.ops.windows import check_images
from layerkit.records import dataclass
from layerkit.trace import Weight


@dataclass(frozen=True)
class _Axes(Check):
    """An axis or several."""

    expected: str = "a whole number, or a list of them"

    def __call__(self, value: Any, owner: Any) -> Any:
        given = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(a, int) and not isinstance(a, bool) for a in given):
            raise TypeError
        return value


Activation = Annotated[Any, Resolved(activations.get, "the name of an activation, or a function")]
Initializer = Annotated[
    Any, Resolved(initializers.get, "the name of an initializer, or an initializer", initializers.INITIALIZERS)
]
Regularizer = Annotated[
    Any, Resolved(regularizers.get, "the name of a regularizer, or a regularizer", regularizers.REGULARIZERS)
]
Constraint = Annotated[
    Any, Resolved(constraints.get, "the name of a constraint, or a constraint", constraints.CONSTRAINTS)
]
Axes = Annotated[Any, _Axes()]
DataFormat = Annotated[Any, OneOf((None, "channels_last", "channels_first"))]
Window = Annotated[Any, PerAxis()]


def declared_weight(layer: Layer, kind: str, shape: Sequence[int], name: str | None = None) -> Weight:
    """A weight whose initializer, regularizer and constraint are the arguments ``<kind>_initializer`` and so on."""
    return layer.add_weight(
        shape,
        getattr(layer, f"{kind}_initializer"),
        regularizer=getattr(layer, f"{kind}_regularizer"),
        constraint=getattr(layer, f"{kind}_constraint"),
        name=name or kind,
    )


class _Affine(Layer):
    """The arguments of layers with a kernel and a bias, and how they are added.

    Args:
        activation: what is applied to the result; nothing unless given.
        use_bias: whether a bias is added.
        kernel_initializer: what the kernel begins with.
        bias_initializer: what the bias begins with.
        kernel_regularizer: penalty on the kernel, added to the loss.
        bias_regularizer: penalty on the bias, added to the loss.
        kernel_constraint: what is applied to the kernel after each step.
        bias_constraint: what is applied to the bias after each step.
    """

    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    def add_kernel_and_bias(self, kernel_shape: tuple[int, ...]) -> None:
        """``self.kernel``, and ``self.bias`` or None; the bias has the kernel's last axis."""
        self.kernel = declared_weight(self, "kernel", kernel_shape)
        self.bias = declared_weight(self, "bias", kernel_shape[-1:]) if self.use_bias else None

    def finish(self, y: Any) -> Any:
        """Add the bias and apply the activation."""
        return self.activation(y if self.bias is None else y + self.bias)


class _Spatial(Layer):
    """Layers over ``rank`` spatial axes: ``over`` sees channels last, whatever ``data_format`` says.

    Args:
        filters: the number of channels that come out.
        kernel_size: size of the window, one number or one for each axis.
        pool_size: size of the window, one number or one for each axis.
        strides: step of the window, one number or one for each axis.
        padding: "valid" (windows inside the input only) or "same" (as many windows as strides fit into the input).
        dilation_rate: distance of what a window looks at, one number or one for each axis.
        groups: into how many groups the channels are divided, each convolved by itself.
        depth_multiplier: how many channels come out for each that goes in.
        data_format: "channels_last" or "channels_first"; last unless given.
        output_size: the spatial sizes that come out, one number or one for each axis.
        keepdims: whether the spatial axes stay, with size 1.
    """

    rank: ClassVar[int]

    @property
    def channels_first(self) -> bool:
        """Whether channels come before the spatial axes in what goes in and comes out."""
        return getattr(self, "data_format", None) == "channels_first"

    def call(self, inputs: Any) -> Any:
        check_images(type(self).__name__, self.rank, type_of(inputs))
        if not self.channels_first:
            return self.over(inputs)
        y = self.over(ops.moveaxis(inputs, 1, -1))
        return ops.moveaxis(y, -1, 1) if y.ndim > 2 else y

    def over(self, inputs: Any) -> Any:
        """The output for (batch, *spatial, channels)."""
        raise NotImplementedError

    def channels(self, input_shape: Any) -> int | None:
        """The number of channels, None where the shape is of no use: ``call`` says better what is wrong."""
        if len(input_shape) != self.rank + 2:
            return None
        size: int | None = input_shape[1 if self.channels_first else -1]
        if size is None:
            raise ShapeError(
                "the axis of channels must have a size.", expected="a known number of channels",
                got=show_shape(input_shape), fix="give it a size in Input(shape=...)",
            )  # fmt: skip
        return size

    def check_channels(self, inputs: Any, built_for: int) -> None:
        """Refuse an input, channels last, with other channels than the weights are for."""
        if inputs.shape[-1] != built_for:
            raise ShapeError(
                "the input has another number of channels than the layer was built for.",
                expected=show_shape((*inputs.shape[:-1], built_for)),
                got=show_shape(inputs.shape),
            )
