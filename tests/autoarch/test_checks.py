"""Data with faults that were put there are found out; those without are not accused."""

from __future__ import annotations

import numpy as np
import pytest

from autoarch.checks import Finding, check
from layerkit.data import SOURCES, DataOptions, open_data


def _open(tmp_path, columns: dict[str, list[object]], **options: object) -> list[Finding]:
    path = tmp_path / "rows.csv"
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *rows]) + "\n")
    usual = {"target": "y", "split": {"validation": 0.2, "test": 0.2}}
    return check(open_data(SOURCES["csv"](str(path)), DataOptions(**{**usual, **options})))


def _columns(rows: int = 500) -> dict[str, list[object]]:
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=rows).tolist(),
        "b": rng.integers(0, 4, rows).tolist(),
        "c": rng.choice(["p", "q", "r"], rows).tolist(),
        "y": rng.choice(["no", "yes"], rows).tolist(),
    }


def test_sound_data(tmp_path):
    assert _open(tmp_path, _columns()) == []
    assert _open(tmp_path, _columns(), categories="one_hot", standardize=True) == []
    numbers = _columns() | {"y": np.random.default_rng(1).normal(size=500).tolist()}
    assert _open(tmp_path, numbers) == []


@pytest.mark.parametrize(
    ("change", "kind", "serious", "said"),
    [
        (lambda c: {"d": [7] * 500}, "constant", False, "'d' is the same in every row"),
        (lambda c: {"d": [{"no": "x", "yes": "z"}[v] for v in c["y"]]}, "leakage", True, "'d' equals the target, but for"),
        (lambda c: {"d": [f"{v}{i % 5}" for i, v in enumerate(c["y"])]}, "leakage", True, "'d' determines the target"),
        (lambda c: {"d": [(v == "yes") + 0.9 * abs(np.sin(i)) for i, v in enumerate(c["y"])]}, "leakage", True, "its ranges"),
        (lambda c: {"d": ["", *c["a"][1:]]}, "missing", False, "'d' has no value in 1 of the rows"),
        (lambda c: {"y": ["no"] * 470 + ["yes"] * 30}, "imbalance", False, "'no' has 9"),
        (lambda c: {"y": [*c["y"][:492], *["odd"] * 8]}, "few_rows", True, "one class has fewer than 10"),
        (lambda c: {"y": ["no"] * 500}, "constant", True, "all rows to train on are of the class 'no'"),
    ],
)  # fmt: skip
def test_a_fault_is_found(tmp_path, change, kind, serious, said):
    columns = _columns()
    found = _open(tmp_path, columns | change(columns), missing="mean")
    assert [(f.kind, f.is_serious) for f in found] == [(kind, serious)]
    assert said in found[0].text


def test_a_one_hot_column_that_determines_the_target(tmp_path):
    columns = _columns()
    columns["d"] = [f"{v}{i % 5}" for i, v in enumerate(columns["y"])]
    (found,) = _open(tmp_path, columns, categories="one_hot")
    assert found.columns == ("d",)


def test_a_regressions_target_in_other_units(tmp_path):
    rng = np.random.default_rng(1)
    columns = _columns() | {"y": rng.normal(size=500).tolist()}
    columns["d"] = [1.8 * v + 32 for v in columns["y"]]
    (found,) = _open(tmp_path, columns)
    assert found.text.startswith("'d' equals the target")
    (found,) = _open(tmp_path, columns | {"y": [2.5] * 500, "d": columns["a"]})
    assert "the target is the same" in found.text


def test_rows_in_two_parts(tmp_path):
    columns = {name: values[:250] * 2 for name, values in _columns().items()}
    found = {f.text.split(" rows ")[1].split(" part")[0]: f for f in _open(tmp_path, columns)}
    assert all(f.kind == "duplicates" for f in found.values())
    shared = found["of the test"]
    assert shared.is_serious
    assert 50 < shared.count < 70  # of 100 rows six of ten have their twin among the 300 to train on


def test_classes_and_rows_that_are_lacking(tmp_path):
    columns = _columns(120)
    columns["t"] = list(range(120))
    columns["y"] = ["no", "yes"] * 50 + ["new"] * 20
    found = _open(tmp_path, columns, split={"validation": 0.2, "test": 0.2, "by": "time", "column": "t"})
    said = " / ".join(f.text for f in found)
    assert "20 rows of the test part are of classes that no row to train on has: 'new'" in said
    assert "only 24 rows are held out" in said


def test_images_may_have_dark_corners():
    assert not [f for f in check(open_data(SOURCES["dataset"]("digits"))) if f.kind in ("constant", "leakage")]


def test_a_dead_channel_and_the_past_of_the_target(tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 8, 3)).astype("float32")
    x[..., 1] = 4
    np.savez(tmp_path / "series.npz", x=x, y=np.arange(100) % 2)
    found = check(open_data(SOURCES["npz"](str(tmp_path / "series.npz"))))
    assert [f.columns for f in found] == [("channel 1 of x",)]
    walk = {"y": np.cumsum(np.random.default_rng(0).normal(size=400)).tolist()}
    assert _open(tmp_path, walk, features=["y"], window={"length": 5}) == []
