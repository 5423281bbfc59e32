"""Activation functions as layers: any shape, kept."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.fields import NonNegativeFloat, Shape
from layerkit.ir import Size, show_shape, unify
from layerkit.layers.base import Layer
from layerkit.layers.common import Activation as ActivationName
from layerkit.layers.common import Constraint, Initializer, Regularizer, declared_weight
from layerkit.ops.core import dtype_of


class _Elementwise(Layer):
    """Keeps shapes and masks."""

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class Activation(_Elementwise):
    """An activation function by name, or any function of one tensor."""

    activation: ActivationName

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


class ReLU(_Elementwise):
    """Rectifier: x above ``threshold``, at most ``max_value``; up to it ``negative_slope * (x - threshold)``."""

    max_value: NonNegativeFloat | None = None
    negative_slope: NonNegativeFloat = 0.0
    threshold: NonNegativeFloat = 0.0

    def call(self, inputs: Any) -> Any:
        if self.threshold or self.negative_slope:
            below = self.negative_slope * (inputs - self.threshold)
            y = ops.where(inputs > self.threshold, inputs, below)
        else:
            y = ops.relu(inputs)
        return y if self.max_value is None else ops.minimum(y, self.max_value)


class LeakyReLU(_Elementwise):
    """x above 0, ``negative_slope * x`` below."""

    negative_slope: NonNegativeFloat = 0.3

    def call(self, inputs: Any) -> Any:
        return ops.leaky_relu(inputs, self.negative_slope)


class PReLU(_Elementwise):
    """x above 0, ``alpha * x`` below, with an ``alpha`` that is learned for each place.

    Shapes:
        inputs: (batch, ...)    returns: the same    alpha: (...), with 1 for the ``shared_axes``
    Args:
        alpha_initializer: what the slopes are before training.
        alpha_regularizer: penalty on the slopes.
        alpha_constraint: what the slopes are brought back to after each update.
        shared_axes: axes, counted from 1, along which all places have one slope.
    Source: He et al. 2015, arXiv:1502.01852.

    Example:
        >>> import numpy as np
        >>> PReLU("ones", shared_axes=[1])(np.array([[-2.0, 3.0]]))
        array([[-2.,  3.]], dtype=float32)
    """

    alpha_initializer: Initializer = "zeros"
    alpha_regularizer: Regularizer = None
    alpha_constraint: Constraint = None
    shared_axes: Annotated[Any, Shape(1)] = None

    def build(self, input_shape: Any) -> None:
        shared = self.shared_axes or ()
        shape = tuple(1 if i in shared else n for i, n in enumerate(input_shape))[1:]
        if not all(isinstance(n, int) for n in shape):
            raise ShapeError(
                "a slope for each place needs to know how many there are.", expected="known sizes",
                got=show_shape(input_shape), fix="give them in Input(shape=...), or put these axes into shared_axes",
            )  # fmt: skip
        self.alpha = declared_weight(self, "alpha", shape)

    def call(self, inputs: Any) -> Any:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class ELU(_Elementwise):
    """x above 0, ``alpha * (exp(x) - 1)`` below. Source: arXiv:1511.07289."""

    alpha: NonNegativeFloat = 1.0

    def call(self, inputs: Any) -> Any:
        return ops.elu(inputs, self.alpha)


LOWEST = -1e9  # added to what a softmax leaves out


class Softmax(_Elementwise):
    """exp(x) / sum(exp(x)) along ``axis``, one axis or several; what a mask leaves out gets 0."""

    axis: Any = -1

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        counts = None if mask is None else ops.cast(mask, dtype_of(inputs))
        if counts is not None and not _spreads(counts.shape, inputs.shape):
            raise ShapeError(
                "the mask of a softmax is spread over its inputs.", expected=show_shape(inputs.shape),
                got=show_shape(counts.shape), fix="give it that shape, with sizes of 1 where all count alike",
            )  # fmt: skip
        if counts is not None:
            inputs = inputs + (1.0 - counts) * LOWEST
        if len(axes) == 1:
            y = ops.softmax(inputs, axes[0])
        else:
            y = ops.exp(inputs - ops.logsumexp(inputs, axes, keepdims=True))
        return y if counts is None else y * counts


def _spreads(shape: tuple[Size, ...], over: tuple[Size, ...]) -> bool:
    """Whether a tensor of ``shape`` can be repeated to one of the shape ``over``."""
    ends = zip(reversed(shape), reversed(over), strict=False)
    return len(shape) <= len(over) and all(a == 1 or unify(a, b) is not None for a, b in ends)
