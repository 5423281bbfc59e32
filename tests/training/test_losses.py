"""Losses in compiled steps: every one, with its gradient, on each engine."""

import numpy as np
import pytest

import layerkit
from layerkit import losses, ops
from layerkit.errors import DataError, ShapeError

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.ones(4), 6).astype("float32")
TARGETS = {
    "SparseCategoricalCrossentropy": RNG.integers(0, 4, 6).astype("int32"),
    "CategoricalGeneralizedCrossEntropy": RNG.integers(0, 4, 6).astype("int32"),
    "Circle": np.array([0, 1, 0, 1, 2, 2], "int32"),
    "CTC": RNG.integers(1, 4, (6, 2)).astype("int32"),
}
YES = RNG.integers(0, 2, (6, 4)).astype("float32")


@pytest.mark.parametrize("group", [list(losses.LOSSES.classes)[i::3] for i in range(3)], ids=range(3))
def test_every_loss_and_its_gradient(group: list[str]) -> None:
    def total(p, weight, targets):
        found = 0.0
        for name in group:
            given = ops.stack([p, p * 2.0, p + 0.5], 1) if name == "CTC" else p
            found = found + losses.get(name)(targets[name], given, weight)
        return found

    targets = {name: TARGETS.get(name, YES) for name in group}
    value, slope = (
        layerkit.function(layerkit.value_and_grad(total), engine=engine, symbolic_batch=True)(
            SHARES, np.arange(6, dtype="float32"), targets
        )
        for engine in ("reference", "llvm")
    )
    np.testing.assert_allclose(value[0], slope[0], rtol=1e-4)
    np.testing.assert_allclose(value[1], slope[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("ctc", RNG.integers(1, 4, (6, 2))),
        ("circle", np.arange(6) % 2),
        ("categorical_generalized_cross_entropy", np.arange(6) % 4),
        ("poisson", np.ones((6, 4))),
    ],
)
def test_targets_that_fit_the_loss_are_taken(loss: str, y: np.ndarray) -> None:
    """Only losses that compare numbers one by one want targets like the predictions."""
    size = (5, 4) if loss == "ctc" else (4,)
    model = layerkit.Sequential([layerkit.Input(size), layerkit.layers.Dense(4, activation="softmax")])
    model.compile("sgd", loss, engine="reference")
    history = model.fit(RNG.normal(size=(6, *size)), y, verbose=0).history
    assert np.isfinite(history["loss"][0])


def test_class_numbers_out_of_range_are_refused() -> None:
    model = layerkit.Sequential([layerkit.Input((4,)), layerkit.layers.Dense(4, activation="softmax")])
    model.compile("sgd", "categorical_generalized_cross_entropy", engine="reference")
    with pytest.raises(DataError, match="none of the classes"):
        model.fit(RNG.normal(size=(6, 4)), np.full(6, 4), verbose=0)


def test_circle_takes_one_label_for_each_row():
    """Several would be read as the labels of more rows than there are: beyond the array."""
    with pytest.raises(ShapeError, match="one label for each row"):
        losses.circle(np.eye(3), np.eye(3))
