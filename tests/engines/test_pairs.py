"""A function of all pairs of rows, summed over several of its axes: computed where it is summed, in one loop, and never held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit import ops
from layerkit.autodiff import gradient
from layerkit.engines.llvm import LLVMEngine
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.runtime.compilation import Compilation, Lowered
from layerkit.engines.llvm.runtime.program import memory
from layerkit.ir import BATCH, Graph, placeholder
from layerkit.models.cost import training_graph

RNG = np.random.default_rng(0)


def scores(front: tuple[Any, ...], rows: int, columns: int, units: int) -> Graph:
    """Additive scores, and their gradients by all that goes in."""
    q, k = placeholder("q", "float32", (*front, rows, units)), placeholder("k", "float32", (*front, columns, units))
    s, g = placeholder("s", "float32", (units,)), placeholder("g", "float32", (*front, rows, columns))
    out = ops.sum(ops.tanh(ops.expand_dims(q, -2) + ops.expand_dims(k, -3)) * s, -1)
    return Graph((q, k, s, g), (out, *gradient(ops.sum(out * g), [q, k, s])))


def lowered(graph: Graph, donated: dict[int, int] | None = None) -> Lowered:
    return Compilation(graph, LLVMEngine().pipeline(), host(), donated or {}).lowered("kernels")


@pytest.mark.parametrize("front", [(), (BATCH,), (3,)], ids=["alone", "batch", "three"])
@pytest.mark.parametrize("sizes", [(5, 7, 3), (17, 9, 33), (24, 16, 64), (1, 6, 20)])
@pytest.mark.parametrize("held", [True, False])
def test_all_sums_agree(front: Any, sizes: Any, held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the function is computed again for the gradients; NumPy in float64 says what is right."""
    monkeypatch.setenv("LAYERKIT_CACHE", "0")
    monkeypatch.setattr("layerkit.engines.llvm.loops.fusion.LARGE", 1 << 60 if held else 0)
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    rows, columns, units = sizes
    batch = tuple(6 if n is BATCH else n for n in front)
    q, k = (RNG.normal(size=(*batch, n, units)).astype("float32") for n in (rows, columns))
    s, g = RNG.normal(size=units).astype("float32"), RNG.normal(size=(*batch, rows, columns)).astype("float32")
    t = np.tanh(q[..., :, None, :].astype("float64") + k[..., None, :, :])
    inner = g[..., None] * s * (1 - t * t)
    expected = (
        (t * s).sum(-1), inner.sum(-2), inner.sum(-3),
        (g[..., None] * t).reshape(-1, units).sum(0),
    )  # fmt: skip
    program, results = LLVMEngine().compile(scores(front, *sizes)), []
    try:
        for count in (1, 2, 5):
            layerkit.set_threads(count)
            results.append([x.copy() for x in program(q, k, s, g)])
    finally:
        layerkit.set_threads(None)
    for found, right in zip(results[0], expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=2e-5, atol=2e-5 * max(1.0, np.abs(right).max()))
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_sums_over_different_axes_are_one_loop() -> None:
    made = lowered(scores((BATCH,), 128, 128, 64))
    assert [k.what for k in made.kernels if k.what != "combine"] == [
        "reduce_sum",
        "reduce_sum",
    ]  # forwards and backwards


def test_additive_attention_holds_no_pairs() -> None:
    rows, units, batch = 128, 64, 32
    x = L.Input((rows, units))
    made = layerkit.Model(x, L.AdditiveAttention(dropout=0.1)([x, x]))
    made.compile("adam", "mse")
    graph, donated = training_graph(made)
    held = memory(lowered(graph, donated).plan(), graph, {"b": batch})
    assert held < 4 * batch * rows * rows * units / 4
