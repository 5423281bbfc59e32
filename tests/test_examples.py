"""The examples run, and reach what they say."""

from __future__ import annotations

import gzip
import runpy
import struct
from pathlib import Path

import numpy as np
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


def example(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_japanese_vowels_small(tmp_path):
    """On made series of the same form: the speaker is the mean of the channels."""
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        lines = ["@classlabel true 1 2 3", "@data"]
        for label in rng.integers(1, 4, 60):
            case = rng.standard_normal((12, rng.integers(7, 20))) * 0.3 + label
            lines.append(":".join(",".join(f"{v:.4f}" for v in channel) for channel in case) + f":{label}")
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text("\n".join(lines))
    assert example("02_japanese_vowels.py")(tmp_path, epochs=15, units=8) > 0.9


def test_fashion_mnist_small(tmp_path):
    """On made images of the same form: a bright row at the height of the class."""
    rng = np.random.default_rng(0)
    for part, rows in (("train", 400), ("t10k", 100)):
        labels = rng.integers(0, 10, rows).astype("uint8")
        images = rng.integers(0, 60, (rows, 28, 28)).astype("uint8")
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 5 + 2 * label] = 250
        for kind, array, rank in (("images-idx3", images, 3), ("labels-idx1", labels, 1)):
            head = struct.pack(f">BBBB{rank}I", 0, 0, 8, rank, *array.shape)
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    assert example("03_fashion_mnist.py")(tmp_path, epochs=6) > 0.8


def test_temperatures_small():
    ours, persistence = example("04_temperatures.py")(epochs=8, units=16, stride=8)
    assert ours < persistence


def test_every_example_has_its_test():
    named = Path(__file__).read_text()
    assert [p.name for p in EXAMPLES.glob("[0-9]*.py") if p.name not in named] == []


@pytest.fixture(autouse=True)
def _repeatable():
    layerkit.utils.set_random_seed(0)
