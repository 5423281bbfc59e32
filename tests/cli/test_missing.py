"""Rows that lack a number: ``predict`` leaves their cells empty and keeps the rest in line, ``evaluate`` leaves them out."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from layerkit.cli import cli

SPEC = """\
layerkit: 1
name: sizes
inputs: {x: {shape: [2]}}
layers:
  - Dense: {units: 2, activation: softmax}
compile: {optimizer: sgd, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 1}
data:
  csv: sizes.csv
  target: kind
  missing: drop
"""
ROWS = [
    ("1.5", "2.5", "a"),
    ("", "1.5", "b"),
    ("2.5", "3.5", ""),
    ("0.5", "", "a"),
    ("4.5", "1.5", "b"),
    ("3.5", "0.5", "a"),
]


def _call(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def _numbers(text):
    return float(text or "nan")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "sizes.yaml").write_text(SPEC)
    (folder / "sizes.csv").write_text("width,height,kind\n" + "".join(",".join(row) + "\n" for row in ROWS))
    _call("train", folder / "sizes.yaml", "--run", folder / "run", "--quiet")
    widths, heights = (np.array([_numbers(row[i]) for row in ROWS], "float32") for i in range(2))
    np.savez(folder / "sizes.npz", width=widths, height=heights)
    return folder


def _table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_stay_in_line(run):
    done = _call("predict", run / "run", run / "sizes.csv")
    rows = _table(done.stdout)
    assert [bool(row["class"]) for row in rows] == [True, False, True, False, True, True]
    assert {row["dense_a"] for row in rows if not row["class"]} == {""}
    assert "2 of 6 rows have missing values, and get no prediction: rows 2, 4\n" in done.stderr
    (run / "whole.csv").write_text("width,height\n1.5,2.5\n2.5,3.5\n4.5,1.5\n3.5,0.5\n")
    whole = _call("predict", run / "run", run / "whole.csv")
    assert "missing" not in whole.stderr
    assert _table(whole.stdout) == [row for row in rows if row["class"]]


def test_arrays_and_parquet_say_the_same(run):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {name: [float(row[i]) if row[i] else None for row in ROWS] for i, name in enumerate(("width", "height"))}
    pq.write_table(pa.table(columns), run / "sizes.parquet")
    wanted = _call("predict", run / "run", run / "sizes.csv")
    for name in ("sizes.npz", "sizes.parquet"):
        found = _call("predict", run / "run", run / name)
        assert (found.stdout, found.stderr) == (wanted.stdout, wanted.stderr)


def test_written_arrays_hold_nan(run):
    _call("predict", run / "run", run / "sizes.npz", "-o", run / "out.npz")
    with np.load(run / "out.npz") as found:
        assert found["class"][[1, 3]].tolist() == ["", ""]
        assert np.isnan(found["dense"]).all(axis=1).tolist() == [False, True, False, True, False, False]
        assert found["dense"].dtype == "float32"


def test_json_has_null(run):
    shown = json.loads(_call("predict", run / "run", run / "sizes.csv", "--json").stdout)
    assert shown["missing"] == [2, 4]
    assert shown["predictions"]["class"][1] is None
    assert shown["predictions"]["dense"][3] is None
    assert len(shown["predictions"]["dense"][0]) == 2


def test_evaluate_leaves_them_out(run):
    done = _call("evaluate", run / "run", "--data", run / "sizes.csv")
    assert "3 of 6 rows have missing values, and are left out: rows 2, 3, 4\n" in done.stderr
    assert json.loads(_call("evaluate", run / "run", "--data", run / "sizes.csv", "--json").stdout)["rows"] == 3


def test_nothing_but_gaps_is_refused(run):
    (run / "gaps.csv").write_text("width,height\n1.5,\n,2.5\n")
    assert "a value is missing in every row" in _call("predict", run / "run", run / "gaps.csv", code=1).stderr


def test_windows_that_hold_a_gap(tmp_path):
    text = SPEC.replace("[2]", "[2, 1]").replace(
        "  - Dense: {units: 2, activation: softmax}", "  - Flatten\n  - Dense: 1"
    )
    text = text.replace("sparse_categorical_crossentropy, metrics: [accuracy]", "mse").replace("target: kind\n  missing: drop", "target: heat\n  window: 2")  # fmt: skip
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "sizes.csv").write_text("heat\n" + "".join(f"{n}.5\n" for n in range(20)))
    _call("train", tmp_path / "a.yaml", "--run", tmp_path / "run", "--quiet")
    (tmp_path / "new.csv").write_text("heat\n0.5\n1.5\nnan\n3.5\n4.5\n5.5\n")
    done = _call("predict", tmp_path / "run", tmp_path / "new.csv")
    rows = _table(done.stdout)
    assert [(row["last_row"], bool(row["heat"])) for row in rows] == [("2", True), ("3", False), ("4", False), ("5", True), ("6", True)]  # fmt: skip
    assert "2 of 5 windows have missing values, and get no prediction: windows after row 3, 4\n" in done.stderr


def test_arrays_with_gaps_can_be_dropped(tmp_path):
    x = np.ones((8, 3), "float32")
    x[[2, 5], 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(8) % 2)
    text = SPEC.replace("[2]", "[3]").replace("csv: sizes.csv\n  target: kind", "npz: a.npz")
    (tmp_path / "a.yaml").write_text(text)
    _call("train", tmp_path / "a.yaml", "--run", tmp_path / "run", "--quiet")
    done = _call("predict", tmp_path / "run", tmp_path / "a.npz")
    assert [bool(row["class"]) for row in _table(done.stdout)] == [True, True, False, True, True, False, True, True]
    (tmp_path / "a.yaml").write_text(text.replace("  missing: drop\n", ""))
    told = _call("train", tmp_path / "a.yaml", "--run", tmp_path / "again", "--quiet", code=1).stderr
    assert "column 'x' has missing values" in told
    assert "2 of 8 missing" in told


@pytest.mark.parametrize(("missing", "gaps"), [("mean", False), ("mean", True), ("drop", False), ("drop", True)])
def test_only_means_are_filled_in_whether_the_training_had_gaps_or_not(tmp_path, missing, gaps):
    rows = [("1.5", "2", "a"), ("" if gaps else "2.5", "4", "b"), ("3.5", "6", "a"), ("1.5", "8", "b")]
    spec = SPEC.replace("missing: drop", f"missing: {missing}\n  standardize: true")
    (tmp_path / "sizes.yaml").write_text(spec)
    (tmp_path / "sizes.csv").write_text("width,height,kind\n" + "".join(",".join(row) + "\n" for row in rows))
    _call("train", tmp_path / "sizes.yaml", "--run", tmp_path / "run", "--quiet")
    means = [np.mean([float(row[i]) for row in rows if row[0] or (missing == "mean" and row[i])]) for i in range(2)]
    (tmp_path / "new.csv").write_text(f"width,height\n2.5,\n2.5,{means[1]}\n,6\n{means[0]},6\n")
    found = _table(_call("predict", tmp_path / "run", tmp_path / "new.csv").stdout)
    assert [bool(row["class"]) for row in found] == [missing == "mean", True, missing == "mean", True]
    assert missing == "drop" or (found[0] == found[1] and found[2] == found[3])


def test_an_output_without_a_target_has_no_classes(tmp_path):
    spec = SPEC.replace("  - Dense: {units: 2, activation: softmax}\n", "  - Dense: {units: 2, activation: softmax}\n    name: kind\n"
                        "  - Dense: 2\n    name: code\noutputs: [kind, code]\n").replace("loss: sparse_categorical_crossentropy, metrics: [accuracy]", "loss: {kind: sparse_categorical_crossentropy}").replace("target: kind", "target: {kind: kind}")  # fmt: skip
    (tmp_path / "sizes.yaml").write_text(spec)
    (tmp_path / "sizes.csv").write_text("width,height,kind\n1.5,2.5,a\n2.5,3.5,b\n")
    _call("train", tmp_path / "sizes.yaml", "--run", tmp_path / "run", "--quiet")
    header = _call("predict", tmp_path / "run", tmp_path / "sizes.csv").stdout.splitlines()[0]
    assert header == "kind_class,kind_a,kind_b,code_0,code_1"
