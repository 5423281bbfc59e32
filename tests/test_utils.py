"""Helpers of ``keras.utils``; the numbers are those that Keras 3.15 on TensorFlow gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerkit import utils
from layerkit.errors import ArgumentError, DataError

SERIES = np.arange(12)


def windows(*args: Any, **kwargs: Any) -> list[Any]:
    found = utils.timeseries_dataset_from_array(*args, **kwargs)
    assert len(found) == len(list(found))
    return [tuple(p.tolist() for p in b) if isinstance(b, tuple) else b.tolist() for b in found]


def test_windows_of_a_series() -> None:
    assert windows(SERIES[:5], None, 3) == [[[0, 1, 2], [1, 2, 3], [2, 3, 4]]]
    options = {"sequence_stride": 2, "sampling_rate": 2, "batch_size": 2, "start_index": 2, "end_index": 11}
    expected = [([[2, 4, 6], [4, 6, 8]], [102, 104]), ([[6, 8, 10]], [106])]
    assert windows(SERIES, SERIES + 100, 3, **options) == expected
    few = windows(SERIES, SERIES[:5] + 100, 3, batch_size=4)
    assert few == [([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]], [100, 101, 102, 103]), ([[4, 5, 6]], [104])]
    assert windows(SERIES[:4], SERIES[:4], 3, batch_size=None) == [([0, 1, 2], 0), ([1, 2, 3], 1)]
    shuffled = windows(SERIES, None, 3, shuffle=True, seed=1)
    assert shuffled == windows(SERIES, None, 3, shuffle=True, seed=1) != windows(SERIES, None, 3)
    with pytest.raises(ArgumentError):
        windows(SERIES, None, 20)


def test_sequences_of_unequal_length() -> None:
    after = utils.pad_sequences([[1], [2, 3, 4], []], maxlen=2, padding="post", truncating="post", value=-1)
    assert after.tolist() == [[1, -1], [2, 3], [-1, -1]]
    assert after.dtype == np.int32
    assert utils.pad_sequences([[[1, 2]], [[2, 3], [4, 5]]]).tolist() == [[[0, 0], [1, 2]], [[2, 3], [4, 5]]]
    assert utils.pad_sequences([[1, 2, 3]], maxlen=2).tolist() == [[2, 3]]
    with pytest.raises(ArgumentError):
        utils.pad_sequences([[1]], padding="before")
    with pytest.raises(DataError):
        utils.pad_sequences([[[1, 2]], [[1]]])


def test_splits() -> None:
    left, right = utils.split_dataset({"x": np.arange(7), "y": np.arange(7) * 2}, left_size=2, right_size=3)
    assert (left["x"].tolist(), right["y"].tolist()) == ([0, 1], [4, 6, 8])
    left, right = utils.split_dataset(np.arange(10), right_size=0.3, shuffle=True, seed=0)
    assert len(left) == 7
    assert sorted([*left, *right]) == list(range(10))
    for wrong in ({}, {"left_size": 0}, {"left_size": 1.5}, {"left_size": 8, "right_size": 8}):
        with pytest.raises(ArgumentError):
            utils.split_dataset(np.arange(10), **wrong)
    with pytest.raises(DataError):
        utils.split_dataset((np.arange(3), np.arange(4)), left_size=1)


def test_normalize_and_small_questions() -> None:
    np.testing.assert_allclose(utils.normalize([[3, 4], [0, 1]], axis=0, order=1), [[1, 0.8], [0, 0.2]])
    assert utils.pack_x_y_sample_weight(1) == 1
    assert utils.pack_x_y_sample_weight([1]) == ([1],)
    assert utils.unpack_x_y_sample_weight((1, 2, 3)) == (1, 2, 3)
    assert not utils.is_keras_tensor(np.ones(2))
