"""The JSON Schema: well formed, lets through what is right, refuses what is misspelt."""

from __future__ import annotations

import copy
from pathlib import Path

import jsonschema
import pytest

from builders import json_schema, source
from layerkit.fields import signature
from layerkit.layers import LAYERS, Layer

SPECS = sorted((Path(__file__).parents[2] / "examples/specs").glob("*.yaml"))
SPEC = {
    "layerkit": 1,
    "let": {"width": 32},
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"Conv2D": {"filters": "$width", "kernel_size": [3, "$(1 + 2)"], "activation": "relu"}, "name": "first"},
        {"residual": {"filters": [32, 64]}},
        {"repeat": 2, "layers": ["BatchNormalization", {"Activation": "relu"}]},
        {"Bidirectional": {"layer": {"LSTM": {"units": 3}}}, "from": "first"},
        {"encoder": 3, "name": "code"},
        {"Dense": 10},
    ],
    "blocks": {
        "encoder": {"name": "the encoder", "parameters": {"units": None}, "inputs": {"picture": {"shape": [8]}}, "layers": [{"Dense": "$units"}]},
        "joined": {"inputs": ["a", "b"], "layers": [{"Add": None, "from": ["a", "b"]}]},
    },
    "compile": {"optimizer": {"Adam": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}}, "loss": {"a": "mse"}, "metrics": ["accuracy"]},
    "fit": {"epochs": 3, "callbacks": [{"EarlyStopping": {"patience": 3}}]},
    "data": {"csv": {"path": "a.csv"}, "target": "y", "split": {"test": 0.2, "by": "time"}, "window": {"length": 24, "horizon": 2, "stride": "$width"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft7Validator.check_schema(json_schema())
    return jsonschema.Draft7Validator(json_schema())


def test_specs_are_let_through(validator):
    assert not [error.message for error in validator.iter_errors(SPEC)]
    for path in SPECS:
        assert not [error.message for error in validator.iter_errors(source.read(path).plain())], path


def _at(spec, path):
    for key in path:
        spec = spec[key]
    return spec


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "layer", []),
        (("inputs", "image"), "shap", [3]),
        (("blocks", "encoder", "inputs", "picture"), "shap", [3]),
        (("blocks", "joined"), "inputs", 3),
        (("layers", 0, "Conv2D"), "filtrs", 3),
        (("layers", 0, "Conv2D"), "filters", 0),
        (("layers", 0, "Conv2D"), "filters", "many"),
        (("layers", 0, "Conv2D"), "padding", "sam"),
        (("layers", 0, "Conv2D"), "activation", "rellu"),
        (("layers", 0, "Conv2D"), "use_bias", "no"),
        (("layers", 0), "Conv3", {}),
        (("compile",), "optimiser", "adam"),
        (("compile",), "optimizer", "adm"),
        (("compile", "optimizer", "Adam"), "learning_rat", 0.1),
        (("compile", "optimizer", "Adam"), "epsilon", -1),
        (("fit",), "epochs", "ten"),
        (("fit", "callbacks", 0, "EarlyStopping"), "patence", 1),
        (("data",), "traget", "y"),
        (("data", "csv"), "pth", "y"),
        (("data", "split"), "by", "tme"),
    ],
)
def test_mistakes_are_refused(validator, path, key, value):
    spec = copy.deepcopy(SPEC)
    _at(spec, path)[key] = value
    assert list(validator.iter_errors(spec))


def test_every_argument_of_every_layer_is_known():
    definitions = json_schema()["definitions"]
    for name, cls in LAYERS.classes.items():
        arguments = [p.name for p in signature(cls).parameters.values() if p.kind is not p.VAR_KEYWORD]
        assert set(definitions[name]["anyOf"][0]["properties"]) == set(arguments), name
    described = [v for d in definitions.values() for v in d.get("anyOf", [{}])[0].get("properties", {}).values() if isinstance(v, dict)]  # fmt: skip
    assert sum("description" in v for v in described) > 0.85 * len(described)


class Shifted(Layer):
    """Adds a number.

    Args:
        by: the number.
    """

    def __init__(self, by: float, times: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.by, self.times = by, times

    def call(self, x):
        return x + self.by * self.times


def test_layers_of_ones_own_are_known():
    spec = SPEC | {"layers": [{"Shifted": {"by": 2.0, "times": 3}}, {"Dense": 1}]}
    known = jsonschema.Draft7Validator(json_schema([Shifted]))
    assert known.is_valid(spec)
    assert not jsonschema.Draft7Validator(json_schema()).is_valid(spec)
    assert not known.is_valid(SPEC | {"layers": [{"Shifted": {"bye": 2.0}}]})
    found = known.schema["definitions"]["Shifted"]
    assert found["description"] == "Adds a number."
    assert found["anyOf"][0]["properties"]["by"]["description"] == "the number."
