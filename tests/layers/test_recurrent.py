"""Recurrent layers: states that are kept, given and returned, and what is said when something does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit as keras
from layerkit import layers, ops
from layerkit.errors import ArgumentError, LayerkitError, ShapeError
from layerkit.models.config import model_config, model_from_config

X = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("float32")


def test_a_stateful_model_goes_on_in_every_batch() -> None:
    layer = layers.LSTM(2, stateful=True)
    model = keras.Sequential([keras.Input((3, 3), batch_size=2), layer])
    whole = layers.LSTM(2)
    whole(X)
    whole.set_weights(layer.get_weights())
    halves = np.concatenate([X[:2, :3], X[:2, 3:]])  # two batches: the halves of two series
    np.testing.assert_allclose(model.predict(halves, batch_size=2)[2:], whole(X[:2]), rtol=1e-5, atol=1e-6)
    again = model.predict(halves, batch_size=2)
    layer.reset_state()
    assert np.abs(model.predict(halves, batch_size=2) - again).max() > 1e-3
    assert len(layer.weights) == 3  # states are no weights: they are not saved


def test_training_moves_kept_states_without_gradients_through_batches() -> None:
    layer = layers.GRU(2, stateful=True)
    model = keras.Sequential([keras.Input((6, 3), batch_size=2), layer])
    model.compile("sgd", "mse")
    model.fit(X, X[:, 0, :2], batch_size=2, epochs=2, shuffle=False, verbose=0)
    kept = layer.states[0].numpy()
    assert kept.any()
    np.testing.assert_array_equal(model.predict(X[:1], batch_size=1).shape, (1, 2))
    np.testing.assert_array_equal(layer.states[0].numpy()[1], kept[1])  # a smaller batch leaves the other rows alone


def test_states_of_an_encoder_start_a_decoder() -> None:
    source, target = keras.Input((None, 3)), keras.Input((None, 2))
    _, h, c = layers.LSTM(4, return_state=True)(source)
    y = layers.LSTM(4, return_sequences=True)(target, initial_state=[h, c])
    model = keras.Model([source, target], layers.Dense(1)(y))
    t = np.zeros((4, 5, 2), "float32")
    a, b = model.predict([X, t]), model.predict([X * 2, t])
    assert a.shape == (4, 5, 1)
    assert np.abs(a - b).max() > 1e-4
    copy = model_from_config(model_config(model))
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict([X, t]), a)


class Pair(layers.Layer):
    """A cell with states of two shapes that returns them as a tuple, and its output apart from both."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state_size = [2, (3, 2)]
        self.output_size = 1

    def call(self, inputs: Any, states: Any) -> Any:
        a, b = states
        a = a + inputs[:, :2]
        b = b + ops.expand_dims(inputs, -1)
        return ops.sum(a, -1, keepdims=True), (a, b)


def test_a_cell_with_states_of_any_shape() -> None:
    y, a, b = layers.RNN(Pair(), return_state=True)(X)
    np.testing.assert_allclose(a, X[..., :2].sum(1), rtol=1e-5)
    np.testing.assert_allclose(b, np.repeat(X.sum(1)[..., None], 2, -1), rtol=1e-5)
    np.testing.assert_allclose(y, X[..., :2].sum((1, 2))[:, None], rtol=1e-5)


@pytest.mark.parametrize(
    "layer", [layers.LSTM(4, dropout=0.5), layers.GRU(4, recurrent_dropout=0.5, reset_after=False)]
)
def test_dropout_is_the_same_at_every_step_and_off_otherwise(layer: Any) -> None:
    ones = np.ones((4, 6, 3), "float32")
    np.testing.assert_array_equal(layer(ones), layer(ones))
    assert np.abs(layer(ones, training=True) - layer(ones, training=True)).max() > 1e-3
    inputs = keras.Input((6, 3))
    dropped = keras.Model(
        inputs, layers.RNN(layers.SimpleRNNCell(3, "linear", dropout=0.5), return_sequences=True)(inputs)
    )
    dropped.set_weights([np.eye(3, dtype="float32"), np.zeros((3, 3), "float32"), np.zeros(3, "float32")])
    y = keras.function(lambda x: dropped(x, training=True))(ones)
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.repeat(y[:, :1], 6, 1))


