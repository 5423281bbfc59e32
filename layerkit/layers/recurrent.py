"""Recurrent layers: a cell (``layerkit.layers.cells``) says what one step does, ``RNN`` runs it over time as one loop.

The loop is ``layerkit.ops.scan`` over the time axis. Where a mask leaves a step out, the state stays as it is and the
output of the step before is repeated, as in Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from layerkit import ops, tree
from layerkit.errors import ShapeError
from layerkit.fields import PositiveInt, Rate, fields
from layerkit.ir import show_shape, unify
from layerkit.layers.base import Layer, LayersArgument
from layerkit.layers.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells, as_cell, zero_states
from layerkit.layers.common import Activation, Constraint, Initializer, Regularizer
from layerkit.ops.core import dtype_of, operand
from layerkit.trace import Weight


class RNN(Layer):
    """A cell run over time.

    A cell is a layer with ``call(inputs, states) -> (output, states)`` and ``state_size``: a number, or a list with one entry
    for each state. It may have ``output_size`` (otherwise the output has the size of the first state) and
    ``get_initial_state(batch_size)`` (otherwise states begin as zeros). States may be nested, as those of several cells are.

    Shapes:
        sequences: (batch, time, n)    mask: (batch, time), true for the steps that count; or (batch,), for all steps of a row
        initial_state: what the states are before the first step, nested as the cell's, or a list of them all
        returns: (batch, units), or (batch, time, units) with return_sequences; with return_state a tuple of that and the states
    Args:
        cell: a cell, or a list of cells that are stacked.
        return_sequences: whether to return the outputs of all steps, or of the last.
        return_state: whether to return the last states too.
        go_backwards: whether to begin with the last step; all outputs are then in that order.
        stateful: whether the first states are the last ones of the call before; ``Input`` has to say the batch size.
        unroll: without effect: the loop is compiled either way.
        zero_output_for_mask: whether steps that do not count give zeros, or the output of the step before.
    """

    cell: LayersArgument
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cell = self.make_cell()
        self.states: Any = None
        """What a ``stateful`` layer keeps between calls: weights, nested as the states are."""

    def make_cell(self) -> Any:
        """The cell as a layer."""
        return StackedRNNCells(self.cell) if isinstance(self.cell, list | tuple) else as_cell(self.cell)

    accepted_no_ops = frozenset({"implementation"})  # in configs of older Keras
    sequence_rank: ClassVar[int] = 3
    """Axes of the sequences."""

    @property
    def state_size(self) -> Any:
        """The cell's."""
        return self.cell.state_size

    @property
    def output_names(self) -> Sequence[str]:
        return ("output", *getattr(self.cell, "state_names", ())) if self.return_state else ()

    def build(self, sequences_shape: Any) -> None:
        if len(sequences_shape) != self.sequence_rank:
            return  # call says it better
        if not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
            self.cell.built = True
        if self.stateful:
            self._keep_states(sequences_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if sequences.ndim < self.sequence_rank:
            raise ShapeError(
                "a recurrent layer needs a time axis.", expected="(batch, time, features)" if self.sequence_rank == 3 else f"{self.sequence_rank} axes",
                got=show_shape(sequences.shape),
                fix="add an axis for features: x[..., None]; or return_sequences=True in the recurrent layer before it",
            )  # fmt: skip
        if sequences.ndim > self.sequence_rank and type(self) is not RNN:  # a cell of one's own may take what it likes
            raise ShapeError(
                f"'{type(self).__name__}' needs {self.sequence_rank} axes.", expected="(batch, time, features)" if self.sequence_rank == 3 else f"{self.sequence_rank} axes",
                got=show_shape(sequences.shape), fix="make one axis of those after the time, with a Reshape layer before it",
            )  # fmt: skip
        start = self._start(sequences, initial_state)
        steps = ops.swapaxes(sequences, 0, 1)
        if mask is not None and mask.ndim == 1:
            mask = ops.broadcast_to(ops.expand_dims(mask, 1), sequences.shape[:2])
        masks = None if mask is None else ops.swapaxes(mask, 0, 1)
        structure = tree.flatten(start)[1]

        def step(carry: Any, x: Any) -> Any:
            (output, states), (x, counts) = carry, x
            new, after = self.cell(x, states, training=training)
            after = tree.unflatten(structure, tree.leaves(after))  # a cell may return a tuple, or one state alone
            if counts is None:
                return (new, after), new
            after = tree.map_leaves(lambda a, s: _where(counts, a, s), after, states)
            seen = _where(counts, new, ops.zeros_like(new) if self.zero_output_for_mask else output)
            return (_where(counts, new, output), after), seen

        carry = self._before(sequences, start), start
        (last, states), outputs = ops.scan(step, carry, (steps, masks), reverse=self.go_backwards)
        if self.stateful:
            self._store_states(states)
        if self.return_sequences:
            last = ops.swapaxes(ops.flip(outputs, 0) if self.go_backwards else outputs, 0, 1)
        return (last, *_listed(states)) if self.return_state else last

    def get_initial_state(self, batch_size: Any) -> Any:
        """The cell's states before the first step of a series, for a batch of that size."""
        if hasattr(self.cell, "get_initial_state"):
            return list(_listed(self.cell.get_initial_state(batch_size=batch_size)))
        return zero_states(self.cell.state_size, batch_size, self.compute_dtype)

    def _first_states(self, shape: Sequence[Any]) -> Any:
        """``get_initial_state`` for sequences of that shape."""
        return self.get_initial_state(shape[0])

    def _start(self, sequences: Any, given: Any) -> Any:
        """The states before the first step: those given, those of the call before, or the cell's own."""
        if given is None and self.stateful:
            return self._kept_states(sequences.shape[0])
        kind = dtype_of(sequences)
        states = tree.map_leaves(lambda s: ops.cast(s, kind), self._first_states(sequences.shape))
        if given is None:
            return states
        leaves, structure = tree.flatten(states)
        found = [ops.cast(s, kind) for s in tree.leaves(given)]
        wanted, got = [s.shape for s in leaves], [s.shape for s in found]
        if len(got) != len(wanted) or any(
            len(a) != len(b) or any(unify(m, n) is None for m, n in zip(a, b, strict=True))
            for a, b in zip(wanted, got, strict=True)
        ):
            raise ShapeError(
                "'initial_state' does not fit the states of the cell.",
                expected=", ".join(map(show_shape, wanted)), got=", ".join(map(show_shape, got)),
                fix="give one tensor for each state, as return_state=True returns them",
            )  # fmt: skip
        return tree.unflatten(structure, found)

    def _before(self, sequences: Any, states: Any) -> Any:
        """What stands for the output before the first step: the state that is the output, or zeros if none is."""
        h = states
        while isinstance(h, list | tuple):
            h = h[-1] if isinstance(h[-1], list | tuple) else h[0]  # of the last cell of a stack
        size = getattr(self.cell, "output_size", None)
        size = h.shape[1:] if size is None else (size,) if isinstance(size, int) else tuple(size)
        return h if h.shape[1:] == size else ops.zeros((sequences.shape[0], *size), dtype_of(sequences))

    # States that are kept ---------------------------------------------------------------------------------------------

    def _keep_states(self, sequences_shape: Any) -> None:
        if sequences_shape[0] is None:
            raise ShapeError(
                "a stateful layer keeps one state for each row of the batch.", layer=self.describe(),
                expected="a fixed batch size", got=show_shape(sequences_shape), fix="give Input(shape, batch_size=...)",
            )  # fmt: skip
        start, structure = tree.flatten(self._first_states(sequences_shape))
        self.states = tree.unflatten(structure, (self._kept(s.shape, i) for i, s in enumerate(start)))

    def _kept(self, shape: Any, number: int) -> Weight:
        return Weight(
            shape, self.compute_dtype, trainable=False, name="state", path=lambda: f"{self.path}/state{number}"
        )

    def _kept_states(self, batch: Any) -> Any:
        """The states of the call before, of the first rows if there are fewer rows than states."""
        rows = tree.leaves(self.states)[0].shape[0]
        if isinstance(batch, int) and batch != rows:
            raise ShapeError(
                "a stateful layer keeps one state for each row of the batch.", expected=f"a batch of {rows}", got=str(batch),
            )  # fmt: skip
        if isinstance(batch, int):
            return tree.map_leaves(operand, self.states)
        return tree.map_leaves(lambda s: ops.take(s, ops.arange(batch), axis=0), self.states)

    def _store_states(self, states: Any) -> None:
        for weight, state in zip(tree.leaves(self.states), tree.leaves(states), strict=True):
            rows, batch = weight.shape[0], state.shape[0]
            if not isinstance(batch, int):  # rows that this batch does not have stay as they are
                is_new = _column(ops.arange(rows) < ops.size(batch), weight.ndim)
                state = ops.where(is_new, ops.scatter_add(state, ops.arange(batch), rows), weight)
            weight.assign(ops.stop_gradient(state))

    def reset_state(self) -> None:
        """Let the next call of a ``stateful`` layer begin with states of zero."""
        for weight in tree.leaves(self.states):
            weight.assign(np.zeros(weight.shape, weight.dtype))

    reset_states = reset_state

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = tree.leaves(previous_mask)[0] if tree.leaves(previous_mask) else None
        shown = mask if self.return_sequences else None
        return [shown, *[None] * len(_listed(self.cell.state_size))] if self.return_state else shown


def _listed(x: Any) -> Sequence[Any]:
    return x if isinstance(x, list | tuple) else [x]


def _column(x: Any, rank: int) -> Any:
    """(n,) as (n, 1, ...), to go with tensors of that rank."""
    return ops.reshape(x, (*x.shape, *(1,) * (rank - x.ndim)))


def _where(counts: Any, new: Any, old: Any) -> Any:
    """New numbers in the rows that count."""
    return ops.where(_column(counts, new.ndim), new, old)


RNN.__init__._is_declared = True  # type: ignore[attr-defined]


class _OverCell(RNN):
    """A recurrent layer that makes its cell, of ``cell_class``, from its own arguments."""

    cell_class: ClassVar[Any]
    cell: ClassVar[Any]  # type: ignore[misc]  # no argument
    _: KW_ONLY
    zero_output_for_mask: bool = False

    def make_cell(self) -> Any:
        names = set(fields(self.cell_class)) - set(fields(Layer))
        return self.cell_class(**{n: getattr(self, n) for n in names}, dtype=self.dtype)


class SimpleRNN(_OverCell):
    """The plainest recurrent network over time; ``SimpleRNNCell`` says what a step does.

    Shapes:
        sequences: (batch, time, n)    returns: (batch, units), or (batch, time, units) with return_sequences
        kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
    Source: Elman 1990.
    """

    cell_class = SimpleRNNCell

    units: PositiveInt
    activation: Activation = "tanh"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    seed: int | None = None


class GRU(_OverCell):
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

    cell_class = GRUCell

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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: int | None = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    reset_after: bool = True
    use_cudnn: Any = "auto"


class LSTM(_OverCell):
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

    cell_class = LSTMCell

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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: int | None = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    use_cudnn: Any = "auto"
