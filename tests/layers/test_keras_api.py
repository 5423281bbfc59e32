"""What those rely on who know Keras's layers: attributes, masks, losses outside training, what is refused and how."""

from __future__ import annotations

import pickle
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import layers, ops
from layerkit.errors import ArgumentError, LayerkitWarning, NotBuiltError
from layerkit.layers import Input
from layerkit.models import Model, Sequential
from layerkit.trace import get_mask, set_mask

# Attributes ----------------------------------------------------------------------------------------------------------


def test_a_model_of_what_a_layer_puts_out() -> None:
    inputs = Input((3,))
    hidden = layers.Dense(4, activation="relu", name="hidden")(inputs)
    model = Model(inputs, layers.Dense(2)(hidden))
    features = Model(model.input, model.get_layer("hidden").output)
    x = np.ones((2, 3), "float32")
    hidden_layer: Any = model.get_layer("hidden")
    expected = np.maximum(x @ hidden_layer.kernel.numpy(), 0)
    np.testing.assert_allclose(features.predict(x, verbose=0), expected, rtol=1e-6)
    rest = Model(model.layers[2].input, model.output)
    np.testing.assert_allclose(rest(expected), model(x), rtol=1e-6)


def test_parts_of_a_sequential_that_grew() -> None:
    model = Sequential([Input((3,)), layers.Dense(4)])
    first = model.layers[0].output
    model.add(layers.Dense(2))
    assert model.layers[0].output is first is model.layers[1].input
    assert model.layers[1].output is model.outputs[0]
    model.pop()
    assert model.output_shape == (None, 4)
    assert model.input_shape == (None, 3)


def test_what_is_not_there_yet() -> None:
    model = Sequential([layers.Dense(2)])
    assert not hasattr(model, "inputs")
    assert not hasattr(model, "output_shape")
    with pytest.raises(NotBuiltError):
        _ = layers.Dense(2).output
    with pytest.raises(ValueError, match="without layers"):
        Sequential()(np.ones((2, 3)))
    model.build((None, 3))
    with pytest.raises(ValueError, match="known already"):
        model.build((None, 4))


def test_layers_without_weights_are_built_at_once() -> None:
    assert layers.ReLU().built
    assert layers.Dropout(0.5).built
    assert not layers.Dense(2).built
    table = layers.Embedding(3, 2, weights=[np.eye(3, 2)])
    np.testing.assert_array_equal(table.embeddings.numpy(), np.eye(3, 2))


def test_an_input_layer_is_an_input() -> None:
    entrance = layers.InputLayer((4,), dtype="int32", name="words")
    assert entrance.batch_shape == (None, 4)
    model = Model(entrance.output, layers.Embedding(5, 2)(entrance.output))
    assert model.layers[0].name == "words"
    assert Sequential([layers.InputLayer(batch_shape=(2, 3)), layers.Dense(1)]).input_shape == (2, 3)
    with pytest.raises(ArgumentError, match="stands for"):
        layers.InputLayer((3,), batch_shape=(2, 3))
    with pytest.raises(ArgumentError, match="another shape"):
        layers.InputLayer((3,), input_tensor=Input((4,)))


def test_config_has_the_name_in_the_model_and_windows_for_each_axis() -> None:
    model = Sequential([Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Conv2D(2, (3, 1))])
    configs = [layer.get_config() for layer in model.layers]
    assert [c["name"] for c in configs] == ["conv2d", "conv2d_1"]
    assert [c["kernel_size"] for c in configs] == [(3, 3), (3, 1)]
    assert "activity_regularizer" not in layers.Dense(2).get_config()


# Losses outside training ---------------------------------------------------------------------------------------------


class _Penalised(layers.Layer):
    def call(self, x: Any) -> Any:
        self.add_loss(ops.sum(x))
        return x


def test_losses_of_the_last_call() -> None:
    layer = _Penalised()
    model = Sequential(
        [layer, layers.Dense(1, activity_regularizer="l2", kernel_regularizer=layerkit.regularizers.L1(1.0))]
    )
    x = np.ones((2, 3), "float32")
    for _ in range(2):
        y = model(x)
        added, activity, weights = map(float, model.losses)
        assert added == 6.0
        assert activity == pytest.approx(0.01 * np.sum(y**2) / 2)
        kernel: Any = model.layers[1]
        assert weights == pytest.approx(np.abs(kernel.kernel.numpy()).sum())
    assert [float(v) for v in layer.losses] == [6.0]
    layer(2 * x)
    assert [float(v) for v in layer.losses] == [12.0]


# Masks ---------------------------------------------------------------------------------------------------------------

STEPS = np.array([[[0, 0], [1, 2], [0, 0], [3, 4]]], "float32")
OTHERS = np.array([[[0, 0], [0, 0], [1, 2], [3, 4]]], "float32")


def test_symbolic_tensors_have_masks() -> None:
    seen = []

    class Looks(layers.Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            seen.append(mask is not None)
            return x

    inputs = Input((4, 2))
    masked = layers.Masking()(inputs)
    Looks()(masked)
    assert seen == [True]
    mask = get_mask(layers.Concatenate(axis=1)([masked, inputs]))
    model = Model(inputs, mask)
    np.testing.assert_array_equal(model.predict(STEPS, verbose=0), [[0, 1, 0, 1, 1, 1, 1, 1]])
    again = Model.from_config(model.get_config())
    np.testing.assert_array_equal(again(STEPS), [[0, 1, 0, 1, 1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("name", "one", "both"),
    [  # numbers of Keras's documentation of masks: what is left out counts as nothing, not as 0
        ("Multiply", [[0, 0], [0, 0], [1, 2], [9, 16]], [[0, 0], [1, 2], [1, 2], [9, 16]]),
        ("Maximum", [[0, 0], [1, 2], [1, 2], [3, 4]], [[0, 0], [1, 2], [1, 2], [3, 4]]),
        ("Minimum", [[0, 0], [0, 0], [1, 2], [3, 4]], [[0, 0], [1, 2], [1, 2], [3, 4]]),
        ("Add", [[0, 0], [1, 2], [1, 2], [6, 8]], [[0, 0], [1, 2], [1, 2], [6, 8]]),
    ],
)
def test_merging_with_masks(name: str, one: Any, both: Any) -> None:
    layer, mask = getattr(layers, name)(), layers.Masking()
    first = layer([mask(STEPS), OTHERS])
    np.testing.assert_array_equal(first, [one])
    assert get_mask(first) is None
    second = layer([mask(STEPS), mask(OTHERS)])
    np.testing.assert_array_equal(second, [both])
    np.testing.assert_array_equal(get_mask(second), [[0, 1, 1, 1]])
    with pytest.raises(ArgumentError, match="another number of masks"):
        layer.compute_mask([STEPS, OTHERS], [None])


def test_each_argument_has_its_mask() -> None:
    class Pair(layers.Layer):
        def call(self, a: Any, b: Any, a_mask: Any = None, b_mask: Any = None) -> Any:
            assert a_mask is None
            return a + b * ops.cast(b_mask, "float32")

    b = np.ones((2, 2), "float32")
    set_mask(b, np.array([[True, False], [True, True]]))
    np.testing.assert_array_equal(Pair()(np.zeros((2, 2), "float32"), b=b), [[1, 0], [1, 1]])


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda: layers.UpSampling1D(2.5), (TypeError, ValueError)),
        (lambda: layers.RepeatVector("3"), (TypeError, ValueError)),
        (lambda: layers.Dense(0), (ValueError,)),
        (lambda: layers.Conv2D(2, 3, strides=2, dilation_rate=2), (ValueError,)),
        (lambda: layers.Conv2DTranspose(2, 3, strides=2, output_padding=2), (ValueError,)),
        (lambda: layers.Reshape((-1, -1)), (ValueError,)),
        (lambda: layers.Dropout(0.5, noise_shape=(2, 0)), (ValueError,)),
        (lambda: layers.Cropping1D((1,)), (ValueError,)),
        (lambda: layers.ZeroPadding1D((1, 2, 3)), (ValueError,)),
        (lambda: layers.Softmax()(np.ones((2, 3)), mask=np.ones((2, 4))), (ValueError,)),
        (lambda: layers.Softmax()(np.ones((2, 3)), mask=np.ones((1, 2, 3))), (ValueError,)),
        (lambda: layers.Layer().add_weight("kernel"), (ValueError,)),
    ],
)
def test_refused(make: Any, kinds: Any) -> None:
    for kind in kinds:
        with pytest.raises(kind):
            make()


