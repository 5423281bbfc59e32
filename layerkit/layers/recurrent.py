"""Recurrent layers: a cell (``layerkit.layers.cells``) says what one step does, ``RNN`` runs it over time as one loop.

The loop is ``layerkit.ops.scan`` over the time axis. Where a mask leaves a step out, the state stays as it is and the
output of the step before is repeated, as in Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import PositiveInt, Rate
from layerkit.ir import show_shape
from layerkit.layers.base import LAYERS, Layer
from layerkit.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from layerkit.layers.common import Activation, Constraint, Initializer, Regularizer
from layerkit.ops.core import dtype_of
from layerkit.trace import get_mask, set_mask


class RNN(Layer):
    """A cell run over time.

    A cell is a layer with ``call(inputs, states) -> (output, states)`` and ``state_size``, a number or a list of them.

    Shapes:
        sequences: (batch, time, n)    mask: (batch, time), true for the steps that count
        returns: (batch, units), or (batch, time, units) with return_sequences; then the states with return_state
    """

    cell: Any
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                 stateful: bool = False, unroll: bool = False, zero_output_for_mask: bool = False, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(cell=cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
                         stateful=stateful, unroll=unroll, zero_output_for_mask=zero_output_for_mask, **kwargs)  # fmt: skip
        self.cell = LAYERS.make(cell) if not isinstance(cell, Layer) else cell
        _check_stateless(self)

    def build(self, sequences_shape: Any) -> None:
        if len(sequences_shape) != 3:
            return
        if not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
            self.cell.built = True

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if sequences.ndim < 3:
            raise ShapeError(
                "a recurrent layer needs a time axis.", expected="(batch, time, features)", got=show_shape(sequences.shape),
                fix="add an axis for features: x[..., None]; or return_sequences=True in the recurrent layer before it",
            )  # fmt: skip
        states = self._start(sequences) if initial_state is None else list(_listed(initial_state))
        kind, batch = dtype_of(sequences), sequences.shape[0]
        steps = ops.swapaxes(sequences, 0, 1)
        size = getattr(self.cell, "output_size", None) or _listed(self.cell.state_size)[0]
        previous = ops.zeros((batch, size), kind)
        masks = None if mask is None else ops.expand_dims(ops.swapaxes(mask, 0, 1), -1)

        def step(carry: Any, x: Any) -> Any:
            (output, states), (x, keep) = carry, x
            new, after = (
                self.cell(x, states, training=training) if self._cell_takes_training() else self.cell(x, states)
            )
            after = list(_listed(after))
            if keep is None:
                return (new, after), new
            after = [ops.where(keep, a, s) for a, s in zip(after, states, strict=True)]
            seen = ops.where(keep, new, ops.zeros_like(new) if self.zero_output_for_mask else output)
            return (ops.where(keep, new, output), after), seen

        (last, states), outputs = ops.scan(step, (previous, states), (steps, masks), reverse=self.go_backwards)
        if self.return_sequences:
            last = ops.swapaxes(ops.flip(outputs, 0) if self.go_backwards else outputs, 0, 1)
        return [last, *states] if self.return_state else last

    def _cell_takes_training(self) -> bool:
        from layerkit.layers.base import _call_arguments

        return _call_arguments(type(self.cell)).training

    def _start(self, sequences: Any) -> list[Any]:
        if hasattr(self.cell, "get_initial_state"):
            return list(_listed(self.cell.get_initial_state(batch_size=sequences.shape[0])))
        return [ops.zeros((sequences.shape[0], n), dtype_of(sequences)) for n in _listed(self.cell.state_size)]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = previous_mask[0] if isinstance(previous_mask, list) else previous_mask
        shown = mask if self.return_sequences else None
        return [shown, *[None] * len(_listed(self.cell.state_size))] if self.return_state else shown


def _listed(x: Any) -> Sequence[Any]:
    return x if isinstance(x, list | tuple) else [x]


def _check_stateless(layer: Any) -> None:
    if layer.stateful:
        raise ArgumentError(
            "'stateful' layers are not available.", layer=type(layer).__name__, expected="stateful=False", got="True",
            fix="use return_state=True and pass initial_state",
        )  # fmt: skip


class SimpleRNN(RNN):
    """The plainest recurrent network over time; ``SimpleRNNCell`` says what a step does.

    Shapes:
        sequences: (batch, time, n)    returns: (batch, units), or (batch, time, units) with return_sequences
        kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
    Source: Elman 1990.
    """

    def __init__(
        self,
        units: PositiveInt,
        activation: Activation = "tanh",
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        recurrent_initializer: Initializer = "orthogonal",
        bias_initializer: Initializer = "zeros",
        kernel_regularizer: Regularizer = None,
        recurrent_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        activity_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        recurrent_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        dropout: Rate = 0.0,
        recurrent_dropout: Rate = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
            recurrent_dropout, seed, dtype=kwargs.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.units = cell.units


class GRU(RNN):
    """Gated recurrent units over time; ``GRUCell`` says what a step does.

    Shapes:
        sequences: (batch, time, n)    returns: (batch, units), or (batch, time, units) with return_sequences
        kernel: (n, 3 units)    recurrent_kernel: (units, 3 units)    bias: (2, 3 units); gates in the order z, r, n
    Source: Cho et al. 2014, arXiv:1406.1078.

    Example:
        >>> import numpy as np
        >>> GRU(4)(np.ones((2, 5, 3))).shape
        (2, 4)
    """

    def __init__(
        self,
        units: PositiveInt,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        recurrent_initializer: Initializer = "orthogonal",
        bias_initializer: Initializer = "zeros",
        kernel_regularizer: Regularizer = None,
        recurrent_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        activity_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        recurrent_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        dropout: Rate = 0.0,
        recurrent_dropout: Rate = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, reset_after, seed, dtype=kwargs.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.units = cell.units


class LSTM(RNN):
    """Long short-term memory over time; ``LSTMCell`` says what a step does.

    Shapes:
        sequences: (batch, time, n)    returns: (batch, units), or (batch, time, units) with return_sequences
        kernel: (n, 4 units)    recurrent_kernel: (units, 4 units)    bias: (4 units,); gates in the order i, f, c, o
    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000.

    Example:
        >>> import numpy as np
        >>> LSTM(4, return_sequences=True)(np.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(
        self,
        units: PositiveInt,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        recurrent_initializer: Initializer = "orthogonal",
        bias_initializer: Initializer = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Regularizer = None,
        recurrent_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        activity_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        recurrent_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        dropout: Rate = 0.0,
        recurrent_dropout: Rate = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, dtype=kwargs.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.units = cell.units


class Bidirectional(Layer):
    """A recurrent layer run forwards, and another backwards, over the same series.

    Args:
        layer: the forward layer.
        merge_mode: how the two outputs become one: "concat", "sum", "mul", "ave", or None for a list.
        weights: not used; there for Keras's order of arguments.
        backward_layer: by default made like ``layer``, with ``go_backwards`` the other way round.
    Source: Schuster and Paliwal 1997.
    """

    def __init__(self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ArgumentError(
                "unknown merge_mode.",
                layer="Bidirectional",
                expected="concat, sum, mul, ave or none",
                got=repr(merge_mode),
            )
        self.merge_mode = merge_mode
        self.forward_layer = LAYERS.make(layer) if not isinstance(layer, Layer) else layer
        if not isinstance(self.forward_layer, RNN):
            raise ArgumentError(
                "'Bidirectional' takes a recurrent layer.",
                layer="Bidirectional",
                expected="an LSTM or RNN",
                got=type(layer).__name__,
            )
        if backward_layer is None:
            config = {k: v for k, v in self.forward_layer._config.items() if k != "name"}
            if "cell" in config and isinstance(config["cell"], Layer):
                config["cell"] = type(config["cell"])(**config["cell"]._config)
            backward_layer = type(self.forward_layer)(**{**config, "go_backwards": not self.forward_layer.go_backwards})
        self.backward_layer = LAYERS.make(backward_layer) if not isinstance(backward_layer, Layer) else backward_layer
        self.return_sequences, self.return_state = self.forward_layer.return_sequences, self.forward_layer.return_state

    def build(self, sequences_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        half = None if initial_state is None else len(initial_state) // 2
        first, second = (None, None) if half is None else (initial_state[:half], initial_state[half:])
        y = self.forward_layer(sequences, initial_state=first, mask=mask, training=training)
        z = self.backward_layer(sequences, initial_state=second, mask=mask, training=training)
        states: list[Any] = []
        if self.return_state:
            (y, *s), (z, *t) = y, z
            states = [*s, *t]
        if self.return_sequences:
            z = ops.flip(z, 1)
        merge: dict[Any, Any] = {
            "concat": lambda: ops.concatenate([y, z], -1),
            "sum": lambda: y + z,
            "mul": lambda: y * z,
            "ave": lambda: (y + z) / 2,
            None: lambda: [y, z],
        }
        merged = merge[self.merge_mode]()
        if not self.return_state:
            return merged
        return [*(merged if self.merge_mode is None else [merged]), *states]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = previous_mask[0] if isinstance(previous_mask, list) else previous_mask
        return mask if self.return_sequences and not self.return_state else None


class TimeDistributed(Layer):
    """A layer applied to each time step: (batch, time, ...) -> (batch, time, ...)."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = LAYERS.make(layer) if not isinstance(layer, Layer) else layer

    def build(self, input_shape: Any) -> None:
        if len(input_shape) >= 3 and not self.layer.built and not self.layer.is_container:
            self.layer.build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if inputs.ndim < 3:
            raise ShapeError(
                "'TimeDistributed' needs a time axis.", expected="(batch, time, ...)", got=show_shape(inputs.shape)
            )
        batch, time = inputs.shape[:2]
        merged = ops.reshape(inputs, (batch * time, *inputs.shape[2:]))
        inner = get_mask(inputs)
        if inner is not None and inner.ndim > 2:
            set_mask(merged, ops.reshape(inner, (batch * time, *inner.shape[2:])))
        y = self.layer(merged, training=training)
        return ops.reshape(y, (batch, time, *y.shape[1:]))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask
