"""Cells: what one step of a recurrent layer does; ``layerkit.layers.recurrent`` runs them over time."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from layerkit import ops, random, tree
from layerkit.errors import ArgumentError
from layerkit.fields import PositiveInt, Rate
from layerkit.layers.base import LAYERS, Layer, LayersArgument
from layerkit.layers.common import Activation, Constraint, Initializer, Regularizer, declared_weight


class _Cell(Layer):
    """What cells with a kernel for the input and one for the state share; its fields are theirs, for the order of arguments is Keras's.

    Args:
        units: the size of the state.
        activation: of the new state.
        recurrent_activation: of the gates.
        use_bias: whether biases are added.
        kernel_initializer: what the weights of the input begin with.
        recurrent_initializer: what the weights of the state begin with.
        bias_initializer: what the biases begin with.
        kernel_regularizer: penalty on the weights of the input, added to the loss.
        recurrent_regularizer: penalty on the weights of the state.
        bias_regularizer: penalty on the biases.
        kernel_constraint: what is applied to the weights of the input after each step.
        recurrent_constraint: what is applied to the weights of the state after each step.
        bias_constraint: what is applied to the biases after each step.
        dropout: share of the input's numbers that are dropped in training.
        recurrent_dropout: share of the state's numbers that are dropped in training.
        seed: a number, for dropout that does not depend on the model's seed.
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    """How specs call its states."""

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

    def add_gates(
        self: Any,
        shape: tuple[int, ...],
        recurrent_shape: tuple[int, ...],
        bias_initializer: Any,
        bias_shape: tuple[int, ...],
    ) -> None:
        """``self.kernel``, ``self.recurrent_kernel``, and ``self.bias`` or None."""
        self.kernel = declared_weight(self, "kernel", shape)
        self.recurrent_kernel = declared_weight(self, "recurrent", recurrent_shape, "recurrent_kernel")
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                bias_shape, bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint, name="bias"
            )  # fmt: skip

    def get_initial_state(self, batch_size: Any = None) -> Any:
        """The states before the first step: zeros."""
        return zero_states(self.state_size, batch_size, self.compute_dtype)

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

    state_names: ClassVar[tuple[str, ...]] = ("h",)

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
        units = self.units
        self.add_gates((input_shape[-1], units), (units, units), self.bias_initializer, (units,))

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

    state_names: ClassVar[tuple[str, ...]] = ("h",)

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
        bias_shape = (2, gates) if self.reset_after else (gates,)
        self.add_gates((input_shape[-1], gates), (self.units, gates), self.bias_initializer, bias_shape)

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

    state_names: ClassVar[tuple[str, ...]] = ("h", "c")

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
        gates = 4 * self.units
        self.add_gates((input_shape[-1], gates), (self.units, gates), forget_bias(self), (gates,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        z = ops.matmul(self.drop(inputs, self.dropout, training), self.kernel)
        z = z + ops.matmul(self.drop(h, self.recurrent_dropout, training), self.recurrent_kernel)
        return lstm_step(self, z if self.bias is None else z + self.bias, c)


def forget_bias(cell: Any) -> Any:
    """The initializer of an LSTM's bias: 1 for the gate f, if the cell wants it, so that at first it forgets little."""

    def start(shape: tuple[int, ...], dtype: str) -> Any:
        bias = np.array(cell.bias_initializer(shape, dtype))
        if cell.unit_forget_bias:
            quarter = shape[0] // 4
            bias[quarter : 2 * quarter] = 1.0
        return bias

    return start


def lstm_step(cell: Any, z: Any, c: Any) -> tuple[Any, list[Any]]:
    """The output and the states [h', c'] of an LSTM from its four gates, side by side, before their activations."""
    i, f, g, o = ops.split(z, 4, axis=-1)
    gate = cell.recurrent_activation
    c = gate(f) * c + gate(i) * cell.activation(g)
    h = gate(o) * cell.activation(c)
    return h, [h, c]


class StackedRNNCells(Layer):
    """Several cells as one: each step goes through all of them, the output of one is the input of the next.

    Shapes:
        inputs: (batch, n)    states: a list of the states of each cell    returns: the last cell's output, [the states of each]
    Args:
        cells: the cells, from the input to the output.

    Example:
        >>> stack = StackedRNNCells([LSTMCell(4), GRUCell(3)])
        >>> stack.state_size, stack.output_size
        ([[4, 4], 3], 3)
    """

    def __init__(self, cells: LayersArgument, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not cells:
            raise ArgumentError(
                "'StackedRNNCells' needs cells.", layer="StackedRNNCells", expected="a list of cells", got="none"
            )
        self.cells = [as_cell(c) for c in (cells if isinstance(cells, list | tuple) else [cells])]
        self.autocast = False  # each cell has its own dtype

    @property
    def state_size(self) -> list[Any]:
        """The state size of each cell."""
        return [c.state_size for c in self.cells]

    @property
    def output_size(self) -> Any:
        """That of the last cell."""
        last = self.cells[-1]
        return getattr(last, "output_size", None) or tree.leaves(last.state_size)[0]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The states of each cell before the first step: one tensor for a cell that says no more than its one size."""

        def start(cell: Any) -> Any:
            if hasattr(cell, "get_initial_state"):
                return cell.get_initial_state(batch_size=batch_size)
            zeros = zero_states(cell.state_size, batch_size, self.compute_dtype)
            return zeros if isinstance(cell.state_size, list | tuple) else zeros[0]

        return [start(c) for c in self.cells]

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if not cell.built:
                cell.build(input_shape)
                cell.built = True
            size = getattr(cell, "output_size", None) or tree.leaves(cell.state_size)[0]
            input_shape = (input_shape[0], size)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        after = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, new = cell(inputs, state if isinstance(state, list | tuple) else [state], training=training)
            after.append(tree.unflatten(tree.flatten(state)[1], tree.leaves(new)))
        return inputs, after


def as_cell(cell: Any) -> Any:
    """A cell as an object.

    Raises:
        ArgumentError: it has no ``state_size``.
    """
    cell = cell if isinstance(cell, Layer) else LAYERS.make(cell)
    if not hasattr(cell, "state_size"):
        raise ArgumentError(
            f"'{type(cell).__name__}' is no cell: it does not say what its states are.",
            expected="a layer with call(inputs, states) and state_size", got=repr(cell),
            fix="LSTMCell, GRUCell, SimpleRNNCell, or a layer of your own with self.state_size = units",
        )  # fmt: skip
    return cell


def zero_states(size: Any, batch: Any, dtype: str) -> list[Any]:
    """Zeros for each entry of a cell's ``state_size``: a number n means (batch, n), a tuple (batch, *tuple)."""
    entries = size if isinstance(size, list | tuple) else [size]
    return [ops.zeros((batch, *((n,) if isinstance(n, int) else n)), dtype) for n in entries]
