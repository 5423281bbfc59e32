"""Data sets: sources, splits, preparation, batches read ahead."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from layerkit.data import (
    SOURCES,
    ArrayRecords,
    Column,
    CsvRecords,
    DataOptions,
    ImageRecords,
    ParquetRecords,
    Preparation,
    RowBatches,
    Split,
    Tensor,
    guess,
    open_data,
    read_csv,
)
from layerkit.data.csv import read_header
from layerkit.data.preparation import fit
from layerkit.errors import DataError, FileFormatError, LayerkitError, LayerkitWarning

ROWS = 5000


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV file of every kind of column, and what is in it."""
    rng = np.random.default_rng(0)
    columns = {
        "size": rng.normal(5, 3, ROWS).round(4),
        "count": rng.integers(-9, 2**40, ROWS),
        "colour": rng.choice(['red, "dark"', "blue", "a\nline"], ROWS),
        "group": rng.integers(0, 50, ROWS),
        "label": rng.choice(["no", "yes"], ROWS, p=[0.8, 0.2]),
    }
    path = tmp_path_factory.mktemp("table") / "table.csv"
    lines = ["\ufeffsize,count,colour,group,label\n"]
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        size, count, colour, group, label = row
        shown = '"' + str(colour).replace('"', '""') + '"'
        lines.append(f"{'' if i % 100 == 7 else size},{count},{shown},{group},{label}\n" + "\n" * (i % 50 == 0))
    path.write_text("".join(lines), encoding="utf-8", newline="")
    return path, columns


def _open(source, options=None, **more):
    ((key, arguments),) = source.items()
    made = SOURCES[key](**arguments)
    return open_data(made, DataOptions(**(options or {})), find=Path, **more)


def test_rows_on_disk_equal_rows_in_memory(table):
    path, columns = table
    whole = read_csv(path)
    records = CsvRecords(path)
    assert records.count == ROWS
    assert records.columns["colour"].categories == tuple(sorted(set(columns["colour"])))
    assert records.columns["size"].missing == whole.missing["size"] == 50
    rng = np.random.default_rng(1)
    for rows in (np.arange(ROWS), rng.permutation(ROWS)[:700], np.array([4999, 0, 0, 17]), np.array([], "int64")):
        found = records.read(rows, list(columns))
        for name in columns:
            np.testing.assert_array_equal(found[name], whole.columns[name][rows])
    np.testing.assert_array_equal(found["count"].dtype, "int64")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n3\n", "line 3|:3"),
        ("a,a\n1,2\n", "twice"),
        ("", "empty"),
        ("a,b\n", "no rows"),
        ('a,b\n1,"2\n3,4\n', "quote"),
        ("a,b\n1,x\xff\n", "UTF-8"),
    ],
)  # fmt: skip
def test_broken_csv_on_disk(tmp_path, text, says):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=says):
        CsvRecords(path)


@pytest.mark.parametrize("text", ['"' + "1,2\n" * 600_000, "1" * 5_000_000], ids=["an open quote", "one line"])
def test_rows_that_never_end_are_refused_early(tmp_path, text):
    (tmp_path / "a.csv").write_text("a,b\n" + text)
    with pytest.raises(FileFormatError, match="too long"):
        CsvRecords(tmp_path / "a.csv")


def test_parquet(tmp_path, table):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    _, columns = table
    arrays = {k: (v if v.dtype.kind != "U" else v.tolist()) for k, v in columns.items()}
    arrays["pair"] = np.stack([columns["size"], columns["group"]], 1).tolist()
    pq.write_table(pa.table(arrays), tmp_path / "a.parquet", row_group_size=999)
    records = ParquetRecords(tmp_path / "a.parquet")
    assert (records.count, records.block) == (ROWS, 999)
    rows = np.random.default_rng(0).permutation(ROWS)[:1500]
    found = records.read(rows, ["size", "colour", "pair", "count"])
    np.testing.assert_array_equal(found["size"], columns["size"].astype("float32")[rows])
    np.testing.assert_array_equal(
        np.array(records.columns["colour"].categories)[found["colour"]], columns["colour"][rows]
    )
    np.testing.assert_array_equal(found["pair"][:, 1], columns["group"][rows])
    np.testing.assert_array_equal(found["count"], columns["count"][rows])
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(FileFormatError, match="no Parquet file"):
        ParquetRecords(tmp_path / "b.parquet")


