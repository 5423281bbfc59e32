"""The search from Python: arrays, tables, estimators."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import autoarch
from autoarch.pool import environment
from autoarch.python import Table
from layerkit.errors import ArgumentError, DataError, StateError


def rings(rows, seed=0):
    """Two classes that no straight line tells apart."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2)).astype("float32")
    return x, np.where((x**2).sum(1) > 1.4, "outer", "inner")


@pytest.fixture(scope="module")
def classifier():
    return autoarch.AutoClassifier(trials=4, spaces=["mlp"], seed=1).fit(*rings(400))


@pytest.mark.slow
def test_a_classifier_learns_what_a_line_cannot(classifier):
    x, y = rings(500, seed=1)
    assert classifier.classes_.tolist() == ["inner", "outer"]
    assert set(classifier.predict(x)) == {"inner", "outer"}
    assert classifier.score(x, y) == np.mean(classifier.predict(x) == y) > 0.85
    chances = classifier.predict_proba(x)
    assert chances.shape == (500, 2)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(classifier.classes_[chances.argmax(1)], classifier.predict(x))
    result = classifier.result_
    assert [row["rank"] for row in result.leaderboard] == [1, 2, 3, 4]
    assert {"trial", "space", "epochs", "accuracy", "loss", "parameters"} <= set(result.leaderboard[0])
    assert "tabular_mlp" in repr(result.leaderboard)
    assert not result.best_spec.holes
    assert result.best_model.count_params() == result.leaderboard[0]["parameters"]


@pytest.mark.slow
def test_a_table_with_texts_and_gaps(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue"], 300)
    size = rng.normal(size=300)
    price = 3 * size + np.select([colour == "red", colour == "green"], [2.0, -1.0], 0.0)
    table = pandas.DataFrame({"colour": colour, "size": size})
    table.loc[::50, "size"] = np.nan
    found = autoarch.AutoRegressor(trials=2, spaces=["mlp"], run=tmp_path / "run").fit(table, price)
    kept = ~table["size"].isna().to_numpy()
    assert found.score(table[kept], price[kept]) > 0.5
    assert found.predict(table).shape == (300,)
    again = autoarch.Result(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(table), found.predict(table))


def test_a_single_output_tells_two_classes(tmp_path):
    result = autoarch.Result.__new__(autoarch.Result)
    result.folder, outputs = tmp_path, np.array([[0.2], [0.7]], "float32")
    result.outputs = lambda x: outputs
    result.best_model = SimpleNamespace(loss="binary_crossentropy", preparation=SimpleNamespace(classes=("no", "yes")))
    assert result.predict(None).tolist() == ["no", "yes"]


def test_the_time_counts_from_the_call(tmp_path):
    with pytest.raises(StateError, match="time was up before the search began"):
        autoarch.search(data="digits", time="0.1", run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_estimators_keep_their_parameters_as_scikit_learn_wants():
    estimator = autoarch.AutoClassifier(trials=5, spaces=["mlp"])
    twin = type(estimator)(**estimator.get_params())
    assert twin.get_params() == estimator.get_params()
    assert twin.set_params(trials=7) is twin
    assert repr(twin) == "AutoClassifier(trials=7, spaces=['mlp'])"
    with pytest.raises(ArgumentError, match="no parameter 'trails'"):
        twin.set_params(trails=7)
    with pytest.raises(StateError, match="not fitted"):
        twin.predict(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ArgumentError, "takes x and y, or data"),
        ({"x": np.zeros((4, 2))}, ArgumentError, "takes x and y, or data"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3)}, DataError, "unequal numbers of rows"),
        ({"x": np.array([[None]]), "y": np.zeros(1)}, DataError, "Python objects"),
        ({"data": "digits", "spaces": ["cnnn"]}, ArgumentError, "no space 'cnnn'"),
    ],
)
def test_wrong_use_is_told_and_leaves_nothing(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        autoarch.search(**arguments, run=tmp_path / "run")
    assert not (tmp_path / "run" / "study.sqlite").exists()


def test_a_table_is_printed_in_columns():
    table = Table([{"rank": 1, "space": "a", "loss": 0.25}, {"rank": 10, "space": "bc", "loss": None}])
    assert repr(table) == "rank  space    loss\n   1  a      0.2500\n  10  bc"


@pytest.mark.parametrize("stays", [True, False])
def test_a_folder_that_is_removed_is_not_gone_on_with(tmp_path, monkeypatch, stays):
    def work(folder, **others):
        raise StateError("time was up.", got="no model", fix=f"autoarch resume {folder} --time ...")

    monkeypatch.setattr("autoarch.python.work", work)
    with pytest.raises(StateError) as caught:
        autoarch.search(*rings(50), spaces=["mlp"], run=tmp_path / "run" if stays else None)
    assert ("autoarch resume" in caught.value.fix) == stays


def test_processes_find_the_modules_that_this_one_finds(tmp_path, monkeypatch):
    (tmp_path / "a_module_of_ones_own.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    command = [sys.executable, "-c", "import a_module_of_ones_own, autoarch"]
    subprocess.run(command, env=environment(), cwd="/", check=True)
