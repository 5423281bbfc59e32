"""Holes: found, described, filled in the text; values from outside."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
from builders.holes import flow
from builders.source import parse
from layerkit import layers as L
from layerkit.errors import ArgumentError, SpecErrors, UnknownNameError

TEXT = """layerkit: 1
let:
  width: !choice [8, 16]   # tied wherever it is used
inputs:
  x: {shape: [8, 8, 1]}
blocks:
  unit:
    parameters: [filters]
    layers:
      - Conv2D: {filters: $filters, kernel_size: !choice [1, 3], padding: same}   # one kernel for all uses
layers:
  - Conv2D:
      filters: !int {low: 4, high: 16, step: 4}
      kernel_size: 3
    name: conv1
  - !choice
    - Activation: relu
    - LeakyReLU: {negative_slope: !float {low: 0.1, high: 0.3}}
    - unit: $width
  - unit: {filters: $width}
    repeat: !int [1, 3]
  - Flatten
  - Dense: !choice
      - 4
      - 8
  - Dense: {units: $width}
compile:
  optimizer:
    Adam: {learning_rate: !float {low: 1e-4, high: 1e-1, log: true}}
  loss: !choice [mse, mae]
fit: {epochs: 3}
"""


def test_holes_in_the_order_of_the_file():
    found = builders.loads(TEXT).holes
    assert [h.path for h in found] == [
        "let.width", "blocks.unit.layers.0.kernel_size", "layers.conv1.filters", "layers.1", "layers.2.repeat",
        "layers.4.Dense", "compile.optimizer.Adam.learning_rate", "compile.loss",
    ]  # fmt: skip
    by_path = {h.path: h for h in found}
    assert by_path["let.width"].choices == (8, 16)
    conv = by_path["layers.conv1.filters"]
    assert (conv.kind, conv.low, conv.high, conv.step, conv.log) == ("int", 4, 16, 4, False)
    rate = by_path["compile.optimizer.Adam.learning_rate"]
    assert (rate.kind, rate.low, rate.high, rate.log) == ("float", 1e-4, 0.1, True)
    assert by_path["layers.2.repeat"].high == 3
    assert rate.span.line == 29


def test_a_spec_with_holes_is_not_built_and_all_are_reported():
    spec = builders.loads(TEXT)
    with pytest.raises(SpecErrors) as caught:
        spec.build()
    assert [(e.summary, e.where) for e in caught.value.errors] == [
        ("a hole has no value yet.", h.span) for h in spec.holes
    ]


def test_other_faults_are_reported_beside_holes():
    text = TEXT.replace("  - Flatten\n", "  - Flattn\n").replace("epochs: 3", "epochs: ten")
    assert sorted(e.summary for e in builders.loads(text).check() if "hole" not in e.summary) == [
        "'epochs' of fit cannot be 'ten'.", "there is no layer 'Flattn'.",
    ]  # fmt: skip


def test_filling_keeps_the_rest_of_the_text():
    spec = builders.loads(TEXT)
    leaky = next(h for h in spec.holes if h.path == "layers.1").choices[1]
    filled = spec.fill({
        "let.width": 16, "blocks.unit.layers.0.kernel_size": 3, "layers.conv1.filters": 8, "layers.1": leaky, "layers.2.repeat": 2,
        "layers.4.Dense": 8, "compile.optimizer.Adam.learning_rate": 0.01, "compile.loss": "mae",
    })  # fmt: skip
    assert [h.path for h in filled.holes] == ["layers.1.negative_slope"]
    done = filled.fill({"layers.1.negative_slope": 0.2})
    assert done.holes == []
    assert (
        done.text
        == """layerkit: 1
let:
  width: 16   # tied wherever it is used
inputs:
  x: {shape: [8, 8, 1]}
blocks:
  unit:
    parameters: [filters]
    layers:
      - Conv2D: {filters: $filters, kernel_size: 3, padding: same}   # one kernel for all uses
layers:
  - Conv2D:
      filters: 8
      kernel_size: 3
    name: conv1
  - {LeakyReLU: {negative_slope: 0.2}}
  - unit: {filters: $width}
    repeat: 2
  - Flatten
  - Dense: 8
  - Dense: {units: $width}
