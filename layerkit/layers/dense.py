"""Layers over the last axis, and tables of vectors."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.dtypes import is_floating
from layerkit.errors import ShapeError
from layerkit.fields import PositiveInt
from layerkit.ir import show_shape
from layerkit.layers.base import Layer
from layerkit.layers.common import Constraint, Initializer, Regularizer, _Affine, declared_weight
from layerkit.ops.core import dtype_of


class Dense(_Affine):
    """Affine map of the last axis: y = activation(x @ kernel + bias).

    Shapes:
        inputs: (batch, ..., n)    returns: (batch, ..., units)
        kernel: (n, units)    bias: (units,)

    Example:
        >>> import numpy as np
        >>> Dense(4, activation="relu")(np.ones((2, 3))).shape
        (2, 4)
    """

    units: PositiveInt

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] is None:
            raise ShapeError(
                "the last axis must have a size.", expected="a known last axis", got=show_shape(input_shape),
                fix="give it a size in Input(shape=...)",
            )  # fmt: skip
        self.add_kernel_and_bias((input_shape[-1], self.units))

    def call(self, inputs: Any) -> Any:
        if inputs.ndim < 2:
            raise ShapeError(
                "a Dense layer needs a batch of vectors.", expected="(batch, ..., features)", got=show_shape(inputs.shape),
                fix="add an axis: x[:, None]",
            )  # fmt: skip
        size = self.kernel.shape[0]
        if isinstance(inputs.shape[-1], int) and inputs.shape[-1] != size:
            raise ShapeError(
                "the input has another size than the layer was built for.",
                expected=show_shape((*inputs.shape[:-1], size)),
                got=show_shape(inputs.shape),
            )
        return self.finish(ops.matmul(inputs, self.kernel))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class Embedding(Layer):
    """A table of vectors, looked up by number.

    Shapes:
        inputs: (batch, ...), whole numbers in [0, input_dim)    returns: (batch, ..., output_dim)
        embeddings: (input_dim, output_dim)
    Args:
        input_dim: rows of the table.
        output_dim: size of each vector.
        embeddings_initializer: what the table is before training.
        embeddings_regularizer: penalty on the table.
        embeddings_constraint: what the table is brought back to after each update.
        mask_zero: whether 0 stands for "nothing here"; later layers are told by a mask.
        weights: the table to begin with, in place of what the initializer makes.

    Raises:
        DataError: a number outside the table, when the program runs.
    """

    input_dim: PositiveInt
    output_dim: PositiveInt
    embeddings_initializer: Initializer = "uniform"
    embeddings_regularizer: Regularizer = None
    embeddings_constraint: Constraint = None
    mask_zero: bool = False

    def __init__(
        self,
        input_dim: PositiveInt,
        output_dim: PositiveInt,
        embeddings_initializer: Initializer = "uniform",
        embeddings_regularizer: Regularizer = None,
        embeddings_constraint: Constraint = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim=input_dim,
            output_dim=output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self._config.pop("weights", None)  # numbers are no argument to be written down
        self.supports_masking = mask_zero
        self._table = weights
        if weights is not None:
            self.build()

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = declared_weight(self, "embeddings", (self.input_dim, self.output_dim))
        if self._table is not None:
            table = self._table[0] if isinstance(self._table, list) and len(self._table) == 1 else self._table
            self.embeddings.array = table
            self._table = None

    def call(self, inputs: Any) -> Any:
        return ops.take(self.embeddings, ops.cast(inputs, "int32"), axis=0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None


class ReversibleEmbedding(Embedding):
    """A table of vectors that also goes the other way: called with ``reverse``, it compares vectors with all rows.

    Shapes:
        inputs: (batch, ...), whole numbers in [0, input_dim)    returns: (batch, ..., output_dim)
        inputs with reverse: (batch, ..., output_dim)    returns: (batch, ..., input_dim)
        embeddings: (input_dim, output_dim)    reverse_embeddings, if they are not tied: (output_dim, input_dim)
    Args:
        input_dim: rows of the table.
        output_dim: size of each vector.
        tie_weights: whether the way back uses the table too, or a matrix of its own.
        embeddings_initializer: what the table is before training.
        embeddings_regularizer: penalty on the table.
        embeddings_constraint: what the table is brought back to after each update.
        mask_zero: whether 0 stands for "nothing here"; later layers are told by a mask.
        reverse_dtype: dtype of the way back; the layer's unless given.
        logit_soft_cap: what comes back is bent to stay within this number, by tanh.
    Source: Press and Wolf 2016, arXiv:1608.05859.

    Example:
        >>> import numpy as np
        >>> table = ReversibleEmbedding(9, 4)
        >>> table(table(np.array([[1, 2]])), reverse=True).shape
        (1, 2, 9)
    """

    def __init__(
        self,
        input_dim: PositiveInt,
        output_dim: PositiveInt,
        tie_weights: bool = True,
        embeddings_initializer: Initializer = "uniform",
        embeddings_regularizer: Regularizer = None,
        embeddings_constraint: Constraint = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )
        self.tie_weights, self.reverse_dtype, self.logit_soft_cap = tie_weights, reverse_dtype, logit_soft_cap

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        self.reverse_embeddings = None
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(inputs)
        back = ops.transpose(self.embeddings) if self.reverse_embeddings is None else self.reverse_embeddings
        kind = self.reverse_dtype or self.compute_dtype
        logits = ops.matmul(ops.cast(inputs, kind), ops.cast(back, kind))
        return logits if self.logit_soft_cap is None else ops.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask if is_floating(dtype_of(inputs)) else super().compute_mask(inputs, previous_mask)


class Masking(Layer):
    """Time steps whose features all equal ``mask_value`` are set to 0, and later layers skip them.

    Shapes:
        inputs: (batch, time, features)    returns: the same
    """

    mask_value: float = 0.0

    def call(self, inputs: Any) -> Any:
        counts = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(counts, inputs, 0.0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)
