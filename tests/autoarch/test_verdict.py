"""The verdict on models whose predictions are known: units, intervals, the claim, what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from autoarch.claim import Claim, compare
from autoarch.intervals import wilson
from autoarch.outcomes import row_losses
from autoarch.verdict import in_words, interval, verdict
from layerkit.data import SOURCES, DataOptions, open_data


class Says:
    """A model that says what a function of its inputs says."""

    loss = "mse"

    def __init__(self, function):
        self.function = function

    def predict(self, x, verbose):
        return self.function(x)


@pytest.mark.slow
def test_numbers_are_told_in_the_units_of_the_data(tmp_path):
    """A walk around 300 whose deviation is 50 or so: the target is standardised, persistence and errors are not."""
    walk = 300 + np.cumsum(5 * np.random.default_rng(0).normal(size=400))
    (tmp_path / "walk.csv").write_text("\n".join(["y", *(f"{v:.4f}" for v in walk)]) + "\n")
    options = DataOptions(
        target="y", features=["y"], window={"length": 6}, standardize=True, standardize_target=True,
        split={"validation": 0.2, "test": 0.2},
    )  # fmt: skip
    dataset = open_data(SOURCES["csv"](str(tmp_path / "walk.csv")), options)
    found = verdict(Says(lambda x: x[:, -1]), dataset)
    steps = np.diff(walk)[-74:]  # of 80 rows the last 74 have a window before them
    assert found["rows"]["test"] == 74
    assert found["baselines"]["persistence"]["test"] == pytest.approx(np.mean(steps**2), rel=1e-3)
    assert found["model"]["test"] == pytest.approx(
        np.mean(steps**2), rel=1e-3
    )  # one scale for both columns: it persists
    assert found["residuals"]["sample"]["true"][0] == pytest.approx([walk[-74]], rel=1e-4)
    assert found["residuals"]["quantiles"]["0.5"] == pytest.approx(np.median(-steps), abs=0.05)
    assert found["beats_baselines"] is False
    assert {c["test"] for c in found["claim"]["comparisons"]} == {"signs of blocks of 7 rows"}


def test_losses_of_rows_are_told_in_the_units_of_the_data(tmp_path):
    y = np.random.default_rng(0).normal(300, 50, 50)
    (tmp_path / "rows.csv").write_text("\n".join(["x,y", *(f"{i},{v:.4f}" for i, v in enumerate(y))]) + "\n")
    options = DataOptions(target="y", standardize_target=True, split={"validation": 0.2, "by": "time"})
    dataset = open_data(SOURCES["csv"](str(tmp_path / "rows.csv")), options)
    zero = Says(lambda x: np.zeros((len(x), 1), "float32"))  # the mean of the rows to train on
    found = row_losses(zero, *dataset.validation, dataset.preparation)
    np.testing.assert_allclose(found, (y[40:] - y[:40].mean()) ** 2, rtol=1e-3, atol=0.1)


@pytest.mark.slow
def test_classes(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 4, 2)).astype("float32"), rng.integers(0, 3, 300)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    dataset = open_data(
        SOURCES["npz"](str(tmp_path / "rows.npz")), DataOptions(split={"validation": 0.2, "test": 0.2, "seed": 1})
    )
    answers = {row.tobytes(): answer for row, answer in zip(x, y, strict=True)}

    def knows(x):
        return np.eye(3)[[answers[row.tobytes()] for row in x]]

    found = verdict(Says(knows), dataset, others=[Says(lambda x: 1 - knows(x))])
    assert found["model"] == {"validation": 1, "test": 1}
    assert found["interval"] == pytest.approx(wilson(60, 60))
    assert found["seeds"]["test"][0] == 1
    assert found["seeds"]["test"][1] < 0.5  # of two that are alike wrong, the first is said
    assert found["beats_baselines"]
    assert np.array_equal(found["confusion"], np.diag(np.bincount(dataset.test[1])))
    assert not verdict(Says(lambda x: np.eye(3)[np.zeros(len(x), int)]), dataset)["beats_baselines"]


def test_intervals_of_blocks_are_wider():
    losses = np.repeat(np.random.default_rng(0).integers(0, 2, 20), 10).astype(
        "float64"
    )  # ten rows at a time are alike
    low, high = interval(losses, is_class=True)
    wide = interval(losses, is_class=True, block=10)
    assert wide[0] < low - 0.05
    assert wide[1] > high + 0.05


@pytest.mark.parametrize(
    ("gains", "wanted"),
    [
        ([1] * 11 + [-1] * 7, "90.0 % right, plain 88.9 %: the difference could be chance (p = 0.24); if it is as large as it looks, about 3,400 test rows are needed to show it"),
        ([1] * 30 + [-1] * 7, "90.0 % right, plain 83.5 %: chance alone makes so large a difference in fewer than 2 of 100 searches"),
        ([1] * 3 + [-1] * 4, "90.0 % right, plain 90.3 %: the model is not better on these rows"),
    ],
)  # fmt: skip
def test_what_a_claim_means_in_words(gains, wanted):
    gains = np.pad(np.array(gains, "float64"), (0, 355 - len(gains)))
    said = Claim(False, (compare("easy", np.ones(355)), compare("plain", gains)))
    found = in_words(said, 0.9, {"plain": 0.9 - gains.mean(), "easy": 0.1}, rows=355, is_class=True)
    assert found == f"of 355 test rows the model gets {wanted}"


def test_that_more_rows_are_needed_is_not_said_of_as_many_as_there_are():
    """Five signs alone have p = 1/32, though a z-test says that five rows are enough."""
    said = Claim(False, (compare("plain", np.ones(5)),))
    assert said.comparisons[0].needed == 5
    found = in_words(said, 1.0, {"plain": 0.0}, rows=5, is_class=True)
    assert (
        found == "of 5 test rows the model gets 100.0 % right, plain 0.0 %: the difference could be chance (p = 0.031)"
    )


def test_what_a_claim_of_numbers_means_in_words():
    said = Claim(True, (compare("mean", np.linspace(0.5, 1.5, 50)),))
    found = in_words(said, 0.25, {"mean": 1.25}, rows=50, is_class=False)
    assert found.startswith(
        "on 50 test rows the mean squared error of the model is 0.25, that of mean 1.25: chance alone"
    )