BAD: dict[str, tuple[Any, type[LayerkitError], str]] = {
    "states": (lambda: layers.LSTM(4)(X, initial_state=[X[:, 0]]), ShapeError, "(4, 4), (4, 4)"),
    "size": (lambda: layers.GRU(4)(X, initial_state=X[:, 0]), ShapeError, "(4, 4)"),
    "no-cell": (lambda: layers.RNN(layers.Dense(3)), ArgumentError, "a layer with call(inputs, states) and state_size"),
    "no-cells": (lambda: layers.StackedRNNCells([]), ArgumentError, "a list of cells"),
    "batch": (lambda: layers.LSTM(4, stateful=True)(keras.Input((6, 3))), ShapeError, "a fixed batch size"),
    "no-time": (lambda: layers.LSTM(4)(X[0]), ShapeError, "(batch, time, features)"),
    "no-image": (lambda: layers.ConvLSTM2D(4, 2)(X), ShapeError, "5 axes"),
    "no-rnn": (lambda: layers.Bidirectional(layers.Dense(4)), ArgumentError, "an LSTM, GRU or RNN"),
    "one-way": (
        lambda: layers.Bidirectional(layers.LSTM(4), backward_layer=layers.LSTM(4)),
        ArgumentError,
        "a backward_layer with another go_backwards",
    ),
    "odd-states": (
        lambda: layers.Bidirectional(layers.LSTM(4))(X, initial_state=[X[:, 0]] * 3),
        ShapeError,
        "an even number of tensors",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_said(name: str) -> None:
    make, kind, expected = BAD[name]
    with pytest.raises(kind) as caught:
        make()
    assert caught.value.expected == expected


class Sum(layers.Layer):
    """A cell that says its size and no more."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units

    def call(self, inputs, states):
        output = ops.sum(inputs, -1, keepdims=True) + states[0]
        return output, [output]


def test_a_stack_of_cells_with_one_state_each_returns_one_tensor_for_each() -> None:
    y, first, second = layers.RNN([Sum(3), Sum(2)], return_state=True)(np.ones((2, 4, 5)))
    assert first.tolist() == [[20.0] * 3] * 2  # 4 steps of 5
    assert y.tolist() == second.tolist() == [[150.0] * 2] * 2  # 3 * (5 + 10 + 15 + 20)


def test_a_layer_of_each_step_gets_the_mask_of_each_step() -> None:
    x = np.arange(12, dtype="float32").reshape(2, 3, 2)
    mask = np.array([[1, 0, 1], [0, 1, 1]], bool)
    norm = layers.BatchNormalization(momentum=0.0)
    layers.TimeDistributed(norm)(x, mask=mask, training=True)
    np.testing.assert_allclose(norm.moving_mean.numpy(), x[mask].mean(0))
    inner = layers.TimeDistributed(layers.LSTM(2, return_sequences=True))
    series = np.ones((2, 3, 4, 2), "float32")
    y = inner(series, mask=mask)
    assert not y[~mask].any()
    np.testing.assert_array_equal(y[mask], inner(series)[mask])


def test_masks_of_other_rows_or_steps_are_an_error() -> None:
    layer = layers.TimeDistributed(layers.Dense(2))
    for shape in ((2, 4), (3, 3), (2,)):
        with pytest.raises(ShapeError, match="other rows or steps"):
            layer(np.ones((2, 3, 2)), mask=np.ones(shape, bool))
    assert layer(np.ones((2, 3, 2)), mask=np.ones((2, 3, 1), bool)).shape == (2, 3, 2)


def test_arguments_of_recurrent_layers_that_only_keras_uses() -> None:
    assert layers.GRU(2, use_cudnn=False).use_cudnn is False
    assert layers.LSTM.from_config({**layers.LSTM(2).get_config(), "implementation": 0}).units == 2
    with pytest.raises(ArgumentError, match="exclude each other"):
        layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2)


class Rectified(layers.LSTM):
    """An LSTM with an argument of its own, as users write it."""

    def __init__(self, units, scale=2.0, **kwargs):
        super().__init__(units, "relu", **kwargs)
        self.scale = scale

    def call(self, sequences, **kwargs):
        return self.scale * super().call(sequences, **kwargs)


def test_a_recurrent_layer_of_ones_own() -> None:
    own = Rectified(3, dtype="float64")
    plain = layers.LSTM(3, activation="relu", dtype="float64")
    y = own(X)
    plain(X)
    plain.set_weights(own.get_weights())
    np.testing.assert_array_equal(y, 2.0 * plain(X))
    again = Rectified.from_config(own.get_config())
    assert (again.units, again.scale, again.cell.dtype) == (3, 2.0, "float64")
