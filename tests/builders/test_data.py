"""The section ``data`` of a spec: its faults have places, its paths stay in the spec's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import data, source
from layerkit.data import Tensor
from layerkit.errors import DataError, SpecErrors

SECTION = """\
csv: {{path: {path}, delimiter: ","}}
target: label
features: [size]
split: {{validation: 0.25, by: stratified}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.csv").write_text("size,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40)))
    return tmp_path


def _section(text):
    section, errors = data.read(source.parse(text, "spec.yaml"))
    assert not errors, errors
    return section


def test_a_section_opens(folder):
    section = _section(SECTION.format(path="a.csv"))
    found = section.open(folder, path=None)
    assert found.rows == {"train": 30, "validation": 10}
    assert found.classes == ("a", "b")
    other = section.open(folder, path=folder / "a.csv")
    assert other.rows == found.rows
    assert _section("dataset: digits").open(folder, path=Path("digits")).rows == {"train": 1442, "test": 355}
    assert _section("dataset: digits\ntarget: label\n").open(folder, path=folder / "a.csv").rows == {"train": 40}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("csv: a.csv\ntraget: label\n", 2, "did you mean 'target'"),
        ("csv: a.csv\nnpz: b.npz\ntarget: label\n", 2, "names one source"),
        ("target: label\n", 1, "names one source"),
        ("csv:\n  path: a.csv\n  delimitr: ';'\n", 3, "did you mean 'delimiter'"),
        ("csv: a.csv\nstandardize: 3\n", 2, "cannot be 3"),
        ("csv: a.csv\nsplit:\n  validation: 1.5\n", 3, "cannot be 1.5"),
        ("csv: a.csv\nsplit:\n  test: 0.5\n  validation: 0.5\n", 4, "leaves nothing to train on"),
        ("csv: a.csv\nsplit:\n  tset: 0.5\n", 3, "has no argument 'tset'"),
        ("csv: a.csv\nsplit:\n  by: stratify\n", 3, "'by' of split cannot be"),
        ("csv: a.csv\nmissing: median\n", 2, "'missing' of data cannot be"),
        ("csv: {path: a.csv, delim: x}\n", 1, "'csv' has no argument 'delim'"),
        ("- csv\n", 1, "is a mapping"),
        ("csv: a.csv\nwords: {length: '60'}\n", 2, "write 60 without quotes"),
        ("csv: a.csv\nwindow: 0\n", 2, "'length' of window cannot be 0"),
        ("csv: a.csv\nwindow: {length: 4}\nsplit: {}\ntask: x\n", 4, "'task' of data cannot be"),
        ("csv: a.csv\nwindow:\n  length: 4\n  horison: 2\n", 4, "'window' has no argument 'horison'"),
    ],
)
def test_faults_have_places(text, line, says):
    section, errors = data.read(source.parse(text, "spec.yaml"))
    assert section is None
    assert errors[0].where.line == line
    assert says in str(errors[0])


def test_all_faults_are_reported():
    _, errors = data.read(source.parse("csv: {pth: a}\nsplit: {by: x}\nodd: 1\n", "spec.yaml"))
    assert sorted(error.where.line for error in errors) == [1, 2, 3]


def test_all_faults_of_a_mapping_are_reported_each_at_its_place():
    text = """\
csv: {path: a.csv, delimeter: ";", decimal: x}
standardize: yes
split: {val: 0.2, test: a, by: random}
window: {lenght: 3}
"""
    _, errors = data.read(source.parse(text, "spec.yaml"))
    found = [(e.where.line, e.where.column, e.argument) for e in errors]
    assert found == [(1, 20, "delimeter"), (1, 36, "decimal"), (2, 1, "standardize"), (3, 9, "val"), (3, 19, "test"), (4, 10, "lenght")]  # fmt: skip
    assert errors[3].fix == "did you mean 'validation'?"


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.csv", "x/../../a.csv", "link/passwd"])
def test_paths_stay_in_the_folder(folder, path):
    (folder / "link").symlink_to("/etc")
    with pytest.raises(DataError, match="own folder only"):
        _section(SECTION.format(path=path)).open(folder, path=None)


WORDS = """\
csv: {path: a.csv, test: b.csv}
target: labl
features: {row: [siz, size], odd: size}
split: {test: 0.1, by: group, column: grp}
window: {length: 3, order: time}
"""