compile:
  optimizer:
    Adam: {learning_rate: 0.01}
  loss: mae
fit: {epochs: 3}
"""
    )
    model = done.build()
    assert [layer.filters for layer in model.layers if isinstance(layer, L.Conv2D)] == [8, 16, 16]
    assert model.layers[-1].units == 16
    assert model.loss == "mae"


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("let.widht", 8, UnknownNameError), ("let.width", 9, ArgumentError), ("let.width", 8.0, ArgumentError), ("let.width", "8", ArgumentError),
        ("layers.conv1.filters", 3, ArgumentError), ("layers.conv1.filters", 8.5, ArgumentError), ("layers.conv1.filters", True, ArgumentError),
        ("compile.optimizer.Adam.learning_rate", 1.0, ArgumentError), ("compile.optimizer.Adam.learning_rate", float("nan"), ArgumentError),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(path, value, error):
    with pytest.raises(error) as caught:
        builders.loads(TEXT).fill({path: value})
    assert caught.value.got is not None


def test_a_hole_for_each_turn():
    text = """layerkit: 1
let: {times: 3}
inputs:
  x: {shape: [8]}
layers:
  - repeat: $times
    layers:
      - Dense: {units: !int {low: 2, high: 9, each: true}}
      - Activation: !choice {options: [relu, tanh]}
"""
    spec = builders.loads(text)
    assert [h.path for h in spec.holes] == [
        "layers.0.layers.0.units[0]", "layers.0.layers.0.units[1]", "layers.0.layers.0.units[2]", "layers.0.layers.1.Activation",
    ]  # fmt: skip
    values = {h.path: n for n, h in enumerate(spec.holes[:3], 4)}
    filled = spec.fill({**values, "layers.0.layers.1.Activation": "tanh"})
    assert "units: !each [4, 5, 6]}" in filled.text
    model = filled.build()
    assert [layer.units for layer in model.layers if isinstance(layer, L.Dense)] == [4, 5, 6]
    with pytest.raises(ArgumentError, match=r"there is no value for 'layers.0.layers.0.units\[1\]'"):
        spec.fill({"layers.0.layers.0.units[0]": 4})


def test_a_hole_for_each_turn_of_a_repeat_that_is_a_hole_itself():
    text = "layerkit: 1\ninputs: {x: {shape: [8]}}\nlayers:\n  - Dense: !int {low: 2, high: 9, each: true}\n    repeat: !int [1, 4]\n"
    spec = builders.loads(text)
    assert [h.path for h in spec.holes] == ["layers.0.repeat"]
    spec = spec.fill({"layers.0.repeat": 2})
    assert [h.path for h in spec.holes] == ["layers.0.Dense[0]", "layers.0.Dense[1]"]
    assert spec.fill({"layers.0.Dense[0]": 3, "layers.0.Dense[1]": 4}).build().output_shape == (None, 4)


@pytest.mark.parametrize(
    ("hole", "summary"),
    [
        ("!choice []", "a choice needs values."), ("!choice 3", "a choice needs values."), ("!choice {option: [1]}", "'!choice' has no argument 'option'."),
        ("!int 3", "'!int' needs low and high."), ("!int {low: 3}", "'!int' needs low and high."), ("!int {low: 3, high: 4, stp: 2}", "'!int' has no argument 'stp'."),
        ("!int {low: 3, high: 2}", "'!int' has no values."), ("!int {low: 1.5, high: 2}", "'low' of '!int' is a whole number."),
        ("!float {low: a, high: 2}", "'low' of '!float' is a finite number."), ("!float {low: 1, high: .inf}", "'high' of '!float' is a finite number."), ("!float {low: .nan, high: 2}", "'low' of '!float' is a finite number."), ("!float {low: 0, high: 2, log: true}", "a logarithmic scale has no 0."),
        ("!int {low: 1, high: 2, step: 0}", "'step' is the distance of two values."), ("!int {low: 1, high: 2, log: 3}", "'log' of '!int' is true or false."),
    ],
)  # fmt: skip
def test_holes_that_are_not_well_formed(hole, summary):
    text = f"layerkit: 1\ninputs: {{x: {{shape: [8]}}}}\nlayers:\n  - Dense: {hole}\n"
    spec = builders.loads(text)
    assert [e.summary for e in spec.check()] == [summary]
    with pytest.raises(SpecErrors) as caught:
        _ = spec.holes
    assert caught.value.errors[0].where.line == 4


def test_holes_in_options_are_well_formed_before_one_is_chosen():
    text = "layerkit: 1\nlet: {most: !choice [2, 4]}\ninputs: {x: {shape: [8]}}\nlayers:\n  - !choice\n    - Dense: 3\n"
    known = builders.loads(text + "    - Dense: {units: !int {low: 1, high: $most}}\n").holes
    assert known[1].choices == ({"Dense": 3}, {"Dense": {"units": "!int"}})  # told when 'most' is
    with pytest.raises(SpecErrors) as caught:
        _ = builders.loads(text + "    - Dense: {units: !int {low: 5, high: 2}}\n    - Dense: 4\n").holes
    (fault,) = caught.value.errors
    assert (fault.summary, fault.where.line) == ("'!int' has no values.", 7)


def test_each_needs_a_repeat_and_as_many_values():
    head = "layerkit: 1\ninputs: {x: {shape: [8]}}\nlayers:\n"
    (error,) = builders.loads(head + "  - Dense: !each [1, 2]\n").check()
    assert error.summary == "'!each' stands in no repeat."
    (error,) = builders.loads(head + "  - Dense: !each [1, 2]\n    repeat: 3\n").check()
    assert (error.expected, error.got) == ("3 values", "2")
    (error,) = builders.loads(head + "  - Dense: !int {low: 1, high: 2, each: true}\n").check()
    assert error.summary == "a hole for each turn stands in no repeat."


BOUNDED = """layerkit: 1
let:
  depth: 3
  width: !choice [8, 16]
  most: !int {low: $depth, high: $(4 * depth)}
