"""Attention."""

from __future__ import annotations

import math
from typing import Any

from layerkit import ops, random
from layerkit.fields import PositiveInt, Rate
from layerkit.layers.base import Layer
from layerkit.layers.common import Constraint, Initializer, Regularizer
from layerkit.trace import Weight, get_mask


class MultiHeadAttention(Layer):
    """Attention of each query position to all value positions, in several heads.

    scores = softmax(q k^T / sqrt(key_dim)) over the value positions; the output is scores v, projected.

    Shapes:
        query: (batch, T, n)    value, key: (batch, S, m)    attention_mask: (batch, T, S), true where attention may go
        returns: (batch, T, n), and the scores (batch, heads, T, S) if asked for
    Source: Vaswani et al. 2017, arXiv:1706.03762.
    """

    num_heads: PositiveInt
    key_dim: PositiveInt
    value_dim: PositiveInt | None = None
    dropout: Rate = 0.0
    use_bias: bool = True
    output_shape: Any = None
    attention_axes: Any = None
    flash_attention: Any = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    seed: int | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.seed_generator = random.SeedGenerator(self._config.get("seed"))
        return self

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        heads, size = self.num_heads, self.value_dim or self.key_dim
        out = query_shape[-1] if self.output_shape is None else self.output_shape
        self._query = self._projection("query", (query_shape[-1], heads, self.key_dim), 1)
        self._key = self._projection("key", ((key_shape or value_shape)[-1], heads, self.key_dim), 1)
        self._value = self._projection("value", (value_shape[-1], heads, size), 1)
        self._output = self._projection("attention_output", (heads, size, out), 2)

    def _projection(self, name: str, shape: tuple[int, ...], summed: int) -> tuple[Weight, Weight | None, int]:
        kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
            name=f"{name}/kernel",
        )  # fmt: skip
        bias = None
        if self.use_bias:
            bias = self.add_weight(
                shape[summed:], self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint,
                name=f"{name}/bias",
            )  # fmt: skip
        return kernel, bias, summed

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        masks = [query_mask, value_mask, key_mask]
        masks = [get_mask(x) if m is None else m for m, x in zip(masks, (query, value, key), strict=True)]
        allowed = self._allowed(query, value, masks, attention_mask, use_causal_mask)
        q = _project(query, *self._query) * (1.0 / math.sqrt(self.key_dim))
        k, v = _project(key, *self._key), _project(value, *self._value)
        q, k, v = (ops.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))  # (batch, heads, positions, size)
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2))
        if allowed is not None:
            scores = ops.where(ops.expand_dims(allowed, 1), scores, -1e9)
        scores = ops.softmax(scores)
        weights = scores
        if training and self.dropout > 0:
            keep = random.uniform(scores.shape, seed=self.seed_generator) >= self.dropout
            weights = ops.where(keep, scores / (1.0 - self.dropout), 0.0)
        out = _project(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), *self._output)
        return (out, scores) if return_attention_scores else out

    @staticmethod
    def _allowed(query: Any, value: Any, masks: list[Any], attention_mask: Any, causal: bool) -> Any:
        parts = [] if attention_mask is None else [ops.cast(attention_mask, "bool")]
        query_mask, value_mask, key_mask = masks
        parts += [] if query_mask is None else [ops.expand_dims(query_mask, -1)]
        parts += [
            ops.expand_dims(m, 1)
            for m in (value_mask, key_mask if key_mask is not value_mask else None)
            if m is not None
        ]
        if causal:
            rows, columns = ops.arange(query.shape[1]), ops.arange(value.shape[1])
            parts.append(ops.expand_dims(ops.expand_dims(rows, 1) >= ops.expand_dims(columns, 0), 0))
        allowed = None
        for part in parts:
            allowed = part if allowed is None else ops.logical_and(allowed, part)
        return allowed

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


def _project(x: Any, kernel: Weight, bias: Weight | None, summed: int) -> Any:
    axes = tuple(range(x.ndim - summed, x.ndim)), tuple(range(summed))
    y = ops.tensordot(x, kernel, axes)
    return y if bias is None else y + bias
