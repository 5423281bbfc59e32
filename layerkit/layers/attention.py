"""Attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from layerkit import ops, random
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import OneOf, PositiveInt, Rate, Shape
from layerkit.ir import product, show_shape
from layerkit.layers.base import LAYERS, Layer
from layerkit.layers.common import Constraint, Initializer, Regularizer
from layerkit.ops.attend import MASKED, Attend, both, dropped, seen
from layerkit.ops.attention import attend
from layerkit.ops.core import axis_of
from layerkit.trace import Weight, get_mask


class _Drops(Layer):
    """Layers that drop some of their attention weights in training."""

    dropout: Rate = 0.0
    seed: int | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.seed_generator = random.SeedGenerator(self._config.get("seed"))
        return self

    def dropping(self, training: bool) -> tuple[float, Any]:
        """The share of the weights that is dropped, and a key that says which."""
        return (self.dropout, self.seed_generator.next()) if training and self.dropout > 0 else (0.0, None)


class _Heads(_Drops):
    """What attention in several heads has in common: projections, masks, the gate."""

    use_bias: bool = True
    sliding_window: PositiveInt | None = None
    flash_attention: Any = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: int | None = None

    def add_projections(self, shapes: Sequence[Any], heads: tuple[int, int], sizes: tuple[int, int], out: Any) -> None:
        """The weights, for shapes of query, key and value; heads and sizes are those of query or key, and of value."""
        query, key, value = (s[-1] for s in shapes)
        self._query = self._projection("query", (query, heads[0], sizes[0]), 1)
        self._key = self._projection("key", (key, heads[1], sizes[0]), 1)
        self._gate = self._projection("gate", (query, heads[0], sizes[1]), 1) if self.use_gate else None
        self._value = self._projection("value", (value, heads[1], sizes[1]), 1)
        self._output = self._projection("attention_output", (heads[0], sizes[1], *out), 2)

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

    def _project(self, x: Any, weights: tuple[Weight, Weight | None, int], activation: Any = None) -> Any:
        kernel, bias, summed = weights
        y = ops.tensordot(x, kernel, (tuple(range(x.ndim - summed, x.ndim)), tuple(range(summed))))
        y = y if bias is None else y + bias
        y = y if activation is None else activation(y)
        super()._regularize(y)
        return y

    def _regularize(self, outputs: Any) -> None:
        """The penalty is on what each projection makes; the last is the output."""

    @property
    def output_names(self) -> Sequence[str]:
        return ("output", "scores")

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes of positions."""
        return tuple(range(1, rank - 1))

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
        query, value, key = (self._as_input(x) for x in (query, value, value if key is None else key))
        masks = [get_mask(x) if m is None else m for m, x in ((value_mask, value), (key_mask, key))]
        axes = self.axes(query.ndim)
        places = _Places(query.shape, key.shape, axes)
        allowed = self._allowed(places, masks, attention_mask)
        q, k, v = self._project(query, self._query), self._project(key, self._key), self._project(value, self._value)
        rate, random_key = self.dropping(training)
        factor = 1.0 / math.sqrt(q.shape[-1])
        op = Attend(factor, causal=use_causal_mask, window=self.sliding_window or 0, rate=rate)
        q, k, v = map(places.apart, (q, k, v))
        y, scores = attend(op, q, k, v, allowed, random_key=random_key, keeps_weights=return_attention_scores)
        y = places.together(y)
        if self._gate is not None:
            y = y * self._project(query, self._gate, ops.sigmoid)
        y = self._project(y, self._output)
        return (y, places.scores(scores)) if return_attention_scores else y

    def _allowed(self, places: _Places, masks: Sequence[Any], attention_mask: Any) -> Any:
        value_mask, key_mask = masks
        allowed = None if attention_mask is None else places.mask(ops.cast(attention_mask, "bool"))
        for mask in (value_mask, key_mask if key_mask is not value_mask else None):
            if mask is not None:
                allowed = both(allowed, ops.expand_dims(places.along(mask), -2))
        return allowed

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class _Places:
    """Where the positions are: shapes (batch, *sizes, features) of which some axes are attended over, as one."""

    def __init__(self, query: Sequence[Any], key: Sequence[Any], axes: tuple[int, ...]) -> None:
        self.query, self.key, self.attended = tuple(query), tuple(key), axes
        self.others = tuple(i for i in range(1, len(query) - 1) if i not in axes)
        self.rows, self.columns = (product(tuple(s[a] for a in axes)) for s in (query, key))

    def apart(self, x: Any) -> Any:
        """(batch, *sizes, heads, n) -> (batch, *others, positions, heads, n)."""
        x = ops.transpose(x, (0, *self.others, *self.attended, x.ndim - 2, x.ndim - 1))
        return x if len(self.attended) == 1 else ops.reshape(x, (*x.shape[: len(self.others) + 1], -1, *x.shape[-2:]))

    def together(self, y: Any) -> Any:
        """The way back, for the positions of the query."""
        rank, k = len(self.query) + 1, len(self.others) + 1
        if len(self.attended) != 1:
            y = ops.reshape(y, (*y.shape[:k], *(self.query[a] for a in self.attended), *y.shape[-2:]))
        order = [0, *self.others, *self.attended, rank - 2, rank - 1]
        return ops.transpose(y, [order.index(i) for i in range(rank)])

    def scores(self, x: Any) -> Any:
        """(batch, *others, heads, rows, columns) with the axes of the positions apart."""
        if len(self.attended) == 1:
            return x
        sizes = [s[a] for s in (self.query, self.key) for a in self.attended]
        return ops.reshape(x, (*x.shape[:-2], *sizes))

    def mask(self, x: Any) -> Any:
        """A mask for the scores with their axes apart; missing ones are those before the positions."""
        count = 2 * len(self.attended)
        missing = len(self.others) + 2 + count - x.ndim
        if missing < 0 or x.ndim < count:
            raise ShapeError(
                "'attention_mask' has a wrong number of axes.",
                expected="(batch, query positions, key positions)", got=show_shape(x.shape),
            )  # fmt: skip
        front, back = x.shape[: x.ndim - count], x.shape[x.ndim - count :]
        x = ops.reshape(x, (*front, *(1,) * missing, *back))
        if len(self.attended) == 1:
            return x
        sizes = [s[a] for s in (self.query, self.key) for a in self.attended]
        return ops.reshape(
            ops.broadcast_to(x, (*x.shape[:-count], *sizes)), (*x.shape[:-count], self.rows, self.columns)
        )

    def along(self, mask: Any) -> Any:
        """A mask of the key's positions as (batch, *others, 1, positions)."""
        mask = ops.cast(mask, "bool")
        mask = ops.reshape(mask, (*mask.shape, *(1,) * (len(self.key) - 1 - mask.ndim)))
        front = ops.transpose(ops.broadcast_to(mask, self.key[:-1]), (0, *self.others, *self.attended))
        return ops.reshape(front, (*front.shape[: len(self.others) + 1], 1, self.columns))


