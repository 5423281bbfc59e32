"""Windows over series: against windows cut by hand from the same rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from layerkit.data import (
    CSV,
    ArrayRecords,
    CsvRecords,
    DataOptions,
    Preparation,
    RowBatches,
    Tensor,
    Window,
    Windows,
    open_data,
)
from layerkit.errors import DataError, LayerkitError

ROWS = 60
CSV_TEXT = "day,heat,rain,kind\n" + "".join(
    f"2026-{1 + i // 28:02}-{1 + i % 28:02},{i * i / 10},{i % 7},{'ab'[i % 2]}\n" for i in range(ROWS)
)
HEAT = np.array([i * i / 10 for i in range(ROWS)], "float32")
RAIN = np.array([i % 7 for i in range(ROWS)], "float32")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "days.csv").write_text(CSV_TEXT)
    return tmp_path / "days.csv"


def _open(path, inputs=(), in_memory=None, **options):
    return open_data(CSV(path), DataOptions(target="heat", in_memory=in_memory, **options), inputs=inputs)


@pytest.mark.parametrize(("length", "horizon", "stride"), [(5, 1, 1), (5, 1, 10**30), (3, 4, 2), (1, 1, 7), (4, 0, 1)])
def test_windows_are_those_cut_by_hand(path, length, horizon, stride):
    features = ["heat", "rain"] if horizon else ["rain"]
    data = _open(path, window={"length": length, "horizon": horizon, "stride": stride}, features=features)
    table = np.stack([HEAT, RAIN][-len(features) :], axis=1)
    starts = range(0, ROWS - length - horizon + 1, stride)
    x, y = data.train
    np.testing.assert_array_equal(x, np.stack([table[a : a + length] for a in starts]))
    np.testing.assert_array_equal(y, [HEAT[a + length - 1 + horizon] for a in starts])
    assert data.rows == {"train": len(starts)}


def test_the_latest_rows_are_held_out_and_no_window_crosses(path):
    data = _open(path, window=5, split={"validation": 0.2, "test": 0.3}, standardize=True)
    assert data.rows == {"train": 30 - 5, "validation": 12 - 5, "test": 18 - 5}
    assert [data.preparation.inputs[0].columns] == [("heat", "rain")]  # the day and the kind are texts
    encoding = data.preparation.encodings["heat"]
    np.testing.assert_allclose(
        [encoding.mean[0], encoding.deviation[0]], [HEAT[:30].mean(), HEAT[:30].std()], rtol=1e-6
    )
    for part, begin, end in (("train", 0, 30), ("validation", 30, 42), ("test", 42, 60)):
        x, y = getattr(data, part)
        np.testing.assert_array_equal(y, HEAT[begin + 5 : end])  # targets are as they were
        seen = x[:, :, 0] * HEAT[:30].std() + HEAT[:30].mean()
        np.testing.assert_allclose(seen[[0, -1]], [HEAT[begin : begin + 5], HEAT[end - 6 : end - 1]], atol=1e-3)
    assert "windows  train 25, validation 7, test 13" in data.describe()
    assert "5 rows, target 1 row later, at every row" in data.describe()


def test_a_column_orders_and_another_tells_series_apart():
    rng = np.random.default_rng(0)
    time, shop = np.tile(np.arange(20), 3), np.repeat(np.arange(3), 20).astype("int32")
    sales = (100 * shop + time).astype("float32")
    mixed = rng.permutation(60)
    records = ArrayRecords({"time": time[mixed], "shop": shop[mixed], "sales": sales[mixed]})
    windows = Windows(records, Window(4, horizon=2, order="time", group="shop"))
    assert windows.count == 3 * (20 - 5)
    inside = records.arrays["sales"][windows.inside(np.arange(45))]
    np.testing.assert_array_equal(np.diff(inside, axis=1), 1)
    np.testing.assert_array_equal(records.arrays["sales"][windows.ahead(np.arange(45))], inside[:, -1] + 2)
    some = Windows(records, Window(4, order="time", group="shop"), np.flatnonzero(records.arrays["time"] != 10))
    inside = records.arrays["sales"][some.inside(np.arange(some.count))]
    assert some.count == 3 * ((10 - 4) + (9 - 4))
    np.testing.assert_array_equal(np.diff(inside, axis=1), 1)


@pytest.mark.parametrize(
    "split",
    [
        {"test": 0.25},
        {"test": 0.25, "column": "time"},
        {"test": 0.3, "by": "group", "column": "shop"},
        {"test": 0.3, "by": "group"},  # of the window
    ],
)
def test_series_are_split_each_or_whole(tmp_path, split):
    lines = [f"{shop},{time},{shop * 1000 + time}" for shop in (1, 2, 3) for time in range(40)]
    (tmp_path / "shops.csv").write_text("shop,time,sales\n" + "\n".join(lines))
    data = open_data(
        CSV(tmp_path / "shops.csv"),
        DataOptions(target="sales", task="regression", window={"length": 3, "group": "shop"}, split=split),
    )
    train, test = set(data.train[1] // 1000), set(data.test[1] // 1000)
    if split.get("by") == "group":
        assert not train & test
        assert train | test == {1, 2, 3}
    else:
        assert train == test == {1, 2, 3}
        assert (data.train[1] % 1000).max() == 29
        np.testing.assert_array_equal(np.unique(data.test[1] % 1000), np.arange(33, 40))


def test_missing_rows_cut_the_series(tmp_path):
    values = ["" if i in (10, 30) else str(i) for i in range(50)]
    (tmp_path / "a.csv").write_text("t,v\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    options = {"target": "v", "features": "v", "window": {"length": 4}, "split": {"test": 0.2}}
    data = open_data(CSV(tmp_path / "a.csv"), DataOptions(missing="drop", **options))
    np.testing.assert_array_equal(data.train[1], [*range(4, 10), *range(15, 30), *range(35, 40)])
    with pytest.raises(DataError, match="missing values"):
        open_data(CSV(tmp_path / "a.csv"), DataOptions(**options))


def test_shapes_follow_the_input(path):
    def shape(size, **options):
        return _open(path, [Tensor("past", (), size)], window=5, **options).train[0].shape[1:]

    assert shape((5, 2)) == shape((None, 2)) == (5, 2)
    assert shape((5, 1), features="rain") == (5, 1)
    assert shape((5,), features="rain") == (5,)
    assert shape((5, 4), features=["heat", "rain", "kind"], categories="one_hot") == (5, 4)
    with pytest.raises(DataError, match=r"5 rows of 2: heat 1, rain 1\n.*shape: \[5, 2\]"):
        shape((24, 2))


def test_windows_from_disk_equal_windows_in_memory(path):
    options = {"window": {"length": 6, "horizon": 2}, "features": ["heat", "kind"], "standardize": True}
    whole, read = _open(path, **options), _open(path, in_memory=False, **options)
    records, rows = read._parts["train"]
    assert isinstance(records.records, CsvRecords)
    x, y = (np.concatenate(part) for part in zip(*RowBatches(records, rows, read.preparation, 7, shuffle=False, seed=0), strict=True))  # fmt: skip
    np.testing.assert_array_equal(x, whole.train[0])
    np.testing.assert_array_equal(y, whole.train[1])
    shuffled = np.concatenate([y for _, y in read.train])
    assert sorted(shuffled) == sorted(y)


def test_targets_are_standardised_and_turned_back(path):
    data = _open(path, window=5, split={"test": 0.3}, standardize_target=True)
    x, y = data.train
    np.testing.assert_allclose(y, (HEAT[5:42] - HEAT[:42].mean()) / HEAT[:42].std(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(x[:, :, 0], np.stack([HEAT[a : a + 5] for a in range(37)]))
    np.testing.assert_allclose(data.preparation.restored("y", y[:, None])[:, 0], HEAT[5:42], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(data.preparation.restored("other", y), y)


def test_a_class_among_the_targets_is_not_turned_back(path):
    data = _open(path, standardize_target=True, features=["rain"]).preparation
    mixed = open_data(CSV(path), DataOptions(target=["kind", "heat"], standardize_target=True)).preparation
    both = np.array([[1.0, -0.5], [0.0, 0.5]], "float32")
    np.testing.assert_array_equal(mixed.restored("y", both)[:, 0], [1, 0])
    np.testing.assert_allclose(mixed.restored("y", both)[:, 1], data.restored("y", both[:, 1:])[:, 0], rtol=1e-6)


def test_a_preparation_keeps_its_window_and_predicts_past_the_end(path):
    preparation = _open(path, window={"length": 6, "stride": 3, "horizon": 2}, standardize=True).preparation
    again = Preparation.from_config(json.loads(json.dumps(preparation.to_config())))
    assert again == preparation
    new = ArrayRecords({"heat": HEAT[:8], "rain": RAIN[:8]})
    windows = again.samples(new, is_ahead=False)
    x, y = again.read(windows, with_targets=False)
    assert (x.shape, y) == ((3, 6, 2), None)
    assert windows.last(np.arange(3)).tolist() == [5, 6, 7]
    with pytest.raises(DataError, match="at least 6, one after another"):
        again.samples(ArrayRecords({"heat": HEAT[:5], "rain": RAIN[:5]}), is_ahead=False)


@pytest.mark.parametrize(
    ("options", "argument", "says"),
    [
        ({"window": {"length": 0}}, "length", "cannot be 0"),
        ({"window": {"horizon": 2}}, "window", "length"),
        ({"window": {"length": 5, "horison": 2}}, "horison", "did you mean 'horizon'"),
        ({"window": {"length": 5, "horizon": -1}}, "horizon", "cannot be -1"),
        ({"window": 5, "split": {"test": 0.2, "by": "random"}}, "by", "windows overlap"),
        ({"window": {"length": 5, "horizon": 10**30}}, "length", "the train part has too few rows"),
        ({"window": 50, "split": {"test": 0.5}}, "length", "the train part has too few rows"),
        ({"window": 8, "split": {"test": 0.1}}, "length", "the test part has too few rows"),
        ({"window": 5, "inputs": [Tensor("x", (), (6, 2))]}, "length", "5 rows of 2"),
        ({"window": 5, "inputs": [Tensor("x", (), (5, 3))]}, "features", "5 rows of 2"),
        ({"window": {"length": 5, "order": "dya"}}, "order", "did you mean 'day'"),
        ({"window": 5, "split": {"test": 0.2, "column": "dya"}}, "column", "did you mean 'day'"),
        ({"window": {"length": 5, "group": "heat"}}, "group", "does not group the rows"),
        ({"window": {"length": 5, "horizon": 0}, "features": ["heat"]}, "horizon", "holds the target 'heat' itself"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(path, options, argument, says):
    with pytest.raises(LayerkitError, match=says) as caught:
        _open(path, **options)
    assert caught.value.argument == argument
