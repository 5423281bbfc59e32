"""Repeats whose arguments follow a rule: written as ``repeat`` with ``as``, and read back exactly."""

from __future__ import annotations

import numpy as np
import pytest

import builders
from builders import folding
from layerkit import Input, Sequential, layers
from layerkit.utils import set_random_seed

HEAD = "layerkit: 1\nname: a\ninputs:\n  x: {shape: [8]}\nlayers:\n"
IMAGE = "layerkit: 1\nname: a\ninputs:\n  x: {shape: [32, 32, 3]}\nlayers:\n"


def _built(text):
    set_random_seed(3)
    return builders.loads(text).build()


@pytest.mark.parametrize("text", [
    HEAD + "  - Dense: $(8 * 2 ** i)\n    repeat: 4\n    as: i\n",
    HEAD + "  - Dense: $(64 // 2 ** i)\n    repeat: 3\n    as: i\n  - ReLU\n",
    HEAD + "  - Dense: $(20 - 3 * i)\n    repeat: 3\n    as: i\n",
    HEAD + "  - Dense: {units: $(4 + i), activation: relu}\n    repeat: 3\n    as: i\n",
    HEAD + "  - Dropout: $(0.25 * i)\n    repeat: 3\n    as: i\n",
    HEAD + "  - Dense: $(3 ** i)\n    repeat: 3\n    as: i\n",
    # Two turns follow any rule: it has to be a plain one, and save lines.
    HEAD + "  - repeat: 2\n    as: i\n    layers:\n      - Dense: $(16 // 2 ** i)\n      - BatchNormalization\n      - ReLU\n",
    IMAGE + "  - repeat: 3\n    as: i\n    layers:\n      - Conv2D: {filters: $(4 * 2 ** i), kernel_size: 3, padding: same}\n"
    "        repeat: 2\n      - MaxPooling2D\n",
    IMAGE + "  - repeat: 3\n    as: i\n    layers:\n      - Conv2D: {filters: \"$([16, 24, 40][i])\", kernel_size: [\"$([5, 3, 3][i])\", 3]}\n"
    "      - ReLU\n",
    HEAD + "  - repeat: 2\n    as: i\n    layers:\n      - Dense: $(8 * 2 ** i)\n      - Dense: $(4 * 2 ** j)\n        repeat: 3\n        as: j\n"
    "      - ReLU\n",
    HEAD.replace("8", "5, 8") + "  - TimeDistributed: {layer: {Dense: {units: $(8 - i)}}}\n    repeat: 3\n    as: i\n",
])  # fmt: skip
def test_what_is_written_with_as_comes_back(text):
    model = _built(text)
    assert builders.dump(model) == text
    again = _built(builders.dump(model))
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


@pytest.mark.parametrize("units", [(16, 8), (8, 3, 7), (4, 4, 5)])
def test_what_follows_no_rule_or_is_no_shorter_stays(units):
    model = Sequential([Input((8,)), *[layers.Dense(n) for n in units]])
    assert " as:" not in builders.dump(model)


def test_three_layers_of_python_become_a_repeat():
    model = Sequential([Input((8,)), *[layers.Dense(n, activation="relu") for n in (64, 32, 16, 8)], layers.Dense(1)])
    assert "  - Dense: {units: $(64 // 2 ** i), activation: relu}\n    repeat: 4\n    as: i\n  - Dense: 1\n" in builders.dump(model)  # fmt: skip


def test_truth_values_are_no_numbers():
    model = Sequential([Input((8,)), *[layers.Dense(4, use_bias=n % 2 == 0) for n in range(4)]])
    assert " as:" not in builders.dump(model)
    assert [layer.use_bias for layer in _built(builders.dump(model)).layers[-4:]] == [True, False, True, False]


def test_values_that_are_equal_but_not_the_same_stay():
    """-0.0 == 0.0 and [1.0] == [1], but what is computed with them differs in sign or dtype."""
    scales = [0.0, -0.0, 0.0, [1.0] * 8, [1] * 8, [1.0] * 8]
    model = Sequential([Input((8,)), *[layers.Rescaling(scale) for scale in scales]])
    text = builders.dump(model)
    assert "repeat" not in text
    assert list(map(repr, scales)) == [repr(layer.scale) for layer in _built(text).layers[-6:]]


def test_what_follows_a_rule_for_some_turns_is_a_repeat_of_these():
    units = [8, 16, 32, 5, 4, 6, 9, 9, 9, 7, 8, 9]
    model = Sequential([Input((8,)), *[layers.Dense(n) for n in units]])
    text = builders.dump(model)
    assert text.endswith(
        "  - Dense: $(8 * 2 ** i)\n    repeat: 3\n    as: i\n  - Dense: 5\n  - Dense: 4\n  - Dense: 6\n"
        "  - Dense: 9\n    repeat: 3\n  - Dense: $(7 + i)\n    repeat: 3\n    as: i\n"
    )
    assert [layer.units for layer in _built(text).layers if isinstance(layer, layers.Dense)] == units


def test_a_list_counts_the_turns_only_beside_calls_that_are_equal():
    numbers = [9, 2, 7, 30, 5, 4]
    model = Sequential([Input((8,)), *[layers.Dense(n) for n in numbers]])
    assert "repeat" not in builders.dump(model)
    model = Sequential([Input((8,)), *[layer for n in numbers for layer in (layers.Dense(n), layers.ReLU())]])
    assert '  - repeat: 6\n    as: i\n    layers:\n      - Dense: "$([9, 2, 7, 30, 5, 4][i])"\n      - ReLU\n' in builders.dump(model)  # fmt: skip


def test_many_layers_are_folded_with_little_work(monkeypatch):
    """Formulas are parsed for few of the runs that might follow a rule."""
    parsed = []
    monkeypatch.setattr(
        folding, "_parsed", lambda text: parsed.append(text) or folding.expressions.Formula(f"$({text})")
    )
    builders.dump(Sequential([Input((8,)), *[layers.Dense(8 + 7919 * n % 13) for n in range(200)]]))
    assert len(parsed) < 200 * 24 * 4  # so many calls, lengths of a body, kinds of formulas
    parsed.clear()
    builders.dump(Sequential([Input((8,)), *[layers.Dense(8 + n) for n in range(200)]]))
    assert len(parsed) < 500


def test_python_counts_the_turns():
    spec = builders.loads(
        HEAD.replace("x:", "i:") + "  - Dense: $(8 * 2 ** i)\n    repeat: 3\n    as: i\n  - Dense: 1\n"
        "compile: {optimizer: sgd, loss: mse}\n"
    )  # fmt: skip
    source = builders.to_python(spec)
    assert "    for i in range(3):\n        x = layers.Dense(8 * 2 ** i)(x)\n" in source
    found: dict = {"__name__": "written"}
    exec(compile(source, "written.py", "exec"), found)
    assert [w.shape for w in found["build"]().weights] == [(8, 8), (8,), (8, 16), (16,), (16, 32), (32,), (32, 1), (1,)]


def test_a_text_that_begins_with_a_dollar_is_no_formula():
    model = Sequential([Input((1,), dtype="string"), layers.StringLookup(vocabulary=["$a", "$$", "b"])])
    text = builders.dump(model)
    assert "vocabulary: [$$a, $$$, b]" in text
    again = builders.loads(text).build()
    assert again.layers[-1].get_vocabulary()[1:] == ["$a", "$$", "b"]
