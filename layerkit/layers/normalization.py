"""Layers that bring activations to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.layers.base import Layer
from layerkit.layers.common import Constraint, Initializer, Regularizer
from layerkit.ops.core import axis_of, type_of


class BatchNormalization(Layer):
    """Normalise each channel over the batch in training, by moving averages otherwise.

    Moving averages follow with ``moving = moving * momentum + batch * (1 - momentum)``. A frozen layer
    (``trainable=False``) uses the moving averages in training too. Steps that a mask leaves out do not count.

    Shapes:
        inputs: (batch, ..., n along axis)    returns: the same
        gamma, beta, moving_mean, moving_variance: (n,)
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.
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

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[axis_of(self.axis, len(input_shape), "BatchNormalization")],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        axis = axis_of(self.axis, inputs.ndim, "BatchNormalization")
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = self._moments(inputs, [i for i in range(inputs.ndim) if i != axis], mask)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + ops.stop_gradient(batch) * (1.0 - self.momentum))
        return ops.batch_normalization(inputs, mean, variance, axis, self.beta, self.gamma, self.epsilon)

    def _moments(self, inputs: Any, axes: list[int], mask: Any) -> tuple[Any, Any]:
        if mask is None:
            return ops.moments(inputs, axes)
        weight = ops.cast(mask, type_of(inputs).dtype)
        weight = ops.broadcast_to(
            ops.reshape(weight, (*weight.shape, *(1,) * (inputs.ndim - weight.ndim))), inputs.shape
        )
        total = ops.sum(weight, axes)
        mean = ops.sum(inputs * weight, axes) / total
        axis = next(i for i in range(inputs.ndim) if i not in axes)
        centred = inputs - ops.reshape(mean, tuple(n if i == axis else 1 for i, n in enumerate(inputs.shape)))
        return mean, ops.sum(weight * centred * centred, axes) / total

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class LayerNormalization(Layer):
    """Normalise each sample over ``axis``.

    Shapes:
        inputs: (batch, ..., n)    returns: the same    gamma, beta: the sizes of ``axis``
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
    """

    axis: Any = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    def build(self, input_shape: Any) -> None:
        axes = sorted(a % len(input_shape) for a in ((self.axis,) if isinstance(self.axis, int) else self.axis))
        shape = tuple(input_shape[a] for a in axes)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )

    def call(self, inputs: Any) -> Any:
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask
