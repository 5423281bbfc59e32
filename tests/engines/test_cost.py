"""Predicted memory and time of a step: what must hold of them on any machine. How near they come is measured, not tested."""

from __future__ import annotations

import pytest

import builders
import layerkit
from layerkit import layers as L
from layerkit import optimizers as O
from layerkit.engines.llvm import LLVMEngine
from layerkit.engines.llvm.codegen import machine
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.nest import Expr, Nest, Store
from layerkit.engines.llvm.loops.speed import took
from layerkit.engines.llvm.runtime.compilation import Compilation
from layerkit.models.cost import training_cost, training_graph


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """One whose figures are known: what is measured here depends on what else runs here."""
    for place in ("layerkit.engines.llvm.peak", "layerkit.engines.llvm.runtime.cost.peak"):
        monkeypatch.setattr(place, lambda: 100.0)
    monkeypatch.setattr("layerkit.engines.llvm.runtime.cost.bandwidth", lambda moved: 40.0 if moved < 1 << 24 else 10.0)


def test_a_clock_too_coarse_to_see_a_call_gives_way_to_the_next(monkeypatch):
    turns = iter(range(1000))
    monkeypatch.setattr(machine, "CLOCKS", (lambda: 7.0, lambda: next(turns) * 0.5))
    assert machine._least(lambda: None) == 0.5


def model(units: int = 64) -> layerkit.Sequential:
    made = layerkit.Sequential([L.Input((64,)), L.Dense(units, activation="relu"), L.Dense(units), L.Dense(10)])
    made.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def test_more_work_costs_more(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path))
    small, wide = training_cost(model(), 32), training_cost(model(512), 32)
    many = training_cost(model(), 512)
    assert small is not None
    assert small.seconds < wide.seconds
    assert small.peak_bytes < wide.peak_bytes
    assert small.seconds < many.seconds
    assert small.peak_bytes < many.peak_bytes
    weights = 64 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert wide.peak_bytes == pytest.approx(
        4 * (4 * weights + 32 * 64), rel=0.1
    )  # weights, gradients, two moments, the batch


def test_what_was_predicted_once_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path))
    first = training_cost(model(), 32)
    monkeypatch.setattr("layerkit.engines.llvm.runtime.cost.seconds", None)  # not called again
    assert training_cost(model(), 32) == first
    with pytest.raises(TypeError):
        training_cost(model(), 33)
    frozen = model()
    frozen.layers[0].trainable = False
    with pytest.raises(TypeError):
        training_cost(frozen, 32)
    monkeypatch.setattr("layerkit.engines.llvm.peak", lambda: 50.0)  # the machine was measured again
    with pytest.raises(TypeError):
        training_cost(model(), 32)


def test_what_is_kept_tells_losses_metrics_and_functions_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path))

    def made(units=512, **given):
        found = layerkit.Sequential([L.Input((8,)), L.Dense(units, activation=given.pop("activation", None))])
        found.compile("sgd", **given)
        return training_cost(found, 32)

    def wide():
        def activation(x):
            return layerkit.ops.tile(x, (1, 100))

        return activation

    def same():
        def activation(x):
            return x + 1.0

        return activation

    plain = made(loss="mse")
    assert made(loss="sparse_categorical_crossentropy") != plain
    assert made(loss="mse", metrics=["cosine_similarity"]) != plain
    assert made(loss="mse", activation=wide()) != made(loss="mse", activation=same())


def test_the_reference_engine_knows_memory_alone():
    made = model()
    made.compile("adam", "mse", engine="reference")
    cost = training_cost(made, 8)
    assert cost is not None
    assert cost.seconds is None
    assert cost.peak_bytes > 0


BLOCKS = {
    "residual": ("image: {shape: [16, 16, 16]}", "residual: {filters: 16}", "GlobalAveragePooling2D"),
    "wide residual": ("image: {shape: [8, 8, 128]}", "residual: {filters: 128}", "GlobalAveragePooling2D"),
    "mobile": ("image: {shape: [16, 16, 24]}", "inverted_residual: {channels: 24, filters: 24}", "GlobalAveragePooling2D"),
    "inception": ("image: {shape: [16, 16, 8]}", "inception: {filters: 16}", "GlobalMaxPooling2D"),
    "dense block": ("image: {shape: [16, 16, 24]}", "dense_layer: {growth: 12}", "GlobalAveragePooling2D"),
    "transformer": ("x: {shape: [24, 64]}", "transformer_encoder: {width: 64}", "GlobalAveragePooling1D"),
    "convolutions": ("image: {shape: [32, 32, 16]}", "Conv2D: {filters: 16, kernel_size: 3, padding: same, activation: relu}", "Flatten"),
    "dense": ("x: {shape: [100]}", "Dense: {units: 256, activation: relu}", "Dropout: 0.1"),
}  # fmt: skip


