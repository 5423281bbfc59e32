"""Models of Keras's layers, losses, optimizers and metrics against Keras 3.15 on JAX: the same weights, the same numbers.

A case builds the same model twice, once with ``keras`` and once with ``layerkit`` in its place. Keras's weights are
copied; then outputs agree to 1e-5 and, after five training steps, weights and losses agree to 1e-4.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import layerkit

RNG = np.random.default_rng(7)


def series(rows: int = 6, time: int = 7, features: int = 3, padded: bool = False) -> np.ndarray:
    x = RNG.standard_normal((rows, time, features)).astype("float32")
    if padded:
        for row, length in enumerate(RNG.integers(2, time + 1, rows)):
            x[row, length:] = 0
    return x


def images(rows: int = 4, height: int = 7, width: int = 6, channels: int = 4) -> np.ndarray:
    return RNG.standard_normal((rows, height, width, channels)).astype("float32")


TOKENS = RNG.integers(0, 9, (6, 7)).astype("int32")


def chain(*make: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A model of one input: each entry makes a layer from the library."""

    def build(k: Any, x: np.ndarray) -> Any:
        tensor = inputs = k.Input(x.shape[1:], dtype=str(x.dtype))
        for each in make:
            tensor = each(k.layers)(tensor)
        return k.Model(inputs, tensor)

    return build


def masked(*rest: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return chain(lambda L: L.Masking(), *rest)


def two_inputs(k: Any, x: list[np.ndarray]) -> Any:
    a, b = k.Input(x[0].shape[1:]), k.Input(x[1].shape[1:])
    dense = k.layers.Dense(5, activation="tanh")
    joined = k.layers.Concatenate()([dense(a), dense(b)])
    total = k.layers.Add()([joined, joined * 0.5])
    return k.Model([a, b], [k.layers.Dense(2)(total), k.layers.Dense(3, activation="softmax")(joined[:, 1:])])


def nested(k: Any, x: np.ndarray) -> Any:
    inner = k.Sequential([k.Input((5,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(5)])
    inputs = k.Input(x.shape[1:])
    return k.Model(inputs, k.layers.Add()([inner(inputs), inner(inner(inputs))]))


FLAT = RNG.standard_normal((6, 5)).astype("float32")

MODELS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "dense": (chain(lambda L: L.Dense(4)), FLAT),
    "dense-3d-relu": (chain(lambda L: L.Dense(4, activation="relu", use_bias=False)), series()),
    "max-pooling2d": (
        chain(lambda L: L.Conv2D(8, 3, padding="same", activation="relu"), lambda L: L.MaxPooling2D(3, 2, "same")),
        images(),
    ),
    "depthwise-conv2d": (
        chain(lambda L: L.DepthwiseConv2D((2, 3), 2, "same", 3, use_bias=False), lambda L: L.DepthwiseConv2D(2)),
        images(),
    ),
    "average-pooling1d": (chain(lambda L: L.Conv1D(4, 2), lambda L: L.AveragePooling1D(3, 2)), series()),
    "global-average-1d-masked": (
        masked(lambda L: L.Dense(4), lambda L: L.GlobalAveragePooling1D()),
        series(padded=True),
    ),
    "flatten": (chain(lambda L: L.Conv2D(4, 3), lambda L: L.Flatten(), lambda L: L.Dense(3)), images()),
    "zero-padding": (
        chain(lambda L: L.ZeroPadding2D((1, 2)), lambda L: L.Conv2D(4, 3, strides=2), lambda L: L.Flatten()),
        images(),
    ),
    "relu": (chain(lambda L: L.Dense(6), lambda L: L.ReLU(1.5, 0.1, 0.2), lambda L: L.Dense(2)), FLAT),
    "reshape": (chain(lambda L: L.Dense(6), lambda L: L.Reshape((3, -1)), lambda L: L.Dense(2)), FLAT),
    "batch-normalization": (chain(lambda L: L.Dense(4), lambda L: L.BatchNormalization(momentum=0.9)), FLAT),
    "batch-normalization-2d": (chain(lambda L: L.Conv2D(4, 3), lambda L: L.BatchNormalization(scale=False)), images()),
    "batch-normalization-masked": (masked(lambda L: L.BatchNormalization(), lambda L: L.Dense(2)), series(padded=True)),
    "layer-normalization": (chain(lambda L: L.Dense(4), lambda L: L.LayerNormalization()), FLAT),
    "embedding": (chain(lambda L: L.Embedding(9, 4), lambda L: L.Flatten(), lambda L: L.Dense(2)), TOKENS),
    "embedding-masked": (chain(lambda L: L.Embedding(9, 4, mask_zero=True), lambda L: L.LSTM(3)), TOKENS),
    "simple-rnn": (chain(lambda L: L.SimpleRNN(4)), series()),
    "simple-rnn-masked": (
        masked(lambda L: L.SimpleRNN(4, activation="relu", return_sequences=True), lambda L: L.SimpleRNN(3)),
        series(padded=True),
    ),
    "gru": (chain(lambda L: L.GRU(4)), series()),
    "gru-masked": (masked(lambda L: L.GRU(4, return_sequences=True), lambda L: L.GRU(3)), series(padded=True)),
    "gru-reset-before": (chain(lambda L: L.GRU(4, reset_after=False, return_sequences=True)), series()),
    "gru-no-bias": (chain(lambda L: L.GRU(4, "relu", "hard_sigmoid", False, go_backwards=True)), series()),
    "bidirectional-gru": (chain(lambda L: L.Bidirectional(L.GRU(3))), series()),
    "lstm": (chain(lambda L: L.LSTM(4)), series()),
    "lstm-sequences": (chain(lambda L: L.LSTM(4, return_sequences=True), lambda L: L.Dense(2)), series()),
    "lstm-backwards": (chain(lambda L: L.LSTM(4, return_sequences=True, go_backwards=True)), series()),
    "lstm-no-bias": (
        chain(lambda L: L.LSTM(4, use_bias=False, activation="relu", recurrent_activation="hard_sigmoid")),
        series(),
    ),
    "lstm-masked": (masked(lambda L: L.LSTM(4)), series(padded=True)),
    "lstm-masked-sequences": (
        masked(lambda L: L.LSTM(4, return_sequences=True), lambda L: L.LSTM(3)),
        series(padded=True),
    ),
    "bidirectional": (chain(lambda L: L.Bidirectional(L.LSTM(3))), series()),
    "bidirectional-sequences": (
        chain(lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="sum")),
        series(),
    ),
    "bidirectional-masked": (
        masked(lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True)), lambda L: L.LSTM(2)),
        series(padded=True),
    ),
    "bidirectional-ave": (chain(lambda L: L.Bidirectional(L.LSTM(3), merge_mode="ave")), series()),
    "bidirectional-mul": (chain(lambda L: L.Bidirectional(L.LSTM(3), merge_mode="mul")), series()),
    "time-distributed": (chain(lambda L: L.TimeDistributed(L.Dense(4, activation="tanh"))), series()),
    "time-distributed-conv": (
        chain(lambda L: L.TimeDistributed(L.Conv1D(3, 2)), lambda L: L.TimeDistributed(L.Flatten())),
        images(),
    ),
    "attention": (lambda k, x: _attention(k, x), series()),
    "nested": (nested, FLAT),
    "two-inputs": (two_inputs, [FLAT, FLAT[::-1].copy()]),
}