class MultiHeadAttention(_Heads):
    """Attention of each query position to all value positions, in several heads.

    scores = softmax(q k^T / sqrt(key_dim)) over the value positions; the output is scores v, projected.

    Shapes:
        query: (batch, T, n)    value, key: (batch, S, m)    attention_mask: (batch, T, S), true where attention may go
        returns: (batch, T, n), and the scores (batch, heads, T, S) if asked for
    Args:
        num_heads: heads.
        key_dim: size of each for queries and keys.
        value_dim: size of each for values; that of keys unless given.
        dropout: share of the scores that is dropped in training.
        use_bias: whether projections add a bias.
        output_shape: size or sizes of the output, in place of n.
        attention_axes: the axes of positions; all between batch and features unless given.
        sliding_window: how far a position sees, itself included, to both sides.
        flash_attention: without effect: how it is computed is the engine's affair.
        kernel_initializer, bias_initializer: what projections are before training.
        kernel_regularizer, bias_regularizer: penalties on them.
        activity_regularizer: penalty on what each projection makes, the output included.
        kernel_constraint, bias_constraint: what they are brought back to after each update.
        use_gate: whether a gate made of the query scales what each head returns.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Vaswani et al. 2017, arXiv:1706.03762.

    Example:
        >>> import numpy as np
        >>> MultiHeadAttention(2, 3)(np.ones((2, 4, 5)), np.ones((2, 6, 5))).shape
        (2, 4, 5)
    """

    num_heads: PositiveInt
    key_dim: PositiveInt
    value_dim: PositiveInt | None = None
    dropout: Rate = 0.0
    use_bias: bool = True
    output_shape: Annotated[Any, Shape(1)] = None
    attention_axes: Any = None
    sliding_window: PositiveInt | None = None

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        out = self.output_shape or (query_shape[-1],)
        self.add_projections(
            (query_shape, key_shape or value_shape, value_shape), (self.num_heads, self.num_heads),
            (self.key_dim, self.value_dim or self.key_dim), out,
        )  # fmt: skip

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes of positions."""
        if self.attention_axes is None:
            return super().axes(rank)
        given = (self.attention_axes,) if isinstance(self.attention_axes, int) else self.attention_axes
        return tuple(axis_of(a, rank, "MultiHeadAttention") for a in given)


class GroupedQueryAttention(_Heads):
    """Attention in several heads, groups of which share their keys and values.

    Shapes:
        query: (batch, T, n)    value, key: (batch, S, m)    attention_mask: (batch, T, S), true where attention may go
        returns: (batch, T, n), and the scores (batch, num_query_heads, T, S) if asked for
    Args:
        head_dim: size of each head.
        num_query_heads: heads of queries.
        num_key_value_heads: heads of keys and values; the number of queries' heads is a multiple.
        dropout: share of the scores that is dropped in training.
        use_bias: whether projections add a bias.
        sliding_window: how far a position sees, itself included, to both sides.
        flash_attention: without effect: how it is computed is the engine's affair.
        kernel_initializer, bias_initializer: what projections are before training.
        kernel_regularizer, bias_regularizer: penalties on them.
        activity_regularizer: penalty on what each projection makes, the output included.
        kernel_constraint, bias_constraint: what they are brought back to after each update.
        use_gate: whether a gate made of the query scales what each head returns.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Ainslie et al. 2023, arXiv:2305.13245.

    Example:
        >>> import numpy as np
        >>> GroupedQueryAttention(3, 4, 2)(np.ones((2, 4, 5)), np.ones((2, 6, 5))).shape
        (2, 4, 5)
    """

    head_dim: PositiveInt
    num_query_heads: PositiveInt
    num_key_value_heads: PositiveInt
    dropout: Rate = 0.0

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        heads = self.num_query_heads, self.num_key_value_heads
        if heads[0] % heads[1]:
            raise ArgumentError(
                "query heads are divided among key and value heads.", expected=f"num_query_heads that {heads[1]} divides",
                got=str(heads[0]),
            )  # fmt: skip
        shapes = query_shape, key_shape or value_shape, value_shape
        self.add_projections(shapes, heads, (self.head_dim, self.head_dim), (query_shape[-1],))


GroupQueryAttention = GroupedQueryAttention  # as Keras exports it
LAYERS.aliases["GroupQueryAttention"] = "GroupedQueryAttention"


# Attention in one head, without projections ---------------------------------------------------------------------------


class _OneHead(_Drops):
    """Attention without projections; ``scores`` says how queries and keys are compared."""

    def asking(self, query: Any) -> Any:
        """What has the scores as its products with keys; None if scores are no products."""
        return None

    def scores(self, query: Any, key: Any) -> Any:
        """(batch, T, n), (batch, S, n) -> (batch, T, S)."""
        raise NotImplementedError

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value, *rest = _listed(self, inputs, "inputs")
        key = rest[0] if rest else value
        if min(len(x.shape) for x in (query, value, key)) < 3:
            raise ShapeError(
                f"'{type(self).__name__}' needs series of vectors.", expected="(batch, positions, features) for each",
                got=", ".join(show_shape(x.shape) for x in (query, value, key)),
            )  # fmt: skip
        query_mask, value_mask, *_ = (None, None) if mask is None else _listed(self, mask, "mask")
        rate, random_key = self.dropping(training)
        op = Attend(1.0, causal=use_causal_mask and value_mask is None, rate=rate)
        bias = None
        if value_mask is not None:
            allowed = ops.expand_dims(ops.cast(value_mask, "bool"), -2)
            if use_causal_mask:
                allowed = both(allowed, seen(Attend(1.0, causal=True), query.shape[-2], key.shape[-2]))
            bias = ops.where(allowed, 0.0, MASKED)
        weights = None
        asking = None if return_attention_scores else self.asking(query)
        if asking is not None:
            q, k, v = (ops.expand_dims(x, -2) for x in (asking, key, value))
            y = ops.squeeze(
                attend(op, q, k, v, bias=None if bias is None else bias[:, None], random_key=random_key)[0], -2
            )
        else:
            scores = self.scores(query, key)
            if op.causal:
                bias = ops.where(seen(op, *scores.shape[-2:]), 0.0, MASKED)
            weights = dropped(ops.softmax(scores if bias is None else scores + bias), rate, random_key)
            y = ops.matmul(weights, value)
        if query_mask is not None:
            y = ops.where(ops.expand_dims(ops.cast(query_mask, "bool"), -1), y, 0.0)
        return (y, weights) if return_attention_scores else y

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return _listed(self, mask, "mask")[0] if isinstance(mask, list | tuple) else None


class Attention(_OneHead):
    """Attention of query positions to value positions, without projections (Luong's).

    Shapes:
        inputs: [query (batch, T, n), value (batch, S, m), key (batch, S, n) if it is not the value]
        mask: [of the query (batch, T), of the value (batch, S)], each may be None
        returns: (batch, T, m), and the scores (batch, T, S) if asked for
    Args:
        use_scale: whether a learned number scales the scores.
        score_mode: "dot" for query key^T, "concat" for the sum of tanh(query + key), with another learned number.
        dropout: share of the scores that is dropped in training.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Luong, Pham and Manning 2015, arXiv:1508.04025.

    Example:
        >>> import numpy as np
        >>> Attention()([np.ones((2, 4, 5)), np.ones((2, 6, 5))]).shape
        (2, 4, 5)
    """

    use_scale: bool = False
    score_mode: Annotated[str, OneOf(("dot", "concat"))] = "dot"
    dropout: Rate = 0.0

    def build(self, input_shape: Any) -> None:
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def asking(self, query: Any) -> Any:
        """The query, scaled."""
        return _scaled(query, self.scale) if self.score_mode == "dot" else None

    def scores(self, query: Any, key: Any) -> Any:
        """(batch, T, n), (batch, S, n) -> (batch, T, S)."""
        asking = self.asking(query)
        if asking is not None:
            return ops.matmul(asking, ops.swapaxes(key, -1, -2))
        together = _scaled(ops.expand_dims(query, -2) + ops.expand_dims(key, -3), self.scale)
        return self.concat_score_weight * ops.sum(ops.tanh(together), -1)


class AdditiveAttention(_OneHead):
    """Attention of query positions to value positions, by a sum (Bahdanau's): scores = sum(scale * tanh(query + key)).

    Shapes:
        inputs: [query (batch, T, n), value (batch, S, m), key (batch, S, n) if it is not the value]
        mask: [of the query (batch, T), of the value (batch, S)], each may be None
        returns: (batch, T, m), and the scores (batch, T, S) if asked for    scale: (n,)
    Args:
        use_scale: whether a learned vector scales the features.
        dropout: share of the scores that is dropped in training.
        seed: a number, for drops that do not depend on the model's seed.
    Source: Bahdanau, Cho and Bengio 2014, arXiv:1409.0473.

    Example:
        >>> import numpy as np
        >>> AdditiveAttention()([np.ones((2, 4, 5)), np.ones((2, 6, 5))]).shape
        (2, 4, 5)
    """

    use_scale: bool = True
    dropout: Rate = 0.0

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, list):
            return  # call says it better
        size = input_shape[0][-1]
        self.scale = self.add_weight((size,), "glorot_uniform", name="scale") if self.use_scale else None

    def scores(self, query: Any, key: Any) -> Any:
        """(batch, T, n), (batch, S, n) -> (batch, T, S)."""
        together = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(_scaled(together, self.scale), -1)


def _scaled(x: Any, scale: Weight | None) -> Any:
    return x if scale is None else x * scale


def _listed(layer: Layer, given: Any, what: str) -> list[Any]:
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise ArgumentError(
            f"'{what}' of {type(layer).__name__} is a list.", expected="[query, value], or [query, value, key]",
            got=f"a list of {len(given)}" if isinstance(given, list | tuple) else "names" if isinstance(given, dict) else "one",
            fix="give them in this order, without names" if isinstance(given, dict) else "give at least two tensors; of oneself: [x, x]",
        )  # fmt: skip
    return list(given)
