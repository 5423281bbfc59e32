"""Plain models: each on data whose best answer is known, and inputs of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from autoarch import baselines
from autoarch.baselines import _neighbours
from autoarch.features import CATEGORIES, WIDTH, WORDS, Features
from autoarch.outcomes import losses
from layerkit.data.preparation import Encoding, Preparation, Tensor


def test_neighbours_are_those_of_all_distances():
    rng = np.random.default_rng(0)
    x, rows = (rng.integers(0, 3, (n, 4)).astype("float32") for n in (300, 50))  # many are equally far
    exact = ((rows[:, None].astype("float64") - x) ** 2).sum(2)
    found = _neighbours(x, 5)(rows)
    chosen = np.take_along_axis(exact, found, 1)
    assert np.array_equal(chosen, np.sort(exact, 1)[:, :5])
    single = np.argsort(exact, 1, kind="stable")[:, :1]
    assert np.array_equal(np.take_along_axis(exact, single, 1), chosen[:, :1])
    assert _neighbours(x[:2])(rows).shape == (50, 2)


@pytest.mark.slow
def test_classes_on_a_ring():
    """Two rings: no line parts them, neighbours and a network do."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, 400), 1 + 2 * y + 0.1 * rng.normal(size=400)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype("float32")
    y[:20] = 1  # a few more of one class
    found = baselines.fit(x[:300], y[:300], classes=2).predict(x[300:])
    wrong = {name: losses(p, y[300:], is_class=True).mean() for name, p in found.items()}
    assert list(wrong) == ["majority", "linear", "neighbours", "network"]
    assert set(found["majority"]) == {1}
    assert wrong["majority"] == np.mean(y[300:] != 1)
    assert wrong["linear"] > 0.25
    assert wrong["neighbours"] < 0.05
    assert wrong["network"] < 0.05
    again = baselines.fit(x[:300], y[:300], classes=2).predict(x[300:])
    assert all(np.array_equal(found[name], again[name]) for name in found)


@pytest.mark.slow
def test_numbers_of_a_series():
    """A walk: the last value is best; the channel is found, and the scale of the preparation is undone."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(600, 2)), axis=0) * [1, 5] + [0, 300]
    x = np.stack([walk[i : i + 8] for i in range(590)])
    y = walk[8:598, 1:]
    scaled = ((x - [1, 2]) / [3, 4]).astype("float32")
    preparation = Preparation(
        (Tensor("x", ("x",)),),
        (Tensor("y", ("y",)),),
        {"x": Encoding("array", mean=(1, 2), deviation=(3, 4)), "y": Encoding("array")},
    )
    found = baselines.fit(scaled[:400], y[:400], preparation=preparation).predict(scaled[400:])
    assert found["persistence"] == pytest.approx(x[400:, -1, 1:], rel=1e-4)
    assert found["mean"] == pytest.approx(np.full((190, 1), y[:400].mean()), rel=1e-5)
    error = {name: losses(p, y[400:], is_class=False).mean() for name, p in found.items()}
    assert error["persistence"] == pytest.approx(25, rel=0.3)
    assert error["persistence"] < error["linear"] < error["mean"]
    design = np.c_[x.reshape(590, -1), np.ones(590)]
    exact = design[400:] @ np.linalg.lstsq(design[:400], y[:400], rcond=None)[0]
    assert error["linear"] == pytest.approx(np.mean((exact - y[400:]) ** 2), rel=0.2)  # but for a little ridge


def test_a_table_of_numbers_and_categories():
    x = {"size": np.array([[1.0, 2.0], [np.nan, 2.0], [3.0, 2.0]], "float32"), "town": np.array([2, 1, 2], "int32")}
    preparation = Preparation(
        (Tensor("size", ("a", "b")), Tensor("town", ("town",))), (),
        {"a": Encoding("number"), "b": Encoding("number"), "town": Encoding("category", ("p", "q", "r"))},
    )  # fmt: skip
    features = Features.fit(x, preparation)
    assert features.matrix(x).tolist() == [[-1, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 1]]
    new = {"size": np.array([[5.0, 9.0]], "float32"), "town": np.array([3], "int32")}
    assert features.matrix(new).tolist() == [[3, 0, 0, 0]]


def test_only_frequent_categories_count():
    column = np.repeat(np.arange(200), np.arange(200))[:, None].astype("int32")
    preparation = Preparation((Tensor("x", ("c",)),), (), {"c": Encoding("category", tuple("abc"))})
    matrix = Features.fit(column, preparation).matrix(column)
    assert matrix.shape[1] == CATEGORIES
    assert matrix[-1].argmax() == CATEGORIES - 1  # the last is the most frequent
    assert not matrix[0].any()


def test_tokens_and_texts_are_counted():
    tokens = np.array([[5, 5, 7], [7, 9, 0]], "int32")
    preparation = Preparation((Tensor("x", ("x",), (3,), "int32"),), (), {"x": Encoding("array")})
    expected = np.log1p([[0, 2, 1, 0], [1, 0, 1, 1]])
    assert Features.fit(tokens, preparation).matrix(tokens) == pytest.approx(expected)
    texts = np.array(["b B, c", "c d a"])
    features = Features.fit(texts)
    assert features.matrix(texts) == pytest.approx(expected)
    assert features.matrix(np.array(["Zebra a"])) == pytest.approx(np.log1p([[1, 0, 0, 0]]))
    many = np.array([" ".join(f"w{i}" for i in range(WORDS + 5))])
    assert Features.fit(many).matrix(many).shape == (1, WORDS)


def test_large_arrays_are_made_smaller():
    video = np.arange(2 * 4 * 50 * 60 * 3, dtype="uint8").reshape(2, 4, 50, 60, 3)
    features = Features.fit(video)
    assert features.matrix(video).shape[1] <= WIDTH
    assert "made smaller, from [4, 50, 60, 3]" in features.notes[0]
    flat = np.ones((2, 3 * WIDTH))
    assert Features.fit(flat).matrix(flat).shape == (2, 3 * WIDTH // 4)
