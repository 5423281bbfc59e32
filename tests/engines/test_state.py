"""State is written over itself, also where it changes only on a condition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit import optimizers as O
from layerkit.engines.llvm import LLVMEngine
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.runtime.compilation import Compilation, Lowered
from layerkit.engines.llvm.runtime.program import memory
from layerkit.models.cost import training_graph
from layerkit.utils import set_random_seed

RNG = np.random.default_rng(0)
OPTIMIZERS: dict[str, Any] = {
    "adam": lambda **k: O.Adam(0.01, **k),
    "nadam": lambda **k: O.Nadam(0.01, **k),
    "amsgrad": lambda **k: O.Adam(0.01, amsgrad=True, **k),
    "momentum": lambda **k: O.SGD(0.1, momentum=0.9, **k),
    "averaged": lambda **k: O.Adam(0.01, use_ema=True, ema_overwrite_frequency=2, **k),
}
WRAPS: dict[str, Any] = {
    "plain": lambda make: make(),
    "gathered": lambda make: make(gradient_accumulation_steps=3),
    "clipped": lambda make: make(global_clipnorm=1.0, gradient_accumulation_steps=2),
    "scaled": lambda make: O.LossScaleOptimizer(make(), initial_scale=4.0, dynamic_growth_steps=2),
    "both": lambda make: O.LossScaleOptimizer(make(gradient_accumulation_steps=2), initial_scale=4.0),
}


def dense(optimizer: Any, engine: str = "llvm", units: int = 128) -> layerkit.Sequential:
    set_random_seed(5)
    made = layerkit.Sequential([L.Input((64,)), L.Dense(units, activation="tanh"), L.Dense(64), L.Dense(5)])
    made.compile(optimizer, layerkit.losses.SparseCategoricalCrossentropy(from_logits=True), engine=engine)
    return made


def normalized(optimizer: Any) -> layerkit.Sequential:
    made = layerkit.Sequential([
        L.Input((12, 12, 8)), L.Conv2D(16, 3, padding="same", use_bias=False), L.BatchNormalization(), L.Activation("relu"),
        L.Conv2D(16, 3), L.LayerNormalization(), L.GlobalAveragePooling2D(), L.Dense(5),
    ])  # fmt: skip
    made.compile(optimizer, layerkit.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return made


def lowered(model: Any) -> tuple[Lowered, int]:
    """The kernels of a training step, and the bytes that it holds for 32 rows."""
    graph, donated = training_graph(model)
    found = Compilation(graph, LLVMEngine().pipeline(), host(), donated).lowered("kernels")
    assert set(found.schedule.aliases) == set(donated)
    return found, memory(found.plan(), graph, {"b": 32})


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_state_is_written_over_itself(name: str, wrap: str) -> None:
    for make in (dense, normalized):
        lowered(make(WRAPS[wrap](OPTIMIZERS[name])))


def test_steps_on_a_condition_hold_their_gradients_and_nothing_more() -> None:
    weights = 64 * 512 + 512 + 512 * 64 + 64 + 64 * 5 + 5

    def held(wrap: str) -> int:
        return lowered(dense(WRAPS[wrap](OPTIMIZERS["adam"]), units=512))[1]

    few = 4096  # partial results, numbers
    assert held("gathered") == pytest.approx(held("plain") + 4 * weights, abs=few)  # the sums
    assert held("scaled") <= held("plain") + 4 * weights + few  # all gradients, until they are known to be finite
    assert held("both") <= held("scaled") + 4 * weights + few


def test_steps_that_do_not_count_change_nothing() -> None:
    made = dense(WRAPS["gathered"](OPTIMIZERS["adam"]))
    start = made.get_weights()
    for step in range(1, 7):
        x, y = RNG.normal(size=(16, 64)).astype("float32"), RNG.integers(0, 5, 16).astype("int32")
        made.train_on_batch(x, y)
        is_same = [np.array_equal(a, b) for a, b in zip(start, made.get_weights(), strict=True)]
        assert all(is_same) if step % 3 else not any(is_same)
        start = made.get_weights()


def test_a_step_with_a_gradient_that_is_not_finite_is_left_out() -> None:
    """The scale, 1e38 at first, is halved at each such step; all else stays."""
    made = dense(O.LossScaleOptimizer(O.Adam(0.01), initial_scale=3e38))
    x, y = RNG.normal(size=(16, 64)).astype("float32") * 50, RNG.integers(0, 5, 16).astype("int32")
    made.train_on_batch(x, y)
    before, scale = made.get_weights(), 0.0
    slots = [v.array.copy() for v in made.optimizer.inner_optimizer.variables]
    for _ in range(200):
        scale = float(made.optimizer.dynamic_scale.array)
        made.train_on_batch(x, y)
        if float(made.optimizer.dynamic_scale.array) == scale:
            break
        for a, b in zip(before, made.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(slots, made.optimizer.inner_optimizer.variables, strict=True):
            np.testing.assert_array_equal(a, b.array)
    assert scale < 3e38
    assert not np.array_equal(before[0], made.get_weights()[0])


@pytest.mark.parametrize("wrap", [w for w in WRAPS if w != "plain"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_on_a_condition_agree_with_the_reference(name: str, wrap: str) -> None:
    batches = [(RNG.normal(size=(16, 64)).astype("float32"), RNG.integers(0, 5, 16).astype("int32")) for _ in range(5)]
    found = []
    for engine in ("reference", "llvm"):
        made = dense(WRAPS[wrap](OPTIMIZERS[name]), engine)
        losses = [made.train_on_batch(*b) for b in batches]
        found.append((losses, made.get_weights()))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=2e-4)
    for a, b in zip(found[1][1], found[0][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("wrap", WRAPS)
def test_the_number_of_threads_changes_no_bit(wrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    batches = [(RNG.normal(size=(16, 64)).astype("float32"), RNG.integers(0, 5, 16).astype("int32")) for _ in range(4)]
    found = []
    try:
        for count in (1, 2, 5):
            layerkit.set_threads(count)
            made = dense(WRAPS[wrap](OPTIMIZERS["adam"]))
            for b in batches:
                made.train_on_batch(*b)
            found.append(made.get_weights())
    finally:
        layerkit.set_threads(None)
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)
