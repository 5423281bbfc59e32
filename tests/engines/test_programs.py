"""Programs of the LLVM engine: any batch size, any number of threads, state in place, hard moments of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import engines, ops
from layerkit import layers as L
from layerkit.autodiff import gradient
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.runtime import threads
from layerkit.engines.llvm.runtime.compilation import Lowered
from layerkit.errors import ArgumentError, DataError, UnsupportedOpError
from layerkit.ir import BATCH, Graph, make, placeholder
from layerkit.ops.scan import Scan
from layerkit.trace import Weight
from layerkit.utils import set_random_seed

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def convolutional() -> layerkit.Sequential:
    return layerkit.Sequential([
        L.Input((9, 8, 3)), L.Conv2D(16, 3, padding="same", use_bias=False), L.BatchNormalization(), L.Activation("relu"),
        L.Conv2D(20, 3, strides=2), L.MaxPooling2D(2), L.Flatten(), L.Dropout(0.3), L.Dense(70, activation="gelu"), L.Dense(5),
    ])  # fmt: skip


def recurrent() -> layerkit.Sequential:
    return layerkit.Sequential(
        [
            L.Input((9, 24)),
            L.Conv1D(12, 3),
            L.Masking(),
            L.Bidirectional(L.LSTM(17)),
            L.LayerNormalization(),
            L.Dense(5),
        ]
    )


def embedded() -> layerkit.Sequential:
    return layerkit.Sequential(
        [L.Input((11,), dtype="int32"), L.Embedding(30, 8), L.GlobalAveragePooling1D(), L.Dense(5)]
    )


def of_many_words() -> layerkit.Sequential:
    """A table of which each step uses few rows."""
    return layerkit.Sequential(
        [L.Input((6,), dtype="int32"), L.Embedding(60_000, 19), L.GlobalAveragePooling1D(), L.Dense(5)]
    )


def attentive() -> layerkit.Model:
    """Stacks of products, one for each head."""
    x = L.Input((19, 12))
    y = L.MultiHeadAttention(3, 5, dropout=0.2)(x, x)
    return layerkit.Model(x, L.Dense(5)(L.Flatten()(L.LayerNormalization()(L.Add()([x, y])))))


MODELS: dict[str, Any] = {
    "convolutional": convolutional, "recurrent": recurrent, "embedded": embedded, "of_many_words": of_many_words, "attentive": attentive,
}  # fmt: skip


def data(model: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    shape = model.inputs[0].shape[1:]
    x = (
        RNG.integers(0, 30, (rows, *shape)).astype("int32")
        if len(shape) == 1
        else RNG.normal(size=(rows, *shape)).astype("float32")
    )
    return x, RNG.integers(0, 5, rows).astype("int32")


def trained(
    make: Any, engine: str, batches: list[tuple[np.ndarray, np.ndarray]], **settings: Any
) -> tuple[list[float], list[np.ndarray]]:
    set_random_seed(3)
    model = make()
    model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True), engine=engine, **settings)
    losses = [model.train_on_batch(x, y) for x, y in batches]
    return losses, model.get_weights()


@pytest.mark.parametrize("name", MODELS)
def test_training_agrees_with_the_reference_for_several_batch_sizes(name: str) -> None:
    model = MODELS[name]()
    batches = [data(model, rows) for rows in (32, 32, 7, 1, 32, 65)]
    expected, _ = trained(MODELS[name], "reference", batches)
    losses, _ = trained(MODELS[name], "llvm", batches)
    np.testing.assert_allclose(losses, expected, rtol=2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_threads_changes_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    batches = [data(MODELS[name](), rows) for rows in (64, 13, 64)]
    results = []
    try:
        for count in (1, 2, 3, 8):
            layerkit.set_threads(count)
            results.append(trained(MODELS[name], "llvm", batches))
    finally:
        layerkit.set_threads(None)
    for losses, weights in results[1:]:
        assert losses == results[0][0]
        for a, b in zip(weights, results[0][1], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", MODELS)
def test_narrower_vectors_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [data(MODELS[name](), 16)] * 2
    expected, _ = trained(MODELS[name], "llvm", batches)
    narrow = host("avx512f")
    monkeypatch.setattr("layerkit.engines.llvm.host", lambda: narrow)
    losses, _ = trained(MODELS[name], "llvm", batches)
    np.testing.assert_allclose(losses, expected, rtol=2e-4)


def test_one_program_serves_all_batch_sizes() -> None:
    model = convolutional()
    for rows in (1, 5, 64):
        assert model.predict_on_batch(data(model, rows)[0]).shape == (rows, 5)
    assert len(model._functions["predict"]._traced) == 1


def test_predictions_follow_the_weights() -> None:
    """What is prepared once for a program is prepared again when weights are replaced, or trained in place."""
    model = convolutional()
    model.compile("sgd", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data(model, 12)
    first = model.predict_on_batch(x)
    np.testing.assert_array_equal(model.predict_on_batch(x), first)
    kept = model.get_weights()
    model.train_on_batch(x, y)
    second = model.predict_on_batch(x)
    assert not np.array_equal(first, second)
    model.set_weights(kept)
    np.testing.assert_array_equal(model.predict_on_batch(x), first)
    assert model.predict_on_batch(x[:3]).shape == (3, 5)
    model.predict_on_batch(data(model, 200)[0])  # another size, a larger arena
    np.testing.assert_array_equal(model.predict_on_batch(x), first)


def test_metrics_over_batches_of_unequal_size() -> None:
    model = layerkit.Sequential([L.Input((3,)), L.Activation("linear")])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = RNG.normal(size=(2, 10, 3)).astype("float32")
    loss, mae = model.evaluate(x, y, batch_size=4, verbose=0)
    assert mae == pytest.approx(np.abs(x - y).mean(), rel=1e-5)
    assert loss == pytest.approx(((x - y) ** 2).mean(), rel=1e-5)


def test_inputs_of_any_layout() -> None:
    model = convolutional()
    x = data(model, 8)[0]
    expected = model.predict_on_batch(x)
    spread = np.zeros((8, 9, 8, 6), "float32")
    spread[..., ::2] = x
    np.testing.assert_array_equal(model.predict_on_batch(spread[..., ::2]), expected)
    np.testing.assert_array_equal(model.predict_on_batch(np.asfortranarray(x)), expected)
    view = spread[..., ::2]
    model.predict_on_batch(view)
    view[:] = 0  # the same array with other numbers
    np.testing.assert_array_equal(model.predict_on_batch(view), model.predict_on_batch(np.zeros_like(x)))


def test_weights_handed_out_are_copies() -> None:
    model = embedded()
    model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data(model, 8)
    model.train_on_batch(x, y)
    before = model.get_weights()
    kept = [w.copy() for w in before]
    model.train_on_batch(x, y)
    for a, b in zip(before, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_wrong_row_number_changes_no_state() -> None:
    model = embedded()
    model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data(model, 8)
    model.train_on_batch(x, y)
    before = model.get_weights()
    for wrong in (30, -1, 2**31 - 1):
        x[2, 3] = wrong
        with pytest.raises(DataError, match=f"no row {wrong}"):
            model.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_several_python_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    model = recurrent()
    x = data(model, 40)[0]
    expected = model.predict_on_batch(x)
    try:
        layerkit.set_threads(2)
        with ThreadPoolExecutor(4) as pool:
            for result in pool.map(lambda _: model.predict_on_batch(x), range(40)):
                np.testing.assert_array_equal(result, expected)
    finally:
        layerkit.set_threads(None)


FORKS = """
import os
import numpy as np
import layerkit
from layerkit.engines.llvm.runtime import program

