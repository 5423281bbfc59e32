"""Every loss against Keras 3.15: its values with each option and with weights; and its gradient.

``tests/training/test_losses.py`` shows that compiled code does the same.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
import sys
from typing import Any

import keras
import numpy as np
import pytest

import layerkit

RNG = np.random.default_rng(7)
P = RNG.dirichlet(np.ones(4), (6,)).astype("float32")  # probabilities
L = RNG.standard_normal((6, 4)).astype("float32")  # logits
C = RNG.integers(0, 4, 6).astype("int32")  # classes
HOT = np.eye(4, dtype="float32")[C]
YES = RNG.integers(0, 2, (6, 4)).astype("float32")
UNIT = L / np.linalg.norm(L, axis=-1, keepdims=True)
FRAMES = RNG.standard_normal((6, 7, 5)).astype("float32")
LABELS = np.array([[1, 1, 2, 0], [3, 0, 0, 0], [4, 2, 4, 1], [1, 1, 1, 0], [0, 0, 0, 0], [2, 3, 0, 0]], "int32")

LOSSES: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("MeanSquaredError", {}, YES, L),
    ("MeanSquaredError", {"reduction": "sum"}, YES, L),
    ("MeanSquaredError", {"reduction": "none"}, YES, L),
    ("MeanSquaredError", {"reduction": "mean_with_sample_weight"}, YES, L),
    ("MeanAbsoluteError", {}, YES, L),
    ("MeanAbsolutePercentageError", {}, L, P),
    ("MeanSquaredLogarithmicError", {}, np.abs(L), P),
    ("Huber", {"delta": 0.7}, YES, L),
    ("LogCosh", {}, YES, 9 * L),
    ("CosineSimilarity", {}, YES, L),
    ("CosineSimilarity", {"axis": 1, "reduction": "sum"}, FRAMES[::-1], FRAMES),
    ("Hinge", {}, YES, L),
    ("Hinge", {}, 2 * YES - 1, L),
    ("SquaredHinge", {}, YES, L),
    ("CategoricalHinge", {}, HOT, L),
    ("KLDivergence", {}, P[::-1], P),
    ("Poisson", {}, np.abs(L), P),
    ("BinaryCrossentropy", {}, YES, P),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, YES, L),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "label_smoothing": 0.1}, YES, P),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5}, YES, L),
    ("CategoricalCrossentropy", {}, HOT, P),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, HOT, L),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}, HOT, P),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": [0.1, 0.2, 0.3, 0.4]}, HOT, L),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.3}, C, P),
    ("SparseCategoricalCrossentropy", {}, C, P),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, C[:, None], L),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, C, P),
    ("Dice", {}, YES, P),
    ("Dice", {"axis": -1}, YES, P),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, YES, P),
    ("Tversky", {"alpha": 0.3, "axis": (1,)}, YES, P),
    ("Circle", {}, C, UNIT),
    ("Circle", {"remove_diagonal": False, "gamma": 10.0, "margin": 0.2, "reduction": "none"}, C, UNIT),
    ("CTC", {}, LABELS, FRAMES),
    ("CTC", {"reduction": "none"}, LABELS, FRAMES[:, :5]),
]
WEIGHT = np.array([1, 0, 2, 0.5, 1, 3], "float32")


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def values(library: Any, number: int) -> dict[str, Any]:
    """A loss, and where weights fit also with weights."""
    name, arguments, y, p = LOSSES[number]
    loss = getattr(library.losses, name)(**arguments)
    found = {f"{number}/": np.asarray(loss(y, p))}
    if name not in ("Dice", "Tversky", "CosineSimilarity"):
        found[f"{number}/weighted"] = np.asarray(loss(y, p, WEIGHT))
    return found


@pytest.mark.parametrize("number", range(len(LOSSES)), ids=[f"{i}-{case[0]}" for i, case in enumerate(LOSSES)])
def test_loss(number: int, wanted: Any) -> None:
    for key, value in values(layerkit, number).items():
        close(value, wanted[key], 1e-4 if "CTC" in LOSSES[number][0] else 1e-5)


@pytest.mark.parametrize("number", range(len(LOSSES)), ids=[f"{i}-{case[0]}" for i, case in enumerate(LOSSES)])
def test_gradient(number: int) -> None:
    """Against a finite difference in one direction."""
    name, arguments, y, p = LOSSES[number]
    loss, rng, h = getattr(layerkit.losses, name)(**arguments), np.random.default_rng(number), 1e-6
    p, way = p.astype("float64"), rng.normal(size=p.shape)

    def total(x: Any) -> Any:
        return layerkit.ops.sum(loss(y, x))

    slope = layerkit.function(layerkit.grad(total), engine="reference")(p)
    close(np.sum(slope * way), (total(p + h * way) - total(p - h * way)) / (2 * h), 1e-4)


def test_the_same_losses_arguments_and_functions() -> None:
    for name in dir(keras.losses):
        theirs = getattr(keras.losses, name)
        if name.startswith("_") or inspect.ismodule(theirs) or name in ("Loss", "get", "deserialize", "serialize"):
            continue
        ours = getattr(layerkit.losses, name)
        assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == [
            (p.name, p.default) for p in inspect.signature(theirs).parameters.values()
        ], name


def test_names_for_losses() -> None:
    for name in ("mse", "MAE", "mape", "MSLE", "huber", "log_cosh", "kld", "bce", "poisson", "ctc", "squared_hinge"):
        theirs, ours = keras.losses.get(name), layerkit.losses.get(name)
        if name != "ctc":
            close(np.mean(theirs(YES, P)), ours(YES, P))


if __name__ == "__main__":
    np.savez(sys.argv[1], **{k: v for number in range(len(LOSSES)) for k, v in values(keras, number).items()})
