"""Groups of arguments that several layers share."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import activations, constraints, initializers, regularizers
from layerkit.fields import OneOf, Resolved
from layerkit.layers.base import Layer

Activation = Annotated[Any, Resolved(activations.get, "the name of an activation, or a function")]
Initializer = Annotated[Any, Resolved(initializers.get, "the name of an initializer, or an initializer")]
Regularizer = Annotated[Any, Resolved(regularizers.get, "the name of a regularizer, or a regularizer")]
Constraint = Annotated[Any, Resolved(constraints.get, "the name of a constraint, or a constraint")]
DataFormat = Annotated[Any, OneOf((None, "channels_last"))]


class _Affine(Layer):
    """The arguments of layers with a kernel and a bias, and how they are added."""

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
        self.kernel = self.add_weight(
            kernel_shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                kernel_shape[-1:],
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def finish(self, y: Any) -> Any:
        """Add the bias and apply the activation."""
        return self.activation(y if self.bias is None else y + self.bias)
