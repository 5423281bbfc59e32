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


def _round_trip(make):
    set_random_seed(0)
    model = make()
    text = builders.dump(model)
    set_random_seed(0)
    again = builders.loads(text).build()
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
    text, again = _round_trip(_two_inputs)
    assert "HeNormal" in text
    assert not again.layers[-1].trainable


# Models in models -------------------------------------------------------------------------------------------------------


def _autoencoder():
    image = Input((8,), name="image")
    x = layers.Dense(6, activation="relu")(image)
    encoder = Model(image, layers.Dense(2, name="code")(x), name="encoder")
    code = Input((2,), name="code_in")
    x = layers.Dense(6, activation="relu")(code)
    decoder = Model(code, layers.Dense(8, activation="sigmoid")(x), name="decoder")
    return Model(image, decoder(encoder(image)), name="autoencoder")


def test_an_autoencoder_keeps_its_encoder():
    text, again = _round_trip(_autoencoder)
    assert text.endswith("layers:\n  - encoder\n  - decoder\n")
    assert "    inputs:\n      code_in: {shape: [2]}\n" in text
    encoder = again.get_layer("encoder")
    assert [layer.name for layer in encoder.layers] == ["image", "dense", "code"]
    set_random_seed(0)
    x = np.linspace(0, 1, 16, dtype="float32").reshape(2, 8)
    np.testing.assert_array_equal(encoder(x), _autoencoder().get_layer("encoder")(x))
    np.testing.assert_array_equal(again(x), again.get_layer("decoder")(encoder(x)))


def _siamese():
    tower = Sequential([Input((5,)), layers.Dense(4, activation="tanh"), layers.Dense(3)], name="tower")
    left, right = Input((5,), name="left"), Input((5,), name="right")
    return Model([left, right], layers.Dense(1)(layers.Subtract()([tower(left), tower(right)])))


def test_a_shared_model_is_one():
    text, again = _round_trip(_siamese)
    assert text.count("share: tower") == 1
    assert len(again.get_layer("tower").weights) == 4
    assert len(again.weights) == 6


def _matryoshka(is_outer_first):
    inner = lambda: Sequential([layers.Dense(3), layers.Dropout(0.5)], name="inner")  # noqa: E731
    if not is_outer_first:
        return Sequential([Input((4,)), Sequential([inner(), layers.Dense(2)], name="middle"), layers.Dense(1)])
    outer, middle = Sequential([Input((4,))]), Sequential([Input((4,))], name="middle")
    middle.add(inner())
    middle.add(layers.Dense(2))
    outer.add(middle)
    outer.add(layers.Dense(1))
    return outer


@pytest.mark.parametrize("is_outer_first", [False, True])
def test_a_model_in_a_model_in_a_model(is_outer_first):
    _, again = _round_trip(lambda: _matryoshka(is_outer_first))
    assert [layer.name for layer in again.get_layer("middle").get_layer("inner").layers[1:]] == ["dense", "dropout"]


def test_models_made_of_the_layers_of_another():
    def transfer():
        base = Sequential([Input((4,)), layers.Dense(3, activation="relu")])
        return Model(base.input, layers.Dense(2)(base.output))

    def first_part():
        x = Input((4,))
        h = layers.Dense(3)(x)
        Model(x, h, name="encoder")
        return Model(x, layers.Dense(4)(h))

    _round_trip(transfer)
    _round_trip(first_part)


def test_two_models_on_one_base_begin_with_other_weights():
    base = Sequential([Input((4,)), layers.Dense(3)])
    first, second = (Model(base.input, layers.Dense(2)(base.output)) for _ in range(2))
    assert first.layers[-1].name == second.layers[-1].name
    assert not np.array_equal(first.get_weights()[2], second.get_weights()[2])


def _variational():
    x = Input((6,), name="x")
    h = layers.Dense(5)(x)
    encoder = Model(x, {"mean": layers.Dense(2)(h), "spread": layers.Dense(2)(h)}, name="encoder")
    a, b = Input((2,), name="a"), Input((2,))
    joined = layers.Concatenate()([a, b])
    decoder = Model({"a": a, "b": b}, [layers.Dense(6)(joined), layers.Dense(1)(joined)], name="my decoder")
    encoder.trainable = False
    code = encoder(x, training=False)
    image, score = decoder({"b": code["spread"], "a": code["mean"]})
    return Model(x, {"image": image, "score": score, "again": encoder(image)["spread"]})


