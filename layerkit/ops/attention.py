"""Attention: each query takes a mean of values, weighted by how well their keys fit it. Heads are an axis of the batch.

It is the op of ``layerkit.ops.attend``, of which an engine never has more scores in memory than a tile; or, where the
weights are asked for or queries are few, the same in smaller ops.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from layerkit.errors import ShapeError
from layerkit.ir import broadcast_shapes, show_shape
from layerkit.ops.attend import Attend, composed
from layerkit.ops.core import Tensor, apply, composite, dtype_of, example, operand, operands
from layerkit.ops.elementwise import cast
from layerkit.ops.reduction import broadcast_to
from layerkit.ops.shape import reshape, swapaxes

FEW = 4  # queries, up to which lanes would lie idle
MOST = 2048  # elements of a head: an engine holds a block of queries near at hand, and more would not be near


@composite(
    example((2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 4)),
    example((2, 3, 4, 2), (2, 3, 2, 2), (2, 3, 2, 2), is_causal=True, attn_logits_soft_cap=2.0),
)
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(query key^T * scale + bias) value, over the positions that ``mask`` allows.

    Shapes:
        query: (batch, T, heads, size)    key, value: (batch, S, groups, size), heads a multiple of groups
        bias, mask: what (batch, heads, T, S) can be made of    returns: (batch, T, heads, size)
    Args:
        query: what asks.
        key: what is compared with it.
        value: what is taken.
        bias: added to the scores.
        mask: true where attention may go.
        scale: factor of the scores; 1 / sqrt(size) unless given.
        is_causal: whether a position sees only those up to its own.
        flash_attention: without effect: how it is computed is the engine's affair.
        attn_logits_soft_cap: scores are bent to stay within this number, by tanh.
    Source: Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023, arXiv:2305.13245 (groups).

    Example:
        >>> import numpy as np
        >>> dot_product_attention(np.ones((2, 4, 8, 16)), np.ones((2, 6, 8, 16)), np.ones((2, 6, 8, 16))).shape
        (2, 4, 8, 16)
    """
    query, key, value = operands(query, key, value, floating=True)
    for x, what in ((query, "query"), (key, "key"), (value, "value")):
        if x.ndim != 4:
            raise ShapeError(
                f"'dot_product_attention' needs a {what} with heads.", expected="(batch, positions, heads, size)", got=show_shape(x.shape)
            )  # fmt: skip
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    allowed = None if mask is None else cast(mask, "bool")
    op = Attend(float(factor), causal=bool(is_causal), soft_cap=float(attn_logits_soft_cap or 0.0))
    return attend(op, query, key, value, allowed, bias)[0]


def attend(
    op: Attend,
    query: Any,
    key: Any,
    value: Any,
    allowed: Any = None,
    bias: Any = None,
    random_key: Any = None,
    keeps_weights: bool = False,
) -> tuple[Any, Any]:
    """The attention's result and, if they are to be kept, its weights before any are dropped.

    Shapes:
        query: (..., T, heads, size)    key: (..., S, groups, size)    value: (..., S, groups, n)
        allowed, bias: what (..., heads, T, S) can be made of    returns: (..., T, heads, n), (..., heads, T, S)
    Args:
        op: factor, what is seen, what is dropped.
        query: what asks.
        key: what is compared with it.
        value: what is taken.
        allowed: true where attention may go.
        bias: added to the scores.
        random_key: for what is dropped.
        keeps_weights: whether the weights are returned; else None.
    """
    heads, groups = query.shape[-2], key.shape[-2]
    if heads % groups:
        raise ShapeError(
            "the heads of the query are divided among those of the key.",
            expected=f"heads that {groups} divides",
            got=str(heads),
        )
    front = broadcast_shapes("attention", (x.shape[:-3] for x in (query, key, value)))
    query, key, value = (broadcast_to(x, (*front, *x.shape[-3:])) for x in (query, key, value))
    op = replace(op, masked=allowed is not None, biased=bias is not None)
    extras = [_columns_first(x, query.ndim) for x in (allowed, bias) if x is not None]
    if bias is not None:
        extras[-1] = operand(extras[-1], dtype_of(query))
    if op.rate:
        extras.append(random_key)
    if keeps_weights or not _is_whole(query, key, value):
        y, weights = composed(op, query, key, value, *extras)
        return y, weights if keeps_weights else None
    return apply(op, query, key, value, *extras)[0], None


def _columns_first(x: Any, rank: int) -> Any:
    """A mask or a bias as the op takes it."""
    x = operand(x)
    return swapaxes(reshape(x, (*(1,) * (rank - x.ndim), *x.shape)), -1, -2)


def _is_whole(query: Any, key: Any, value: Any) -> bool:
    """Whether the op serves; else smaller ones do."""
    rows, columns = query.shape[-3], key.shape[-3]
    is_few = isinstance(rows, int) and rows <= FEW
    fits = all(isinstance(x.shape[-1], int) and 0 < x.shape[-1] <= MOST for x in (key, value))
    return fits and not is_few and columns != 0 and dtype_of(query) in ("float32", "float64")