def test_weights_are_not_made_in_call() -> None:
    class Late(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + self.add_weight((1,))

    with pytest.raises(ArgumentError, match="not in 'call'"):
        Late()(np.ones((2, 1)))


def test_build_takes_shapes_of_arguments() -> None:
    class Pair(layers.Layer):
        def build(self, b_shape: Any, a_shape: Any) -> None:
            self.shapes = a_shape, b_shape

        def call(self, a: Any, b: Any) -> Any:
            return a + b

    class Wrong(Pair):
        def build(self, b_shape: Any, c_shape: Any) -> None:
            pass

    pair = Pair()
    pair(np.ones((2, 1)), np.ones((2, 3)))
    assert pair.shapes == ((2, 1), (2, 3))
    with pytest.raises(ArgumentError, match="c_shape"):
        Wrong()(np.ones((2, 1)), np.ones((2, 3)))


# Models --------------------------------------------------------------------------------------------------------------


def test_a_model_without_weights_trains_nothing() -> None:
    model = Sequential([Input((4, 2)), layers.Flatten()])
    model.compile("sgd", "mse", metrics=["mae"])
    with pytest.warns(LayerkitWarning, match="no weights to train"):
        logs = model.fit(STEPS, np.zeros((1, 8)), verbose=0).history
    assert logs["loss"] == [pytest.approx(np.mean(STEPS**2))]
    assert logs["mae"] == [pytest.approx(np.mean(STEPS))]


def test_inputs_lacking_an_axis_of_size_one() -> None:
    column = Model(x := Input((1,)), layers.Dense(2, kernel_initializer="ones")(x))
    np.testing.assert_array_equal(column.predict(np.array([1.0, 2.0]), verbose=0), [[1, 1], [2, 2]])
    row = Model(x := Input((3,)), layers.Dense(1, kernel_initializer="ones")(x))
    np.testing.assert_array_equal(row(np.ones((2, 3, 1))), [[3], [3]])


def test_inputs_and_outputs_in_nested_dicts() -> None:
    a, b, c = Input((1,)), Input((2,)), Input((3,))
    model = Model({"a": a, "rest": {"b": b, "c": c}}, {"a": a * 1.0, "rest": {"b": b * 2.0, "c": c * 3.0}})
    x = {"rest": {"c": np.ones((2, 3)), "b": np.ones((2, 2))}, "a": np.ones((2, 1))}
    y = model(x)
    np.testing.assert_array_equal(y["rest"]["b"], np.full((2, 2), 2))
    np.testing.assert_array_equal(y["rest"]["c"], np.full((2, 3), 3))


def test_an_input_that_nothing_depends_on_is_told() -> None:
    a, b = Input((1,)), Input((1,))
    with pytest.warns(LayerkitWarning, match="no output"):
        model = Model([a, b], a * 2.0)
    np.testing.assert_array_equal(model([np.ones((1, 1)), np.zeros((1, 1))]), [[2]])


class _Branch(layers.Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner, self.drop = layers.Dense(units), layers.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return self.drop(self.inner(x)) + x


class _Held(Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _Branch(3), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


@pytest.mark.parametrize("copy", [lambda x: pickle.loads(pickle.dumps(x)), deepcopy])
@pytest.mark.parametrize("make", [lambda: Sequential([Input((3,)), _Branch(3), layers.Dense(1)]), _Held])
def test_copies_go_on_alike(make: Any, copy: Any) -> None:
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    model = make()
    model.compile(layerkit.optimizers.Adam(0.1), "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    other = copy(model)
    assert not set(map(id, other.weights)) & set(map(id, model.weights))
    for each in (model, other):
        each.fit(x, y, verbose=0)
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    layer = copy(model.layers[0])
    np.testing.assert_array_equal(layer(x), model.layers[0](x))
    assert layer.get_config() == model.layers[0].get_config()


def test_a_sequential_without_input_takes_series_of_any_length() -> None:
    model = Sequential([layers.Conv1D(2, 3, kernel_initializer="ones"), layers.GlobalMaxPooling1D()])
    model.compile("sgd", "mse")
    model.fit(((np.ones((2, n, 1), "float32"), np.zeros((2, 2), "float32")) for n in (5, 7, 6)), verbose=0)
    assert model.input_shape == (None, None, 1)
    assert model.predict(np.ones((1, 9, 1), "float32"), verbose=0).shape == (1, 2)


def test_a_sequential_without_input_is_plain_data_too() -> None:
    model = Sequential([layers.Dense(4, activation="relu"), Sequential([layers.Dense(2)])])
    copy = layerkit.models.model_from_json(model.to_json())
    other = Sequential.from_config(model.get_config())
    x = np.ones((2, 3), "float32")
    for each in (copy, other, layerkit.models.clone_model(model)):
        each(x), model(x)
        assert not set(each.weights) & set(model.weights)
        each.set_weights(model.get_weights())
        np.testing.assert_array_equal(each(x), model(x))


def test_inputs_get_the_dtypes_of_their_symbols() -> None:
    wide = Model(x := Input((3,), dtype="float64"), layers.Dense(1, dtype="float64", kernel_initializer="ones")(x))
    assert (
        float(wide(np.full((1, 3), np.pi))[0, 0])
        == float(wide.predict(np.full((1, 3), np.pi), verbose=0)[0, 0])
        == 3 * np.pi
    )
    whole = Model(x := Input((1,), dtype="int32"), x + 2)
    assert whole(np.array([[1.0]])).dtype == "int32"


def test_numpy_writes_where_it_is_told_to():
    layer = layers.Dense(2)
    layer.build((None, 3))
    kernel, result = layer.kernel, np.zeros((3, 2), "float32")
    np.add(np.ones((3, 2), "float32"), kernel, out=result)
    np.testing.assert_array_equal(result, 1 + kernel.numpy())
    with pytest.raises(TypeError):
        np.add(result, 1, out=kernel)


def test_a_layer_that_returns_nothing_is_told_so():
    class Forgetful(layers.Layer):
        def call(self, x):
            x * 2

    with pytest.raises(ArgumentError, match="returns its output"):
        layerkit.Sequential([layerkit.Input((3,)), Forgetful(), layers.Dense(1)])


def test_a_model_of_ones_own_is_built_for_a_shape():
    class Two(layerkit.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(2), [layers.Dense(3)]

        def call(self, pair):
            return self.last[0](self.first(pair[0]) + self.first(pair[1]))

    model = Two()
    model.build([(None, 4), (None, 4)])
    assert (model.built, model.count_params()) == (True, 4 * 2 + 2 + 2 * 3 + 3)
