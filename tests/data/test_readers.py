"""Readers of data files: what they read, and what they say of broken files."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit.data import read_csv, read_idx, read_npz, read_ts
from layerkit.errors import FileFormatError, LayerkitError

IDX = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 2, 3) + bytes(range(12))
TS = """# a comment
@problemName Two
@univariate false
@equalLength false
@classLabel true b a
@data
1,2,3:4,5,?:a
-1:1e-2:b
"""
CSV = 'width,name,size\n1,red,0.5\n2,"blue, dark",?\n3,red,1e2\n'


def test_idx(tmp_path):
    (tmp_path / "a").write_bytes(IDX)
    (tmp_path / "a.gz").write_bytes(gzip.compress(IDX))
    for name in ("a", "a.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), np.arange(12).reshape(2, 2, 3))
    (tmp_path / "f").write_bytes(struct.pack(">BBBBI2f", 0, 0, 0x0D, 1, 2, 1.5, -2.0))
    assert read_idx(tmp_path / "f").tolist() == [1.5, -2.0]
    assert read_idx(tmp_path / "f").dtype == np.float32


@pytest.mark.parametrize(
    "data", [b"", IDX[:7], IDX[:-1], IDX + b"x", b"PK" + IDX, struct.pack(">BBBB2I", 0, 0, 8, 2, 2**32 - 1, 2**32 - 1)]
)
def test_broken_idx(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(FileFormatError):
        read_idx(tmp_path / "a")


def test_ts(tmp_path):
    (tmp_path / "a.ts").write_text(TS)
    series = read_ts(tmp_path / "a.ts")
    np.testing.assert_array_equal(series.x, [[[1, 4], [2, 5], [3, np.nan]], [[-1, np.float32(0.01)], [0, 0], [0, 0]]])
    np.testing.assert_array_equal(series.mask, [[True, True, True], [True, False, False]])
    assert series.classes == ("a", "b")
    assert series.y.tolist() == [0, 1]
    assert series.lengths.tolist() == [3, 1]
    (tmp_path / "r.ts").write_text("@targetlabel true\n@data\n1,2:0.5\n3,4:1.5\n")
    assert read_ts(tmp_path / "r.ts").y.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [("4,5,?", "4,5", 7), ("-1", "x", 8), (":b\n", ":c\n", 8), ("@data", "data", 6), ("-1:1e-2:b", "-1:b", 8)],
)
def test_broken_ts(tmp_path, old, new, line):
    (tmp_path / "a.ts").write_text(TS.replace(old, new))
    with pytest.raises(FileFormatError) as caught:
        read_ts(tmp_path / "a.ts")
    assert caught.value.where.line == line


def test_csv(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode())
    table = read_csv(tmp_path / "a.csv")
    assert table.columns["width"].tolist() == [1, 2, 3]
    assert table.categories == {"name": ("blue, dark", "red")}
    assert table.columns["name"].tolist() == [1, 0, 1]
    assert table.missing == {"width": 0, "name": 0, "size": 1}
    np.testing.assert_array_equal(
        table.features(exclude=["name"]), np.array([[1, 0.5], [2, np.nan], [3, 100]], "float32")
    )
    with pytest.raises(LayerkitError, match="width"):
        table.features(exclude=["widht"])


@pytest.mark.parametrize(
    ("text", "line"), [("", 1), ("a,b\n", 1), ("a,a\n1,2\n", 1), ("a,b\n1,2\n1\n", 3), ('a,b\n1,"2\n', None)]
)
def test_broken_csv(tmp_path, text, line):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FileFormatError) as caught:
        read_csv(tmp_path / "a.csv")
    assert line is None or caught.value.where.line == line


def test_npz(tmp_path):
    np.savez_compressed(
        tmp_path / "a.npz", x=np.asfortranarray(np.arange(6.0).reshape(2, 3)), y=np.array([1, 2], "int8")
    )
    found = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["x"], np.arange(6.0).reshape(2, 3))
    assert found["y"].dtype == np.int8
    np.savez(tmp_path / "o.npz", x=np.array([{}], object))
    with pytest.raises(FileFormatError, match="objects"):
        read_npz(tmp_path / "o.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + b"12345678")
    with pytest.raises(FileFormatError, match="declares"):
        read_npz(tmp_path / "lie.npz")


@settings(max_examples=150)
@given(data=st.binary(max_size=60), at=st.integers(0, 200), cut=st.booleans())
def test_spoilt_files_give_an_error_or_a_result(tmp_path, data, at, cut):
    npz = io.BytesIO()
    np.savez(npz, x=np.arange(4.0))
    for read, good in ((read_idx, IDX), (read_ts, TS.encode()), (read_csv, CSV.encode()), (read_npz, npz.getvalue())):
        spoilt = good[:at] + data + (b"" if cut else good[at + len(data) :])
        path = tmp_path / "file"
        path.write_bytes(spoilt)
        try:
            read(path)
        except LayerkitError as error:
            assert error.summary  # noqa: PT017  (both outcomes are right; what must not come is another exception)


@pytest.mark.parametrize("read", [read_idx, read_ts, read_csv, read_npz])
def test_missing_file(tmp_path, read):
    with pytest.raises(FileFormatError):
        read(tmp_path / "none")