def test_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3)).astype("uint8")
    for i, name in enumerate(["cat", "cat", "dog", "ant"]):
        (tmp_path / name).mkdir(exist_ok=True)
        image.fromarray(pixels[i]).save(tmp_path / name / f"{i}.png")
    records = ImageRecords(tmp_path)
    assert records.columns["label"].categories == ("ant", "cat", "dog")
    found = records.read(np.array([3, 0]), ["image", "label"])
    np.testing.assert_array_equal(found["image"], pixels[[2, 3]])
    assert found["label"].tolist() == [2, 0]
    grey = _open({"images": {"path": tmp_path, "size": [3, 3], "channels": 1}})
    assert grey.train[0].shape == (4, 3, 3, 1)
    assert ImageRecords(tmp_path, [3]).size == (3, 3)
    assert records.names == ["ant/3.png", "cat/0.png", "cat/1.png", "dog/2.png"]
    alone = ImageRecords(tmp_path / "cat")  # to predict for
    np.testing.assert_array_equal(alone.read(np.array([1]), ["image"])["image"], pixels[[1]])
    one = ImageRecords(tmp_path / "cat" / "1.png")
    assert (one.count, one.names, list(one.columns)) == (1, ["1.png"], ["image"])
    with pytest.raises(DataError, match="a sub-folder of images for each class"):
        _open({"images": {"path": tmp_path / "cat"}})
    (tmp_path / "ant" / "broken.png").write_bytes(b"no image")
    with pytest.raises(FileFormatError, match=r"broken\.png"):
        _open({"images": {"path": tmp_path}}).train  # noqa: B018


def test_columns_have_to_fit_the_input(table, tmp_path):
    path, _ = table
    options = {"target": "label", "features": ["count", "colour"], "categories": "one_hot"}
    assert _open({"csv": {"path": path}}, options, inputs=[Tensor("row", (), (4,))]).train[0].shape == (ROWS, 4)
    with pytest.raises(DataError, match=r"4: count 1, colour 3\n.*inputs: {row: {shape: \[4\]}}"):
        _open({"csv": {"path": path}}, options, inputs=[Tensor("row", (), (5,))])
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 4, 3), "float32"), y=np.zeros(6, "float32"))
    for shape in ((4, 3), (4, 3, 1), (None, 3)):
        _open({"npz": {"path": tmp_path / "a.npz"}}, inputs=[Tensor("row", (), shape)])
    with pytest.raises(DataError, match=r"shape \[4, 3\]"):
        _open({"npz": {"path": tmp_path / "a.npz"}}, inputs=[Tensor("row", (), (3, 4))])


def test_parts_are_shares_and_repeat(table):
    path, columns = table
    records = CsvRecords(path)
    for by, column in (("random", None), ("stratified", None), ("time", "count"), ("group", "group")):
        split = Split(validation=0.1, test=0.2, by=by, column=column, seed=3)
        train, validation, test = split.rows(records, "label")
        assert sorted([*train, *validation, *test]) == list(range(ROWS))
        assert abs(len(test) - 0.2 * ROWS) < 120
        assert abs(len(validation) - 0.1 * ROWS) < 120
        for a, b in zip((train, validation, test), split.rows(records, "label"), strict=True):
            np.testing.assert_array_equal(a, b)
        if by == "stratified":
            shares = [np.mean(columns["label"][part] == "yes") for part in (train, validation, test)]
            assert np.ptp(shares) < 0.002
        if by == "time":
            assert columns["count"][train].max() <= columns["count"][validation].min()
            assert columns["count"][validation].max() <= columns["count"][test].min()
        if by == "group":
            groups = [set(columns["group"][part]) for part in (train, validation, test)]
            assert sum(map(len, groups)) == len(set.union(*groups))
    assert (Split(test=0.5, seed=1).rows(records, None)[0] != Split(test=0.5, seed=2).rows(records, None)[0]).any()


