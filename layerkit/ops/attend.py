"""Attention as one op, and its gradient as another: an engine can compute both without ever having all scores in memory.

The op hands out, besides the result, what softmax divided by: the largest score of each row and the sum of exponentials.
From these the gradient computes the weights anew, tile by tile. ``composed`` says the same in smaller ops; it serves
where an engine has nothing better, and gradients of gradients.
Source: Dao et al. 2022, "FlashAttention", arXiv:2205.14135; Milakov and Gimelshein 2018, arXiv:1805.02867 (running softmax).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from layerkit.errors import DTypeError, ShapeError
from layerkit.ir import (
    Array,
    BadCase,
    Case,
    Op,
    Shape,
    Size,
    TensorType,
    Value,
    apply,
    inline,
    placeholder,
    product,
    show_shape,
    unify,
)
from layerkit.ops.activations import softmax
from layerkit.ops.creation import arange
from layerkit.ops.elementwise import greater, greater_equal, less, logical_and, tanh, where
from layerkit.ops.matrices import matmul
from layerkit.ops.random import Random
from layerkit.ops.reduction import sum
from layerkit.ops.shape import expand_dims, reshape, swapaxes
from layerkit.records import dataclass

MASKED = -1e9
"""The score of what may not be attended to; where nothing may, all count alike."""


@dataclass(frozen=True)
class _Attention(Op):
    """What both ops are told.

    Attributes:
        scale: factor of queries.
        causal: a position sees only those up to its own.
        window: how far a position sees, itself included, to both sides; 0: everything.
        soft_cap: scores are bent to stay within this number, by tanh; 0: they are not.
        rate: share of the weights that is dropped; weight (head, column, row) where number [head, column, row] drawn
            uniformly for the key, the last input, is below it.
        masked, biased: the inputs ``allowed`` and ``bias`` are there.
    """

    scale: float
    causal: bool = False
    window: int = 0
    soft_cap: float = 0.0
    rate: float = 0.0
    masked: bool = False
    biased: bool = False

    def extras(self, given: Sequence[Any]) -> tuple[Any, Any, Any]:
        """(allowed, bias, key) of the inputs that follow all others; None for what is not there."""
        rest = iter(given)
        is_there = self.masked, self.biased, self.rate > 0
        allowed, bias, key = (next(rest) if there else None for there in is_there)
        return allowed, bias, key

    def check(self, q: TensorType, k: TensorType, v: TensorType, *extras: TensorType) -> tuple[Shape, Size, Size]:
        """(front, rows, heads) of inputs that fit each other.

        Raises:
            ShapeError: they do not.
            DTypeError: they are not of one dtype, or a mask is none.
        """
        if {q.dtype, k.dtype, v.dtype} != {q.dtype}:
            raise DTypeError(f"'{self.name}' needs one dtype.", expected=q.dtype, got=f"{k.dtype} and {v.dtype}")
        *front, rows, heads, size = q.shape
        *_, columns, groups, _ = k.shape
        fits = k.shape == (*front, columns, groups, size) and v.shape[:-1] == k.shape[:-1]
        if not fits or not isinstance(heads, int) or not isinstance(groups, int) or heads % groups:
            raise ShapeError(
                f"'{self.name}' needs a query, a key and a value that fit.",
                expected="(..., T, heads, n), (..., S, groups, n), (..., S, groups, m)",
                got=", ".join(show_shape(x.shape) for x in (q, k, v)),
            )
        allowed, bias, _ = self.extras(extras)
        for x, dtype in ((allowed, "bool"), (bias, q.dtype)):
            if x is None:
                continue
            if x.dtype != dtype:
                raise DTypeError(f"'{self.name}' has a mask or a bias of a wrong dtype.", expected=dtype, got=x.dtype)
            whole = (*front, heads, columns, rows)
            if x.rank != len(whole) or any(a != 1 and unify(a, b) is None for a, b in zip(x.shape, whole, strict=True)):
                raise ShapeError(
                    f"'{self.name}' has a mask or a bias that does not fit its scores.", expected=show_shape(whole),
                    got=show_shape(x.shape), fix="sizes may be 1 where all count alike",
                )  # fmt: skip
        return tuple(front), rows, heads

    def multiply_adds(self, *inputs: TensorType) -> Size:
        first = 0 if isinstance(self, Attend) else 1
        q, k, v = inputs[first : first + 3]
        *front, rows, heads, size = q.shape
        return product((*front, heads, rows, k.shape[-3])) * (size * self.products[0] + v.shape[-1] * self.products[1])

    products: ClassVar[tuple[int, int]]
    """Products over queries and keys, with the size of keys and with that of values."""


@dataclass(frozen=True)
class Attend(_Attention):
    """softmax(scale * query key^T, ...) value, with the largest score of each row and the sum that softmax divides by.

    Inputs are a query (..., T, heads, n), a key (..., S, groups, n), a value (..., S, groups, m), then what there is of
    ``allowed`` and ``bias``, (..., heads, S, T) with 1 where all count alike, and a random key u32[4].
    Outputs are (..., T, heads, m), (..., heads, T), (..., heads, T).
    """

    name = "attend"
    products = (1, 1)

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        front, rows, heads = self.check(*inputs)
        q, _, v, *_ = inputs
        row = q.with_shape((*front, heads, rows))
        return q.with_shape((*front, rows, heads, v.shape[-1])), row, row

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        q, k, v, *extras = arrays
        found = _Weights(self, q, k, extras)
        y = found.kept(found.weights) @ _per_head(v, q)
        return y.swapaxes(-3, -2), found.most[..., 0], found.total[..., 0]

    def vjp(self, g: Any, out: Any, *inputs: Value) -> tuple[Value | None, ...]:
        assert g[1] is None, "what softmax divides by is for the gradient alone"
        assert g[2] is None
        q, k, v, *extras = inputs
        delta = swapaxes(sum(g[0] * out[0], -1), -1, -2)
        back = apply(AttendGrad(**vars(self)), g[0], q, k, v, delta, out[1], out[2], *extras)
        found: list[Value | None] = [*back, *(None for _ in extras)]
        if self.biased:
            at = 3 + self.masked

            def by_bias(g: Value, *inputs: Value) -> list[Value | None]:
                return AttendGrad.gradients([composed(self, *inputs)[0]], [g], [inputs[at]])

            (found[at],) = _apart(by_bias, g[0], *inputs)
        return tuple(found)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for label, (op, shapes, more) in _CASES.items():

            def run(*inputs: Any, op: Attend = op) -> Any:
                return apply(op, *inputs)[0]

            yield Case(run, shapes, label=label, **more)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        q, k = TensorType("float32", (2, 3, 2, 4)), TensorType("float32", (2, 5, 2, 4))
        expected = "(..., T, heads, n), (..., S, groups, n), (..., S, groups, m)"
        yield BadCase(cls(1.0), (q, k.with_shape((2, 5, 2, 3)), k), ShapeError, expected)
        yield BadCase(cls(1.0), (q, k.with_shape((2, 5, 3, 4)), k.with_shape((2, 5, 3, 4))), ShapeError, expected)
        yield BadCase(cls(1.0), (q, k, TensorType("float64", (2, 5, 2, 4))), DTypeError, "float32")
        yield BadCase(cls(1.0, masked=True), (q, k, k, k), DTypeError, "bool")
        mask = TensorType("bool", (2, 2, 3, 5))
        yield BadCase(cls(1.0, masked=True), (q, k, k, mask), ShapeError, "(2, 2, 5, 3)")


_QKV = ((2, 9, 4, 3), (2, 5, 2, 3), (2, 5, 2, 2))
_CASES: dict[str, tuple[Attend, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "plain": (Attend(0.5), _QKV, {}),
    "causal": (Attend(0.5, causal=True), ((9, 1, 3), (9, 1, 3), (9, 1, 2)), {}),
    "window": (Attend(0.5, window=3, causal=True, soft_cap=2.0), ((9, 1, 3), (9, 1, 3), (9, 1, 2)), {}),
    "masks": (
        Attend(0.5, masked=True, biased=True), (*_QKV, (2, 1, 5, 9), (1, 4, 5, 1)), {"dtypes": {3: "bool"}},
    ),
    "dropout": (Attend(0.5, rate=0.4), (*_QKV, (4,)), {"integers": {3: (0, 2**32)}, "dtypes": {3: "uint32"}}),
}  # fmt: skip


@dataclass(frozen=True)
class AttendGrad(_Attention):
    """The cotangents of query, key and value of ``Attend``, from that of its result.

    Inputs are the cotangent g (..., T, heads, m), query, key and value, (..., heads, T) sums of g times the result, the
    other two outputs of ``Attend``, and what follows the value there.
    """

    name = "attend_grad"
    products = (3, 2)
    gradients: ClassVar[Callable[..., list[Any]]]
    """The walk of ``layerkit.autodiff``, which is above this file."""

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        g, q, k, v, delta, most, total, *extras = inputs
        front, rows, heads = self.check(q, k, v, *extras)
        row = q.with_shape((*front, heads, rows))
        if g != q.with_shape((*front, rows, heads, v.shape[-1])) or {delta, most, total} != {row}:
            raise ShapeError(f"'{self.name}' has a cotangent that does not fit.", expected=str(row), got=str(delta))
        return q, k, v

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        g, q, k, v, delta, _, _, *extras = arrays
        found = _Weights(self, q, k, extras)
        g = g.swapaxes(-3, -2)
        slope = found.weights * (found.kept(g @ _per_head(v, q).swapaxes(-1, -2)) - delta[..., None]) * found.slope
        dq = slope @ _per_head(k, q) * q.dtype.type(self.scale)
        dk = slope.swapaxes(-1, -2) @ found.q
        dv = found.kept(found.weights).swapaxes(-1, -2) @ g
        return dq.swapaxes(-3, -2), _summed(dk, k), _summed(dv, v)

    def vjp(self, g: Any, out: Any, *inputs: Value) -> tuple[Value | None, ...]:
        op, at = Attend(**vars(self)), 4 + self.masked
        given = [x for x in g if x is not None]

        def curves(*values: Value) -> list[Value | None]:
            inner, outer = values[: -len(given)], values[-len(given) :]
            cotangent, *inputs = inner
            slopes = AttendGrad.gradients([composed(op, *inputs)[0]], [cotangent], inputs[:3])
            wanted = [*inner[:4], *([inner[at]] if self.biased else [])]
            return AttendGrad.gradients([s for s, x in zip(slopes, g, strict=True) if x is not None], outer, wanted)

        cotangent, q, k, v, _, _, _, *extras = inputs
        found = _apart(curves, cotangent, q, k, v, *extras, *given)
        rest: list[Value | None] = [None] * len(extras)
        if self.biased:
            rest[self.masked] = found[4]
        return (*found[:4], None, None, None, *rest)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for label, (op, shapes, more) in _CASES.items():

            def run(*inputs: Any, op: Attend = op) -> Any:
                q, k, v, *rest = inputs
                y, most, total = apply(op, q, k, v, *rest)
                g = y * 0.5 - 1.0
                return apply(cls(**vars(op)), g, q, k, v, swapaxes(sum(g * y, -1), -1, -2), most, total, *rest)

            yield Case(run, shapes, label=label, **more)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        q, row = TensorType("float32", (3, 2, 4)), TensorType("float32", (2, 3))
        yield BadCase(cls(1.0), (q, q, q, q, row.with_shape((3, 2)), row, row), ShapeError, str(row))


def _apart(f: Callable[..., list[Value | None]], *inputs: Value) -> list[Value | None]:
    """``f`` of inputs that know nothing of each other, whatever those given are made of."""
    stand_ins = [placeholder(f"x{i}", x.dtype, x.shape) for i, x in enumerate(inputs)]
    found = f(*stand_ins)
    made = iter(inline([x for x in found if x is not None], dict(zip(stand_ins, inputs, strict=True))))
    return [None if x is None else next(made) for x in found]


# In NumPy ------------------------------------------------------------------------------------------------------------


class _Weights:
    """The weights of all queries, (..., heads, T, S), and what made them."""

    def __init__(self, op: _Attention, q: Array, k: Array, extras: Sequence[Array]) -> None:
        allowed, bias, key = op.extras(extras)
        self.rate, self.q = op.rate, q.swapaxes(-3, -2) * q.dtype.type(op.scale)
        scores = self.q @ _per_head(k, q).swapaxes(-1, -2)
        self.slope: Any = 1
        if op.soft_cap:
            bent = np.tanh(scores / op.soft_cap)
            scores, self.slope = bent * q.dtype.type(op.soft_cap), 1 - bent * bent
        if bias is not None:
            scores = scores + bias.swapaxes(-1, -2)
        i, j = np.arange(scores.shape[-2])[:, None], np.arange(scores.shape[-1])[None]
        is_seen = np.ones((), bool) if allowed is None else allowed.swapaxes(-1, -2)
        if op.causal:
            is_seen = is_seen & (i >= j)
        if op.window:
            is_seen = is_seen & (abs(i - j) < op.window)
        scores, self.slope = np.where(is_seen, scores, q.dtype.type(MASKED)), np.where(is_seen, self.slope, 0)
        self.most = scores.max(-1, keepdims=True, initial=np.finfo(q.dtype).min)
        exponentials = np.exp(scores - self.most)
        self.total = exponentials.sum(-1, keepdims=True)
        self.weights = exponentials / self.total
        self.slope = self.slope.astype(q.dtype)
        if op.rate:
            *front, rows, columns = scores.shape
            drawn = Random("uniform", (*front, columns, rows), "float32").reference(key)
            self.keep = drawn.swapaxes(-1, -2) >= np.float32(op.rate)

    def kept(self, x: Array) -> Array:
        """What is left of the weights, or of their cotangents."""
        return np.where(self.keep, x / x.dtype.type(1 - self.rate), x.dtype.type(0)) if self.rate else x


def _per_head(x: Array, q: Array) -> Array:
    """(..., S, groups, n) -> (..., heads, S, n)."""
    return np.repeat(x.swapaxes(-3, -2), q.shape[-2] // x.shape[-2], -3)


def _summed(x: Array, like: Array) -> Array:
    """(..., heads, S, n) -> (..., S, groups, n)."""
    *front, heads, columns, size = x.shape
    groups = like.shape[-2]
    return x.reshape(*front, groups, heads // groups, columns, size).sum(-3).swapaxes(-3, -2)


# In smaller ops ------------------------------------------------------------------------------------------------------


def composed(op: Attend, query: Any, key: Any, value: Any, *extras: Any) -> tuple[Any, Any]:
    """The result of ``op``, (..., T, heads, m), and its weights before any are dropped, (..., heads, T, S)."""
    allowed, bias, random_key = op.extras(extras)
    *front, rows, heads, size = query.shape
    groups, columns = key.shape[-2], key.shape[-3]
    q, k, v = swapaxes(query, -3, -2) * op.scale, swapaxes(key, -3, -2), swapaxes(value, -3, -2)
    if heads != groups:  # the heads of a group are rows of one product
        q = reshape(q, (*front, groups, heads // groups * rows, size))
    scores = reshape(matmul(q, swapaxes(k, -1, -2)), (*front, heads, rows, columns))
    if op.soft_cap:
        scores = tanh(scores / op.soft_cap) * op.soft_cap
    if bias is not None:
        scores = scores + swapaxes(bias, -1, -2)
    is_seen = both(None if allowed is None else swapaxes(allowed, -1, -2), seen(op, rows, columns))
    if is_seen is not None:
        scores = where(is_seen, scores, MASKED)
    weights = softmax(scores)
    taken = dropped(weights, op.rate, random_key)
    if heads != groups:
        taken = reshape(taken, (*front, groups, heads // groups * rows, columns))
    y = reshape(matmul(taken, v), (*front, heads, rows, v.shape[-1]))
    return swapaxes(y, -3, -2), weights


def dropped(weights: Any, rate: float, key: Any) -> Any:
    """Weights (..., T, S) of which some are set to 0, the others made larger."""
    if not rate:
        return weights
    *front, rows, columns = weights.shape
    drawn = apply(Random("uniform", (*front, columns, rows), "float32"), key)
    return where(swapaxes(drawn, -1, -2) >= rate, weights / (1.0 - rate), 0.0)


def seen(op: _Attention, rows: Size, columns: Size) -> Any:
    """Which of the columns each row may see by its place, (rows, columns); None if it is all of them."""
    if not op.causal and not op.window:
        return None
    i, j = expand_dims(arange(rows), 1), expand_dims(arange(columns), 0)
    near = logical_and(less(i - j, op.window), greater(i - j, -op.window)) if op.window else None
    return both(greater_equal(i, j) if op.causal else None, near)


def both(a: Any, b: Any) -> Any:
    """Where both allow; None allows all."""
    if a is None or b is None:
        return b if a is None else a
    return logical_and(a, b)