def test_models_with_several_inputs_and_outputs():
    text, again = _round_trip(_variational)
    assert "outputs: {mean: dense_1, spread: dense_2}" in text
    assert "call: {training: false}" in text
    assert "from: [encoder, encoder.spread]" in text
    assert not again.get_layer("encoder").trainable
    assert again.get_layer("my decoder").input_names == ["a", "input_layer"]


def test_models_of_the_same_layers_are_one_block():
    def make():
        tower = lambda name, n: Sequential([Input((n,)), layers.Dense(n)], name=name)  # noqa: E731
        frames = [layers.TimeDistributed(tower(name, 4)) for name in (None, "Third tower")]
        return Sequential([Input((3, 4)), *frames, layers.Flatten(), tower("first", 12), tower("second", 12)])

    text, _ = _round_trip(make)
    assert text.count("- Dense: 4") == 2
    assert text.count("- Dense: 12") == 1
    assert "  - first\n  - first:\n    name: second\n" in text
    assert "  third_tower:\n    name: Third tower\n" in text
    assert "  - TimeDistributed: layer\n  - TimeDistributed: third_tower\n" in text


def test_a_layer_in_two_models_is_refused():
    dense, x = layers.Dense(4), Input((4,))
    inner = Model(x, dense(x), name="inner")
    with pytest.raises(ArgumentError, match="part of 'inner' and of"):
        builders.dump(Model(x, dense(inner(x))))
    y = Input((3, 4))
    with pytest.raises(ArgumentError, match="part of two layers of"):
        builders.dump(Model(y, layers.TimeDistributed(dense)(dense(y))))


def test_names_with_dots():
    def make():
        x = Input((4, 3), name="text.tokens")
        y, h, c = layers.LSTM(3, return_sequences=True, return_state=True, name="layer1.0")(x)
        y = layers.Add(name="layer1.0.1")([y, x])
        z = layers.LSTM(3, name="layer2:rnn")(y, initial_state=[h, c])
        return Model(x, {"a.b": layers.Dense(2, name="head.1")(z), "y": y})

    text, _ = _round_trip(make)
    assert "initial_state: [layer1.0.h, layer1.0.c]" in text


@pytest.mark.parametrize("name", ["a, b", "conv(1)", "__init__", "a//b", "x" * 300])
def test_names_that_no_spec_can_have(name):
    with pytest.raises(ArgumentError, match="name that no spec can have"):
        builders.dump(Sequential([Input((3,)), layers.Dense(2, name=name)]))


def test_a_layer_with_the_name_of_an_output():
    x = Input((4, 3))
    y, h, c = layers.LSTM(3, return_state=True, name="rnn")(x)
    z = layers.Add(name="rnn.h")([y, c])
    text = builders.dump(Model(x, [z, h]))
    assert "outputs: [rnn.h, rnn.1]" in text
    with pytest.raises(ArgumentError, match="name of an output"):
        builders.dump(Model(x, layers.Add(name="rnn.1")([z, h])))


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


def test_a_layer_in_two_models_is_refused_by_the_names_of_both():
    shared, a, b, x = layers.Dense(4, name="one"), Input((4,)), Input((4,)), Input((4,))
    left, right = Model(a, layers.ReLU()(shared(a)), name="left"), Model(b, shared(b), name="right")
    with pytest.raises(ArgumentError) as caught:
        builders.dump(Model(x, layers.Add()([left(x), right(x)]), name="whole"))
    assert caught.value.summary == "the layer 'one' is part of 'left' and of 'right', which no spec can say."
    with pytest.raises(ArgumentError, match="part of 'left' and of 'whole'"):
        builders.dump(Model(x, layers.Add()([left(x), shared(x)]), name="whole"))


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


SHAPES = [(5,), (6, 4), (6, 6, 3)]


