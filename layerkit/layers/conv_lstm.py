"""``ConvLSTM``: an LSTM whose inputs, states and outputs are images, and whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar

from layerkit import ops
from layerkit.fields import PositiveInt, Rate
from layerkit.layers.cells import _Cell, forget_bias, lstm_step
from layerkit.layers.common import Activation, Constraint, DataFormat, Initializer, Regularizer, Window
from layerkit.layers.conv import Padding, _check_steps
from layerkit.layers.recurrent import _OverCell
from layerkit.ops.windows import out_sizes


class _ConvLSTMCell(_Cell):
    """One step of a convolutional LSTM of any rank: the input goes through one convolution, h through another."""

    state_names: ClassVar[tuple[str, ...]] = ("h", "c")

    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Window = 1
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

    output_size = None  # that of h, which depends on the input
    rank: ClassVar[int]

    @property
    def state_size(self) -> list[int]:
        """Channels of h and c."""
        return [self.filters, self.filters]

    def build(self, input_shape: Any) -> None:
        gates = 4 * self.filters
        window, channels = tuple(self.kernel_size), input_shape[-1]
        self.add_gates((*window, channels, gates), (*window, self.filters, gates), forget_bias(self), (gates,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        x = self.drop(inputs, self.dropout, training)
        z = ops.conv(x, self.kernel, self.strides, self.padding, None, self.dilation_rate)
        z = z + ops.conv(self.drop(h, self.recurrent_dropout, training), self.recurrent_kernel, 1, "same")
        return lstm_step(self, z if self.bias is None else z + self.bias, c)


class _ConvLSTMCell1D(_ConvLSTMCell):
    rank = 1


class _ConvLSTMCell2D(_ConvLSTMCell):
    rank = 2


class _ConvLSTMCell3D(_ConvLSTMCell):
    rank = 3


class _ConvLSTM(_OverCell):
    filters: PositiveInt
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Window = 1
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
    _: KW_ONLY
    unroll: bool = False

    rank: ClassVar[int]

    def make_cell(self) -> Any:
        _check_steps(self)
        return super().make_cell()

    @property
    def _channels_first(self) -> bool:
        return bool(self.cell.data_format == "channels_first")

    def build(self, sequences_shape: Any) -> None:
        if self._channels_first and len(sequences_shape) == self.sequence_rank:
            batch, time, channels, *sizes = sequences_shape
            sequences_shape = (batch, time, *sizes, channels)
        super().build(sequences_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if not self._channels_first or sequences.ndim != self.sequence_rank:
            return super().call(sequences, initial_state, mask, training)
        if initial_state is not None:
            initial_state = [ops.moveaxis(s, 1, -1) for s in initial_state]
        out = super().call(ops.moveaxis(sequences, 2, -1), initial_state, mask, training)
        y, *states = out if self.return_state else (out,)
        y = ops.moveaxis(y, -1, 2 if self.return_sequences else 1)
        return (y, *(ops.moveaxis(s, -1, 1) for s in states)) if self.return_state else y

    def _first_states(self, shape: Sequence[Any]) -> list[Any]:
        cell = self.cell
        sizes = out_sizes(
            type(self).__name__, shape[2:-1], cell.kernel_size, cell.strides, cell.dilation_rate, cell.padding
        )
        return [ops.zeros((shape[0], *sizes, cell.filters), self.compute_dtype) for _ in range(2)]


class ConvLSTM1D(_ConvLSTM):
    """A convolutional LSTM over series of lines.

    Shapes:
        sequences: (batch, time, width, channels)    returns: (batch, new width, filters), with time if all steps are returned
        kernel: (*kernel_size, channels, 4 filters)    recurrent_kernel: (*kernel_size, filters, 4 filters)    bias: (4 filters,)
    Source: Shi et al. 2015, arXiv:1506.04214.
    """

    rank, sequence_rank, cell_class = 1, 4, _ConvLSTMCell1D


class ConvLSTM2D(_ConvLSTM):
    """A convolutional LSTM over series of images.

    Shapes:
        sequences: (batch, time, height, width, channels)
        returns: (batch, new height, new width, filters), with time behind batch if all steps are returned
        kernel: (*kernel_size, channels, 4 filters)    recurrent_kernel: (*kernel_size, filters, 4 filters)    bias: (4 filters,)
    Source: Shi et al. 2015, arXiv:1506.04214.

    Example:
        >>> import numpy as np
        >>> ConvLSTM2D(4, 3, padding="same")(np.ones((1, 5, 6, 6, 2))).shape
        (1, 6, 6, 4)
    """

    rank, sequence_rank, cell_class = 2, 5, _ConvLSTMCell2D


class ConvLSTM3D(_ConvLSTM):
    """A convolutional LSTM over series of volumes.

    Shapes:
        sequences: (batch, time, depth, height, width, channels)
        returns: (batch, new depth, new height, new width, filters), with time behind batch if all steps are returned
        kernel: (*kernel_size, channels, 4 filters)    recurrent_kernel: (*kernel_size, filters, 4 filters)    bias: (4 filters,)
    Source: Shi et al. 2015, arXiv:1506.04214.
    """

    rank, sequence_rank, cell_class = 3, 6, _ConvLSTMCell3D