DEEP = """
layerkit: 1
inputs: {%s}
layers:
  - %s
    repeat: 5
  - %s
  - Dense: 10
compile: {optimizer: {%s}, loss: {SparseCategoricalCrossentropy: {from_logits: true}}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["Adam: {}", "SGD: {learning_rate: 0.1, momentum: 0.9, global_clipnorm: 1.0}"])
@pytest.mark.parametrize("name", BLOCKS)
def test_an_outline_costs_what_the_whole_step_costs(name, optimizer, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path))
    path = tmp_path / "deep.yaml"
    path.write_text(DEEP % (*BLOCKS[name], optimizer))
    deep = builders.load(path).build()
    monkeypatch.setattr("layerkit.models.cost.LARGE", 10**6)
    whole = training_cost(deep, 32)
    monkeypatch.setattr("layerkit.models.cost.LARGE", 0)
    outline = training_cost(deep, 32)
    assert outline.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.1)
    assert outline.seconds == pytest.approx(whole.seconds, rel=0.3)


def test_an_outline_leaves_the_optimizer_as_it_was():
    made = model()
    training_graph(made, is_outline=True)
    assert "update_step" not in vars(made.optimizer)
    assert all("change" not in str(n.op.word) for n in training_graph(made)[0].nodes())


OPTIMIZERS = {
    "gathered": lambda: O.Adam(gradient_accumulation_steps=4),
    "scaled": lambda: O.LossScaleOptimizer(O.Adam()),
    "both": lambda: O.LossScaleOptimizer(O.Adam(gradient_accumulation_steps=4, use_ema=True)),
    "clipped": lambda: O.SGD(0.1, momentum=0.9, global_clipnorm=1.0, gradient_accumulation_steps=2),
    "muon": lambda: O.Muon(),
    "adafactor": lambda: O.LossScaleOptimizer(O.Adafactor()),
    "lamb": lambda: O.Lamb(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_outline_knows_what_is_done_around_a_rule(name, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE", "0")
    made = model(256)
    made.compile(OPTIMIZERS[name](), "mse")
    whole = training_cost(made, 32)
    monkeypatch.setattr("layerkit.models.cost.LARGE", 0)
    outline = training_cost(made, 32)
    assert outline.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.1)
    assert outline.seconds == pytest.approx(whole.seconds, rel=0.3)


def test_kernels_that_are_sketched_have_the_kinds_of_those_that_are_written():
    made = layerkit.Sequential(
        [
            L.Input((12, 12, 16)),
            L.Conv2D(64, 3, padding="same"),
            L.DepthwiseConv2D(3),
            L.Reshape((100, 64)),
            L.LSTM(32),
            L.Dense(9),
        ]
    )
    graph, donated = training_graph(made)
    whole = Compilation(graph, LLVMEngine().pipeline(), host(), donated)
    kinds = [[k.function.split(".")[0] for k in whole.lowered(detail).order] for detail in ("code", "kernels")]
    assert kinds[0] == kinds[1]
    assert set(kinds[0]) >= {"winograd", "depthwise", "depthwise_kernel_grad", "scan"}


def test_functions_take_longer_with_narrower_vectors_and_memory_does_not():
    load = Expr("load", "float32", buffer=Buffer("float32", 4096), place=Affine((1,)))

    def loop(expr):
        return Nest([4096], [False], [Store(expr, Buffer("float32", 4096), Affine((1,)))])

    plain, costly = loop(load), loop(Expr("unary", "float32", (load,), "tanh"))
    assert took(plain, 4) == took(plain, 16)
    narrow, wide = (took(costly, lanes) - took(plain, lanes) for lanes in (4, 16))
    assert narrow == pytest.approx(4 * wide, rel=0.01)