def _random_model(rng):
    """Layers in a random graph: chains, branches that join, shared layers, several inputs and outputs, models as layers."""
    shape = SHAPES[rng.integers(3)]
    return _model_for(rng, [shape] * int(rng.integers(1, 3)), depth=0, name="random")


def _model_for(rng, shapes, depth, name):
    """A random model that reads tensors of these shapes (without the batch)."""
    inputs = [Input(shape, name=f"in{i}" if rng.random() < 0.5 else None) for i, shape in enumerate(shapes)]
    tensors, shared = list(inputs), []
    for _ in range(rng.integers(1, 9 if depth == 0 else 4)):
        x = tensors[rng.integers(len(tensors))] if rng.random() < 0.3 else tensors[-1]
        tensors += _random_call(rng, x, tensors, shared, depth)
    made = tensors[len(inputs) :]
    read = {id(v) for t in made for v in t.node.inputs}
    outputs = [t for t in made if id(t) not in read] or made[-1:]
    if depth > 0 and len({id(i) for i in inputs} - read):
        outputs += [layers.Activation("tanh")(i) for i in inputs if id(i) not in read]
        read |= {id(i) for i in inputs}
    used = [i for i in inputs if id(i) in read]
    ends = {f"out{i}": t for i, t in enumerate(outputs)} if rng.random() < 0.3 else outputs
    return Model(used if len(used) > 1 else used[0], ends if len(outputs) > 1 else outputs[0], name=name)


def _random_call(rng, x, tensors, shared, depth):
    """What one more layer makes; often of several tensors, if it is a model."""
    if depth < 2 and rng.random() < (0.15 if depth == 0 else 0.1):
        return _random_inner(rng, x, tensors, shared, depth)
    return [_random_layer(rng, x, tensors, shared)]


def _random_sequential(rng, size, name):
    """Its shape may be taken from what it is called on; it may be made before what it holds."""
    start = [Input(size)] if rng.random() < 0.5 else []
    model = Sequential(start, name=name) if rng.random() < 0.5 else None
    stack = [layers.Dense(int(rng.integers(1, 5))) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.3:
        stack.insert(0, Sequential([layers.Dense(2), layers.Dropout(0.5)]))
    if model is None:
        return Sequential([*start, *stack], name=name)
    for layer in stack:
        model.add(layer)
    return model


def _random_inner(rng, x, tensors, shared, depth):
    name = [None, f"tower{len(tensors)}", f"my.model-{len(tensors)}", f"Big one/{len(tensors)}"][rng.integers(4)]
    size = tuple(x.shape[1:])
    kind = rng.random()
    if kind < 0.6:
        model = (
            layers.TimeDistributed(Sequential([layers.Dense(3)], name=name))
            if kind < 0.1 and len(x.shape) > 2
            else _random_sequential(rng, size, name)
        )
        shared.append((model, x.shape))
        return [model(x)]
    others = [t for t in tensors if t.shape == x.shape and t is not x]
    given = [x, others[rng.integers(len(others))]] if others and rng.random() < 0.4 else [x]
    model = _model_for(rng, [size] * len(given), depth + 1, name)
    if rng.random() < 0.2:
        model.trainable = False
    if len(given) == 1 and len(model.outputs) == 1:
        shared.append((model, x.shape))
    made = model(given if len(given) > 1 else x)
    return _leaves(made)


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


def test_without_names_only_those_that_are_referred_to_are_kept():
    """Then what blocks made can be a repeat."""
    text = """\
layerkit: 1
name: a
inputs: {x: {shape: [4]}}
blocks:
  part: {layers: [{Dense: 4}, {Activation: relu}]}
layers:
  - part
  - part
  - Dense: 4
    name: wide/one
  - Add:
    from: [x, wide/one]
"""
    model = builders.loads(text).build()
    assert (
        builders.dump(model, names=False)
        == """\
layerkit: 1
name: a
inputs:
  x: {shape: [4]}
layers:
  - repeat: 2
    layers:
      - Dense: 4
      - Activation: relu
  - Dense: 4
    name: wide/one
  - Add:
    from: [x, wide/one]
"""
    )
    assert "name: part/dense" in builders.dump(model)