def test_columns_are_looked_up_in_the_header_alone(folder):
    (folder / "b.csv").write_text("size,label\nnot,read\n")
    section = _section(WORDS)
    found = section.faults(folder, inputs=[Tensor("row", (), (3, 2))], outputs=["answer"])
    assert [(e.where.line, e.where.column, e.got) for e in found] == [
        (2, 9, "labl"), (3, 18, "siz"), (3, 30, "odd"), (4, 1, "test: 0.1"), (4, 39, "grp"), (5, 28, "time"),
    ]  # fmt: skip
    assert found[0].fix == "did you mean 'label'?"
    with pytest.raises(SpecErrors, match="did you mean 'size'"):
        section.open(folder, path=None)


@pytest.mark.parametrize(
    ("text", "shape", "says"),
    [
        ("csv: a.csv\ntarget: label\n", (1,), None),
        ("csv: a.csv\ntarget: label\n", (2,), "1: size 1"),
        ("csv: a.csv\ntarget: label\nfeatures: size\nwindow: 5\n", (5, 1), None),
        ("csv: a.csv\ntarget: label\nfeatures: size\nwindow: 5\n", (6, 1), "5 rows of 1: size 1"),
        ("csv: a.csv\ntarget: label\nwindow: {length: 5}\n", (6, 1), "expected 6 rows, or shape: [5, ...]"),
        ("csv: a.csv\ntarget: label\nwindow: {length: 5}\n", (5, 7), None),
        ("csv: a.csv\ntarget: label\nfeatures: size, label\n", (1,), "columns: [size, label]"),
        ("csv: a.csv\ntarget: {answr: label}\n", (1,), "did you mean 'answer'"),
        ("csv: a.csv\n", (1,), "not said which column is the target"),
        ("csv: twice.csv\ntarget: a\n", (1,), "names a column twice"),
        ("csv: semicolons.csv\ntarget: a\n", (1,), 'delimiter: ";"'),
        ("csv: headless.csv\ntarget: kind\n", (1,), "write a line of names above it"),
        ("csv: utf16.csv\ntarget: a\n", (1,), "save it as UTF-8"),
        ("dataset: digits\n", (8, 8, 1), None),
        ("dataset: digits\n", (28, 28, 1), "shape [8, 8, 1]"),
        ("dataset: digits\ntarget: label\n", (8, 8, 1), "there is no column 'label'"),
    ],
)
def test_what_the_head_tells(folder, text, shape, says):
    (folder / "twice.csv").write_text("a,a\n1,2\n")
    (folder / "semicolons.csv").write_text("a;b\n1;2\n")
    (folder / "headless.csv").write_text("1.5,3,-2,no\n2.5,4,1,yes\n")
    (folder / "utf16.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
    found = _section(text).faults(folder, inputs=[Tensor("row", (), shape)], outputs=["answer"])
    assert len(found) == (says is not None)
    assert says is None or says in str(found[0])


def test_the_head_of_a_parquet_file(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"size": [1.0, 2.0], "label": ["a", "b"]}), folder / "a.parquet")
    (fault,) = _section("parquet: a.parquet\ntarget: lable\n").faults(folder)
    assert (fault.where.line, fault.where.column, fault.fix) == (2, 9, "did you mean 'label'?")


def test_lists_in_a_parquet_file_fit_the_input(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"past": [[i, 1.0, 2.0] for i in range(8)], "label": [0, 1] * 4}), folder / "a.parquet")
    section = _section("parquet: a.parquet\ntarget: label\n")
    assert not section.faults(folder, inputs=[Tensor("row", (), (3,))])
    assert section.open(folder, path=None, inputs=[Tensor("row", (), (3,))]).train[0].shape == (8, 3)
    with pytest.raises(DataError, match=r"expected shape \[4\] for each row\n.*shape \[3\]"):
        section.open(folder, path=None, inputs=[Tensor("row", (), (4,))])


def test_files_that_are_not_there(folder):
    found = _section("csv:\n  path: b.csv\n  test: ../c.csv\ntarget: label\n").missing(folder)
    assert [(e.where.line, e.where.column) for e in found] == [(2, 9), (3, 9)]
    assert "did you mean 'a.csv'" in str(found[0])
    assert "own folder only" in str(found[1])
    (lost,) = _section("images: photos\n").missing(folder)
    assert "--data PATH" in lost.fix
    with pytest.raises(DataError, match="no file or folder 'photos'"):
        _section("images: photos\n").open(folder, path=None)


def test_what_the_data_lack_is_placed(folder):
    section = _section("csv: a.csv\ntarget: labl\n")
    with pytest.raises(DataError, match="did you mean 'label'") as caught:
        section.open(folder, path=None)
    assert caught.value.where.line == 2
    with pytest.raises(DataError, match="no such file or folder"):
        section.open(folder, path=folder / "b.csv")
