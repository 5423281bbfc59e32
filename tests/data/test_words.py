"""Texts as numbers of their words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from layerkit.data import CSV, DataOptions, Preparation, Tensor, Words, open_data
from layerkit.errors import ArgumentError, DataError

ROWS = [("The cat, the DOG", 0), ("a cat", 1), ("the cat's cat", 0), ("", 1), ("unseen words only", 0)]


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("note,good\n" + "".join(f'"{text}",{good}\n' for text, good in ROWS))
    return path


def opened(path, **options):
    settings = {"target": "good", "words": {"length": 3, "count": 6}, "split": {"test": 0.2, "by": "time"}, **options}
    return open_data(CSV(str(path)), DataOptions(**settings), inputs=[Tensor("x", (), (3,), "int32")])


def test_words_are_numbered_by_how_often_training_has_them(rows):
    """cat 3 times, the 3 times, a once, cat's once, dog once: of the last three two have a number."""
    dataset = opened(rows)
    assert dataset.preparation.encodings["note"].categories == ("cat", "the", "a", "cat's")
    x, y = dataset.train
    assert x.tolist() == [[3, 2, 3], [4, 2, 0], [3, 5, 2], [0, 0, 0]]
    assert x.dtype == np.int32
    assert y.tolist() == [0, 1, 0, 1]
    assert dataset.test[0].tolist() == [[1, 1, 1]]  # only what the rows to train on hold has a number
    assert "4 words have a number of their own" in dataset.describe()


def test_a_text_that_goes_in_as_it_is_has_no_say(rows):
    rows.write_text("raw,note,good\n" + "loud loud,the cat,0\nloud,a cat,1\n" * 3)
    inputs = [Tensor("raw", (), (), "string"), Tensor("note", (), (3,), "int32")]
    dataset = open_data(CSV(str(rows)), DataOptions(target="good", words=3), inputs=inputs)
    assert dataset.preparation.encodings["note"].categories == ("cat", "a", "the")
    assert dataset.preparation.encodings["raw"].kind == "text"


def test_a_model_carries_them(rows):
    dataset = opened(rows)
    again = Preparation.from_config(json.loads(json.dumps(dataset.preparation.to_config())))
    assert again == dataset.preparation
    new = rows.with_name("new.csv")
    new.write_text("note\nthe the\n7\n")
    records = CSV(str(new)).open(type(new), None).train
    assert again.read(records, with_targets=False)[0].tolist() == [[3, 3, 0], [1, 0, 0]]


def test_wrong_use_is_told(rows):
    with pytest.raises(ArgumentError):
        Words(0)
    with pytest.raises(DataError) as caught:
        opened(rows, words="many")
    assert "length" in caught.value.expected
    with pytest.raises(DataError, match="does not fit input 'x'"):
        opened(rows, words=4)