def test_standardised_on_the_rows_to_train_on_only(table):
    path, columns = table
    data = _open(
        {"csv": {"path": path}},
        {"target": "label", "features": ["size", "group"], "split": {"test": 0.5, "by": "time", "column": "count"}, "standardize": True, "missing": "mean"},
    )  # fmt: skip
    x, y = data.train
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, atol=2e-2)
    order = np.argsort(columns["count"], kind="stable")[: ROWS // 2]
    known = columns["size"][order][order % 100 != 7]
    encoding = data.preparation.encodings["size"]
    np.testing.assert_allclose([encoding.mean[0], encoding.fill], known.mean(), rtol=1e-6)
    np.testing.assert_allclose(encoding.deviation[0], known.std(), rtol=1e-6)
    assert data.classes == ("no", "yes")
    np.testing.assert_array_equal(y, columns["label"][order] == "yes")
    assert data.task == "classification"
    assert "0 is missing" not in data.describe()
    assert "50 missing" in data.describe()


def test_categories_count_from_one_and_unknown_is_zero(table):
    path, columns = table
    data = _open({"csv": {"path": path}}, {"target": "label", "features": "colour", "split": {"test": 0.1}})
    known = data.preparation.encodings["colour"].categories
    x, _ = data.train
    assert x.dtype == np.int32
    assert set(x) == {1, 2, 3}
    new = ArrayRecords({"colour": np.array([0, 1, -1], "int32")}, {"colour": ("blue", "green")})
    found, _ = data.preparation.read(new, with_targets=False)
    assert found.tolist() == [known.index("blue") + 1, 0, 0]
    hot = _open({"csv": {"path": path}}, {"target": "label", "features": ["colour", "group"], "categories": "one_hot"})
    np.testing.assert_array_equal(hot.train[0][:, :3].sum(1), 1)
    np.testing.assert_array_equal(hot.train[0][:, 3], columns["group"])


NUMBERS = [str(i + 0.5) for i in range(30)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["unknown", *NUMBERS], "'unknown' is none; correct that in the file"),
        ([f"€ {n}" for n in NUMBERS], "'€ 0.5' is none"),
        ([n.replace(".", ",") for n in NUMBERS], "csv: {path: ..., decimal: ','}"),
        ([f"{n}a" for n in NUMBERS], None),
        (["low", "high"] * 15, None),
    ],
)
def test_numbers_that_are_taken_for_texts_are_told(tmp_path, values, says):
    (tmp_path / "a.csv").write_text("v;y\n" + "".join(f"{v};{i}\n" for i, v in enumerate(values)))
    options, wide = {"target": "y", "task": "regression"}, [Tensor("row", (), (2,))]
    source = {"csv": {"path": tmp_path / "a.csv", "delimiter": ";"}}
    if says is None:
        _open(source, options)
        return
    with pytest.warns(LayerkitWarning, match=re.escape(says)):
        _open(source, options)
    with pytest.warns(LayerkitWarning), pytest.raises(DataError) as caught:
        _open(source, options, inputs=wide)
    assert says in caught.value.fix


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_comma_before_the_fraction(tmp_path, in_memory):
    text = ";a;n;day;k\n0;1,5;1.234,5;01.02.2020;x\n1;-2;7;02.02.2020;y\n2;;1.234;03.02.2020;x\n"
    (tmp_path / "a.csv").write_text(text)
    source = {"csv": {"path": tmp_path / "a.csv", "delimiter": ";", "decimal": ","}}
    data = _open(source, {"target": "k", "features": ["a", "n"], "missing": "mean", "in_memory": in_memory})
    x = data.train[0] if in_memory else next(iter(RowBatches(*data._parts["train"], data.preparation, 3, shuffle=False, seed=0)))[0]  # fmt: skip
    np.testing.assert_array_equal(x, np.array([[1.5, 1234.5], [-2, 7], [-0.25, 1234]], "float32"))
    assert data._parts["train"][0].columns["day"].kind == "category"
    usual = _open(source, {"target": "k", "missing": "mean"})
    assert usual.preparation.inputs[0].columns == ("a", "n", "day")  # one without a name counts rows


