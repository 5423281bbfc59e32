"""docs/yaml.md: its specs build, its Python runs, its table of blocks is that of the library, its keys are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import builders
import layerkit
from builders import source
from builders.blocks import LIBRARY
from builders.items import KEYS
from builders.reading import SECTIONS
from layerkit.data import SOURCES, DataOptions
from layerkit.fields import fields

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/yaml.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("spec", _blocks("yaml"), ids=range(len(_blocks("yaml"))))
def test_specs_build(spec):
    assert builders.loads(spec, "docs.yaml").build().count_params()


def test_the_autoencoder_is_trained_on_its_input():
    (text,) = (spec for spec in _blocks("yaml") if "target: image" in spec)
    spec = builders.loads(text, "docs.yaml")
    model = spec.build()
    spec.check()
    data = spec.dataset(model=model)
    (x, y), ((digits, _), _) = data.train, layerkit.datasets.digits()
    np.testing.assert_array_equal(y, x)
    assert x.shape == (1154, 8, 8, 1)
    history = model.fit(x, y, validation_data=data.validation, verbose=0, **spec.fit).history["val_loss"]
    assert history[-1] < 0.5 * float(digits.var())  # what the mean image, at best, is off by


def test_python_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (code,) = _blocks("python")
    exec(code, {})
    assert "layerkit: 1" in capsys.readouterr().out


def test_tables_are_complete():
    first = {word for row in re.findall(r"^\| ([^|]+) \|", TEXT, re.MULTILINE) for word in re.findall(r"`(\w+)`", row)}
    blocks = {name for path in LIBRARY.glob("*.yaml") for name in source.read(path).get("blocks").plain()}
    known = {*SECTIONS, *KEYS, *blocks, *SOURCES, *fields(DataOptions)}
    assert first == known
    for path in LIBRARY.glob("*.yaml"):
        for name, block in source.read(path).get("blocks").plain().items():
            row = re.search(rf"^\|[^|]*`{name}`[^|]*\|([^|]*)\|", TEXT, re.MULTILINE)
            assert row, name
            if row[1].strip() != "the same":
                assert set(block["parameters"]) <= set(re.findall(r"\w+", row[1])), name
