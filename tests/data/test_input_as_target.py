"""A target that is an input over again, as an autoencoder has it: of every source, as it comes into the model."""

from __future__ import annotations

import numpy as np
import pytest

from layerkit.data import CSV, NPZ, DataOptions, Images, Shipped, Tensor, open_data, targets_of_head
from layerkit.data.preparation import Preparation
from layerkit.errors import DataError


@pytest.fixture
def table(tmp_path):
    sizes, colours = np.arange(20) / 3, ["red", "blue"] * 10
    rows = [f"{'' if i == 4 else s},{c},{'ab'[i % 2]}" for i, (s, c) in enumerate(zip(sizes, colours, strict=True))]
    (tmp_path / "a.csv").write_text("size,colour,kind\n" + "\n".join(rows) + "\n")
    return CSV(str(tmp_path / "a.csv"))


def _open(source, inputs, outputs=("out",), **options):
    return open_data(source, DataOptions(**options), inputs=inputs, outputs=outputs)


def test_the_columns_of_a_table_as_they_come_in(table):
    row = [Tensor("row", (), (3,), "float32")]
    options = {"target": "row", "features": ["size", "colour"], "standardize": True, "categories": "one_hot", "missing": "mean"}  # fmt: skip
    data = _open(table, row, **options)
    x, y = data.train
    np.testing.assert_array_equal(x, y)
    assert x.shape == (20, 3)
    assert abs(float(x[:, 0].mean())) < 0.05
    assert x[:, 1:].sum(1).tolist() == [1.0] * 20
    assert (data.task, data.classes) == ("regression", None)
    assert "out: the input row" in data.describe()
    back = data.preparation.restored("out", x)
    known = np.arange(20) != 4
    np.testing.assert_allclose(back[known, 0], (np.arange(20) / 3)[known], atol=1e-5)
    np.testing.assert_array_equal(back[:, 1:], x[:, 1:])
    assert Preparation.from_config(data.preparation.to_config()) == data.preparation
    assert targets_of_head(table, DataOptions(**options), inputs=row, outputs=["out"]).shape == (1, 3)


def test_beside_another_target(table):
    data = _open(table, [Tensor("row", (), (2,))], ["again", "kind"], target={"again": "row", "kind": "kind"}, features=["size", "colour"], missing="mean")  # fmt: skip
    x, y = data.train
    np.testing.assert_array_equal(y["again"], x)
    assert y["kind"].tolist() == [0, 1] * 10
    assert data.preparation.classes_of("kind") == ("a", "b")
    assert data.preparation.classes_of("again") is None


def test_one_input_of_several(table):
    data = _open(table, [Tensor("size", (), (1,)), Tensor("colour", (), (1,))], target="size", missing="mean")
    x, y = data.train
    np.testing.assert_array_equal(y, x["size"])


def test_a_column_of_the_name_that_is_no_input_stays_one(table):
    for options in ({}, {"features": ["size"]}):
        x, y = _open(table, [Tensor("kind", (), None)], target="kind", missing="mean", **options).train
        assert y.tolist() == [0, 1] * 10
        assert x.ndim == 1 or x.shape[1] == 2
    with pytest.raises(DataError, match="no column 'rows'") as caught:
        _open(table, [Tensor("row", (), None)], target="rows")
    assert caught.value.fix == "did you mean 'row', the input?"
    with pytest.raises(DataError) as caught:
        _open(table, [Tensor("row", (), None)], target="sise")
    assert caught.value.fix == "did you mean 'size'?"


@pytest.mark.parametrize("name", ["image", "x"])
def test_data_that_ship_and_arrays(tmp_path, name):
    data = _open(Shipped("digits"), [Tensor(name, (), (8, 8, 1), "float32")], target=name)
    for x, y in (data.train, data.test):
        np.testing.assert_array_equal(x, y)
        assert x.shape[1:] == (8, 8, 1)
    arrays = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    for kept in ({"x": arrays}, {"x": arrays, "y": np.arange(10)}):
        np.savez(tmp_path / "a.npz", **kept)
        x, y = _open(NPZ(str(tmp_path / "a.npz")), [Tensor(name, (), (3,))], target=name).train
        np.testing.assert_array_equal(x, arrays)
        np.testing.assert_array_equal(y, arrays)


@pytest.mark.parametrize("name", ["image", "pixels"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_images_with_classes_and_without(tmp_path, name, in_memory):
    pillow = pytest.importorskip("PIL.Image")
    for folder in ("with/cat", "with/dog", "without"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(3):
            pillow.fromarray(np.full((4, 5, 3), 40 * i + len(folder), "uint8")).save(tmp_path / folder / f"{i}.png")
    for folder, count in (("with", 6), ("without", 3)):
        data = _open(Images(str(tmp_path / folder)), [Tensor(name, (), (4, 5, 3), "float32")], target=name, in_memory=in_memory)  # fmt: skip
        parts = [data.train] if in_memory else list(data.train)
        assert sum(len(x) for x, _ in parts) == count
        for x, y in parts:
            np.testing.assert_array_equal(x, y)
            assert x.max() > 40


def test_windows(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"{i},{i * i / 7}\n" for i in range(12)))
    data = _open(CSV(str(tmp_path / "a.csv")), [Tensor("past", (), (3, 2))], target="past", window=3, standardize=True)
    x, y = data.train
    assert x.shape == (9, 3, 2)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_allclose(data.preparation.restored("out", y)[4, :, 0], [4, 5, 6], atol=1e-5)