def test_unseen_categories_are_counted(table):
    path, _ = table
    data = _open({"csv": {"path": path}}, {"target": "label", "features": ["colour", "group"], "categories": "index"})
    texts = {"colour": ("blue", "green", "mauve")}
    new = ArrayRecords({"colour": np.array([0, 1, 2, 1, -1], "int32"), "group": np.arange(5)}, texts)
    assert data.preparation.unseen(new) == {"colour": {"green": 2, "mauve": 1}}
    assert data.preparation.unseen(CsvRecords(path)) == {}
    numbers = ArrayRecords({"colour": np.array([3, 3, 7]), "group": np.arange(3)})
    assert data.preparation.unseen(numbers) == {"colour": {"3": 2, "7": 1}}
    with pytest.raises(DataError, match="the columns of the training: colour, group"):
        data.preparation.unseen(ArrayRecords({"hue": np.arange(3)}))


def test_preparation_is_plain_data(table):
    import json

    path, _ = table
    data = _open(
        {"csv": {"path": path}},
        {"target": {"answer": "label"}, "features": {"a": ["size", "group"], "b": "colour", "c": "count"}, "standardize": True, "missing": "drop"},
    )  # fmt: skip
    again = Preparation.from_config(json.loads(json.dumps(data.preparation.to_config())))
    assert again == data.preparation
    records, rows = data._parts["train"]
    assert len(rows) == ROWS - 50
    for a, b in zip(data.train[0].values(), again.read(records, rows)[0].values(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(FileFormatError):
        Preparation.from_config({"inputs": []})
    for spoilt in (
        {"kind": "words", "length": -1},
        {"kind": "wrds"},
        {"mean": ["a"]},
        {"mean": [1.0, 2.0]},
        {"fill": []},
    ):
        config = json.loads(json.dumps(data.preparation.to_config()))
        next(iter(config["columns"].values())).update(spoilt)
        with pytest.raises(FileFormatError, match="no preparation"):
            Preparation.from_config(config)


def test_batches_hold_every_row_once_in_an_order_of_the_seed(table):
    path, _ = table
    for shuffle in (False, True):
        data = _open({"csv": {"path": path}}, {"target": "label", "features": ["group", "colour"], "in_memory": False})
        whole = _open({"csv": {"path": path}}, {"target": "label", "features": ["group", "colour"]}).train
        records, rows = data._parts["train"]
        batches = RowBatches(records, rows, data.preparation, 64, shuffle=shuffle, seed=5)
        first, second = list(batches), list(batches)
        assert len(first) == len(batches) == -(-ROWS // 64)
        assert [len(y) for _, y in first] == [64] * (ROWS // 64) + [ROWS % 64]
        x, y = (np.concatenate(part) for part in zip(*first, strict=True))
        if shuffle:
            assert any((a[1] != b[1]).any() for a, b in zip(first, second, strict=True))
            assert sorted(map(tuple, np.c_[x, y])) == sorted(map(tuple, np.c_[whole[0], whole[1]]))
        else:
            np.testing.assert_array_equal(x, whole[0])
            np.testing.assert_array_equal(y, whole[1])
        again = RowBatches(records, rows, data.preparation, 64, shuffle=shuffle, seed=5)
        again.epoch = 1
        for a, b in zip(second, again, strict=True):
            np.testing.assert_array_equal(a[0], b[0])


def test_a_reader_that_fails_and_one_that_is_left_end_their_thread(table):
    import threading

    path, _ = table
    data = _open({"csv": {"path": path}}, {"target": "label", "features": ["group"], "in_memory": False})
    before = set(threading.enumerate())
    next(iter(data.train))

    class Broken(CsvRecords):
        def read(self, rows, names):
            raise DataError("a row went away.")

    rows = np.arange(ROWS)
    broken = Broken(path)
    with pytest.raises(DataError, match="went away"):
        list(RowBatches(broken, rows, data.preparation, 64, shuffle=True, seed=0))
    assert not [t for t in threading.enumerate() if t not in before and t.name == "layerkit-read-ahead"]


def test_npz_idx_ts_and_what_ships(tmp_path):
    x, y = np.arange(40, dtype="uint8").reshape(10, 2, 2), np.arange(10) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3], extra=np.ones(10))
    data = _open({"npz": {"path": tmp_path / "a.npz"}}, {"features": "x", "standardize": True}, inputs=[Tensor("image", (), (2, 2, 1), "float32")], outputs=["class"])  # fmt: skip
    assert data.train[0].shape == (10, 2, 2, 1)
    assert data.test[0].shape == (3, 2, 2, 1)
    np.testing.assert_allclose(data.train[0].std(), 1, rtol=1e-6)
    assert data.rows == {"train": 10, "test": 3}
    digits = _open({"dataset": {"name": "digits"}}, {"split": {"validation": 0.25, "by": "stratified"}})
    assert digits.rows == {"train": 1082, "validation": 360, "test": 355}
    (tmp_path / "a.ts").write_text("@classLabel true a b\n@data\n1,2,3:a\n4:b\n")
    (tmp_path / "b.ts").write_text("@classLabel true a b\n@data\n1,2,3,4:b\n")
    series = _open({"ts": {"path": tmp_path / "a.ts", "test": tmp_path / "b.ts"}})
    assert series.train[0].shape == (2, 4, 1)
    assert series.test[1].tolist() == [1]


def test_texts_go_to_inputs_of_texts(tmp_path):
    (tmp_path / "a.csv").write_text("mail,spam\nhello you,0\nbuy now,1\n")
    data = _open(
        {"csv": {"path": tmp_path / "a.csv"}},
        {"target": "spam"},
        inputs=[Tensor("mail", (), (), "string")],
        outputs=["spam"],
    )
    assert data.train[0].tolist() == ["hello you", "buy now"]


def test_a_part_does_not_vanish_with_its_missing_values(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,y\n" + "".join(f"{i if i >= 8 else ''},{i if i < 8 else ''},{i % 2}\n" for i in range(10)))  # fmt: skip
    options = {"target": "y", "missing": "drop", "split": {"test": 0.2, "by": "time"}}
    for feature, part in (("a", "train"), ("b", "test")):
        with pytest.raises(DataError, match=f"missing in all rows of the {part} part"):
            _open({"csv": {"path": tmp_path / "a.csv"}}, {**options, "features": [feature]})


@pytest.mark.parametrize("missing", ["mean", "drop"])
def test_rows_without_their_target_are_left_out(tmp_path, missing):
    rows = [f"{'' if i == 1 else i},{'' if i % 4 == 0 else i % 2}" for i in range(12)]
    (tmp_path / "a.csv").write_text("a,y\n" + "\n".join(rows) + "\n")
    data = _open({"csv": {"path": tmp_path / "a.csv"}}, {"target": "y", "missing": missing})
    x, y = data.train
    kept = [i for i in range(12) if i % 4 and (missing == "mean" or i != 1)]
    assert data.classes == ("0", "1")  # whole numbers, though the gaps make floats of them
    assert y.tolist() == [i % 2 for i in kept]
    means = [i for i in kept if i != 1]
    assert x.ravel().tolist() == pytest.approx([sum(means) / len(means) if i == 1 else i for i in kept])


def test_whole_numbers_that_are_written_as_floats_can_be_classes(tmp_path):
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{i},{float(i % 3 + 5)}\n" for i in range(12)))
    options = {"target": "y", "split": {"test": 0.25, "by": "stratified"}}
    data = _open({"csv": {"path": tmp_path / "a.csv"}}, {**options, "task": "classification"})
    assert (data.classes, sorted(data.test[1].tolist())) == (("5", "6", "7"), [0, 1, 2])
    assert _open({"csv": {"path": tmp_path / "a.csv"}}, options).task == "regression"


def test_long_texts_and_wide_tables_are_looked_at_quickly(tmp_path):
    texts = [*map(str, range(40)), "1" + " " * 100_000 + "x"]
    assert "'1  " in str(
        Column("category", categories=tuple(texts)).slip
    )  # minutes, if each blank were tried as the end
    names = [f"a_column_with_a_name_as_long_as_genes_have_{i}" for i in range(30_000)]
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    assert list(read_csv(tmp_path / "wide.csv").columns) == read_header(tmp_path / "wide.csv") == names


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "which column is the target"),
        ({"target": "lable"}, "did you mean 'label'"),
        ({"target": "label", "features": ["sise"]}, "did you mean 'size'"),
        ({"target": "label", "features": ["size"]}, "missing values"),
        ({"target": "size"}, "target 'size' has missing values"),
        ({"target": "label", "split": {"validation": 0.6, "test": 0.5}}, "nothing to train on"),
        ({"target": "label", "split": {"test": 0.0001}}, "test part is empty"),
        ({"target": "label", "split": {"test": 0.1, "by": "group"}}, "needs a column"),
        ({"target": "label", "split": {"tset": 0.1}}, "has no argument 'tset'"),
        ({"target": "label", "split": {"test": 0.1, "by": "tme"}}, "cannot be 'tme'"),
        ({"target": "size", "missing": "drop", "split": {"test": 0.1, "by": "stratified"}}, "needs a target with classes"),
        ({"target": "label", "task": "regression", "features": ["group"]}, "holds texts"),
        ({"target": 3}, "cannot be 3"),
        ({"target": "answer", "features": ["group"]}, "use one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(table, options, says):
    with pytest.raises(LayerkitError, match=says):
        _open({"csv": {"path": table[0]}}, options).train  # noqa: B018


@pytest.mark.parametrize(
    ("by", "least"), [("random", "at least 4 rows"), ("time", "at least 4 rows"), ("stratified", "at least 4 rows of a class")]
)  # fmt: skip
def test_a_part_without_rows_says_how_many_it_takes(tmp_path, by, least):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.array([0, 1, 1]))
    with pytest.raises(DataError) as caught:
        _open({"npz": {"path": tmp_path / "a.npz"}}, {"split": {"validation": 0.16, "by": by}})
    fault = caught.value
    assert (fault.expected, fault.got, fault.argument) == (least, "3 rows", "validation")
    assert "a share of 0.16" in fault.summary
    np.savez(tmp_path / "b.npz", x=np.zeros((8, 2)), y=np.arange(8) % 2)  # four of each class
    assert (
        _open({"npz": {"path": tmp_path / "b.npz"}}, {"split": {"validation": 0.16, "by": by}}).validation is not None
    )


def test_names_of_files_tell_their_source(tmp_path):
    for name, key in (
        ("a.csv", "csv"),
        ("a.csv.gz", "csv"),
        ("b.npz", "npz"),
        ("c.parquet", "parquet"),
        ("d.ts", "ts"),
        ("d.PNG", "images"),
        ("e.parquet.brotli", "parquet"),
        ("e.txt", None),
    ):
        assert guess(tmp_path / name) == key
    assert guess(tmp_path) == "images"


def test_a_column_that_is_not_there_is_not_taken_for_another_one(tmp_path):
    (tmp_path / "a.csv").write_text("rooms,bedrooms,price\n1,2,3\n4,5,6\n")
    preparation = _open({"csv": {"path": tmp_path / "a.csv"}}, {"target": "price"}).preparation
    for header, fix in (("bedrooms", "call the column 'rooms'"), ("bedrooms,room", "did you mean 'room'")):
        with pytest.raises(DataError, match=fix):
            preparation.read(ArrayRecords({name: np.ones(2) for name in header.split(",")}), with_targets=False)


def test_arrays_of_another_width_are_refused():
    arrays = {"x": np.ones((6, 4), "float32"), "y": np.arange(6) % 2}
    preparation = fit(
        ArrayRecords(arrays), np.arange(6), [Tensor("x", ("x",))], [Tensor("y", ("y",))], standardize=True
    )
    with pytest.raises(DataError, match="another shape"):
        preparation.read(ArrayRecords({"x": np.ones((2, 3), "float32")}), with_targets=False)