inputs:
  x: {shape: [8]}
layers:
  - Dense: !choice [$width, $(width * 2), 5]
    repeat: !int {low: 1, high: $depth}
  - Dense: {units: !int {low: $width, high: $(width + most), step: $(width // 8)}}
    name: last
  - Dropout: !float [0.0, $(depth / 10)]
  - !choice
    - Dense: {units: !int {low: 1, high: $most}}
    - Dense: $width
"""


def test_bounds_and_options_may_be_named_values():
    spec = builders.loads(BOUNDED)
    shown = lambda spec: {h.path: h.choices or (h.low, h.high, h.step) for h in spec.holes}  # noqa: E731
    assert list(shown(spec)) == ["let.width", "let.most", "layers.0.repeat", "layers.2.Dropout", "layers.3"]
    assert shown(spec)["let.most"] == (3, 12, None)
    assert shown(spec)["layers.0.repeat"] == (1, 3, None)
    assert shown(spec)["layers.2.Dropout"] == (0.0, 0.3, None)
    spec = spec.fill({"let.width": 16})
    assert shown(spec)["layers.0.Dense"] == (16, 32, 5)
    assert "layers.last.units" not in shown(spec)
    spec = spec.fill({"let.most": 5, "layers.0.Dense": 32})
    assert "  - Dense: $(width * 2)\n" in spec.text  # tied to the width still
    assert shown(spec)["layers.last.units"] == (16, 21, 2)
    spec = spec.fill({"layers.3": spec.holes[-1].choices[0]})
    assert shown(spec)["layers.3.units"] == (1, 5, None)
    with pytest.raises(ArgumentError, match="cannot be 6"):
        spec.fill({"layers.3.units": 6})


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_random_fillings_of_bounds_that_depend_on_holes(chance):
    spec = builders.loads(BOUNDED)
    while spec.holes:
        hole = chance.choice(spec.holes)
        spec = spec.fill({hole.path: _draw(hole, chance)})
    assert spec.check() == []


@pytest.mark.parametrize(("text", "summary", "line"), [
    ("let: {a: !int {low: 1, high: $a}}", "no named value 'a'", 1),
    ("let:\n  a: !int {low: 1, high: $b}\n  b: 3", "no named value 'b'", 2),
    ("let: {a: 2.5}\nfit: {epochs: !int {low: 1, high: $a}}", "is a whole number", 2),
    ("let: {a: 0}\nfit: {epochs: !int {low: 1, high: $a}}", "has no values", 2),
    ("let: {a: 0}\nfit: {epochs: !choice [$(a / a), 3]}", "a division by zero", 2),
    ("blocks:\n  b:\n    parameters: {w: 3}\n    layers: [{Dense: !int {low: 1, high: $w}}]", "no named value 'w'", 4),
])  # fmt: skip
def test_bounds_that_have_no_value(text, summary, line):
    with pytest.raises(SpecErrors) as caught:
        assert builders.loads(text).holes
    assert [(summary in e.summary, e.where.line) for e in caught.value.errors] == [(True, line)], str(caught.value)


def test_an_anchor_survives_filling():
    text = "layerkit: 1\nlet: {a: &a !choice [1, 2], b: *a}\n"
    assert builders.loads(text).fill({"let.a": 2}).text == "layerkit: 1\nlet: {a: &a 2, b: *a}\n"


_texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
_trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False), _texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip


@given(_trees)
def test_what_is_written_is_read_again(tree):
    node = parse(json.dumps(tree))
    assert parse(flow(node)).plain() == tree
    assert parse(f"a: [{flow(node)}, x]").plain() == {"a": [tree, "x"]}
    assert parse(flow(parse("'\U0001f600 \xe9'"))).plain() == "\U0001f600 \xe9"


@given(st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_random_fillings_build(chance):
    spec = builders.loads(TEXT)
    while spec.holes:
        spec = spec.fill({h.path: _draw(h, chance) for h in spec.holes})
    assert spec.check() == []


def _draw(hole, chance: random.Random):
    if hole.kind == "choice":
        return chance.choice(hole.choices)
    if hole.kind == "int":
        return chance.randrange(hole.low, hole.high + 1, hole.step or 1)
    return chance.uniform(hole.low, hole.high)


# Values from outside


SPEC = """layerkit: 1
let: {width: 4}
inputs:
  x: {shape: [8]}
layers:
  - Dense: {units: $width}
    name: first
  - Dense: 3
compile: {loss: mse}
fit:
  epochs: 20   # long
"""


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("fit.epochs", "3", "  epochs: 3   # long"), ("fit.batch_size", "8", "  batch_size: 8"), ("let.width", "6", "let: {width: 6}"),
        ("layers.first.units", "7", "  - Dense: {units: 7}"), ("layers.first.activation", "relu", "  - Dense: {units: $width, activation: relu}"),
        ("layers.1.Dense", "5", "  - Dense: 5"), ("layers.1.name", "last", "    name: last"), ("compile.optimizer", "{Adam: {learning_rate: 0.1}}", "compile: {loss: mse, optimizer: {Adam: {learning_rate: 0.1}}}"),
        ("compile.optimizer.Adam.learning_rate", "0.1", "compile: {loss: mse, optimizer: {Adam: {learning_rate: 0.1}}}"),
        ("name", "other", "name: other"),
    ],
)  # fmt: skip
def test_override(path, value, line):
    spec = builders.loads(SPEC).override({path: value})
    assert line in spec.text.splitlines()
    assert spec.check() == []
    assert builders.loads(spec.text).check() == []
    assert builders.loads(spec.text).fit == spec.fit
    assert builders.loads(spec.text).name.replace("<text>", "") == spec.name.replace("<text>", "")


def test_several_overrides_and_their_faults():
    spec = builders.loads(SPEC).override({"fit.epochs": "ten", "fit.batch_sise": "8", "let.width": "0"})
    places = {str(e.where): e.summary for e in spec.check()}
    assert places["--set fit.epochs"] == "'epochs' of fit cannot be 'ten'."
    assert places["--set fit.batch_sise"] == "'fit' has no argument 'batch_sise'."
    assert "'units' of Dense cannot be 0." in places.values()
    assert spec.override({"fit.epochs": "1"}).overrides["fit.epochs"] == "1"


@pytest.mark.parametrize(
    ("path", "value"),
    [("layers.3.units", "1"), ("fit.epochs.more", "1"), ("fit.epochs", "[1"), ("fit.epochs", "!!python/none x")],
)
def test_overrides_that_lead_nowhere(path, value):
    with pytest.raises(SpecErrors) as caught:
        builders.loads(SPEC).override({path: value})
    assert str(caught.value.errors[0].where) == f"--set {path}"
