"""What the heads of files tell before any row is read: shapes, dtypes, numbers of rows, classes."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from layerkit.data import IDX, NPZ, DataOptions, Images, Split, Tensor, faults, open_data, targets_of_head
from layerkit.errors import DataError, FileFormatError


def _find(folder):
    return lambda text: folder / text


def _idx(array, code):
    return b"\0\0" + bytes([code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x=np.ones((6, 4, 4), "float32"),
        y=np.ones((6, 3), "float64"),
        names=np.array(list("abcabc")),
    )
    np.savez_compressed(tmp_path / "parted.npz", x_train=np.ones((5, 2)), y_train=np.ones(5, "int64"), x_test=np.ones((2, 2)), y_test=np.ones(2, "int64"))  # fmt: skip
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(np.ones((7, 28, 28), "u1"), 8)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(_idx(np.ones(7, "u1"), 8))
    return tmp_path


def test_npz(folder):
    head = NPZ("a.npz").head(_find(folder))
    assert head.train.count == 6
    shapes = {name: (column.kind, column.shape) for name, column in head.train.columns.items()}
    assert shapes == {"x": ("array", (4, 4)), "y": ("array", (3,)), "names": ("category", ())}
    assert (head.target, head.features) == ("y", "x")
    assert head.train.read(np.arange(2), ["y"])["y"].dtype == "float64"


def test_parts_of_an_npz_file(folder):
    head = NPZ("parted.npz").head(_find(folder))
    assert (head.train.count, head.test.count, head.train.columns["y"].kind) == (5, 2, "whole")


def test_idx(folder):
    head = IDX(".").head(_find(folder))
    assert (head.train.count, head.train.columns["x"].shape, head.train.columns["y"].kind) == (7, (28, 28), "whole")


def test_numbers_are_not_read(folder):
    """Spoilt numbers are no matter of the head: the file opens, and reading it fails."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 28, 28)).astype("u1")
    np.savez(folder / "a.npz", x=pixels, y=np.ones(60))
    data = bytearray((folder / "a.npz").read_bytes())
    data[data.index(pixels[40].tobytes())] ^= 0xFF
    (folder / "a.npz").write_bytes(data)
    assert NPZ("a.npz").head(_find(folder)).train.count == 60
    with pytest.raises(FileFormatError, match="no NPZ file"):
        NPZ("a.npz").open(_find(folder), None)
    compressed = gzip.compress(_idx(pixels, 8))
    (folder / "train-images-idx3-ubyte.gz").write_bytes(compressed[:-1000])
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(np.ones(60, "u1"), 8))
    assert IDX(".").head(_find(folder)).train.count == 60
    with pytest.raises(FileFormatError, match="cannot be read"):
        IDX(".").open(_find(folder), None)


def test_heads_that_are_broken(folder):
    np.savez(folder / "objects.npz", x=np.array([{}, 1], object))
    with pytest.raises(FileFormatError, match="Python objects"):
        NPZ("objects.npz").head(_find(folder))
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(np.ones(7, "u1"), 8)[:-1])
    with pytest.raises(FileFormatError, match="another size than it declares"):
        IDX(".").head(_find(folder))
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(np.ones(5, "u1"), 8))
    with pytest.raises(DataError, match="x: 7, y: 5"):
        IDX(".").head(_find(folder))


@pytest.mark.parametrize(
    ("source", "options", "shape", "says"),
    [
        (NPZ("a.npz"), {}, (4, 4), None),
        (NPZ("a.npz"), {}, (4, 4, 1), None),
        (NPZ("a.npz"), {}, (16,), "shape [4, 4]"),
        (NPZ("a.npz"), {"target": "z"}, (4, 4), "there is no column 'z'"),
        (NPZ("a.npz"), {"features": "names", "categories": "one_hot"}, (9,), None),  # how many there are is not known
        (NPZ("a.npz", x="X"), {}, (4, 4), "did you mean 'x'?"),
        (NPZ("a.npz"), {"split": Split(test=0.01)}, (4, 4), "the test part is empty"),
        (NPZ("parted.npz"), {"split": Split(test=0.5)}, (2,), "a test part of their own"),
        (NPZ("a.npz"), {"window": 3}, (2, 4, 4), "shape [3, 4, 4]"),
        (IDX("."), {}, (28, 28, 1), None),
        (IDX("."), {}, (32, 32), "shape [28, 28]"),
    ],
)
def test_what_does_not_fit(folder, source, options, shape, says):
    try:
        found = faults(source, DataOptions(**options), find=_find(folder), inputs=[Tensor("in", (), shape)])
    except DataError as error:
        found = [error]
    assert len(found) == (says is not None)
    assert says is None or says in str(found[0])


