"""Models written as YAML, and read again: equal graphs, and with one seed equal weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import builders
from layerkit import Input, Model, Sequential, initializers, layers
from layerkit.errors import ArgumentError
from layerkit.ir.fingerprint import fingerprint
from layerkit.models.summary import forward_graph
from layerkit.utils import set_random_seed

SPECS = sorted((Path(__file__).parents[2] / "examples/specs").glob("*.yaml"))


def _graph(model):
    """What the model computes: its ops in order, whatever its layers are called."""
    return fingerprint(forward_graph(model))


def _round_trip(make, same_seed=True):
    set_random_seed(0)
    model = make()
    text = builders.dump(model)
    set_random_seed(0)
    again = builders.loads(text).build()
    if not same_seed:
        again.set_weights(model.get_weights())
    weights = zip(model.get_weights(), again.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights), text
    for a, b in zip(model.weights, again.weights, strict=True):
        assert a.path == b.path, text
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(2, *(n or 3 for n in v.shape[1:]))).astype(v.dtype) for v in model.inputs]
    for a, b in zip(_leaves(model(_given(model, xs))), _leaves(again(_given(again, xs))), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=text)
    return text, again


def _given(model, xs):
    return xs[0] if len(xs) == 1 else dict(zip(model.input_names, xs, strict=True))


def _leaves(outputs):
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_specs(path):
    text, again = _round_trip(lambda: builders.load(path).build())
    assert builders.dump(again) == text
    assert again.get_compile_config() == builders.load(path).build().get_compile_config()


def _many_outputs():
    x = Input((6, 4), name="series")
    encoder = Sequential([Input((4,)), layers.Dense(3), layers.Dense(3)], name="encoder")
    h, s, c = layers.LSTM(5, return_sequences=True, return_state=True)(layers.TimeDistributed(encoder)(x))
    dense = layers.Dense(5)
    z = layers.MultiHeadAttention(2, 3)(h, dense(h))
    z = layers.Add()([z, dense(z)])
    z = layers.LSTM(5, return_sequences=True)(z, initial_state=[s, c])
    return Model(x, {"last": layers.Bidirectional(layers.GRU(3))(z), "state": s})


def _two_inputs():
    a, b, k = Input((4,), name="left"), Input((4,), name="right"), Input((4,))
    tower = Model(k, layers.Dense(3, kernel_initializer=initializers.HeNormal())(k), name="tower")
    frozen = layers.Dense(3, trainable=False, bias_initializer=initializers.RandomUniform(-0.1, 0.1))
    return Model([a, b], frozen(layers.Concatenate()([tower(a), tower(b)])))


def test_shared_layers_several_inputs_and_outputs_models_as_layers():
    text, _ = _round_trip(_many_outputs)
    assert "initial_state: [lstm.h, lstm.c]" in text
    text, again = _round_trip(_two_inputs, same_seed=False)
    assert "HeNormal" in text
    assert not again.layers[-1].trainable


def test_what_is_a_default_is_left_out():
    model = Sequential(
        [Input((8, 8, 3)), layers.Conv2D(4, 3, padding="valid"), layers.Activation("relu"), layers.Flatten()]
    )
    model.compile("adam", "mse")
    assert builders.dump(model) == (
        "layerkit: 1\nname: sequential\ninputs:\n  input_layer: {shape: [8, 8, 3]}\nlayers:\n"
        "  - Conv2D: {filters: 4, kernel_size: 3}\n  - Activation: relu\n  - Flatten\n"
        "compile:\n  optimizer: adam\n  loss: mse\n"
    )  # fmt: skip


def test_repeats_are_found_again():
    stack = [Input((8,))] + [layer for _ in range(3) for layer in (layers.Dense(8), layers.Dense(8), layers.ReLU())]
    text, again = _round_trip(
        lambda: Sequential([*(type(s).from_config(s.get_config()) if hasattr(s, "get_config") else s for s in stack)])
    )
    assert "  - repeat: 3\n    layers:\n      - Dense: 8\n        repeat: 2\n      - ReLU\n" in text
    assert len(again.layers) == len(stack)


@pytest.mark.parametrize("make", [
    lambda x: Model(x, layers.Dense(3)(x) * 2.0),
    lambda x: Model(x, layers.Lambda(lambda v: v)(x)),
])  # fmt: skip
def test_code_is_refused(make):
    with pytest.raises(ArgumentError, match=r"cannot be written|only layers"):
        builders.dump(make(Input((3,))))


# Random models ---------------------------------------------------------------------------------------------------------


def _random_model(rng):
    """Layers in a random graph: chains, branches that join, shared layers, several inputs and outputs."""
    rank = int(rng.integers(1, 4))
    shape = [(5,), (6, 4), (6, 6, 3)][rank - 1]
    inputs = [Input(shape, name=f"in{i}" if rng.random() < 0.5 else None) for i in range(rng.integers(1, 3))]
    tensors, shared = list(inputs), []
    for _ in range(rng.integers(1, 9)):
        x = tensors[rng.integers(len(tensors))] if rng.random() < 0.3 else tensors[-1]
        tensors.append(_random_layer(rng, x, tensors, shared))
    made = tensors[len(inputs) :]
    read = {id(v) for t in made for v in t.node.inputs}
    outputs = [t for t in made if id(t) not in read]
    used = [i for i in inputs if id(i) in read]
    return Model(used if len(used) > 1 else used[0], outputs if len(outputs) > 1 else outputs[0], name="random")


def _random_layer(rng, x, tensors, shared):
    name = f"n{len(tensors)}" if rng.random() < 0.2 else None
    like = [t for t in tensors if t.shape == x.shape]
    choice = rng.random()
    if choice < 0.15 and len(like) > 1:
        merge = [layers.Add, layers.Concatenate, layers.Multiply, layers.Maximum][rng.integers(4)]
        return merge(name=name)([like[i] for i in rng.choice(len(like), 2, replace=False)])
    if choice < 0.25:
        known = [layer for layer, shape in shared if shape == x.shape]
        if known:
            return known[rng.integers(len(known))](x)
    size = int(rng.integers(1, 5))
    activation = ["relu", None, "tanh"][rng.integers(3)]
    kinds = [
        lambda: layers.Dense(size, activation=activation, use_bias=bool(rng.integers(2)), name=name),
        lambda: layers.Dropout(float(rng.integers(1, 9)) / 10, name=name),
        lambda: layers.Activation("relu", name=name),
        lambda: layers.BatchNormalization(momentum=0.9, name=name),
    ]
    if len(x.shape) == 3:
        kinds += [
            lambda: layers.LSTM(size, return_sequences=True, name=name),
            lambda: layers.Conv1D(size, 3, padding="same", name=name),
            lambda: layers.Bidirectional(layers.GRU(size, return_sequences=True), name=name),
        ]
    if len(x.shape) == 4:
        kinds += [
            lambda: layers.Conv2D(
                size, [3, (1, 3)][rng.integers(2)], padding="same", kernel_initializer="he_normal", name=name
            ),
            lambda: layers.DepthwiseConv2D(3, padding="same", name=name),
        ]
    layer = kinds[rng.integers(len(kinds))]()
    shared.append((layer, x.shape))
    return layer(x)


def _random_round_trips(seeds):
    for seed in seeds:
        set_random_seed(seed)
        model = _random_model(np.random.default_rng(seed))
        text = builders.dump(model)
        set_random_seed(seed)
        again = builders.loads(text).build()
        assert [w.path for w in model.weights] == [w.path for w in again.weights], text
        assert _graph(model) == _graph(again), text
        assert builders.dump(again) == text
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True)), text


@pytest.mark.parametrize("part", range(4))
def test_random_models(part):
    _random_round_trips(range(100 * part, 100 * part + 50))


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_random_models(part):
    _random_round_trips(range(1000 * part, 1000 * (part + 1)))
