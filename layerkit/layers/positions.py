"""Where a vector stands in its series: vectors for positions, learned or computed, to be added to those of the tokens.

Keras has none; the names and arguments are those of KerasHub.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.fields import PositiveFloat, PositiveInt
from layerkit.ir import show_shape
from layerkit.layers.base import Layer
from layerkit.layers.common import Initializer
from layerkit.ops.core import dtype_of, operand


class PositionEmbedding(Layer):
    """A learned vector for each position, the same for all samples.

    Shapes:
        inputs: (batch, ..., length, n)    returns: the same, the vectors of the first ``length`` positions
        position_embeddings: (sequence_length, n)
    Args:
        sequence_length: the number of positions; inputs may be shorter.
        initializer: what the vectors are before training.

    Raises:
        ShapeError: the input is longer, or its length or its features are not known.

    Example:
        >>> import numpy as np
        >>> PositionEmbedding(8)(np.zeros((2, 5, 4), "float32")).shape
        (2, 5, 4)
    """

    sequence_length: PositiveInt
    initializer: Initializer = "glorot_uniform"

    def build(self, input_shape: Any) -> None:
        _check(self, input_shape)
        self.position_embeddings = self.add_weight(
            (self.sequence_length, input_shape[-1]), self.initializer, name="embeddings"
        )

    def call(self, inputs: Any) -> Any:
        inputs = operand(inputs)
        length = _check(self, inputs.shape)
        if length > self.sequence_length:
            raise ShapeError(
                "the input has more positions than there are vectors.",
                expected=f"at most {self.sequence_length}", got=show_shape(inputs.shape), fix=f"sequence_length={length}",
            )  # fmt: skip
        return ops.broadcast_to(operand(self.position_embeddings)[:length], ops.shape(inputs))


class SinePositionEncoding(Layer):
    """Sines and cosines of the position, of wavelengths from 2 pi to ``max_wavelength`` 2 pi. Source: arXiv:1706.03762, section 3.5.

    Shapes:
        inputs: (batch, ..., length, n)    returns: the same
    Args:
        max_wavelength: of the slowest wave, divided by 2 pi.

    Example:
        >>> import numpy as np
        >>> np.asarray(SinePositionEncoding()(np.zeros((1, 2, 2), "float32"))).round(3).tolist()
        [[[0.0, 1.0], [0.841..., 0.54...]]]
    """

    max_wavelength: PositiveFloat = 10000.0

    def call(self, inputs: Any) -> Any:
        inputs = operand(inputs)
        length, size = _check(self, inputs.shape), inputs.shape[-1]
        column = np.arange(size)
        angle = np.arange(length)[:, None] * self.max_wavelength ** (-2.0 * (column // 2) / size)
        table = np.where(column % 2, np.cos(angle), np.sin(angle)).astype("float32")
        return ops.broadcast_to(ops.cast(table, dtype_of(inputs)), ops.shape(inputs))


def _check(layer: Layer, shape: Any) -> int:
    """The number of positions."""
    length = shape[-2] if len(shape) > 2 else None
    if not isinstance(length, int) or not isinstance(shape[-1], int):
        raise ShapeError(
            "positions need a known length and a known number of features.", layer=type(layer).__name__,
            expected="(batch, length, features)", got=show_shape(shape), fix="give both sizes in Input(shape=...)",
        )  # fmt: skip
    return length
