"""What data are, and the spaces that fit them."""

from __future__ import annotations

import numpy as np
import pytest

from autoarch.modality import look, shipped, spaces_for
from autoarch.options import least
from layerkit.errors import ArgumentError, DataError

TS = "@classLabel true a b\n@data\n" + "".join(f"{i},1,2:0,{i},1:{'ab'[i % 2]}\n" for i in range(10))


def table(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


def npz(path, x, y):
    np.savez(path, x=x, y=y)
    return str(path)


def test_the_digits_that_ship():
    found = look("digits")
    assert (found.modality, found.task) == ("images", "classification")
    assert found.section == {"dataset": "digits", "split": {"validation": 0.2, "by": "stratified"}}
    assert found.dataset.rows == {"train": 1154, "validation": 288, "test": 355}
    assert found.facts["shape"] == [8, 8, 1]
    assert found.facts["outputs"] == 10
    x = found.dataset.train[0] * found.facts["scale"] + found.facts["offset"]
    assert abs(x.mean()) < 1e-3
    assert x.std() == pytest.approx(1, abs=1e-3)
    assert "images, classification of 10 classes" in found.describe()
    assert "rows     train 1154, validation 288, test 355" in found.describe()


@pytest.mark.parametrize(
    ("x", "modality", "facts"),
    [
        (np.zeros((20, 6, 5), "uint8"), "images", {"shape": [6, 5, 1]}),
        (np.zeros((20, 6, 5, 3), "float32"), "images", {"shape": [6, 5, 3]}),
        (np.zeros((20, 4, 6, 5), "uint8"), "video", {"shape": [4, 6, 5, 1]}),
        (np.zeros((20, 4, 6, 5, 3), "float32"), "video", {"shape": [4, 6, 5, 3]}),
        (np.ones((20, 7, 2), "float32"), "series", {"length": 7, "channels": 2, "padded": 0}),
        (np.arange(20 * 7, dtype="int64").reshape(20, 7), "tokens", {"length": 7, "vocabulary": 140}),
        (np.ones((20, 7), "float32"), "tabular", {"numbers": 7, "offsets": [], "values": 0}),
    ],
)
def test_arrays_tell_by_their_axes_what_they_are(tmp_path, x, modality, facts):
    found = look(npz(tmp_path / "rows.npz", x, np.arange(20, dtype="int32") % 2))
    assert found.modality == modality
    assert facts.items() <= found.facts.items()
    assert found.section["npz"] == {"path": "rows.npz"}
    assert found.section["split"] == {"validation": 0.16, "test": 0.2, "by": "stratified"}
    assert ("standardize" in found.section) == (modality in ("series", "tabular"))
    assert found.dataset.rows == {"train": 12, "validation": 4, "test": 4}


def test_series_of_the_archive_bring_their_test_part(tmp_path):
    folder = tmp_path / "Kinds"
    folder.mkdir()
    for part in ("TRAIN", "TEST"):
        (folder / f"Kinds_{part}.ts").write_text(TS)
    (folder / "Kinds_equal_TRAIN.ts").write_text(TS + "1,2,3:4,5,6:a\n")
    for data in (folder, folder / "Kinds_TRAIN.ts"):
        found = look(str(data))
        assert (found.modality, found.facts["outputs"]) == ("series", 2)
        assert found.dataset.rows == {"train": 8, "validation": 2, "test": 10}
        assert found.section["ts"] == {"path": data.name}


def test_a_table_of_classes(tmp_path):
    rows = [(f"2020-01-{i + 1:02}", i, "red" if i % 3 else "blue", i**2 if i else "", f"note {i}", "yes" if i % 2 else "no") for i in range(30)]  # fmt: skip
    path = table(tmp_path / "rows.csv", "day,number,colour,size,note,bought", rows)
    found = look(path, "bought")
    assert (found.modality, found.task, found.facts["numbers"]) == ("tabular", "classification", 1)
    assert found.dataset.train[0].shape == (20, 2)
    assert set(found.dataset.train[0][:, 1]) == {1, 2}
    assert (found.facts["offsets"], found.facts["values"]) == ([0], 3)  # missing or new, blue, red
    assert found.section == {
        "csv": {"path": "rows.csv"}, "target": "bought", "features": ["size", "colour"], "standardize": True,
        "missing": "mean", "split": {"validation": 0.16, "test": 0.2, "by": "stratified"},
    }  # fmt: skip
    assert [note.split("'")[1] for note in found.notes] == ["day", "number", "note"]
    assert "'day' is left out: it tells the time of a row" in found.describe()


def test_a_forecast_reads_windows_in_the_order_of_time(tmp_path):
    rows = [
        (f"2020/01/{i // 24 + 1:02} {i % 24:02}:00:00", f"{20 + i % 24 / 3:.3f}", i % 7 / 7, "wet") for i in range(240)
    ]
    found = look(table(tmp_path / "hours.csv", "hour,warm,wind,kind", rows), "warm")
    assert (found.modality, found.task) == ("series", "forecast")
    assert found.section["features"] == ["warm", "wind"]
    assert found.section["window"] == {"length": 24, "horizon": 1, "stride": 1, "order": "hour"}
    assert found.section["split"]["by"] == "time"
    assert {"length": 24, "channels": 2, "padded": 0, "forecast": 1, "outputs": 1}.items() <= found.facts.items()
    _, y = found.dataset.train
    assert y[:2].ravel().tolist() == pytest.approx([20, 20 + 1 / 3], abs=1e-3)  # the hours 24 and 25 of a cycle of 24
    assert look(str(tmp_path / "hours.csv"), "warm", "regression").modality == "tabular"


def test_rows_without_their_target_are_left_out_and_told(tmp_path):
    path = table(tmp_path / "rows.csv", "size,bought", [(i / 7, "" if i % 5 == 0 else i % 2) for i in range(50)])
    found = look(path, "bought")
    assert (found.task, found.section["missing"], sum(found.dataset.rows.values())) == ("classification", "mean", 40)
    assert "10 of 50 rows are left out: they have no value of 'bought'" in found.describe()


@pytest.mark.parametrize(
    ("values", "says"), [(["one"] * 30, "of one class"), ([f"k{i}" for i in range(30)], "no classes"), ([""] * 30, "no value")]
)  # fmt: skip
def test_a_target_from_which_nothing_is_learnt_is_refused(tmp_path, values, says):
    with pytest.raises(DataError, match=says):
        look(table(tmp_path / "rows.csv", "size,kind", [(i / 7, v) for i, v in enumerate(values)]), "kind")


def test_gaps_in_arrays_are_refused_before_anything_is_trained(tmp_path):
    x = np.ones((40, 3), "float32")
    x[7, 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 2)
    with pytest.raises(DataError, match="has missing numbers"):
        look(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", x=np.nan_to_num(x), y=np.where(np.arange(40) == 3, np.nan, np.arange(40) / 3))
    assert sum(look(str(tmp_path / "b.npz")).dataset.rows.values()) == 39


def test_whole_numbers_are_classes_where_it_is_said(tmp_path):
    path = table(tmp_path / "rows.csv", "size,stars", [(i / 7, i % 5 + 1) for i in range(50)])
    found = look(path, "stars")
    assert found.task == "regression"
    assert "--task classification" in found.notes[0]
    found = look(path, "stars", "classification")
    assert (found.task, found.section["task"], found.facts["outputs"]) == ("classification", "classification", 5)


def test_a_regression_says_the_scale_of_its_target(tmp_path):
    path = tmp_path / "rows.csv"
    table(path, "a;y", [])
    path.write_text("a;y\n" + "".join(f"{i / 7:.3f};{100 + 10 * (i % 2) + 0.5}\n" for i in range(40)))
    found = look(str(path), "y")
    assert (found.modality, found.task) == ("tabular", "regression")
    assert found.section["csv"]["delimiter"] == ";"
    scale, offset = (found.facts["answer"]["Rescaling"][n] for n in ("scale", "offset"))
    y = found.dataset.train[1]
    assert scale == pytest.approx(float(y.std()), rel=1e-3)
    assert offset == pytest.approx(float(y.mean()), rel=1e-3)
    assert found.facts["loss"] == "mse"


@pytest.mark.parametrize("names", [[], ["cnn"], ["images_cnn"]])
def test_names_narrow_the_spaces(names):
    spaces = spaces_for("digits", names=names)
    assert [name for name, _ in spaces] == (names and ["images_cnn"]) or list(shipped("images"))
    for _, spec in spaces:
        assert "data: {dataset: digits, split: {validation: 0.2, by: stratified}}" in spec.text


def test_wrong_names_are_told(tmp_path):
    with pytest.raises(ArgumentError) as caught:
        spaces_for("digits", names=["cn"])
    assert "cnn" in caught.value.expected
    assert "cnn" in caught.value.fix
    with pytest.raises(DataError, match="no such file"):
        look("digit")
    path = table(tmp_path / "rows.csv", "size,kind,price", [(i / 7, "ab"[i % 2], i / 3) for i in range(20)])
    with pytest.raises(DataError) as caught:
        look(path)
    assert caught.value.expected == "one of its columns as the target (--target, in Python target=)"
    assert caught.value.got == "columns size (numbers); kind (2 categories: a, b); price (numbers)"
    assert caught.value.fix == "--target price"
    with pytest.raises(DataError) as caught:
        look(path, "prices")
    assert "price" in caught.value.fix
    with pytest.raises(DataError, match="nothing but the target"):
        look(table(tmp_path / "one.csv", "y", [(i / 3,) for i in range(20)]), "y")
    with pytest.raises(DataError, match="no space fits"):
        look(npz(tmp_path / "odd.npz", np.zeros((10, 2, 2, 2, 2, 2)), np.arange(10) % 2))
    with pytest.raises(DataError, match="no space predicts"):
        look(npz(tmp_path / "masks.npz", np.zeros((10, 8, 8, 1)), np.zeros((10, 8, 8))))
    with pytest.raises(DataError, match="a forecast is of numbers"):
        look(path, "kind", "forecast")


def test_a_folder_of_images_is_made_small_and_grey(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        folder = tmp_path / "pets" / kind
        folder.mkdir(parents=True)
        for i in range(10):
            image_module.fromarray(rng.integers(0, 256, (96, 128), "uint8")).save(folder / f"{i}.png")
    found = look(str(tmp_path / "pets"))
    assert (found.modality, found.facts["shape"]) == ("images", [48, 64, 1])
    assert found.section["images"] == {"path": "pets", "size": [48, 64], "channels": 1}
    assert found.dataset.classes == ("cats", "dogs")
    assert found.notes == ("images of 96 x 128 pixels are made smaller: 48 x 64",)
    spec = found.spaces(["cnn"])[0][1]
    assert least(spec).dataset(tmp_path / "pets").train[0].shape == (12, 48, 64, 1)


def test_sentences_alone_are_tokens_and_beside_other_columns_left_out(tmp_path):
    rows = [
        (f"a {'good' if i % 2 else 'bad'} thing number {['one', 'two', 'three'][i % 3]} {i}", i % 7, i % 2)
        for i in range(40)
    ]
    found = look(table(tmp_path / "notes.csv", "note,good", [(text, y) for text, _, y in rows]), "good")
    assert (found.modality, found.task) == ("tokens", "classification")
    assert found.section["words"] == {"length": 6, "count": 50}  # 8 words, 40 numbers, 0 and 1
    assert found.facts["vocabulary"] == 50
    assert found.dataset.train[0].shape == (26, 6)
    for _, spec in found.spaces():
        assert least(spec).build().input_shape == (None, 6)
    found = look(table(tmp_path / "more.csv", "note,size,good", rows), "good")
    assert (found.modality, found.section["features"]) == ("tabular", ["size"])
    assert "'note' is left out: sentences are read where there is nothing else" in found.describe()
