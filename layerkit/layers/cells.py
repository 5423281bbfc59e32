"""Cells: what one step of a recurrent layer does; ``layerkit.layers.recurrent`` runs them over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit import ops, random
from layerkit.fields import PositiveInt, Rate
from layerkit.layers.base import Layer
from layerkit.layers.common import Activation, Constraint, Initializer, Regularizer


class _Cell(Layer):
    """What cells with a kernel for the input and one for the state share; its fields are theirs, for the order of arguments is Keras's."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.seed_generator = random.SeedGenerator(self._config.get("seed"))
        return self

    @property
    def state_size(self: Any) -> Any:
        """Size of h, or the sizes of several states."""
        return self.units

    @property
    def output_size(self: Any) -> Any:
        """Size of h."""
        return self.units

    def add_gates(self: Any, inputs: int, gates: int, bias_initializer: Any, bias_shape: tuple[int, ...]) -> None:
        """``self.kernel`` (inputs, gates), ``self.recurrent_kernel`` (units, gates), and ``self.bias`` or None."""
        self.kernel = self.add_weight(
            (inputs, gates), self.kernel_initializer,
            regularizer=self.kernel_regularizer, constraint=self.kernel_constraint, name="kernel",
        )  # fmt: skip
        self.recurrent_kernel = self.add_weight(
            (self.units, gates), self.recurrent_initializer,
            regularizer=self.recurrent_regularizer, constraint=self.recurrent_constraint, name="recurrent_kernel",
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                bias_shape, bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint, name="bias"
            )  # fmt: skip

    def drop(self, x: Any, rate: float, training: bool) -> Any:
        """``x`` with the same elements dropped at every step: the draw does not depend on the step."""
        if not training or rate == 0:
            return x
        keep = random.uniform(x.shape, seed=self.seed_generator) >= rate
        return ops.where(keep, x / (1.0 - rate), 0.0)


class SimpleRNNCell(_Cell):
    """One step of the plainest recurrent network: h' = activation(x @ kernel + bias + h @ recurrent_kernel).

    Shapes:
        inputs: (batch, n)    states: h, (batch, units)    returns: h', [h']
        kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
    Source: Elman 1990.
    """

    units: PositiveInt
    activation: Activation = "tanh"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: int | None = None

    def build(self, input_shape: Any) -> None:
        self.add_gates(input_shape[-1], self.units, self.bias_initializer, (self.units,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        (h,) = states
        z = ops.matmul(self.drop(inputs, self.dropout, training), self.kernel)
        z = z if self.bias is None else z + self.bias
        h = self.activation(z + ops.matmul(self.drop(h, self.recurrent_dropout, training), self.recurrent_kernel))
        return h, [h]


class GRUCell(_Cell):
    """One step of a GRU.

    x @ kernel and h @ recurrent_kernel, each with its row of the bias, are cut into z, r and n:
    z = gate(x_z + h_z), r = gate(x_r + h_r), n = activation(x_n + r * h_n), h' = z * h + (1 - z) * n.
    Without ``reset_after``, r * h is what the last third of recurrent_kernel multiplies, and the bias is one row.

    Shapes:
        inputs: (batch, n)    states: h, (batch, units)    returns: h', [h']
        kernel: (n, 3 units)    recurrent_kernel: (units, 3 units)    bias: (2, 3 units), or (3 units,)
    Source: Cho et al. 2014, arXiv:1406.1078.
    """

    units: PositiveInt
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    reset_after: bool = True
    seed: int | None = None

    def build(self, input_shape: Any) -> None:
        gates = 3 * self.units
        self.add_gates(input_shape[-1], gates, self.bias_initializer, (2, gates) if self.reset_after else (gates,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        (h,) = states
        gate, dropped = self.recurrent_activation, self.drop(h, self.recurrent_dropout, training)
        x = ops.matmul(self.drop(inputs, self.dropout, training), self.kernel)
        if self.reset_after:
            inner = ops.matmul(dropped, self.recurrent_kernel)
            if self.bias is not None:
                outer_bias, inner_bias = ops.split(self.bias, 2)  # each (1, 3 units)
                x, inner = x + outer_bias, inner + inner_bias
            (x_z, x_r, x_n), (h_z, h_r, h_n) = ops.split(x, 3, axis=-1), ops.split(inner, 3, axis=-1)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            n = self.activation(x_n + r * h_n)
        else:
            x_z, x_r, x_n = ops.split(x if self.bias is None else x + self.bias, 3, axis=-1)
            of_gates, of_state = ops.split(self.recurrent_kernel, [2 * self.units], axis=-1)
            h_z, h_r = ops.split(ops.matmul(dropped, of_gates), 2, axis=-1)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            n = self.activation(x_n + ops.matmul(r * dropped, of_state))
        h = z * h + (1.0 - z) * n
        return h, [h]


class LSTMCell(_Cell):
    """One step of an LSTM.

    z = x @ kernel + h @ recurrent_kernel + bias, cut into the gates i, f, c, o;
    c' = f * c + i * tanh(z_c), h' = o * tanh(c').

    Shapes:
        inputs: (batch, n)    states: h and c, each (batch, units)    returns: h', [h', c']
        kernel: (n, 4 units)    recurrent_kernel: (units, 4 units)    bias: (4 units,)
    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000.
    """

    units: PositiveInt
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: int | None = None

    @property
    def state_size(self) -> list[int]:
        """Sizes of h and c."""
        return [self.units, self.units]

    def build(self, input_shape: Any) -> None:
        self.add_gates(input_shape[-1], 4 * self.units, self._bias, (4 * self.units,))

    def _bias(self, shape: tuple[int, ...], dtype: str) -> Any:
        start = np.array(self.bias_initializer(shape, dtype))
        if self.unit_forget_bias:
            start[self.units : 2 * self.units] = 1.0
        return start

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        z = ops.matmul(self.drop(inputs, self.dropout, training), self.kernel)
        z = z + ops.matmul(self.drop(h, self.recurrent_dropout, training), self.recurrent_kernel)
        z = z if self.bias is None else z + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]