def test_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label, count in (("cat", 2), ("dog", 3)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(count):
            image.new("RGB", (20, 10)).save(tmp_path / f"photos/{label}/{i}.png")
    data = (tmp_path / "photos/cat/0.png").read_bytes()
    (tmp_path / "photos/cat/0.png").write_bytes(data[:60])  # the head is whole, the pixels are not there
    head = Images("photos").head(_find(tmp_path))
    assert (head.train.count, head.train.columns["image"].shape) == (5, (10, 20, 3))
    assert head.train.columns["label"].categories == ("cat", "dog")
    (fault,) = faults(Images("photos"), DataOptions(), find=_find(tmp_path), inputs=[Tensor("in", (), (10, 10, 3))])
    assert fault.got == "shape [10, 20, 3]"
    assert targets_of_head(Images("photos"), DataOptions(), find=_find(tmp_path)).tolist() == [0, 0, 1, 1, 1]


def test_targets_have_the_shapes_of_those_that_are_read(folder):
    inputs = [Tensor("in", (), (4, 4))]
    target = targets_of_head(NPZ("a.npz"), DataOptions(), find=_find(folder), inputs=inputs)
    assert (target.shape, target.dtype) == ((6, 3), np.dtype("float64"))
    several = DataOptions(target={"a": "y", "b": "names"}, features="x")
    found = targets_of_head(NPZ("a.npz"), several, find=_find(folder), inputs=inputs, outputs=["a", "b"])
    assert {name: array.shape for name, array in found.items()} == {"a": (6, 3), "b": (6,)}


@pytest.mark.parametrize("options", [{"split": {"test": 0.1, "by": "group"}}, {"split": {"test": 0.1, "by": "group"}, "window": 3}])  # fmt: skip
def test_groups_need_a_column(options):
    with pytest.raises(DataError, match="'group' needs a column") as caught:
        DataOptions(**options)
    assert caught.value.argument == "by"
    DataOptions(**{**options, "window": {"length": 3, "group": "shop"}})


@pytest.mark.parametrize(("name", "array"), [
    ("y", np.array([b"a"] * 6)), ("y", np.array([["a"]] * 6)), ("y", np.zeros(6, "complex64")), ("y", np.zeros(6, "M8[s]")),
    ("x", np.zeros((6, 4), "complex64")), ("x", np.zeros((6, 4), "U1")), ("x", np.zeros((6, 4), "i4,f4")),
])  # fmt: skip
def test_what_holds_no_numbers_is_refused_from_the_head_as_in_training(tmp_path, name, array):
    np.savez(tmp_path / "a.npz", **{"x": np.ones((6, 4), "float32"), "y": np.arange(6) % 2, name: array})
    known = {"find": _find(tmp_path), "inputs": [Tensor("x", (), (4,), "float32")], "outputs": ["y"]}
    (fault,) = faults(NPZ("a.npz"), DataOptions(), **known)
    assert (fault.argument, fault.got) == ({"x": "features", "y": "target"}[name], f"dtype {array.dtype}")
    with pytest.raises(DataError, match="does not hold numbers"):
        open_data(NPZ("a.npz"), DataOptions(), **known)


def test_several_texts_in_a_row_are_for_inputs_of_strings(tmp_path):
    texts = np.array([["a", "b"], ["b", "c"]])
    np.savez(tmp_path / "a.npz", x=texts, y=np.arange(2.0))
    known = {"find": _find(tmp_path), "inputs": [Tensor("x", (), (2,), "string")], "outputs": ["y"]}
    assert faults(NPZ("a.npz"), DataOptions(), **known) == []
    assert open_data(NPZ("a.npz"), DataOptions(), **known).train[0].tolist() == texts.tolist()


def test_an_array_without_rows(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.float32(1), y=np.ones(3))
    for read in (NPZ("a.npz").head, lambda find: NPZ("a.npz").open(find, None)):
        with pytest.raises(FileFormatError, match="'x' has no rows"):
            read(_find(tmp_path))
