"""The examples run, and reach what they say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import layerkit

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_first_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "01_first_model.py"))
    _, (x, y) = layerkit.datasets.digits()
    loaded = layerkit.load_model("digits.lk")
    assert loaded.evaluate(x, y, verbose=0)[1] > 0.95
    assert "Epoch 10/10" in capsys.readouterr().out


def test_every_example_has_its_test():
    named = Path(__file__).read_text()
    assert [p.name for p in EXAMPLES.glob("[0-9]*.py") if p.name not in named] == []


@pytest.fixture(autouse=True)
def _repeatable():
    layerkit.utils.set_random_seed(0)
