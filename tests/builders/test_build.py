"""YAML specs: the models they make, and their faults with the places where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import builders
import layerkit
from builders.scalars import core_schema
from builders.source import parse
from layerkit.errors import LayerkitError, SpecErrors
from layerkit.layers import Layer

SPECS = Path(__file__).parents[2] / "examples" / "specs"


def test_yaml_and_python_make_the_same_model():
    spec = builders.load(SPECS / "digits_residual.yaml")
    layerkit.utils.set_random_seed(3)
    theirs = spec.build()
    L = layerkit.layers
    layerkit.utils.set_random_seed(3)
    image = layerkit.Input((8, 8, 1), name="image")
    stem = L.Conv2D(16, 3, padding="same", activation="relu", name="stem")(image)
    second = L.Conv2D(16, 3, padding="same", activation="relu", name="second")(stem)
    pooled = L.GlobalAveragePooling2D()(L.Add()([stem, second]))
    ours = layerkit.Model(image, L.Dense(10, activation="softmax", name="digit")(pooled))
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        assert (a == b).all()


HEAD = "layerkit: 1\ninputs:\n  x: {shape: [8]}\nlayers:\n"
FAULTS = {
    "unknown-key": ("layerkit: 1\ninput:\n  x: {shape: [8]}\nlayers:\n  - Dense: 3\n", 2, 1, "inputs"),
    "misspelt-layer": (HEAD + "  - Dens: {units: 3}\n", 5, 5, "Dense"),
    "misspelt-argument": (HEAD + "  - Dense: {units: 3, activtion: relu}\n", 5, 23, "activation"),
    "misspelt-activation": (HEAD + "  - Dense: {units: 3, activation: rellu}\n", 5, 35, "relu"),
    "wrong-value": (HEAD + "  - Dense: {units: 0}\n", 5, 20, None),
    "wrong-type": (HEAD + "  - Dense: {units: ten}\n", 5, 20, None),
    "wrong-shape": (HEAD + "  - Dense: 4\n  - Conv2D: {filters: 3, kernel_size: 3}\n", 6, 5, "dense"),
    "unknown-tensor": (HEAD + "  - Dense: 4\n    name: wide\n  - Dense: 4\n    from: wied\n", 8, 11, "wide"),
    "two-layers-in-one": (HEAD + "  - Dense: 4\n    Flatten:\n", 6, 5, "- "),
    "duplicate-key": (HEAD + "  - Dense: {units: 3, units: 4}\n", 5, 23, "remove"),
    "python-tag": (HEAD + "  - Dense: !!python/object/apply:os.system ['x']\n", 5, 12, "remove"),
    "tab": (HEAD + "\t- Dense: 3\n", 5, 1, "spaces"),
    "misspelt-loss": (HEAD + "  - Dense: 3\ncompile: {loss: msee}\n", 6, 17, "mse"),
    "misspelt-optimizer-argument": (
        HEAD + "  - Dense: 3\ncompile: {optimizer: {Adam: {learning_rat: 1}}, loss: mse}\n",
        6,
        30,
        "learning_rate",
    ),
    "fit-argument": (HEAD + "  - Dense: 3\nfit: {epoch: 3}\n", 6, 7, "epochs"),
    "tuple-in-parentheses": (HEAD + "  - Reshape: (2, 4)\n", 5, 14, "[2, 4]"),
    "version": ("layerkit: 2\ninputs:\n  x: {shape: [8]}\nlayers:\n  - Dense: 3\n", 1, 11, "upgrade"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_have_their_place_and_a_fix(tmp_path, name):
    text, line, column, fix = FAULTS[name]
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecErrors) as caught:
        builders.load(path).build()
    first = caught.value.errors[0]
    assert (first.where.line, first.where.column) == (line, column), str(caught.value)
    assert fix is None or fix in (first.fix or ""), str(first)


def test_all_faults_are_reported_at_once(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(HEAD + "  - Dens: 3\n  - Dense: {units: 0}\n  - Dense: 3\n    from: nothing\nfit: {epoch: 1}\n")
    with pytest.raises(SpecErrors) as caught:
        builders.load(path).build()
    assert [e.where.line for e in caught.value.errors] == [5, 6, 8, 9]


def test_every_hole_is_a_fault_of_the_build(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(
        HEAD + "  - Dense: {units: !choice [3, 5]}\n  - Dense: !int [1, 2]\n"
        "compile: {optimizer: !choice [adam, sgd], loss: mse, metrics: [!choice [mse, mae]]}\nfit: {epochs: !int [1, 5]}\n"
    )
    with pytest.raises(SpecErrors) as caught:
        builders.load(path).build()
    assert [(e.where.line, e.got) for e in caught.value.errors] == [
        (5, "!choice"), (6, "!int"), (7, "!choice"), (7, "!choice"), (8, "!int"),
    ]  # fmt: skip


def test_layers_of_your_own(tmp_path):
    class Twice(Layer):
        factor: float = 2.0

        def call(self, inputs):
            return inputs * self.factor

    path = tmp_path / "spec.yaml"
    path.write_text(HEAD + "  - Twice: 3.0\n")
    with pytest.raises(SpecErrors):
        builders.load(path).build()
    model = builders.load(path, layers=[Twice]).build()
    assert model.predict([[1.0] * 8]).tolist() == [[3.0] * 8]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("1E3", 1000.0), ("012", 12), ("0x1f", 31), ("0o17", 15), ("on", "on"), ("no", "no"), ("1:30", "1:30"),
     ("1_000", "1_000"), ("~", None), ("", None), (".inf", float("inf")), ("+1", 1), ("1.", 1.0), ("true", True), ("None", "None")],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = core_schema(text)
    assert found == value
    assert type(found) is type(value)
    assert parse(f"a: {text}").plain() == {"a": value}
    if text:
        assert parse(f"a: '{text}'").plain() == {"a": text}


HOSTILE = {
    "deep-flow": "[" * 100_000,
    "deep-block": "\n".join("  " * i + "a:" for i in range(2_000)),
    "alias-bomb": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)),
    "long-scalar": "a: " + "x" * 200_000,
    "nul": "a: \x00",
    "two-documents": "a: 1\n---\nb: 2",
    "merge-key": "a: &a {b: 1}\nc:\n  <<: *a\n",
    "list-as-key": "? [1, 2]\n: 3\n",
    "unclosed": "a: [1, 2",
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused(name):
    with pytest.raises(SpecErrors) as caught:
        parse(HOSTILE[name])
    assert all(e.where is not None for e in caught.value.errors)
    assert isinstance(caught.value, LayerkitError)


def test_not_utf8(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(SpecErrors):
        builders.load(path)


@pytest.mark.parametrize(
    ("layers", "line", "says"),
    [
        ("  - LSTM: 8\n", 5, "expected (batch, time, features)"),
        ("  - Flatten\n  - Bidirectional: {layer: {LSTM: 8}}\n", 6, "needs a time axis"),
        ("  - Reshape: [3, 3]\n", 5, "expected 64 elements"),
        ("  - Reshape: [-1, 5]\n", 5, "expected a divisor of 64"),
        ("  - Attention\n", 5, "of oneself: [x, x]"),
        ("  - Attention:\n    from: {query: s, value: s}\n", 5, "in this order, without names"),
        ("  - Dense: 10\n    activation: relu\n", 6, "Dense: {units: ..., activation: ...}"),
        ("  - Dense: 2\n    name: x\n  - Add:\n    from: x, s\n", 8, "brackets around several tensors: [x, s]"),
    ],
)
def test_the_fix_says_what_to_write(layers, line, says):
    text = "layerkit: 1\ninputs:\n  s: {shape: [8, 4, 2]}\nlayers:\n" + layers
    (error,) = builders.loads(text).check()
    assert error.where is not None
    assert error.where.line == line
    assert says in str(error)
