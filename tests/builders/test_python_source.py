"""Specs written as Python: the program builds the same model and trains to the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import builders
from layerkit.utils import set_random_seed

SPECS = sorted((Path(__file__).parents[2] / "examples/specs").glob("*.yaml"))
SPEC = """
layerkit: 1
name: both "sides"
inputs:
  left: {shape: [4]}
  class: {shape: [4]}
blocks:
  tower:
    layers:
      - Dense: {units: 3, kernel_initializer: {RandomUniform: {minval: -0.1, maxval: 0.1}}}
layers:
  - Dense: 8
    name: first
    from: left
  - repeat: 2
    name: deep
    layers:
      - Dense: {units: 8, activation: relu}
      - Dropout: 0.1
  - tower:
    name: up
  - share: first
    name: again
    from: class
  - Concatenate:
    name: both
    from: [up, again]
  - repeat: 2
    layers:
      - Dense: {units: 16, activation: relu}
      - Dropout: 0.1
  - Reshape: [4, 4]
  - LSTM: {units: 3, return_sequences: true, return_state: true}
    name: lstm
  - MultiHeadAttention: {num_heads: 2, key_dim: 3}
    from: [lstm, lstm]
  - TimeDistributed: {layer: {Dense: {units: 2}}}
    trainable: false
  - Bidirectional: {layer: {GRU: {units: 3}}}
  - Dense: {units: 1, kernel_regularizer: {L2: {l2: 0.01}}}
    name: out
outputs: {value: out, state: lstm.h}
compile:
  optimizer:
    SGD:
      learning_rate: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: 100}}
      momentum: 0.9
  loss: {value: mse, state: {Huber: {delta: 0.5}}}
"""


def _run(text, name="module"):
    space = {"__name__": name}
    exec(compile(text, "written.py", "exec"), space)
    return space


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in SPECS))
def test_specs_learn_and_their_programs_too(name, capsys, monkeypatch, tmp_path, small_spec):
    monkeypatch.chdir(tmp_path)
    spec = small_spec(name).override({"fit.verbose": "0"})
    written = _run(builders.to_python(spec), "__main__")
    set_random_seed(0)
    model = spec.build()
    dataset = spec.dataset(model=model)
    history = model.fit(*dataset.train, validation_data=dataset.validation, **spec.fit).history
    assert np.isfinite([value for values in history.values() for value in values]).all()
    assert history["loss"][-1] < history["loss"][0]
    for a, b in zip(model.get_weights(), written["model"].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert dataset.test is None or "loss" in capsys.readouterr().out


def test_everything_a_spec_can_say():
    spec = builders.loads(SPEC)
    text = builders.to_python(spec)
    assert "for _ in range(2):" in text
    set_random_seed(0)
    model = spec.build()
    set_random_seed(0)
    again = _run(text)["build"]()
    rng = np.random.default_rng(0)
    x = {"left": rng.normal(size=(8, 4)).astype("float32"), "class": rng.normal(size=(8, 4)).astype("float32")}
    y = {"value": np.ones((8, 1), "float32"), "state": np.zeros((8, 3), "float32")}
    for each in (model, again):
        each.fit(x, y, epochs=2, verbose=0)
    for a, b in zip(model.weights, again.weights, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a.array, b.array)


def test_names_do_not_escape_from_their_texts():
    text = 'layerkit: 1\nname: "a\\"\\"\\"\\nimport os\\\\"\ninputs: {"x": {shape: [2]}}\nlayers: [{Dense: 1}]\n'
    spec = builders.loads(text)
    assert spec.name == 'a"""\nimport os\\'
    assert _run(builders.to_python(spec))["build"]().name == spec.name


MODELS = """
layerkit: 1
name: models
inputs: {x: {shape: [6, 4]}}
blocks:
  encoder:
    name: the encoder
    inputs: {t: {shape: [4]}}
    layers: [{Dense: 3}]
  ends:
    inputs: {a: {shape: [6, 3]}, b: {shape: [6, 3]}}
    layers:
      - Add: {}
        from: [a, b]
        name: total
      - LSTM: 3
        name: last
    outputs: {total: total, last: last}
layers:
  - TimeDistributed: encoder
    name: codes
  - ends:
    from: [codes, codes]
    name: first
  - ends:
    from: {b: codes, a: first}
    name: second
  - share: first
    from: [first, second]
    name: third
outputs: [third, third.last, second.last]
"""


def test_models_in_a_model():
    spec = builders.loads(MODELS, "models.yaml")
    text = builders.to_python(spec)
    assert text.startswith('"""models, written from models.yaml."""')
    assert 'def make_the_encoder(name="the encoder"):' in text
    assert 'make_first("second")' in text
    space = {"__name__": "written"}
    exec(text, space)
    made = []
    for make in (space["build"], spec.build):
        set_random_seed(3)
        made.append(make())
    for a, b in zip(made[0].weights, made[1].weights, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a.array, b.array)
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    for a, b in zip(made[0](x), made[1](x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_first_line_names_the_spec_and_its_file():
    text = "layerkit: 1\nname: classes\ninputs: {x: {shape: [2]}}\nlayers: [{Dense: 1}]\n"
    source = builders.to_python(builders.loads(text, "pass/first glass.yaml"))
    assert source.splitlines()[0] == '"""classes, written from first glass.yaml."""'


def test_numbers_that_are_not_finite_are_python():
    spec = builders.loads(
        "layerkit: 1\ninputs: {x: {shape: [2]}}\nlayers:\n  - Rescaling: {scale: .inf, offset: -.inf}\n"
    )
    layer = _run(builders.to_python(spec))["build"]().layers[-1]
    assert (layer.scale, layer.offset) == (np.inf, -np.inf)
