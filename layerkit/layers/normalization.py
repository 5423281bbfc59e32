"""Layers that bring activations to mean 0 and variance 1, or to length 1, and one that does so with weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from layerkit import initializers, ops
from layerkit.errors import ArgumentError
from layerkit.fields import Check, PositiveInt
from layerkit.layers.base import Layer, LayerArgument
from layerkit.layers.common import Axes, Constraint, Initializer, Regularizer, declared_weight
from layerkit.layers.wrapper import Wrapper
from layerkit.ops.core import axes_of, axis_of, type_of
from layerkit.records import dataclass


@dataclass(frozen=True)
class _Bounds(Check):
    """How far batch renormalisation may go."""

    expected: str = "a mapping of rmin, rmax and dmax, with 0 <= rmin <= rmax and dmax >= 0"

    def __call__(self, value: Any, owner: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError
        low, high, shift = value.get("rmin", 0.0), value.get("rmax", math.inf), value.get("dmax", math.inf)
        if set(value) - {"rmax", "rmin", "dmax"} or not 0 <= low <= high or shift < 0:
            raise ValueError
        return value


@dataclass(frozen=True)
class _Groups(Check):
    """Into how many groups channels are divided."""

    expected: str = "a whole number > 0, or -1"

    def __call__(self, value: Any, owner: Any) -> int:
        if type(value) is not int or value < -1 or value == 0:
            raise ValueError
        return value


Bounds = Annotated[Any, _Bounds()]
Groups = Annotated[int, _Groups()]


class _Scaled(Layer):
    """Layers that end with y * gamma + beta."""

    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    def add_gamma_and_beta(self, shape: tuple[int, ...]) -> None:
        """``self.gamma`` and ``self.beta``, or None."""
        self.gamma = declared_weight(self, "gamma", shape) if self.scale else None
        self.beta = declared_weight(self, "beta", shape) if self.center else None

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class BatchNormalization(_Scaled):
    """Normalise each channel over the batch in training, by moving averages otherwise.

    Moving averages follow with ``moving = moving * momentum + batch * (1 - momentum)``. A frozen layer
    (``trainable=False``) uses the moving averages in training too. Steps that a mask leaves out do not count.

    With ``renorm`` (batch renormalisation) the result in training is y * r + d, where r and d, taken as constants, bring it
    to what moving averages would have given; these have a momentum of their own.

    Shapes:
        inputs: (batch, ..., n along axis)    returns: the same
        gamma, beta, moving_mean, moving_variance: (n,); with renorm also moving_stddev, renorm_mean, renorm_stddev
    Args:
        axis: the axis of channels.
        momentum: how slowly moving averages follow.
        epsilon: added to variances.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: what beta is before training.
        gamma_initializer: what gamma is before training.
        moving_mean_initializer: what the moving mean is before training.
        moving_variance_initializer: what the moving variance is before training.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        beta_constraint: what beta is brought back to after each update.
        gamma_constraint: what gamma is brought back to after each update.
        renorm: whether to renormalise.
        renorm_clipping: bounds "rmin" and "rmax" of r, and "dmax" of the size of d.
        renorm_momentum: how slowly the averages for r and d follow.
        synchronized: for machines that share a batch; changes nothing here.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; Ioffe 2017, arXiv:1702.03275 (renorm).
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    moving_mean_initializer: Initializer = "zeros"
    moving_variance_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None
    renorm: bool = False
    renorm_clipping: Bounds = None
    renorm_momentum: float = 0.99
    synchronized: bool = False

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[axis_of(self.axis, len(input_shape), "BatchNormalization")],)
        self.add_gamma_and_beta(shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        if self.renorm:
            variance = initializers.starting(self.moving_variance_initializer)

            def deviation(shape: tuple[int, ...], dtype: str) -> Any:
                return np.sqrt(variance(shape, dtype, (0, 0)))

            self.moving_stddev = self.add_weight(shape, deviation, trainable=False, name="moving_stddev")
            self.renorm_mean = self.add_weight(shape, "zeros", trainable=False, name="renorm_mean")
            self.renorm_stddev = self.add_weight(shape, deviation, trainable=False, name="renorm_stddev")

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        axis = axis_of(self.axis, inputs.ndim, "BatchNormalization")
        mean, variance = self.moving_mean, self.moving_variance
        gamma, beta = self.gamma, self.beta
        if training and self.trainable:
            mean, variance = self._moments(inputs, [i for i in range(inputs.ndim) if i != axis], mask)
            if self.renorm:
                r, d = self._renormalise(mean, variance)
                gamma, beta = self._composed(r, d)
            else:
                _follow(self.moving_variance, variance, self.momentum)
            _follow(self.moving_mean, mean, self.momentum)
        return ops.batch_normalization(inputs, mean, variance, axis, beta, gamma, self.epsilon)

    def _renormalise(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """R and d for this batch; the averages move on."""
        bounds = self.renorm_clipping or {}
        deviation = ops.sqrt(variance + self.epsilon)
        r = ops.clip(deviation / self.renorm_stddev, bounds.get("rmin", 0.0), bounds.get("rmax", math.inf))
        limit = bounds.get("dmax", math.inf)
        d = ops.clip((mean - self.renorm_mean) / self.renorm_stddev, -limit, limit)
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        _follow(self.renorm_mean, mean, self.renorm_momentum)
        _follow(self.renorm_stddev, deviation, self.renorm_momentum)
        _follow(self.moving_stddev, deviation, self.momentum)
        moved = self.moving_stddev.value
        self.moving_variance.assign(ops.relu(moved * moved - self.epsilon))
        return r, d

    def _composed(self, r: Any, d: Any) -> tuple[Any, Any]:
        """Gamma and beta of (y * r + d) * gamma + beta, as applied to y."""
        gamma = r if self.gamma is None else r * self.gamma
        beta = d if self.gamma is None else d * self.gamma
        return gamma, beta if self.beta is None else beta + self.beta

    def _moments(self, inputs: Any, axes: list[int], mask: Any) -> tuple[Any, Any]:
        if mask is None:
            return ops.moments(inputs, axes)
        weight = ops.cast(mask, type_of(inputs).dtype)  # where no step counts at all, mean and variance are 0
        weight = ops.broadcast_to(
            ops.reshape(weight, (*weight.shape, *(1,) * (inputs.ndim - weight.ndim))), inputs.shape
        )
        total = ops.sum(weight, axes)
        mean = ops.divide_no_nan(ops.sum(inputs * weight, axes), total)
        axis = next(i for i in range(inputs.ndim) if i not in axes)
        centred = inputs - ops.reshape(mean, tuple(n if i == axis else 1 for i, n in enumerate(inputs.shape)))
        return mean, ops.divide_no_nan(ops.sum(weight * centred * centred, axes), total)


def _follow(moving: Any, batch: Any, momentum: float) -> None:
    """Let a moving average take in the value of this batch."""
    moving.assign(moving * momentum + ops.stop_gradient(batch) * (1.0 - momentum))


class LayerNormalization(_Scaled):
    """Normalise each sample over ``axis``.

    Shapes:
        inputs: (batch, ..., n)    returns: the same    gamma, beta: the sizes of ``axis``
    Args:
        axis: the axis or axes over which mean and variance are taken.
        epsilon: added to variances.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: what beta is before training.
        gamma_initializer: what gamma is before training.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        beta_constraint: what beta is brought back to after each update.
        gamma_constraint: what gamma is brought back to after each update.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
    """

    axis: Axes = -1
    epsilon: float = 1e-3

    def build(self, input_shape: Any) -> None:
        axes = axes_of(self.axis, len(input_shape), "LayerNormalization")
        self.add_gamma_and_beta(tuple(input_shape[a] for a in axes))

    def call(self, inputs: Any) -> Any:
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)


class GroupNormalization(_Scaled):
    """Normalise each sample over all positions and a group of channels.

    Shapes:
        inputs: (batch, ..., n along axis)    returns: the same    gamma, beta: (n,)
    Args:
        groups: the number of groups, which divides n; -1 for one to each channel (instance normalisation).
        axis: the axis of channels.
        epsilon: added to variances.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer: what beta is before training.
        gamma_initializer: what gamma is before training.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        beta_constraint: what beta is brought back to after each update.
        gamma_constraint: what gamma is brought back to after each update.
    Source: Wu and He 2018, arXiv:1803.08494.

    Example:
        >>> import numpy as np
        >>> GroupNormalization(2)(np.ones((1, 3, 3, 4))).shape
        (1, 3, 3, 4)
    """

    groups: Groups = 32
    axis: int = -1
    epsilon: float = 1e-3

    def build(self, input_shape: Any) -> None:
        channels = input_shape[axis_of(self.axis, len(input_shape), "GroupNormalization")]
        if channels is None or channels % self.groups:
            raise ArgumentError(
                "the channels are divided among the groups.",
                expected="groups that divide the channels, or -1", got=f"{self.groups} groups, {channels} channels",
            )  # fmt: skip
        self.add_gamma_and_beta((channels,))

    def call(self, inputs: Any) -> Any:
        axis = axis_of(self.axis, inputs.ndim, "GroupNormalization")
        front, channels, back = inputs.shape[:axis], inputs.shape[axis], inputs.shape[axis + 1 :]
        groups = channels if self.groups == -1 else self.groups
        x = ops.reshape(inputs, (*front, groups, channels // groups, *back))
        mean, variance = ops.moments(x, [i for i in range(1, x.ndim) if i != axis], keepdims=True)
        y = ops.reshape((x - mean) * ops.rsqrt(variance + self.epsilon), inputs.shape)
        along = tuple(channels if i == axis else 1 for i in range(inputs.ndim))
        y = y if self.gamma is None else y * ops.reshape(self.gamma, along)
        return y if self.beta is None else y + ops.reshape(self.beta, along)


class RMSNormalization(Layer):
    """Divide each sample by the root of its mean square over ``axis``, and multiply by a learned scale.

    Shapes:
        inputs: (batch, ..., n)    returns: the same    scale: the sizes of ``axis``
    Args:
        axis: the axis or axes over which the mean is taken.
        epsilon: added to the mean square.
    Source: Zhang and Sennrich 2019, arXiv:1910.07467.
    """

    axis: Axes = -1
    epsilon: float = 1e-6

    def build(self, input_shape: Any) -> None:
        axes = axes_of(self.axis, len(input_shape), "RMSNormalization")
        self.scale = self.add_weight(tuple(input_shape[a] for a in axes), "ones", name="scale")

    def call(self, inputs: Any) -> Any:
        return ops.rms_normalization(inputs, self.scale, self.axis, self.epsilon)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class UnitNormalization(Layer):
    """Divide each sample by its length over ``axis``; what is no longer than 1e-12 is divided by that.

    Shapes:
        inputs: (batch, ..., n)    returns: the same
    Args:
        axis: the axis or axes over which the length is taken.

    Example:
        >>> import numpy as np
        >>> UnitNormalization()(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]], dtype=float32)
    """

    axis: Axes = -1

    def call(self, inputs: Any) -> Any:
        length = ops.sqrt(ops.sum(inputs * inputs, self.axis, keepdims=True))
        return inputs / ops.maximum(length, 1e-12)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value, at each step of training.

    The value is found by power iteration, which goes on from step to step: v = u kernel^T, u = v kernel, each brought to
    length 1, with the kernel as a matrix (-1, n); it is v kernel u^T.

    Shapes:
        inputs, returns: those of the layer    vector_u: (1, n)
    Args:
        layer: a layer with ``kernel`` or ``embeddings``.
        power_iterations: rounds of the iteration at each step.
    Source: Miyato et al. 2018, arXiv:1802.05957.
    """

    power_iterations: PositiveInt = 1

    def __init__(self, layer: LayerArgument, power_iterations: PositiveInt = 1, **kwargs: Any) -> None:
        super().__init__(layer, power_iterations=power_iterations, **kwargs)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        kernel = self._kernel()
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]), {"TruncatedNormal": {"stddev": 0.02}}, trainable=False, name="vector_u"
        )

    def _kernel(self) -> Any:
        for name in ("kernel", "embeddings"):
            if hasattr(self.layer, name):
                return getattr(self.layer, name)
        raise ArgumentError(
            f"'{type(self.layer).__name__}' has nothing to normalise.", expected="a layer with kernel or embeddings",
            got=repr(self.layer),
        )  # fmt: skip

    @property
    def weights(self) -> list[Any]:
        """The kernel, ``vector_u``, and what else the layer has: Keras's order."""
        found = super().weights
        return sorted(found, key=lambda w: w is not self._kernel()) if self.built else found

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            kernel = self._kernel()
            matrix, u = ops.reshape(kernel, (-1, kernel.shape[-1])), self.vector_u
            for _ in range(self.power_iterations):
                v = ops.normalize(ops.matmul(u, ops.transpose(matrix)), epsilon=1e-12)
                u = ops.normalize(ops.matmul(v, matrix), epsilon=1e-12)
            u, v = ops.stop_gradient(u), ops.stop_gradient(v)
            largest = ops.sum(ops.matmul(v, matrix) * u)
            self.vector_u.assign(u)
            kernel.assign(kernel / largest)
        return self.layer(inputs, training=training)
