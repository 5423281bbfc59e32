"""Products of the LLVM engine against NumPy in double precision: blocks, tails, transposes, stacks, sums in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerkit import engines, ops
from layerkit.engines.llvm.codegen.target import host
from layerkit.ir import BATCH, Graph, placeholder

RNG = np.random.default_rng(0)


def run(build: Any, *arrays: np.ndarray, batch: bool = False) -> np.ndarray:
    """A function of arrays, compiled; with ``batch`` their first axes are unknown."""
    places = [
        placeholder(f"x{i}", str(a.dtype), ((BATCH, *a.shape[1:]) if batch else a.shape)) for i, a in enumerate(arrays)
    ]
    graph = Graph(tuple(places), (build(*places),), "products")
    return engines.get("llvm").compile(graph)(*arrays)[0]  # type: ignore[no-any-return]


def check(got: np.ndarray, expected: np.ndarray, terms: int) -> None:
    """Equal but for the rounding of a sum of so many products of numbers around 1."""
    scale = 12 * np.sqrt(terms) * np.finfo(got.dtype).eps
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=scale * 4)


def draw(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul(a.astype("float64"), b.astype("float64"))


STACKS = [
    ((1, 1, 1), ""), ((5, 1, 3), "a"), ((1, 40, 70), "b"), ((127, 61, 93), "ab"), ((300, 300, 70), "a"),
    ((130, 520, 10), "b"), ((257, 3, 513), ""), ((64, 64, 64), "ab"),
]  # fmt: skip


@pytest.fixture(params=["", "avx512f"])
def vectors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The widest vectors, and narrower ones."""
    target = host(request.param)
    monkeypatch.setattr("layerkit.engines.llvm.host", lambda: target)


@pytest.mark.parametrize(("sizes", "turned"), STACKS, ids=str)
@pytest.mark.usefixtures("vectors")
def test_stacks_of_matrices(sizes: tuple[int, int, int], turned: str) -> None:
    m, k, n = sizes
    a, b = draw(3, m, k), draw(3, k, n)
    given = [np.ascontiguousarray(x.swapaxes(1, 2)) if name in turned else x for x, name in ((a, "a"), (b, "b"))]

    def build(a: Any, b: Any) -> Any:
        return ops.matmul(ops.swapaxes(a, 1, 2) if "a" in turned else a, ops.swapaxes(b, 1, 2) if "b" in turned else b)

    check(run(build, *given, batch=True), exact(a, b), k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("vectors")
def test_attention_over_heads(dtype: str) -> None:
    q, k, v = (draw(2, 33, 3, 20, dtype=dtype) for _ in range(3))

    def build(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (ops.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2))
        return ops.transpose(ops.matmul(scores, v), (0, 2, 1, 3))

    scores = np.einsum("bihd,bjhd->bhij", q.astype("float64"), k.astype("float64"))
    expected = np.einsum("bhij,bjhd->bihd", scores, v.astype("float64"))
    got = run(build, q, k, v, batch=True)
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("rows", [1, 7, 600])
@pytest.mark.parametrize(("m", "n"), [(40, 30), (257, 300), (16, 1), (520, 64)])
@pytest.mark.usefixtures("vectors")
def test_sums_over_an_unknown_number_of_rows(rows: int, m: int, n: int) -> None:
    a, b = draw(rows, m), draw(rows, n)
    check(run(lambda a, b: ops.matmul(ops.transpose(a), b), a, b, batch=True), exact(a.T, b), rows)


@pytest.mark.parametrize(("rows", "m", "n"), [(1, 3, 5), (8, 3, 5), (33, 4, 40), (530, 17, 9)])
@pytest.mark.usefixtures("vectors")
def test_sums_over_an_unknown_number_of_rows_that_lie_as_columns(rows: int, m: int, n: int) -> None:
    """The right operand shows a transpose, as the gradient of rows that were gathered from it does."""
    a, b, order = draw(rows, m), draw(rows, n), np.arange(n)[::-1].astype("int32")

    def build(a: Any, b: Any) -> Any:
        turned = ops.segment_sum(ops.swapaxes(b, 0, 1), order, n)  # (n, rows) in memory
        return ops.matmul(ops.swapaxes(a, 0, 1), ops.swapaxes(turned, 0, 1))

    check(run(build, a, b, batch=True), exact(a.T, b[:, ::-1]), rows)


def test_parts_of_larger_matrices() -> None:
    x = draw(4, 50, 60)
    got = run(lambda x: ops.matmul(x[:, 3:23, 5:45], ops.swapaxes(x, 1, 2)[:, 5:45, 1:34]), x, batch=True)
    check(got, exact(x[:, 3:23, 5:45], x.swapaxes(1, 2)[:, 5:45, 1:34]), 40)


def test_one_matrix_for_a_whole_stack() -> None:
    a, b = draw(5, 6, 30, 40), draw(6, 40, 50)
    check(run(lambda a, b: ops.matmul(a, ops.broadcast_to(b, (5, 6, 40, 50))), a, b), exact(a, b), 40)