def _attention(k: Any, x: np.ndarray) -> Any:
    inputs = k.Input(x.shape[1:])
    return k.Model(inputs, k.layers.MultiHeadAttention(2, 4)(inputs, inputs, use_causal_mask=True))


def pair(build: Callable[[Any, Any], Any], x: Any) -> tuple[Any, Any]:
    """Keras's model and ours, with equal weights that are no defaults."""
    theirs, ours = build(keras, x), build(layerkit, x)
    rng = np.random.default_rng(3)
    weights = [
        np.asarray(rng.uniform(0.05, 0.6, w.shape) * rng.choice([1, 1, -1], w.shape), "float32")
        for w in theirs.get_weights()
    ]
    names = [w.path for w in theirs.weights]
    weights = [np.abs(w) if "variance" in n else w for n, w in zip(names, weights, strict=True)]
    theirs.set_weights(weights)
    assert [w.shape for w in weights] == [w.shape for w in ours.get_weights()]
    ours.set_weights(weights)
    return theirs, ours


def close(a: Any, b: Any, tolerance: float) -> None:
    for left, right in zip(a if isinstance(a, list) else [a], b if isinstance(b, list) else [b], strict=True):
        np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_five_steps(name: str) -> None:
    build, x = MODELS[name]
    theirs, ours = pair(build, x)
    expected = theirs.predict_on_batch(x)
    close(ours.predict_on_batch(x), expected, 1e-5)
    outputs = expected if isinstance(expected, list) else [expected]
    rng = np.random.default_rng(5)
    y = [rng.standard_normal(o.shape).astype("float32") for o in outputs]
    y = y if len(y) > 1 else y[0]
    for k, model in ((keras, theirs), (layerkit, ours)):
        model.compile(k.optimizers.SGD(0.005), "mse" if len(outputs) == 1 else ["mse", "mse"])
    for _ in range(5):
        a, b = theirs.train_on_batch(x, y), ours.train_on_batch(x, y)
        close(np.ravel(b)[0], np.ravel(a)[0], 1e-4)
    close(ours.get_weights(), theirs.get_weights(), 1e-4)


