"""The language: a spec makes the model that the same lines of Python make, by layers, names, tensors and weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
import layerkit
from layerkit import Input, Model
from layerkit import layers as L
from layerkit.errors import SpecErrors
from layerkit.layers import Layer

HEAD = "layerkit: 1\ninputs:\n  x: {shape: [8]}\n"
SERIES = "layerkit: 1\ninputs:\n  x: {shape: [5, 3]}\n"
IMAGE = "layerkit: 1\ninputs:\n  x: {shape: [8, 8, 3]}\n"


def build(text, **kwargs):
    layerkit.utils.set_random_seed(7)
    return builders.loads(text, **kwargs).build()


def names(model):
    return [layer.name for layer in model.layers if type(layer).__name__ != "InputLayer"]


def same(text, make, **kwargs):
    """The model of the text and that of Python have layers of one name, equal weights and equal outputs."""
    ours = build(text, **kwargs)
    layerkit.utils.set_random_seed(7)
    theirs = make()
    assert names(ours) == names(theirs)
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    rng = np.random.default_rng(0)
    data = [
        rng.integers(0, 9, (2, *v.shape[1:])) if "int" in v.dtype else rng.random((2, *v.shape[1:]), "float32")
        for v in ours.inputs
    ]
    data = data if len(data) > 1 else data[0]
    a, b = ours.predict(data, verbose=0), theirs.predict(data, verbose=0)
    for u, v in zip(layerkit.tree.leaves(a), layerkit.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(u, v)
    return ours


def faults(text, **kwargs):
    return builders.loads(text, **kwargs).check()


# Named values


def test_named_values_and_formulas():
    text = """layerkit: 1
let:
  size: 8
  width: $(size * 4)
  kinds: [relu, tanh]
  wide: {units: $width, activation: relu}
inputs:
  x: {shape: [$size]}
