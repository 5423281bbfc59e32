"""Attention of the LLVM engine, forward and backward, against its plain definition in double precision.

The definition here is softmax written out in NumPy (heads one by one); gradients are compared with the
gradient of the same in smaller ops, which the generated contract tests compare with finite differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import engines, ops
from layerkit.autodiff import gradient
from layerkit.engines.llvm.codegen.target import host
from layerkit.ir import BATCH, Graph, Value, apply, axis, placeholder
from layerkit.ops.attend import MASKED, Attend, composed
from layerkit.ops.random import Random

RNG = np.random.default_rng(0)


def arrays(
    op: Attend, rows: int, columns: int, heads: int, groups: int, size: int, values: int, dtype: str, kind: str = "full"
) -> list[np.ndarray]:
    """Query, key, value, and what ``op`` takes besides; masks are full, of keys, or of rows that may see nothing."""
    found = [
        RNG.standard_normal((2, *shape)).astype(dtype)
        for shape in ((rows, heads, size), (columns, groups, size), (columns, groups, values))
    ]
    shape = {"full": (2, heads, columns, rows), "keys": (2, 1, columns, 1), "blind": (1, 1, columns, rows)}[kind]
    if op.masked:
        allowed = RNG.uniform(size=shape) < 0.6
        if kind == "blind":
            allowed[..., ::3] = False  # those rows see nothing
            allowed[..., :2, :] = False
        found.append(allowed)
    if op.biased:
        found.append(RNG.standard_normal((1, heads, columns, rows if kind == "full" else 1)).astype(dtype))
    if op.rate:
        found.append(np.array([7, 8, 9, 10], "uint32"))
    return found


def expected(op: Attend, q: Any, k: Any, v: Any, *extras: Any) -> np.ndarray:
    """The definition, one head of one sample at a time."""
    allowed, bias, key = op.extras(extras)
    batch, rows, heads, _ = q.shape
    columns, groups = k.shape[1:3]
    y = np.empty((batch, rows, heads, v.shape[-1]))
    whole = (batch, heads, columns, rows)
    drawn = Random("uniform", whole, "float32").reference(key) if op.rate else np.ones(whole)
    for b, h in np.ndindex(batch, heads):
        g = h // (heads // groups)
        s = op.scale * q[b, :, h].astype("float64") @ k[b, :, g].T.astype("float64")
        if op.soft_cap:
            s = op.soft_cap * np.tanh(s / op.soft_cap)
        if bias is not None:
            s = s + np.broadcast_to(bias, whole)[b, h].T
        i, j = np.indices((rows, columns))
        is_seen = np.ones((rows, columns), bool) if allowed is None else np.broadcast_to(allowed, whole)[b, h].T
        is_seen = is_seen & (j <= i if op.causal else True) & (np.abs(i - j) < op.window if op.window else True)
        s = np.where(is_seen, s, MASKED)
        p = np.exp(s - s.max(1, keepdims=True))
        p = p / p.sum(1, keepdims=True)
        is_kept = np.greater_equal(drawn[b, h].T, op.rate)
        p = np.where(is_kept, p / (1 - op.rate), 0)
        y[b, :, h] = p @ v[b, :, g]
    return y


def both_ways(op: Attend, given: list[np.ndarray], g: np.ndarray, build: Any, front: Any = BATCH) -> Graph:
    """Result and gradients by query, key, value (and bias) as a graph whose number of samples is unknown."""
    shapes = [(front, *a.shape[1:]) if a.ndim == 4 and len(a) == 2 else a.shape for a in (*given, g)]
    *xs, cotangent = (
        placeholder(f"x{i}", str(a.dtype), s) for i, (a, s) in enumerate(zip((*given, g), shapes, strict=True))
    )
    y = build(op, *xs)
    wanted = [x for x in xs if x.dtype == xs[0].dtype]
    return Graph((*xs, cotangent), (y, *gradient(ops.sum(y * cotangent), wanted)))


def fused(op: Attend, *xs: Value) -> Any:
    return apply(op, *xs)[0]


CASES: dict[str, tuple[Attend, tuple[int, int, int, int, int, int], str]] = {
    "plain": (Attend(0.3), (70, 70, 2, 2, 20, 20), ""), "one-key": (Attend(0.3), (5, 1, 1, 1, 3, 2), ""),
    "cross": (Attend(0.3), (33, 150, 2, 1, 7, 37), ""), "groups": (Attend(0.3), (64, 128, 6, 2, 16, 16), ""),
    "one-element": (Attend(1.0), (9, 20, 2, 2, 1, 1), ""), "large-head": (Attend(0.1), (17, 65, 1, 1, 130, 100), ""),
    "causal": (Attend(0.3, causal=True), (200, 200, 2, 2, 16, 16), ""),
    "causal-cross": (Attend(0.3, causal=True), (150, 100, 2, 1, 8, 8), ""),
    "window": (Attend(0.3, window=20), (150, 150, 2, 2, 8, 8), ""),
    "window-past-all": (Attend(0.3, window=20), (150, 70, 2, 2, 8, 8), ""),
    "causal-window": (Attend(0.3, causal=True, window=70), (200, 200, 1, 1, 8, 8), ""),
    "mask": (Attend(0.3, masked=True), (70, 90, 2, 2, 8, 8), "full"),
    "mask-of-keys": (Attend(0.3, masked=True), (70, 90, 2, 2, 8, 8), "keys"),
    "mask-blind": (Attend(0.3, masked=True), (70, 90, 2, 2, 8, 8), "blind"),
    "causal-blind": (Attend(0.3, causal=True, masked=True), (150, 150, 2, 2, 8, 8), "blind"),
    "bias": (Attend(0.3, biased=True, soft_cap=1.5), (70, 90, 2, 2, 8, 8), "full"),
    "bias-of-keys": (Attend(0.3, biased=True, masked=True), (70, 90, 2, 2, 8, 8), "keys"),
    "dropout": (Attend(0.3, rate=0.3), (72, 90, 2, 2, 8, 8), ""),
    "dropout-odd": (Attend(0.3, rate=0.3, causal=True), (67, 67, 2, 2, 8, 8), ""),
}  # fmt: skip


@pytest.mark.parametrize(("dtype", "switched_off"), [("float32", ""), ("float64", "avx512f")], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", CASES)
def test_tiles_agree_with_the_definition(
    name: str, dtype: str, switched_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = host(switched_off)
    monkeypatch.setattr("layerkit.engines.llvm.host", lambda: target)
    op, sizes, kind = CASES[name]
    given = arrays(op, *sizes, dtype, kind or "full")
    g = RNG.standard_normal((2, sizes[0], sizes[2], sizes[5])).astype(dtype)
    found = engines.get("llvm").compile(both_ways(op, given, g, fused))(*given, g)
    wide = [a.astype("float64") if a.dtype == dtype else a for a in (*given, g)]
    plain = both_ways(op, wide[:-1], wide[-1], lambda op, *xs: composed(op, *xs)[0], front=2)
    exact = engines.get("reference").compile(plain)(*wide)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found[0], expected(op, *wide[:-1]), rtol=tolerance, atol=tolerance)
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 4)


@pytest.mark.parametrize("name", ["causal", "dropout-odd", "mask-blind"])
def test_numbers_of_queries_and_keys_may_be_unknown(name: str) -> None:
    op, sizes, kind = CASES[name]
    given = arrays(op, *sizes, "float32", kind or "full")
    g = RNG.standard_normal((2, sizes[0], sizes[2], sizes[5])).astype("float32")
    rows, columns = axis("t"), axis("s")
    known = {sizes[0]: rows, sizes[1]: columns}
    shapes = [(n if i == 0 else known.get(n, n) for i, n in enumerate(a.shape)) for a in (*given, g)]
    *xs, cotangent = (
        placeholder(f"x{i}", str(a.dtype), s) for i, (a, s) in enumerate(zip((*given, g), shapes, strict=True))
    )
    y = fused(op, *xs)
    program = engines.get("llvm").compile(Graph((*xs, cotangent), (y, *gradient(ops.sum(y * cotangent), xs[:3]))))
    exact = engines.get("llvm").compile(both_ways(op, given, g, fused))(*given, g)
    for a, b in zip(program(*given, g), exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["causal-blind", "groups", "dropout"])
def test_threads_change_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, sizes, kind = CASES[name]
    given = arrays(op, *sizes, "float32", kind or "full")
    g = RNG.standard_normal((2, sizes[0], sizes[2], sizes[5])).astype("float32")
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    monkeypatch.setattr("layerkit.engines.llvm.lowering.attention.SMALL_NS", 0.0)
    program, found = engines.get("llvm").compile(both_ways(op, given, g, fused)), []
    try:
        for count in (1, 2, 3):
            layerkit.set_threads(count)
            found.append(program(*given, g))
    finally:
        layerkit.set_threads(None)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_memory_grows_with_the_length_not_with_its_square() -> None:
    def bytes_for(length: int) -> int:
        q, g = (np.empty((2, length, 2, 8), "float32") for _ in range(2))
        graph = both_ways(Attend(0.3), [q, q, q], g, fused)
        return engines.get("llvm").cost(graph, {"b": 2}).peak_bytes

    assert bytes_for(2048) < 2.1 * bytes_for(1024)


def test_additive_attention_keeps_scores_not_what_they_are_sums_of() -> None:
    def bytes_for(size: int) -> int:
        xs = [placeholder(n, "float32", (BATCH, 512, size)) for n in "qk"]
        s = placeholder("s", "float32", (size,))
        scores = ops.sum(ops.tanh(ops.expand_dims(xs[0], 2) + ops.expand_dims(xs[1], 1)) * s, -1)
        y = ops.matmul(ops.softmax(scores), xs[1])
        graph = Graph((*xs, s), tuple(gradient(ops.sum(y * y), [*xs, s])))
        return engines.get("llvm").cost(graph, {"b": 32}).peak_bytes

    assert bytes_for(64) < 2 * bytes_for(16)


def test_infinite_and_missing_scores_are_as_in_softmax() -> None:
    op = Attend(1.0, biased=True)
    q, k, v, bias = arrays(op, 9, 70, 1, 1, 4, 4, "float32")
    bias[..., :64, 0] = -np.inf  # a whole tile
    bias[..., 1] = -np.inf  # a whole row
    bias[..., 3, 2] = np.nan
    xs = [placeholder(f"x{i}", "float32", a.shape) for i, a in enumerate((q, k, v, bias))]
    y = engines.get("llvm").compile(Graph(tuple(xs), (fused(op, *xs),)))(q, k, v, bias)[0]
    plain = engines.get("reference").compile(Graph(tuple(xs), (composed(op, *xs)[0],)))(q, k, v, bias)[0]
    np.testing.assert_array_equal(np.isnan(y).all((0, 2, 3)), [False, True, True, *[False] * 6])
    np.testing.assert_allclose(y, plain, rtol=1e-5, atol=1e-6)


def test_what_no_query_may_see_by_its_place_is_not_worked_on() -> None:
    """A key with nan behind all queries changes nothing; in one product over all keys it would."""
    op = Attend(0.3, causal=True)
    q, k, v = arrays(op, 64, 192, 1, 1, 4, 4, "float32")
    k[:, 64:] = v[:, 64:] = np.nan
    xs = [placeholder(f"x{i}", "float32", a.shape) for i, a in enumerate((q, k, v))]
    y = engines.get("llvm").compile(Graph(tuple(xs), (fused(op, *xs),)))(q, k, v)[0]
    np.testing.assert_allclose(y, expected(op, q, k[:, :64], v[:, :64]), rtol=1e-5, atol=1e-6)
