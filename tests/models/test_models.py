"""Names, weights, freezing, determinism, and files: training that goes on from one is training never interrupted."""

from __future__ import annotations

import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit.errors import ArgumentError, FileFormatError, LayerkitError, ShapeError, StateError, UnknownNameError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((96, 6, 4)).astype("float32")
Y = RNG.integers(0, 3, 96)


def small(*extra, seed=0):
    layerkit.utils.set_random_seed(seed)
    model = layerkit.Sequential(
        [L.Input((6, 4)), L.LSTM(5, return_sequences=True), *extra, L.Flatten(), L.Dense(8, activation="relu"),
         L.BatchNormalization(), L.Dropout(0.3), L.Dense(3, activation="softmax")]
    )  # fmt: skip
    model.compile({"Adam": {"learning_rate": 0.01}}, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_names_count_within_the_model_not_the_process():
    for _ in range(2):
        x = L.Input((4,))
        model = layerkit.Model(x, L.Dense(2)(L.Dense(3, name="mine")(L.Dense(3)(x))))
        assert [layer.name for layer in model.layers] == ["input_layer", "dense_1", "mine", "dense"]  # by age
    with pytest.raises(ArgumentError, match="two layers"):
        layerkit.Model(x, L.Dense(2, name="a")(L.Dense(3, name="a")(x)))
    assert model.get_layer("mine").units == 3
    with pytest.raises(UnknownNameError) as caught:
        model.get_layer("mime")
    assert "mine" in caught.value.fix


def test_one_seed_one_result_and_dropout_elsewhere_changes_no_initial_weights():
    a, b, other = small(), small(), small(seed=1)
    assert equal(a, b)
    assert not equal(a, other)
    for model in (a, b):
        model.fit(X, Y, epochs=2, verbose=0)
    assert equal(a, b)
    assert equal(small(), small(L.Dropout(0.5)))


def test_training_from_a_file_equals_training_never_interrupted(tmp_path):
    whole, part = small(), small()
    whole.fit(X, Y, epochs=4, verbose=0)
    part.fit(X, Y, epochs=2, verbose=0)
    part.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    loaded.fit(X, Y, epochs=2, verbose=0)
    assert equal(whole, loaded)
    part.save(tmp_path / "n.lk")
    assert (tmp_path / "m.lk").read_bytes() == (tmp_path / "n.lk").read_bytes()


def test_functional_graph_round_trips_through_a_file(tmp_path):
    a, b = L.Input((4,), name="a"), L.Input((4,), name="b")
    shared = L.Dense(4, activation="tanh")
    inner = layerkit.Sequential([L.Input((4,)), L.Dense(5), L.Dense(4)], name="inner")
    x = L.Add()([shared(a), inner(shared(b))]) * 2.0
    model = layerkit.Model({"a": a, "b": b}, {"p": L.Dense(1, name="p")(x[:, 1:]), "q": inner(x)})
    data = {"a": X[:, 0], "b": X[:, 1]}
    model.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    before, after = model.predict(data), loaded.predict(data)
    assert list(before) == ["p", "q"]
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])
    assert str(loaded.summary(print_fn=lambda text: None)) == "None"


def test_without_the_optimizer_a_file_still_says_how_the_model_is_measured(tmp_path):
    model = small()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "whole.lk")
    model.save(tmp_path / "lean.lk", include_optimizer=False)
    assert (tmp_path / "lean.lk").stat().st_size < 0.8 * (tmp_path / "whole.lk").stat().st_size
    lean = layerkit.load_model(tmp_path / "lean.lk")
    assert lean.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert (type(lean.optimizer).__name__, float(lean.optimizer.learning_rate)) == ("Adam", pytest.approx(0.01))
    assert int(lean.optimizer.iterations) == 0
    lean.fit(X, Y, verbose=0)
    assert not layerkit.load_model(tmp_path / "lean.lk", compile=False).compiled


def test_damaged_and_mismatched_files_are_refused(tmp_path):
    path = tmp_path / "m.lk"
    small().save(path)
    data = path.read_bytes()
    for bad in (b"", data[:100], data[:-1], data[: len(data) // 2], b"x" + data[1:], data[:3000] + b"?" + data[3001:]):
        path.write_bytes(bad)
        with pytest.raises(FileFormatError):
            layerkit.load_model(path)
    path.write_bytes(data)
    other = layerkit.Sequential([L.Input((6, 4)), L.Flatten(), L.Dense(7)])
    with pytest.raises(FileFormatError) as caught:
        other.load_weights(path)
    assert len(caught.value.problems) > 2
    with pytest.raises(LayerkitError):
        layerkit.load_model(tmp_path / "none.lk")


def test_frozen_layers_do_not_move():
    model = small()
    model.fit(X, Y, epochs=1, verbose=0)
    model.get_layer("lstm").trainable = False
    model.get_layer("batch_normalization").trainable = False
    before = [
        w.copy() for w in model.get_layer("lstm").get_weights() + model.get_layer("batch_normalization").get_weights()
    ]
    dense = model.get_layer("dense").get_weights()
    model.fit(X, Y, epochs=1, verbose=0)
    after = model.get_layer("lstm").get_weights() + model.get_layer("batch_normalization").get_weights()
    assert all(map(np.array_equal, before, after))
    assert not np.array_equal(dense[0], model.get_layer("dense").get_weights()[0])


def test_weights_that_do_not_fit_change_nothing():
    model = small()
    weights = model.get_weights()
    with pytest.raises(ShapeError) as caught:
        model.set_weights([*weights[:-1], np.zeros(4)])
    assert "dense_1/bias" in str(caught.value)
    assert all(map(np.array_equal, weights, model.get_weights()))


def test_sequential_without_input_takes_shapes_from_data():
    model = layerkit.Sequential([L.Dense(4, activation="relu"), L.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X[:, 0], X[:, 1, :2], verbose=0)
    assert [w.shape for w in model.weights] == [(4, 4), (4,), (4, 2), (2,)]
    with pytest.raises(StateError):
        layerkit.Sequential([L.Dense(4)]).fit(X[:, 0], X[:, 1])


def test_summary_counts():
    model = layerkit.Sequential([L.Input((8, 8, 1)), L.Conv2D(4, 3), L.Flatten(), L.Dense(10)])
    lines = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "1,490" in text  # 4 * 9 + 4 + 144 * 10 + 10 parameters
    assert "2,736" in text  # 36 * 9 * 4 + 144 * 10 multiply-adds
    assert "predicted" in text


def test_layers_and_models_on_arrays_compute_at_once():
    model = small()
    np.testing.assert_allclose(model(X), model.predict(X), rtol=1e-5, atol=1e-6)
