"""Sorting on the LLVM engine: every dtype, rows of all lengths, special numbers; NumPy says what is right."""

from __future__ import annotations

import numpy as np
import pytest

import layerkit
from layerkit import dtypes, ops
from layerkit.dtypes import is_floating
from layerkit.engines.llvm.codegen.target import host

SHAPES = [(17, 16), (2, 1500), (3, 1), (5, 33), (9, 100), (0, 8), (3, 0)]
DTYPES = [*(d for d in dtypes.FLOATS if d not in dtypes.STORAGE), *dtypes.INTEGERS, "bool"]


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(dtype)
    if not is_floating(dtype):
        ends = np.iinfo(dtype)
        found = rng.integers(ends.min, ends.max, shape, dtype, endpoint=True)
        found.reshape(-1)[::5], found.reshape(-1)[1::7] = ends.max, ends.min
        return found
    x = (rng.normal(size=shape) * 100).astype(dtype)
    for start, step, value in (
        (0, 7, np.nan),
        (1, 9, -np.inf),
        (2, 11, np.inf),
        (3, 5, -0.0),
        (4, 6, 0.0),
        (5, 8, 1.0),
    ):
        x.reshape(-1)[start::step] = value
    return x


@pytest.mark.parametrize("dtype", DTYPES)
def test_elements_and_places_are_those_of_numpy(dtype: str) -> None:
    both = layerkit.function(lambda x: (ops.sort(x), ops.argsort(x), ops.sort(x, axis=0)))
    for shape in SHAPES if dtype == "float32" else SHAPES[:2]:
        x = numbers(shape, dtype)
        elements, places, columns = both(x)
        np.testing.assert_array_equal(elements, np.sort(x, -1), str(shape))
        np.testing.assert_array_equal(places, np.argsort(x, -1, kind="stable"), str(shape))
        np.testing.assert_array_equal(columns, np.sort(x, 0), str(shape))


def test_cotangents_go_where_elements_came_from_and_equal_ones_keep_their_order() -> None:
    x = np.array([[2.0, 1.0, 2.0, 0.0, 1.0], [np.nan, 3.0, -1.0, 3.0, 0.0]], "float32")
    weights = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0], "float32")
    slope = layerkit.grad(lambda x: ops.sum(ops.sort(ops.where(ops.isnan(x), 9.0, x)) * weights))(x)
    np.testing.assert_array_equal(slope, [[1000, 10, 10000, 1, 100], [0, 100, 1, 1000, 10]])


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    x, found = numbers((333, 100), "float32"), []
    try:
        for count in (1, 2, 5):
            layerkit.set_threads(count)
            found.append(layerkit.function(lambda x: ops.sort(x))(x).tobytes())
    finally:
        layerkit.set_threads(None)
    assert len(set(found)) == 1


@pytest.mark.parametrize("without", ["avx512f", "avx2"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_narrower_vectors_agree(dtype: str, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = host(without)
    monkeypatch.setattr("layerkit.engines.llvm.host", lambda: narrow)
    x = numbers((11, 45), dtype)
    elements, places = layerkit.function(lambda x: (ops.sort(x), ops.argsort(x)))(x)
    np.testing.assert_array_equal(elements, np.sort(x, -1))
    np.testing.assert_array_equal(places, np.argsort(x, -1, kind="stable"))