PROBABILITIES = RNG.dirichlet(np.ones(4), (6,)).astype("float32")
LOGITS = RNG.standard_normal((6, 4)).astype("float32")
CLASSES = RNG.integers(0, 4, 6).astype("int32")
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]
YES_NO = RNG.integers(0, 2, (6, 4)).astype("float32")

# Metrics, weights, fit ------------------------------------------------------------------------------------------------

METRICS: dict[str, tuple[str, Any, Any]] = {
    "accuracy-sparse": ("accuracy", CLASSES, PROBABILITIES),
    "accuracy-categorical": ("accuracy", ONE_HOT, PROBABILITIES),
    "accuracy-binary": ("accuracy", YES_NO[:, :1], PROBABILITIES[:, :1]),
    "mae": ("mae", YES_NO, PROBABILITIES),
    "mse": ("mean_squared_error", YES_NO, PROBABILITIES),
}


@pytest.mark.parametrize("kind", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize("name", METRICS)
def test_metric_in_evaluate(name: str, kind: str) -> None:
    metric, y, p = METRICS[name]
    loss = "sparse_categorical_crossentropy" if y.ndim == 1 else "mse"
    weight = np.array([1, 0, 2, 0.5, 1, 3], "float32")
    found = []
    for k in (keras, layerkit):
        inputs = k.Input(p.shape[1:])
        model = k.Model(inputs, k.layers.Activation("linear")(inputs))
        model.compile("sgd", loss, **{kind: [metric]})
        arguments = {"batch_size": 4, "verbose": 0, "sample_weight": weight}
        extra = {"check_data": False} if k is layerkit else {}
        found.append(model.evaluate(p, y, **arguments, **extra))
    close(np.array(found[1]), np.array(found[0]), 1e-5)


@pytest.mark.parametrize(
    "extra", [{}, {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 3.0}}, {"sample_weight": np.linspace(0.1, 2, 6)}]
)
def test_fit_follows_the_same_losses(extra: dict[str, Any]) -> None:
    theirs, ours = pair(
        chain(lambda L: L.Dense(8, activation="relu"), lambda L: L.Dense(4, activation="softmax")), FLAT
    )
    histories = []
    for model in (theirs, ours):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        h = model.fit(
            FLAT, CLASSES, batch_size=4, epochs=3, shuffle=False, verbose=0, validation_data=(FLAT, CLASSES), **extra
        )
        histories.append(h.history)
    assert set(histories[0]) == set(histories[1])
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_masked_sequence_loss() -> None:
    x = series(padded=True)
    theirs, ours = pair(masked(lambda L: L.LSTM(4, return_sequences=True), lambda L: L.Dense(2)), x)
    y = RNG.standard_normal((*x.shape[:2], 2)).astype("float32")
    for model in (theirs, ours):
        model.compile("sgd", "mse", weighted_metrics=["mae"])
    weight = np.linspace(0.5, 2, x.shape[0] * x.shape[1]).astype("float32").reshape(x.shape[:2])
    a = theirs.evaluate(x, y, sample_weight=weight, verbose=0)
    close(np.array(ours.evaluate(x, y, sample_weight=weight, verbose=0)), np.array(a), 1e-5)


@pytest.mark.parametrize("extra", ["kernel_regularizer", "kernel_constraint", "activity_regularizer"])
def test_regularizers_and_constraints(extra: str) -> None:
    value = "max_norm" if extra == "kernel_constraint" else "l2"
    theirs, ours = pair(chain(lambda L: L.Dense(5, **{extra: value}), lambda L: L.Dense(4)), FLAT)
    for model in (theirs, ours):
        model.compile("sgd", "mse")
    for _ in range(3):
        a, b = theirs.train_on_batch(FLAT, LOGITS), ours.train_on_batch(FLAT, LOGITS)
        close(np.ravel(b)[0], np.ravel(a)[0], 1e-4)
    close(ours.get_weights(), theirs.get_weights(), 1e-4)