layers:
  - Dense: $wide
  - Dense: {units: $(width // 2), activation: "$(kinds[1])"}
  - Dense: $(2 if width > 8 else 3)
"""

    def make():
        x = Input((8,), name="x")
        y = L.Dense(32, "relu")(x)
        y = L.Dense(16, "tanh")(y)
        return Model(x, L.Dense(2)(y))

    same(text, make)


def test_an_escaped_dollar_is_a_text():
    class Say(Layer):
        word: str

        def call(self, inputs):
            return inputs

    model = build(HEAD + "layers:\n  - Say: $$word\n", layers=[Say])
    assert model.layers[1].word == "$word"


def test_a_name_may_stand_for_a_layer():
    text = HEAD + "let:\n  hidden: {Dense: {units: 4}}\n  act: Softmax\nlayers:\n  - $hidden\n  - $act\n"
    assert names(build(text)) == ["dense", "softmax"]


# Tensors


def test_several_inputs_and_outputs():
    text = """layerkit: 1
inputs:
  a: {shape: [4]}
  b: {shape: [4], dtype: int32}
layers:
  - Embedding: {input_dim: 9, output_dim: 3}
    from: b
  - GlobalAveragePooling1D:
    name: text
  - Concatenate:
    from: [a, text]
  - Dense: 5
    name: both
  - Dense: 1
    name: price
  - Dense: 2
    from: both
    name: kind
outputs: {price: price, kind: kind}
"""

    def make():
        a, b = Input((4,), name="a"), Input((4,), dtype="int32", name="b")
        text = L.GlobalAveragePooling1D(name="text")(L.Embedding(9, 3)(b))
        both = L.Dense(5, name="both")(L.Concatenate()([a, text]))
        return Model({"a": a, "b": b}, {"price": L.Dense(1, name="price")(both), "kind": L.Dense(2, name="kind")(both)})

    ours = build(text)
    layerkit.utils.set_random_seed(7)
    theirs = make()
    assert names(ours) == names(theirs)
    data = {"a": np.ones((2, 4), "float32"), "b": np.ones((2, 4), "int32")}
    for key in ("price", "kind"):
        np.testing.assert_array_equal(ours.predict(data, verbose=0)[key], theirs.predict(data, verbose=0)[key])


def test_outputs_of_a_layer_by_name_and_number():
    text = (
        SERIES
        + """layers:
  - LSTM: {units: 4, return_sequences: true, return_state: true}
    name: encoder
  - LSTM: {units: 4, return_sequences: true}
    from: encoder.output
    call: {initial_state: [encoder.h, encoder.c]}
  - GRU: {units: 4, return_state: true}
    name: gru
  - Add:
    from: [gru, gru.h, encoder.1]
"""
    )

    def make():
        x = Input((5, 3), name="x")
        y, h, c = L.LSTM(4, return_sequences=True, return_state=True, name="encoder")(x)
        z = L.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
        g, s = L.GRU(4, return_state=True, name="gru")(z)
        return Model(x, L.Add()([g, s, h]))

    same(text, make)


def test_a_bidirectional_layer_has_the_states_of_both_sides():
    text = (
        SERIES
        + """layers:
  - Bidirectional: {layer: {LSTM: {units: 2, return_state: true}}}
    name: b
  - Concatenate:
    from: [b.forward_h, b.backward_c]
"""
    )

    def make():
        x = Input((5, 3), name="x")
        _, fh, _, _, bc = L.Bidirectional(L.LSTM(2, return_state=True), name="b")(x)
        return Model(x, L.Concatenate()([fh, bc]))

    same(text, make)


@pytest.mark.parametrize("form", ["[q, v]", "{query: q, value: v}", "{value: v, query: q}"])
def test_layers_that_read_several_tensors(form):
    text = f"""layerkit: 1
inputs:
  q: {{shape: [4, 3]}}
  v: {{shape: [6, 3]}}
layers:
  - MultiHeadAttention: {{num_heads: 2, key_dim: 4}}
    from: {form}
"""

    def make():
        q, v = Input((4, 3), name="q"), Input((6, 3), name="v")
        return Model([q, v], L.MultiHeadAttention(2, 4)(q, v))

    same(text, make)


def test_more_tensors_of_attention_and_plain_arguments_go_into_call():
    text = (
        SERIES
        + """layers:
  - MultiHeadAttention: {num_heads: 2, key_dim: 4}
    from: x
    call: {value: x, use_causal_mask: true, return_attention_scores: true}
    name: m
  - Flatten:
    from: m.scores
"""
    )

    def make():
        x = Input((5, 3), name="x")
        _, scores = L.MultiHeadAttention(2, 4, name="m")(x, x, use_causal_mask=True, return_attention_scores=True)
        return Model(x, L.Flatten()(scores))

    same(text, make)


def test_a_layer_that_takes_a_dict():
    class Mix(Layer):
        def call(self, inputs):
            return inputs["left"] * 2.0 + inputs["right"]

    model = build(HEAD + "layers:\n  - Mix:\n    from: {left: x, right: x}\n", layers=[Mix])
    np.testing.assert_array_equal(model.predict(np.ones((1, 8)), verbose=0), np.full((1, 8), 3.0))


def test_a_layer_that_gives_a_dict():
    class Split(Layer):
        def call(self, inputs):
            return {"twice": inputs * 2.0, "same": inputs}

    model = build(HEAD + "layers:\n  - Split:\n    name: s\n  - Add:\n    from: [s.twice, s.same]\n", layers=[Split])
    np.testing.assert_array_equal(model.predict(np.ones((1, 8)), verbose=0), np.full((1, 8), 3.0))


def test_shared_layers():
    text = """layerkit: 1
inputs:
  a: {shape: [3]}
  b: {shape: [3]}
layers:
  - Dense: 4
    from: a
    name: tower
  - share: tower
    from: b
    name: second
  - Subtract:
    from: [tower, second]
"""

    def make():
        a, b = Input((3,), name="a"), Input((3,), name="b")
        tower = L.Dense(4, name="tower")
        return Model([a, b], L.Subtract()([tower(a), tower(b)]))

    same(text, make)


def test_frozen_layers():
    model = build(HEAD + "layers:\n  - Dense: 4\n    trainable: false\n  - Dense: 4\n")
    assert [w.path for w in model.trainable_weights] == ["dense_1/kernel", "dense_1/bias"]


# Layers as arguments


def test_layers_as_arguments():
    text = (
        SERIES
        + """layers:
  - Bidirectional: {layer: {LSTM: {units: 4, return_sequences: true}}, merge_mode: sum}
  - Bidirectional: {GRU: {units: 4, return_sequences: true}}
  - RNN: {cell: [{LSTMCell: 4}, {GRUCell: {units: 6}}], return_sequences: true}
  - RNN: {cell: {StackedRNNCells: {cells: [{SimpleRNNCell: 3}, {SimpleRNNCell: 2}]}}, return_sequences: true}
  - TimeDistributed: {layer: {Dense: {units: 2, kernel_initializer: {Constant: 0.5}}}}
"""
    )

    def make():
        x = Input((5, 3), name="x")
        y = L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum")(x)
        y = L.Bidirectional(L.GRU(4, return_sequences=True))(y)
        y = L.RNN([L.LSTMCell(4), L.GRUCell(6)], return_sequences=True)(y)
        y = L.RNN(L.StackedRNNCells([L.SimpleRNNCell(3), L.SimpleRNNCell(2)]), return_sequences=True)(y)
        return Model(x, L.TimeDistributed(L.Dense(2, kernel_initializer=layerkit.initializers.Constant(0.5)))(y))

    same(text, make)


def test_an_initializer_that_is_called_like_a_layer():
    model = build(HEAD + "layers:\n  - Dense: {units: 8, kernel_initializer: {Identity: {gain: 2.0}}}\n")
    np.testing.assert_array_equal(model.get_weights()[0], 2 * np.eye(8))


def test_a_block_as_an_argument():
    text = """layerkit: 1
inputs:
  video: {shape: [4, 8, 8, 1]}
blocks:
  encoder:
    parameters: {filters: 4}
    layers:
      - Conv2D: {filters: $filters, kernel_size: 3, padding: same}
        name: a
      - Conv2D: {filters: $filters, kernel_size: 1}
        name: b
      - Add:
        from: [a, b]
      - GlobalAveragePooling2D
layers:
  - TimeDistributed: {layer: encoder}
    name: frames
  - TimeDistributed: {layer: {encoder: {filters: 2}}}
    from: video
  - Concatenate:
    from: [frames, video_features]
""".replace("    from: video\n", "    from: video\n    name: video_features\n")
    model = build(text)
    assert model.output_shape == (None, 4, 6)
    assert len(model.weights) == 8
    video = np.random.default_rng(0).random((2, 4, 8, 8, 1), "float32")
    frames = model.get_layer("frames")
    one = frames.layer(video[:, 2])
    np.testing.assert_allclose(model.predict(video, verbose=0)[:, 2, :4], one, rtol=1e-5, atol=1e-6)


MODELS = (
    HEAD
    + """blocks:
  encoder:
    parameters: {units: 3}
    inputs:
      picture: {shape: [8]}
    layers:
      - Dense: {units: 6, activation: relu}
      - Dense: $units
        name: code
  halves:
    inputs: {a: {shape: [3]}, b: {shape: [3]}}
    layers:
      - Add:
        from: [a, b]
        name: sum
      - Dense: 2
        name: narrow
    outputs: {sum: sum, narrow: narrow}
"""
)


def test_blocks_whose_inputs_have_shapes_are_models():
    def encoder(name):
        x = Input((8,), name="picture")
        return Model(x, L.Dense(3, name="code")(L.Dense(6, activation="relu")(x)), name=name)

    def halves():
        a, b = Input((3,), name="a"), Input((3,), name="b")
        total = L.Add(name="sum")([a, b])
        return Model({"a": a, "b": b}, {"sum": total, "narrow": L.Dense(2, name="narrow")(total)}, name="joined")

    def make():
        x = Input((8,), name="x")
        first, frozen = encoder("code"), encoder("second")
        frozen.trainable = False
        both = halves()
        made = both({"a": first(x), "b": frozen(x)})
        y = L.Dense(8)(L.Concatenate()([made["narrow"], made["sum"]]))
        return Model(x, {"narrow": made["narrow"], "last": L.Dense(1, name="last")(first(y))})

    text = """layers:
  - encoder:
    name: code
  - encoder: 3
    from: x
    name: second
    trainable: false
  - halves:
    from: {b: second, a: code}
    name: joined
  - Concatenate:
    from: [joined.narrow, joined]
  - Dense: 8
  - share: code
  - Dense: 1
    name: last
outputs: {narrow: joined.1, last: last}
"""
    model = same(MODELS + text, make)
    assert [x.name for x in model.get_layer("code").layers] == ["picture", "dense", "code"]
    assert not model.get_layer("second").trainable
    assert model.get_layer("joined").output_names == ["sum", "narrow"]


@pytest.mark.parametrize("inputs", ["!choice [a, b]", "[!choice [a, b]]", "!int {low: 1, high: 2}", "[]", "{}", "[1]"])
@pytest.mark.parametrize("use", ["m", "Dense: 1"])
def test_inputs_of_blocks_that_are_no_names(inputs, use):
    found = faults(f"{HEAD}blocks:\n  m: {{inputs: {inputs}, layers: [{{Dense: 3}}]}}\nlayers: [{use}]")
    assert bool(found) == (inputs != "[]")


def test_models_are_numbered_repeated_and_arguments():
    def make():
        inner = lambda name=None: L.TimeDistributed(tower("tower"), name=name)  # noqa: E731
        x = Input((5, 3), name="x")

        def tower(name):
            t = Input((3,), name="t")
            return Model(t, L.Dense(3)(t), name=name)

        y = inner()(x)
        y = L.Flatten()(inner("named")(y))
        y = L.Dense(3)(y)
        for i in range(3):
            y = tower(f"tower_{i}" if i else "tower")(y)
        return Model(x, y)

    text = (
        SERIES
        + """blocks:
  tower: {inputs: {t: {shape: [$(1 + 2)]}}, layers: [{Dense: 3}]}
layers:
  - TimeDistributed: tower
  - TimeDistributed: {layer: tower}
    name: named
  - Flatten
  - Dense: 3
  - tower:
    repeat: 3
"""
    )
    same(text, make)


@pytest.mark.parametrize(("text", "summary", "line"), [
    ("  m: {inputs: {t: {}}, layers: [{Dense: 3}]}\nlayers: [m]", "'Input' needs a shape", 5),
    ("  m: {inputs: {t: {shap: [8]}}, layers: [{Dense: 3}]}\nlayers: [m]", "has no argument 'shap'", 5),
    ("  m: {inputs: {t: 8}, layers: [{Dense: 3}]}\nlayers: [m]", "input 't' needs a shape", 5),
    ("  m: {inputs: {t: {shape: [4]}}, layers: [{Dense: 3}]}\nlayers: [m]", "does not fit input 't'", 6),
    ("  m: {inputs: {t: {shape: [8]}}, layers: [{Dense: 3}, {Dense: 2, from: t}]}\nlayers: [m]", "nothing reads the layer 'dense'", 5),
    ("  m: {inputs: {t: {shape: [8]}, u: {shape: [8]}}, layers: [{Dense: 3, from: t}]}\nlayers: [{m: , from: [x, x]}]", "nothing reads the input 'u'", 5),
    ("  m: {inputs: {t: {shape: [8]}, u: {shape: [8]}}, layers: [{Dense: 3, from: t}]}\nlayers: [m]", "takes 2 tensors", 6),
    ("  m: {inputs: {t: {shape: [8]}}, layers: [{Dens: 3}]}\nlayers: [m]", "no layer 'Dens'", 5),
    ("  m: {inputs: {t: {shape: [8]}}, layers: [m]}\nlayers: [m]", "uses itself", 5),
    ("  m: {inputs: {t: {shape: [8]}}, layers: [{Dense: 3, name: d}]}\nlayers: [{m: , name: a}, {ReLU: , from: a/d}]", "no tensor 'a/d'", 6),
    ("  m: {inputs: [[a]], layers: [{Dense: 3}]}\nlayers: [m]", "is a list of names", 5),
    ("  m: {inputs: [a, a], layers: [{Dense: 3}]}\nlayers: [m]", "two inputs are called 'a'", 5),
    ("  m: {name: n, layers: [{Dense: 3}]}\nlayers: [m]", "is no model, which has a name", 5),
    ("  m: {inputs: {t: {shape: [8]}}, layers: [{Dense: 3}]}\nlayers: [{m: , name: a}, {ReLU: , from: a.k}]", "no output 'k'", 6),
    ("  m: {inputs: {t: {shape: [8]}}, layers: [{Dense: 3}], outputs: z}\nlayers: [m]", "no tensor 'z'", 5),
])  # fmt: skip
def test_faults_of_models_in_a_model(text, summary, line):
    found = faults(HEAD + "blocks:\n" + text)
    assert [(summary in f.summary, f.where.line) for f in found] == [(True, line)], "\n".join(map(str, found))


def test_a_model_with_a_block_as_an_argument_can_be_saved(tmp_path):
    text = SERIES + "blocks:\n  b:\n    layers: [{Dense: 2}, {Dense: 3}]\nlayers:\n  - TimeDistributed: b\n"
    model = build(text)
    model.save(tmp_path / "m.lk")
    again = layerkit.models.load_model(tmp_path / "m.lk")
    x = np.ones((1, 5, 3), "float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


# Repeats


def test_repeats_and_their_names():
    text = (
        HEAD
        + """layers:
  - Dense: 4
    repeat: 2
    name: hidden
  - repeat: 2
    layers:
      - Dense: 4
        name: a
      - Add:
        from: [a, input]
      - Dense: 4
  - repeat: 2
    name: stage
    layers:
      - Dense: 4
        name: b
      - repeat: 2
        layers:
          - Dense: 4
            name: c
  - Add:
    from: [hidden, hidden_1, a, a_1, stage, stage_1/b, stage_2/c_1, stage_2/c]
  - Dense: 3
    repeat: 0
"""
    )
    model = build(text)
    assert sorted(names(model)) == sorted([
        "hidden_1", "hidden_2", "a_1", "a_2", "dense", "dense_1", "add", "add_1", "add_2", "stage_1/b", "stage_2/b",
        "stage_1/c_1", "stage_1/c_2", "stage_2/c_1", "stage_2/c_2",
    ])  # fmt: skip
    last = model.outputs[0].node
    read = [x.node.op.layer.name for x in last.inputs]
    assert read == ["hidden_2", "hidden_1", "a_2", "a_1", "stage_2/c_2", "stage_1/b", "stage_2/c_1"]


def test_a_repeat_that_knows_its_turn():
    def make():
        y = x = Input((8, 8, 3), name="x")
        for i in range(3):
            y = L.Conv2D(4 * 2**i, 3, strides=2 if i else 1, padding="same")(y)
            y = L.BatchNormalization()(y)
            for j in range(i):
                y = L.Conv2D(i + j + 1, 1)(y)
        return Model(x, L.Dense(2)(L.GlobalAveragePooling2D()(y)))

    text = (
        IMAGE
        + """blocks:
  step:
    parameters: {filters: null, strides: 1}
    layers:
      - Conv2D: {filters: $filters, kernel_size: 3, strides: $strides, padding: same}
layers:
  - repeat: 3
    as: i
    layers:
      - Conv2D: {filters: $(4 * 2 ** i), kernel_size: 3, strides: $(2 if i > 0 else 1), padding: same}
      - BatchNormalization
      - Conv2D: {filters: $(i + j + 1), kernel_size: 1}
        repeat: $i
        as: j
  - GlobalAveragePooling2D
  - Dense: 2
"""
    )
    text = text.replace("    parameters: {filters: null, strides: 1}\n", "    parameters: {filters: , strides: 1}\n")
    same(text, make)
    inner = "Conv2D: {filters: $(4 * 2 ** i), kernel_size: 3, strides: $(2 if i > 0 else 1), padding: same}"
    used = build(text.replace(inner, "step: {filters: $(4 * 2 ** i), strides: $(2 if i > 0 else 1)}"))
    assert [w.shape for w in used.weights] == [w.shape for w in build(text).weights]


@pytest.mark.parametrize(("entry", "summary"), [
    ("{Dense: 3, as: i}", "'as' names the turn of a repeat"),
    ("{Dense: 3, repeat: 2, as: 3}", "cannot be the name of a value"),
    ("{Dense: 3, repeat: 2, as: [i]}", "'as' names the number of the turn"),
    ("{Dense: 3, repeat: 2, as: __i}", "cannot be the name of a value"),
    ("{Dense: 3, repeat: 2, as: width}", "is the name of a value already"),
    ("{Dense: $(1 // i), repeat: 2, as: i}", "a division by zero"),
    ("{repeat: 2, as: i, layers: [{Dense: 3, repeat: 2, as: i}]}", "is the name of a value already"),
    ("{repeat: 300, as: i, layers: [{Dense: 3, repeat: $i}]}", "too many layers"),
    ("{repeat: 1000000000, as: i, layers: [{Dense: 3, repeat: 0}]}", "too many layers"),
    ("{Dense: $i}", "no named value 'i'"),
])  # fmt: skip
def test_faults_of_the_number_of_a_turn(entry, summary):
    found = faults(f"{HEAD}let: {{width: 3}}\nlayers: [{entry}, {{Dense: 1}}]")
    assert [summary in f.summary for f in found] == [True], "\n".join(map(str, found))


def test_many_faults_in_what_is_repeated_are_reported():
    text = "".join(f"  - Dense: 3\n    repeat: $no{i}\n" for i in range(120))
    assert len(faults(f"{HEAD}layers:\n{text}")) == 100


def test_a_repeat_goes_on_with_its_first_tensor():
    text = """layerkit: 1
inputs: {x: {shape: [4, 3]}, memory: {shape: [6, 3]}}
layers:
  - MultiHeadAttention: {num_heads: 1, key_dim: 2}
    from: {query: x, value: memory}
    repeat: 2
"""

    def make():
        x, m = Input((4, 3), name="x"), Input((6, 3), name="memory")
        y = L.MultiHeadAttention(1, 2)(x, m)
        return Model({"x": x, "memory": m}, L.MultiHeadAttention(1, 2)(y, m))

    ours, theirs = build(text), make()
    assert names(ours) == names(theirs)


# Blocks


RESIDUAL = (
    IMAGE
    + """blocks:
  residual:
    parameters:
      filters:
      size: 3
      last: $(filters)
    layers:
      - Conv2D: {filters: $filters, kernel_size: $size, padding: same}
        name: first
      - Conv2D: {filters: $last, kernel_size: $size, padding: same}
        name: second
      - Add:
        from: [second, input]
"""
)


def test_blocks():
    text = (
        RESIDUAL
        + "layers:\n  - residual: {filters: 3}\n    name: stage1\n  - residual: 3\n  - residual: {filters: 4, last: 3, size: 1}\n"
    )
    model = build(text)
    assert names(model) == [
        "stage1/first", "stage1/second", "stage1/add", "residual/first", "residual/second", "residual/add",
        "residual_1/first", "residual_1/second", "residual_1/add",
    ]  # fmt: skip
    assert model.get_layer("residual_1/first").kernel_size == (1, 1)
    assert model.get_layer("residual_1/first").filters == 4


def test_names_inside_a_block_can_be_read_where_the_use_has_a_name():
    text = RESIDUAL + "layers:\n  - residual: 3\n    name: a\n  - Add:\n    from: [a, a/first]\n"
    read = [x.node.op.layer.name for x in build(text).outputs[0].node.inputs]
    assert read == ["a/add", "a/first"]


def test_blocks_with_several_inputs_and_outputs():
    text = """layerkit: 1
inputs: {x: {shape: [8]}, y: {shape: [8]}}
blocks:
  cross:
    inputs: [left, right]
    layers:
      - Add:
        from: [left, right]
        name: sum
      - Subtract:
        from: [left, right]
        name: difference
    outputs: {sum: sum, difference: difference}
  pair:
    layers:
      - Dense: 2
        name: a
      - Dense: 3
        name: b
    outputs: [a, b]
layers:
  - cross:
    from: [x, y]
    name: one
  - cross:
    from: {right: one.difference, left: one.sum}
    name: two
  - pair:
    from: two
    name: p
outputs: [two, two.difference, p.0, p.1]
"""
    model = build(text)
    x, y = np.full((1, 8), 5.0, "float32"), np.full((1, 8), 2.0, "float32")
    total, difference, a, b = model.predict({"x": x, "y": y}, verbose=0)
    assert (total == 10).all()
    assert (difference == 4).all()
    assert (a.shape, b.shape) == ((1, 2), (1, 3))


def test_blocks_use_blocks_and_a_shared_block_shares_all_its_layers():
    text = """layerkit: 1
inputs: {a: {shape: [4]}, b: {shape: [4]}}
blocks:
  unit: {parameters: [width], layers: [{Dense: $width}, {Activation: relu}]}
  tower:
    parameters: {width: 3}
    layers:
      - unit: $width
        repeat: 2
      - unit: {width: 2}
        name: last
    outputs: {out: last}
layers:
  - tower:
    from: a
    name: left
  - share: left
    from: b
    name: right
  - Subtract:
    from: [left.out, right.out]
"""
    model = build(text)
    assert len(model.weights) == 6
    x = np.random.default_rng(1).random((2, 4), "float32")
    assert (model.predict({"a": x, "b": x}, verbose=0) == 0).all()
    assert [n for n in names(model) if "dense" in n] == ["left/unit/dense", "left/unit_1/dense", "left/last/dense"]


def test_a_frozen_block():
    model = build(RESIDUAL + "layers:\n  - residual: 3\n    trainable: false\n  - residual: 3\n")
    assert {w.path.split("/")[0] for w in model.trainable_weights} == {"residual_1"}


def test_a_block_that_uses_itself_is_a_fault():
    text = HEAD + "blocks:\n  a: {layers: [{Dense: 3}, b]}\n  b: {layers: [a]}\nlayers: [a]\n"
    (error,) = faults(text)
    assert (error.where.line, error.got) == (6, "a -> b -> a")


def test_included_blocks_and_those_of_the_library(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "own.yaml").write_text("blocks:\n  unit: {parameters: [width], layers: [{Dense: $width}]}\n")
    text = IMAGE + "include: [parts/own.yaml]\nlayers:\n  - residual: 3\n  - unit: 2\n"
    (tmp_path / "s.yaml").write_text(text)
    model = builders.load(tmp_path / "s.yaml").build()
    assert model.output_shape == (None, 8, 8, 2)
    assert "unit/dense" in names(model)


def test_files_are_included_once_and_are_not_too_large_together(tmp_path):
    part = "blocks: {own: {layers: [ReLU]}}\n"
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(part.replace("own", name) + "#" * 400_000 + "\n")
    (tmp_path / "s.yaml").write_text(f"{HEAD}include: [a.yaml, a.yaml, b.yaml, c.yaml]\nlayers: [a]\n")
    found = builders.load(tmp_path / "s.yaml").check()
    assert [e.summary for e in found] == ["a file is included twice.", "the included files are too large together."]
    column = len("include: [a.yaml, ") + 1
    assert [(e.where.line, e.where.column) for e in found] == [(found[0].where.line, column), (found[0].where.line, column + 16)]  # fmt: skip


def test_a_hole_in_an_included_file_is_a_fault(tmp_path):
    (tmp_path / "b.yaml").write_text("blocks:\n  own:\n    layers: [{Dense: !choice [1, 2]}]\n")
    (tmp_path / "s.yaml").write_text(f"{HEAD}include: b.yaml\nlayers: [own]\n")
    (found,) = builders.load(tmp_path / "s.yaml").check()
    assert "a hole stands in an included file" in found.summary
    assert (found.where.file, found.where.line) == (str(tmp_path / "b.yaml"), 3)


def test_what_nothing_reads_is_a_fault_beside_blocks_that_are_arguments():
    text = (
        SERIES
        + "blocks:\n  tower: {layers: [{Dense: 3}]}\n  whole: {inputs: {t: {shape: [3]}}, layers: [{Dense: 3}]}\nlayers:\n"
    )
    for word in ("tower", "whole"):
        used = f"  - TimeDistributed: {word}\n    name: first\n  - Dense: 2\n  - LSTM: 3\n    from: first\n"
        assert [f.summary for f in faults(text + used)] == ["nothing reads the layer 'dense'."]


def test_a_block_of_the_spec_wins_over_one_of_the_library():
    text = IMAGE + "blocks:\n  residual: {layers: [Flatten]}\nlayers: [residual]\n"
    assert names(build(text)) == ["residual/flatten"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../own.yaml", "parts/../../own.yaml", "link.yaml", "linked/own.yaml", "absent.yaml", "parts", "3", "'a\\b'", "bad.yaml", "list.yaml"]
)  # fmt: skip
def test_files_that_are_not_included(tmp_path, name):
    outside, folder = tmp_path / "own.yaml", tmp_path / "specs"
    outside.write_text("blocks:\n  unit: {layers: [Flatten]}\n")
    (folder / "parts").mkdir(parents=True)
    (folder / "link.yaml").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "bad.yaml").write_text("blocks: {unit: [\n")
    (folder / "list.yaml").write_text("- unit\n")
    path = folder / "s.yaml"
    path.write_text(f"layerkit: 1\ninputs:\n  x: {{shape: [8]}}\ninclude: [{name}]\nlayers: [Flatten]\n")
    (error,) = builders.load(path).check()
    assert error.where.line == (2 if name == "bad.yaml" else 4)
    assert "root:" not in str(error)


# Numbers of layers are those that a flat list would have


@st.composite
def _programs(draw, depth=0):
    """A list of items, and the flat list of units that it stands for."""
    items, flat = [], []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["dense", "repeat", "block", "single"])) if depth < 3 else "dense"
        if kind == "dense":
            n = draw(st.integers(1, 9))
            items.append(f"{{Dense: {n}}}")
            flat.append(n)
        elif kind == "single":
            n, times = draw(st.integers(1, 9)), draw(st.integers(0, 3))
            items.append(f"{{Dense: $({n} + 0), repeat: {times}}}")
            flat += [n] * times
        elif kind == "block":
            n, times = draw(st.integers(1, 9)), draw(st.integers(0, 2))
            items.append(f"{{two: {{a: {n}, times: {times}}}}}")
            flat += [n, *[n + 1] * times]
        else:
            (inner, inner_flat), times = draw(_programs(depth + 1)), draw(st.integers(0, 3))
            items.append(f"{{repeat: {times}, layers: {inner}}}")
            flat += inner_flat * times
    return f"[{', '.join(items)}]", flat


BLOCK = "blocks:\n  two:\n    parameters: {a: , times: 1}\n    layers:\n      - Dense: $a\n      - {Dense: $(a + 1), repeat: $times}\n"


@given(_programs())
@settings(max_examples=40)
def test_a_program_stands_for_its_flat_list(program):
    text, flat = program
    model = build(HEAD + BLOCK + f"layers: [{{Dense: 5}}, {{repeat: 1, layers: {text}}}]\n")
    units = [layer.units for layer in model.layers if isinstance(layer, L.Dense)]
    assert units == [5, *flat]
    assert len(set(names(model))) == len(units)


def test_the_number_of_layers_is_limited_before_they_are_made():
    nested = (
        "".join("  " * (2 * i + 1) + "- repeat: 1000\n" + "  " * (2 * i + 2) + "layers:\n" for i in range(4))
        + "  " * 9
        + "- Dense: 3\n"
    )
    laugh = (
        "blocks:\n"
        + "".join(f"  b{i}: {{layers: [{', '.join([f'b{i + 1}'] * 10)}]}}\n" for i in range(9))
        + "  b9: {layers: [Flatten]}\n"
    )
    for text in (
        HEAD + "layers:\n" + nested,
        HEAD + laugh + "layers: [b0]\n",
        HEAD + "layers: [{Dense: 3, repeat: 1000000000}]\n",
    ):
        errors = faults(text)
        assert errors[0].summary == "the spec has too many layers."
        assert len(errors) == 1


def test_values_that_names_stand_for_are_limited():
    text = "layerkit: 1\nlet:\n  a0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"  a{i}: [{', '.join([f'$a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    errors = faults(text + "inputs: {x: {shape: $a9}}\nlayers: [Flatten]\n")
    assert errors[0].summary == "the spec takes too much work to read."


# Holes are not built


def test_spec_errors_are_raised_together():
    with pytest.raises(SpecErrors) as caught:
        build(HEAD + "layers:\n  - Dense: {units: 0, activation: rellu, use_bias: yes}\nfit: {epochs: ten}\n")
    assert [(e.where.line, e.where.column) for e in caught.value.errors] == [(5, 20), (5, 35), (5, 52), (6, 15)]


# Files


def test_files_that_arguments_name(tmp_path):
    (tmp_path / "words.txt").write_text("a\nb\n")
    head = "layerkit: 1\ninputs:\n  x: {shape: [1], dtype: string}\nlayers:\n"
    path = tmp_path / "s.yaml"
    path.write_text(head + "  - StringLookup: {vocabulary: words.txt}\n  - Flatten\n")
    assert builders.load(path).build().layers[1].get_vocabulary() == ["[UNK]", "a", "b"]
    for name in ("/etc/passwd", "../words.txt", "absent.txt", "~/words.txt"):
        path.write_text(head + f"  - StringLookup: {{vocabulary: {name}}}\n  - Flatten\n")
        (error,) = builders.load(path).check()
        assert (error.where.line, error.where.column) == (5, 32)


def test_files_that_callbacks_write_lie_below_the_working_directory():
    text = HEAD + "layers: [Flatten]\nfit: {callbacks: [{ModelCheckpoint: %s}]}\n"
    assert faults(text % "runs/best.lk") == []
    for name in ("/tmp/x.lk", "../x.lk", "a/../../x.lk", "~/x.lk"):
        (error,) = faults(text % name)
        assert error.where.line == 5


def test_a_layer_that_reads_one_tensor():
    (error,) = faults(HEAD + "layers:\n  - Flatten:\n    from: [x, x]\n")
    assert error.summary == "'Flatten' reads one tensor."


def test_the_code_of_a_layer_of_ones_own_may_fail():
    class Broken(Layer):
        def call(self, inputs):
            return inputs.nothing

    (error,) = faults(HEAD + "layers: [Broken]\n", layers=[Broken])
    assert error.summary.startswith("'Broken' cannot read this: 'Value' object has no attribute 'nothing'")
    assert isinstance(error.__cause__, AttributeError)


# The whole file


def test_faults_of_the_text_and_of_the_language_are_reported_together():
    text = (
        HEAD
        + "layers:\n  - Dense: {units: 3, units: 4}\n  - Dens: 3\n  - Dense: {units: !!python/none x}\n  - Dense: 0\n"
    )
    assert [(e.where.line, e.summary) for e in faults(text)] == [
        (5, "the key 'units' is written twice."), (6, "there is no layer 'Dens'."),
        (7, "the tag '!!python/none' is not part of the language."), (8, "'units' of Dense cannot be 0."),
    ]  # fmt: skip


def test_a_broken_layer_is_reported_once_and_other_branches_still_are():
    text = (
        HEAD
        + """layers:
  - Dense: 0
    name: a
  - Dense: 4
    repeat: 3
    name: b
  - Conv2D: {filters: 3, kernel_size: 3}
    from: x
    name: c
  - Add:
    from: [b, c]
outputs: {sum: add}
"""
    )
    assert [e.where.line for e in faults(text.replace("outputs: {sum: add}\n", ""))] == [5, 10]


def test_losses_and_metrics_of_several_outputs():
    text = (
        HEAD
        + """layers:
  - Dense: 3
    name: a
  - Dense: 2
    name: b
outputs: [a, b]
compile:
  loss: {a: mse, c: mae}
  loss_weights: {a: 1.0, b: one}
  metrics: {b: [mae, {MeanAbsoluteErro: {name: x}}]}
"""
    )
    assert [(e.where.line, e.where.column, e.fix) for e in faults(text)] == [
        (11, 18, "use one of a, b"), (12, 29, None), (13, 23, "did you mean 'MeanAbsoluteError'?"),
    ]  # fmt: skip


def test_the_data_of_a_spec():
    text = "layerkit: 1\ninputs:\n  image: {shape: [8, 8, 1]}\nlayers: [Flatten, {Dense: 10}]\ndata: {dataset: digits, split: {validation: 0.2}}\n"
    found = builders.loads(text).dataset()
    assert found.train[0].shape[1:] == (8, 8, 1)
    assert found.validation is not None
    with pytest.raises(layerkit.errors.DataError):
        builders.loads(text.rpartition("data:")[0]).dataset()


def test_a_block_that_nothing_uses_is_checked_as_far_as_it_is_known():
    text = (
        HEAD
        + """blocks:
  spare:
    parameters: {width: , rate: 0.5}
    layers:
      - Dense: $width
      - Dense: {unit: $(width * 2)}
      - Dens: 3
        name: b
      - Dropout: $(rate * 4)
      - Add:
        from: [b, input, c]
      - repeat: $width
        layers: [$width]
  two:
    inputs: [a, b]
    layers: [{Add: , from: [a, b]}]
layers: [Flatten]
"""
    )
    assert [(e.where.line, e.where.column) for e in faults(text)] == [(9, 17), (10, 9), (12, 18), (14, 26)]