program.PARALLEL_NS = 0.0
layerkit.set_threads(2)
model = layerkit.Sequential([layerkit.Input((9, 24)), layerkit.layers.LSTM(17), layerkit.layers.Dense(3)])
x = np.random.default_rng(0).normal(size=(40, 9, 24)).astype("float32")
expected = model.predict(x, verbose=0)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(model.predict(x, verbose=0), expected) else 1)
raise SystemExit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_goes_on() -> None:
    """In a process of its own: here are threads of others, whose locks a fork may find taken."""
    done = subprocess.run([sys.executable, "-c", FORKS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_by_environment_and_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.VARIABLE, "3")
    assert threads.threads() == 3
    try:
        layerkit.set_threads(2)
        assert threads.threads() == 2
    finally:
        layerkit.set_threads(None)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ArgumentError):
            layerkit.set_threads(wrong)  # type: ignore[arg-type]


def test_without_llvmlite_the_reference_serves_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    engines.default.cache_clear()
    try:
        with pytest.warns(UserWarning, match="llvmlite"):
            assert engines.get().name == "reference"
        assert engines.get().name == "reference"
    finally:
        engines.default.cache_clear()


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["cnn", "lstm"])
def test_a_thousand_steps_end_at_the_same_accuracy(kind: str) -> None:
    (x, y), (x_test, y_test) = layerkit.datasets.digits()
    scores = []
    for engine in ("reference", "llvm"):
        set_random_seed(1)
        if kind == "cnn":
            stack: list[Any] = [L.Input((8, 8, 1)), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()]
        else:
            stack = [L.Input((8, 8, 1)), L.Reshape((8, 8)), L.LSTM(32)]
        model = layerkit.Sequential([*stack, L.Dense(10, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
        batches = -(-len(x) // 32)
        model.fit(x, y, batch_size=32, epochs=-(-1000 // batches), verbose=0)
        scores.append(model.evaluate(x_test, y_test, verbose=0)[1])
    assert scores[0] > 0.85
    assert scores[1] == pytest.approx(scores[0], abs=0.015)


def test_an_op_without_a_lowering_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit.engines.llvm.lowering.lower import RULES
    from layerkit.ops.reduction import ArgReduce

    monkeypatch.delitem(RULES, ArgReduce)
    with pytest.raises(UnsupportedOpError) as caught:
        layerkit.function(lambda x: layerkit.ops.argmax(x, axis=0))(np.zeros(3, "float32"))
    assert caught.value.got == "argmax"
    assert "reference" in (caught.value.fix or "")
    assert not engines.get("llvm").supports(ArgReduce("argmax", 0))


def test_explain_shows_the_step_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    model = convolutional()
    model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data(model, 8)
    model.explain(batch_size=8)
    assert "conv_kernel_grad" in capsys.readouterr().out
    before = model.get_weights()
    model.explain(analyze=True, x=x, y=y)
    assert "measured peak of a core" in capsys.readouterr().out
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    for show, word in (("graph", "conv{"), ("passes", "after hoist:"), ("code", "define internal void @")):
        model.explain(show=show)
        assert word in capsys.readouterr().out
    with pytest.raises(ArgumentError):
        model.explain(show="picture")
    with pytest.raises(ArgumentError):
        model.explain(analyze=True)


def test_memory_is_predicted_within_5_percent() -> None:
    model = convolutional()
    model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data(model, 48)
    model.train_on_batch(x, y)
    (traced,) = model._functions["train"]._traced.values()
    program: Any = traced.program
    bound = next(reversed(program._bound.values()))
    held = sum(a.nbytes for a in bound.own) + len(program._arena)
    assert program.memory({"b": 48}) == pytest.approx(held, rel=0.05)


@pytest.mark.parametrize(
    ("size", "channels", "filters", "window", "strides"), [(90, 40, 12, 3, 1), (75, 48, 20, 5, 2), (6, 200, 210, 3, 1)]
)
def test_large_images_and_many_channels(size: int, channels: int, filters: int, window: int, strides: int) -> None:
    """Images that are framed in memory, and kernels whose partial sums are few."""
    x = placeholder("x", "float32", (BATCH, size, size, channels))
    w = placeholder("w", "float32", (window, window, channels, filters))
    y = layerkit.ops.conv(x, w, strides, "same")
    loss = layerkit.ops.sum(y * y)
    graph = Graph((x, w), (y, *gradient(loss, [x, w])))
    arrays = [RNG.normal(size=(3, size, size, channels)).astype("float32"), RNG.normal(size=w.shape).astype("float32")]
    found, expected = (engines.get(name).compile(graph)(*arrays) for name in ("llvm", "reference"))
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=0, atol=1e-5 * float(np.abs(e).max()))


def test_row_numbers_given_to_a_loop_are_checked() -> None:
    def run(table: Any, rows: Any, start: Any) -> Any:
        return layerkit.ops.scan(lambda c, i: ((h := c * 0.5 + layerkit.ops.take(table, i, axis=0)), h), start, rows)[0]

    compiled = layerkit.function(run)
    table, rows, start = RNG.normal(size=(7, 3)), RNG.integers(0, 7, (5, 4)), np.zeros((4, 3))
    compiled(table, rows, start)
    rows[3, 1] = 7
    with pytest.raises(DataError, match="no row 7"):
        compiled(table, rows, start)


def test_a_new_schedule_makes_a_new_step() -> None:
    """Schedules are part of the program: replacing one has to be noticed, wherever the new one lies in memory."""
    model = embedded()
    model.compile("sgd", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data(model, 8)
    for rate in (0.0, 0.5, 0.0, 0.25):
        model.optimizer.learning_rate = layerkit.optimizers.schedules.ExponentialDecay(rate, 10, 0.9)
        before = model.get_weights()
        model.train_on_batch(x, y)
        same = all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        assert same == (rate == 0.0)


@pytest.mark.parametrize("columns", [5, 128, 600, 1111])
def test_rows_are_added_up_for_any_number_of_columns(columns: int) -> None:
    x = placeholder("x", "float32", (BATCH, 3, columns))
    graph = Graph((x,), (layerkit.ops.sum(x, (0, 1)), layerkit.ops.max(x * 2, 1), layerkit.ops.sum(x, 0)))
    program = engines.get("llvm").compile(graph)
    for rows in (1, 7):
        given = RNG.integers(-50, 50, (rows, 3, columns)).astype("float32")
        expected = given.sum((0, 1)), (given * 2).max(1), given.sum(0)
        for found, wanted in zip(program(given), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_row_alone_has_the_bits_that_it_has_in_a_batch() -> None:
    """One row goes through large weights to and fro, in turns; no sum changes its order."""
    layerkit.utils.set_random_seed(7)
    model = layerkit.Sequential([L.Input((7, 3)), L.LSTM(80), L.Dense(2)])
    x = np.random.default_rng(7).standard_normal((20, 7, 3)).astype("float32")
    whole = model.predict_on_batch(x)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([model.predict_on_batch(row[None]) for row in x]), whole)


@pytest.mark.parametrize("units", [1, 2, 17])
def test_a_layer_without_bias_learns_alone(units: int) -> None:
    """Its weight gradient is a product over the batch whose right operand may have one column."""
    x, y = RNG.normal(size=(21, 4)).astype("float32"), RNG.normal(size=(21, units)).astype("float32")
    found = []
    for engine in ("reference", "llvm"):
        set_random_seed(1)
        model = layerkit.Sequential([L.Input((4,)), L.Dense(units, use_bias=False)])
        model.compile("sgd", "mse", engine=engine)
        model.fit(x, y, batch_size=8, verbose=0, shuffle=False)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_rows_are_scattered_alike_for_any_batch_and_number_of_threads() -> None:
    def largest(x: Any, numbers: Any) -> Any:
        return layerkit.ops.segment_max(x, numbers, 3), layerkit.ops.segment_sum(x, numbers, 3)

    x, numbers = RNG.normal(size=(40, 2, 256)).astype("float32"), RNG.integers(0, 3, 40).astype("int32")
    best = [np.max(x[numbers == i], axis=0) for i in range(3)]
    total = np.zeros((3, 2, 256), "float32")
    np.add.at(total, numbers, x)
    for symbolic in (False, True):
        for workers in (1, 2):
            layerkit.set_threads(workers)
            found = layerkit.function(largest, symbolic_batch=symbolic, engine="llvm")(x, numbers)
            np.testing.assert_array_equal(found[0], best)
            np.testing.assert_array_equal(found[1], total)
    layerkit.set_threads(None)


def test_what_kept_inputs_give_leaves_no_gap_between_phases() -> None:
    """A guard's number is kept to the end of a step that begins with phases of the weights alone."""
    weights = RNG.normal(size=(4, 2)).astype("float32"), np.array([[0.5, 0.6]], "float32")
    x, y = RNG.uniform(size=(10, 4)).astype("float32"), np.full((10, 2), 0.1, "float32")
    found = []
    for engine in ("reference", "llvm"):
        kernel, vector = Weight((4, 2), name="kernel"), Weight((1, 2), name="vector")
        kernel.array, vector.array = (w.copy() for w in weights)

        def step(x: Any, y: Any, kernel: Weight = kernel, vector: Weight = vector) -> Any:
            def loss(weights: Any) -> Any:  # as a layer with spectral normalisation has it
                k = kernel.value
                left = ops.normalize(ops.matmul(vector.value, ops.transpose(k)), epsilon=1e-12)
                right = ops.normalize(ops.matmul(left, k), epsilon=1e-12)
                vector.assign(right)
                largest = ops.sum(ops.matmul(ops.stop_gradient(left), k) * ops.stop_gradient(right))
                return ops.mean(ops.square(ops.matmul(x, k / largest) - y))

            value, (slope,) = layerkit.value_and_grad(loss)([kernel])
            kernel.assign(kernel.value - 0.01 * slope)
            return ops.require_finite(value)

        run = layerkit.function(step, engine=engine)
        found.append([float(run(x, y)), float(run(x, y)), *kernel.numpy().ravel(), *vector.numpy().ravel()])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_training_through_a_mirrored_edge() -> None:
    """The gradient of what lies in the mirror meets the weights' gradient with its rows as columns."""
    x, y = RNG.normal(size=(21, 6)).astype("float32"), RNG.normal(size=(21, 2)).astype("float32")
    found = []
    for engine in ("reference", "llvm"):
        set_random_seed(1)
        model = layerkit.Sequential([L.Input((6,)), L.Dense(3), L.Lambda(_mirrored), L.Dense(2)])
        model.compile("sgd", "mse", engine=engine)
        model.fit(x, y, batch_size=8, verbose=0, shuffle=False)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_what_a_loop_needs_but_does_not_change_is_computed_in_order() -> None:
    """A loop of the body that is joined with an earlier one needs what comes between them, also before the scan."""
    c, row, w, v = body = [placeholder(name, "float32", (6, 6)) for name in ("c", "row", "w", "v")]
    steady = ops.tanh(ops.exp(w))
    first = ops.matmul(steady, c) + steady
    second = ops.matmul(ops.tanh(ops.exp(steady * 1.5 + ops.cumsum(v, axis=0))), c) + row
    inner = Graph(tuple(body), (ops.tanh(first + second), second), "body")
    inputs = (c, placeholder("rows", "float32", (4, 6, 6)), w, v)
    graph = Graph(inputs, make(Scan(1, 1, 4, False, inner), inputs).outputs, "f")
    given = [RNG.normal(size=x.shape).astype("float32") * 0.3 for x in inputs]
    found, expected = (engines.get(name).compile(graph)(*given) for name in ("llvm", "reference"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def _mirrored(x: Any) -> Any:
    return ops.pad(x, [(0, 0), (2, 2)], mode="reflect")


def test_code_of_a_joined_tensor_grows_in_pieces() -> None:
    """LLVM takes more than twice as long for a function of twice the size."""
    longest = []
    for parts in (40, 160):
        x = placeholder("x", "float32", (3, parts + 5))
        columns = ops.stack([x[:, i : i + 5] for i in range(parts)], -1)
        lowered = Lowered(Graph((x,), (columns,), "joined"), host(), {}, ())
        longest.append(max(map(len, str(lowered.module).split("define"))))
        given = RNG.normal(size=(3, parts + 5)).astype("float32")
        if parts == 40:
            expected = np.stack([given[:, i : i + 5] for i in range(parts)], -1)
            found = engines.get("llvm").compile(Graph((x,), (columns,), "joined"))(given)[0]
            np.testing.assert_array_equal(found, expected)
    assert longest[1] < 1.2 * longest[0]
