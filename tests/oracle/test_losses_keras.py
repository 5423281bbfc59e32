"""Every loss against Keras 3.15: its values with each option, with weights, and its gradient."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
from typing import Any

import jax
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


@pytest.mark.parametrize("case", LOSSES, ids=lambda c: "-".join([c[0], *map(str, c[1].values())]))
def test_loss(case: Any) -> None:
    name, arguments, y, p = case
    theirs, ours = getattr(keras.losses, name)(**arguments), getattr(layerkit.losses, name)(**arguments)
    assert ours.name == theirs.name
    value, slope = ours(y, p), layerkit.grad(lambda x: layerkit.ops.sum(ours(y, x)))(p)
    wanted, back = jax.vjp(lambda x: theirs(y, x), p)
    close(value, wanted, 1e-4 if name == "CTC" else 1e-5)
    close(slope, back(np.ones_like(wanted))[0], 1e-4)
    if np.shape(value) or not ("axis" in arguments or name in ("Dice", "Tversky")):
        close(ours(y, p, WEIGHT), theirs(y, p, WEIGHT), 1e-4)


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
