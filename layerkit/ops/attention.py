"""Attention: each query takes a mean of values, weighted by how well their keys fit it. Heads are an axis of the batch.

Long attention is a loop over the heads of all samples, so that the scores of the heads at work lie in the cache; where no gradient is
wanted, over rows of these too, so that there never are more scores than a tile. Short attention is one product for all heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from layerkit.errors import ShapeError
from layerkit.ir import Value, product, show_shape
from layerkit.ops.activations import softmax
from layerkit.ops.core import Tensor, composite, dtype_of, example, operand, operands
from layerkit.ops.creation import arange
from layerkit.ops.elementwise import cast, greater_equal, logical_and, tanh, where
from layerkit.ops.linalg import matmul
from layerkit.ops.reduction import broadcast_to
from layerkit.ops.scan import scan
from layerkit.ops.shape import expand_dims, reshape, swapaxes, transpose

LONG = 256 * 256  # scores of a head from which on heads are worked on one after the other
TILE = 512 * 512  # scores that lie in memory at a time where no gradient is wanted
WIDE = 1024 * 1024  # scores of a head that no cache holds: with their gradient, one product for all heads is faster
MASKED = -1e9
"""The score of what may not be attended to; where nothing may, all count alike."""


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
    allowed = None if mask is None else cast(mask, "bool")
    if is_causal:
        allowed = both(allowed, causal(query.shape[1], key.shape[1]))
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    q, k, v = (transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
    y, _ = attend(q * factor, k, v, bias=bias, allowed=allowed, soft_cap=attn_logits_soft_cap, keeps_weights=False)
    return transpose(y, (0, 2, 1, 3))


def attend(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    allowed: Any = None,
    soft_cap: float | None = None,
    drop: Callable[[Any], Any] | None = None,
    keeps_weights: bool = True,
    is_final: bool = False,
) -> tuple[Any, Any]:
    """The attention's result and, if they are to be kept, its weights; heads before positions.

    Shapes:
        query: (..., heads, T, size), scaled    key: (..., groups, S, size)    value: (..., groups, S, n)
        bias, allowed: what (..., heads, T, S) can be made of    returns: (..., heads, T, n), (..., heads, T, S)
    Args:
        query: what asks.
        key: what is compared with it.
        value: what is taken.
        bias: added to the scores.
        allowed: true where attention may go.
        soft_cap: see ``dot_product_attention``.
        drop: what is done to the weights before the values are taken.
        keeps_weights: whether the weights are returned; else None.
        is_final: a gradient is hardly asked for (it would be right, and slow): memory counts.
    """
    *front, heads, rows, _ = query.shape
    groups, columns = key.shape[-3], key.shape[-2]
    if heads % groups:
        raise ShapeError(
            "the heads of the query are divided among those of the key.",
            expected=f"heads that {groups} divides",
            got=str(heads),
        )
    is_plain = not keeps_weights and bias is None and drop is None and _is_alike(allowed)
    if is_plain and isinstance(query, Value) and _is_long(rows, columns, is_final):
        return _by_heads(query, key, value, allowed, soft_cap, is_final), None
    if heads != groups:  # the heads of a group are rows of one product
        query = reshape(query, (*front, groups, heads // groups * rows, query.shape[-1]))
    scores = reshape(matmul(query, swapaxes(key, -1, -2)), (*front, heads, rows, columns))
    if soft_cap is not None:
        scores = tanh(scores / soft_cap) * soft_cap
    if bias is not None:
        scores = scores + operand(bias, dtype_of(scores))
    if allowed is not None:
        scores = where(allowed, scores, MASKED)
    weights = softmax(scores)
    taken = weights if drop is None else drop(weights)
    if heads != groups:
        taken = reshape(taken, (*front, groups, heads // groups * rows, columns))
    return reshape(matmul(taken, value), (*front, heads, rows, value.shape[-1])), weights


def _is_long(rows: Any, columns: Any, is_final: bool) -> bool:
    if not isinstance(rows, int) or not isinstance(columns, int):
        return False
    return rows * columns >= LONG and (is_final or rows * columns <= WIDE)


def _is_alike(allowed: Any) -> bool:
    """Whether a mask is one for all, or one for all queries of a sample."""
    return allowed is None or allowed.ndim == 2 or (allowed.shape[-2] == 1 and allowed.shape[-3] == 1)


def _by_heads(query: Any, key: Any, value: Any, allowed: Any, soft_cap: float | None, is_final: bool) -> Any:
    """``attend`` as a loop over all groups of heads of all samples."""
    *front, heads, rows, size = query.shape
    groups, columns = key.shape[-3], key.shape[-2]
    count = product((*front, groups))
    slices = [
        reshape(query, (count, heads // groups, rows, size)),
        reshape(key, (count, columns, size)),
        reshape(value, (count, columns, value.shape[-1])),
    ]
    if allowed is not None and allowed.ndim > 2:
        slices.append(reshape(broadcast_to(allowed, (*front, groups, 1, columns)), (count, 1, columns)))

    def step(carry: Any, x: Any) -> Any:
        q, k, v, *mask = x  # the heads of one group
        k, v, among = expand_dims(k, 0), expand_dims(v, 0), mask[0] if mask else allowed
        if is_final:
            return carry, _by_rows(q, k, v, among, soft_cap)
        return carry, attend(q, k, v, allowed=among, soft_cap=soft_cap)[0]

    _, y = scan(step, (), slices)
    return reshape(y, (*front, heads, rows, value.shape[-1]))


def _by_rows(query: Any, key: Any, value: Any, allowed: Any, soft_cap: float | None) -> Any:
    """``attend`` for (heads, rows, size), so many rows at a time that their scores fill a tile."""
    heads, rows, size = query.shape
    columns = key.shape[-2]
    blocks = next((n for n in range(1, rows // 32 + 1) if rows % n == 0 and rows // n * heads * columns <= TILE), 1)
    if blocks == 1:
        return attend(query, key, value, allowed=allowed, soft_cap=soft_cap)[0]
    each = rows // blocks
    slices = [transpose(reshape(query, (heads, blocks, each, size)), (1, 0, 2, 3))]
    if allowed is not None and allowed.shape[-2] == rows:
        slices.append(reshape(allowed, (blocks, each, columns)))

    def step(carry: Any, x: Any) -> Any:
        q, *mask = x
        return carry, attend(q, key, value, allowed=mask[0] if mask else allowed, soft_cap=soft_cap)[0]

    _, y = scan(step, (), slices)
    return reshape(transpose(y, (1, 0, 2, 3)), (heads, rows, value.shape[-1]))


def causal(rows: Any, columns: Any) -> Any:
    """Which of the columns each row may see: those up to its own number. (rows, columns)."""
    return greater_equal(expand_dims(arange(rows), 1), expand_dims(arange(columns), 0))


def both(a: Any, b: Any) -> Any:
    """Where both allow; None allows all."""
    if a is None or b is None:
        return b if a is None else a
    return logical_and(a, b)
