"""Pictures of models: nothing lies on anything else, every layer and every connection is there, frames hold their blocks."""

from __future__ import annotations

import re
import sys
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

import layerkit
from layerkit import layers as L
from layerkit.errors import MissingExtraError, StateError
from layerkit.models.drawing import draw

SVG = "{http://www.w3.org/2000/svg}"


def small() -> layerkit.Model:
    stack = [
        L.Input((28, 28, 1), name="image"),
        L.Conv2D(8, 3),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(10, name="digit"),
    ]
    return layerkit.Sequential(stack, name="small")


def deep(blocks: int = 7) -> layerkit.Model:
    """Three stages of residual blocks; 153 layers with 7 blocks each."""
    x = image = L.Input((32, 32, 3), name="image")
    x = L.Conv2D(16, 3, padding="same", name="stem")(x)
    for stage in range(3):
        for block in range(blocks):
            at, before = f"stage{stage}/block{block}/", x
            strides = 2 if stage and not block else 1
            x = L.Conv2D(16 << stage, 3, strides=strides, padding="same", name=f"{at}first")(x)
            x = L.ReLU(name=f"{at}relu1")(L.BatchNormalization(name=f"{at}norm1")(x))
            x = L.BatchNormalization(name=f"{at}norm2")(L.Conv2D(16 << stage, 3, padding="same", name=f"{at}second")(x))
            if strides == 2:
                before = L.Conv2D(16 << stage, 1, strides=2, name=f"{at}short")(before)
            x = L.ReLU(name=f"{at}relu2")(L.Add(name=f"{at}add")([x, before]))
    return layerkit.Model(image, L.Dense(10, name="out")(L.GlobalAveragePooling2D(name="pool")(x)), name="deep")


def unet() -> layerkit.Model:
    x = image = L.Input((32, 32, 1))
    skips = []
    for filters in (8, 16):
        x = L.Conv2D(filters, 3, padding="same")(x)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    for filters, skip in zip((16, 8), reversed(skips), strict=True):
        x = L.Concatenate()([L.Conv2DTranspose(filters, 2, strides=2)(x), skip])
    return layerkit.Model(image, L.Conv2D(3, 1)(x) + 1.0)


class Picture:
    def __init__(self, model: layerkit.Model) -> None:
        root = ElementTree.fromstring(draw(model))
        self.width, self.height = float(root.get("width", 0)), float(root.get("height", 0))
        groups = root.findall(f"{SVG}g")
        self.boxes = {g.get("data-layer"): area(g.find(f"{SVG}rect")) for g in groups}
        self.texts = {g.get("data-layer"): [t.text for t in g.findall(f"{SVG}text")] for g in groups}
        self.lines = [points(p.get("d", "")) for p in root.findall(f"{SVG}path")]
        self.frames = [area(r) for r in root.findall(f"{SVG}rect") if r.get("class") == "frame"]
        self.labels = [t.text for t in root.findall(f"{SVG}text") if t.get("class") == "label"]


def area(rect: Any) -> tuple[float, float, float, float]:
    x, y, width, height = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def points(path: str) -> list[tuple[float, float]]:
    """Points along a path, close together; curves by their polynomial."""
    found: list[tuple[float, float]] = []
    for kind, numbers in re.findall(r"([MLC])([^MLC]*)", path):
        n = [float(v) for v in numbers.split()]
        if kind == "M":
            found.append((n[0], n[1]))
            continue
        (x0, y0), steps = found[-1], 40
        corners = [(x0, y0), *zip(n[::2], n[1::2], strict=True)]
        for i in range(1, steps + 1):
            t, level = i / steps, corners
            while len(level) > 1:
                level = [(a + t * (c - a), b + t * (d - b)) for (a, b), (c, d) in pairwise(level)]
            found.append(level[0])
    return found


def inside(point: tuple[float, float], box: tuple[float, float, float, float], by: float = 1.0) -> bool:
    x, y = point
    return box[0] + by < x < box[2] - by and box[1] + by < y < box[3] - by


@pytest.mark.parametrize("made", [small, deep, unet])
def test_nothing_lies_on_anything_else(made: Any) -> None:
    model = made()
    picture = Picture(model)
    for (a, one), (b, other) in combinations(picture.boxes.items(), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (a, b)
    for line in picture.lines:
        for name, box in picture.boxes.items():
            assert not any(inside(p, box) for p in line), name
    for x0, y0, x1, y1 in (*picture.boxes.values(), *picture.frames):
        assert x0 >= 0
        assert y0 >= 0
        assert x1 <= picture.width
        assert y1 <= picture.height


def test_a_small_picture_says_everything() -> None:
    picture = Picture(small())
    assert picture.texts["conv2d"] == ["conv2d", "80", "Conv2D (None, 26, 26, 8)"]
    assert picture.texts["digit"] == ["digit", "13,530", "Dense (None, 10)"]
    assert picture.texts["image"] == ["image", None, "Input (None, 28, 28, 1)"]
    assert len(picture.lines) == 4
    assert picture.height < 450


def test_a_deep_picture_is_no_strip() -> None:
    model = deep()
    picture = Picture(model)
    assert len(picture.boxes) == len(model.layers) == 153
    assert len(picture.lines) == 152 + 21  # a chain, and a connection around each block
    assert 0.3 < picture.height / picture.width < 3
    assert picture.texts["stage1/block2/add"][0] == "add"
    for stage in range(3):
        assert f"stage{stage}" in picture.labels
    assert picture.labels.count("block3") == 3  # none is cut by a column
    for name, box in picture.boxes.items():
        depth = str(name).count("/")
        around = [f for f in picture.frames if f[0] < box[0] and f[1] < box[1] and f[2] > box[2] and f[3] > box[3]]
        assert len(around) == depth, name


def test_the_same_picture_each_time() -> None:
    assert draw(deep(2)) == draw(deep(2))


def test_without_igraph_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(MissingExtraError) as error:
        draw(small())
    assert error.value.fix == 'pip install "layerkit[plot]"'


def test_a_model_without_a_graph() -> None:
    class Own(layerkit.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(StateError):
        draw(Own())
