"""Every metric against Keras 3.15: its result after three batches, with and without weights, and after a reset."""

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


def draw(rng: np.random.Generator, kind: str, rows: int) -> np.ndarray:
    """Targets or predictions of a kind for a batch."""
    numbers = rng.random((rows, 4))
    return {
        "p": numbers / numbers.sum(-1, keepdims=True),  # probabilities of four classes
        "s": rng.random((rows, 4)),  # four shares
        "l": rng.normal(size=(rows, 4)),  # logits, numbers
        "a": rng.random((rows, 4)) + 0.1,  # above 0
        "y": rng.integers(0, 2, (rows, 4)),  # four times yes or no
        "1": rng.integers(0, 2, (rows,)),
        "q": rng.random((rows,)),
        "c": rng.integers(0, 4, (rows,)),  # a class
        "h": np.eye(4)[rng.integers(0, 4, rows)],  # one-hot
        "m": rng.integers(0, 4, (rows, 3, 2)),  # maps of classes
        "n": rng.random((rows, 3, 2, 4)),
        "o": np.eye(4)[rng.integers(0, 4, (rows, 3, 2))],
        "i": np.stack([rng.permutation(4) for _ in range(rows)]),
    }[kind].astype("int32" if kind in "cmi" else "float32")


CASES: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, {}, "ll")
        for name in (
            "MeanSquaredError",
            "MeanAbsoluteError",
            "RootMeanSquaredError",
            "LogCoshError",
            "CosineSimilarity",
        )
    ),
    ("MeanAbsolutePercentageError", {}, "as"),
    ("MeanSquaredLogarithmicError", {}, "as"),
    ("KLDivergence", {}, "pp"),
    ("Poisson", {}, "aa"),
    ("Hinge", {}, "yl"),
    ("SquaredHinge", {}, "yl"),
    ("CategoricalHinge", {}, "hl"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "ys"),
    ("BinaryCrossentropy", {"from_logits": True}, "yl"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "hp"),
    ("CategoricalCrossentropy", {"from_logits": True}, "hl"),
    ("SparseCategoricalCrossentropy", {}, "cp"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "cl"),
    ("Accuracy", {}, "yy"),
    ("BinaryAccuracy", {"threshold": 0.3}, "ys"),
    ("CategoricalAccuracy", {}, "hp"),
    ("SparseCategoricalAccuracy", {}, "cp"),
    ("SparseCategoricalAccuracy", {}, "mn"),
    ("TopKCategoricalAccuracy", {"k": 2}, "hp"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "cp"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "ci"),
    *((name, {}, "1q") for name in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")),
    ("TruePositives", {"thresholds": [0.2, 0.7]}, "ys"),
    ("Precision", {}, "ys"),
    ("Precision", {"thresholds": [0.2, 0.7]}, "1q"),
    ("Precision", {"top_k": 2}, "yl"),
    ("Recall", {"class_id": 1, "thresholds": 0.4}, "ys"),
    ("Recall", {"top_k": 3, "class_id": 2}, "ys"),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, "1q"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 11}, "1q"),
    ("PrecisionAtRecall", {"recall": 0.6}, "ys"),
    ("RecallAtPrecision", {"precision": 0.6, "num_thresholds": 1}, "ys"),
    ("RecallAtPrecision", {"precision": 0.5, "class_id": 2}, "ys"),
    ("AUC", {}, "1q"),
    ("AUC", {"curve": "PR"}, "1q"),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "num_thresholds": 9}, "ys"),
    ("AUC", {"summation_method": "minoring", "thresholds": [0.7, 0.2, 0.4]}, "ys"),
    ("AUC", {"from_logits": True, "label_weights": [0.1, 0.2, 0.3, 0.4]}, "yl"),
    ("AUC", {"multi_label": True, "label_weights": [0.1, 0.2, 0.3, 0.4]}, "ys"),
    ("AUC", {"multi_label": True, "num_labels": 4, "curve": "PR"}, "ys"),
    ("F1Score", {}, "hp"),
    ("F1Score", {"average": "macro", "threshold": 0.4}, "ys"),
    ("FBetaScore", {"average": "micro", "beta": 2.0}, "hp"),
    ("FBetaScore", {"average": "weighted", "beta": 0.5, "threshold": 0.5}, "ys"),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2]}, "mm"),
    ("IoU", {"num_classes": 4, "target_class_ids": [1], "sparse_y_pred": False, "ignore_class": 3}, "mn"),
    ("BinaryIoU", {"threshold": 0.4}, "ys"),
    ("MeanIoU", {"num_classes": 5}, "mm"),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 1]}, "on"),
    ("OneHotMeanIoU", {"num_classes": 4}, "on"),
    ("R2Score", {}, "ll"),
    ("R2Score", {"class_aggregation": None}, "ll"),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, "ll"),
    ("PearsonCorrelation", {}, "ll"),
    ("ConcordanceCorrelation", {}, "ll"),
]


NAMES = [f"{i}-{'-'.join([name, *map(str, arguments.values())])}" for i, (name, arguments, _) in enumerate(CASES)]


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-5, atol=2e-6)


def results(library: Any, number: int) -> dict[str, Any]:
    """What a metric says after the batches of its case, without and with weights."""
    name, arguments, kinds = CASES[number]
    rng, found = np.random.default_rng(number), {}
    metric = getattr(library.metrics, name)(**arguments)
    for weighted in ("", "weighted"):
        for rows in (7, 5, 1):
            y, p = (draw(rng, k, rows) for k in kinds)
            weight = np.arange(rows) % 3 if weighted else None
            if weight is not None and name.endswith("IoU"):  # Keras counts with whole numbers, one for each element
                shape = y.shape[:3] if kinds[0] == "o" else y.shape
                weight = np.broadcast_to(weight.reshape(-1, *(1,) * (len(shape) - 1)), shape).copy()
            elif weight is not None:
                weight = weight.astype("float32")
            metric.update_state(y, p, weight)
        found[f"{NAMES[number]}/{weighted}"] = np.asarray(metric.result())
        metric.reset_state()
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_metric(number: int, wanted: Any) -> None:
    for name, value in results(layerkit, number).items():
        close(value, wanted[name])


def test_values() -> None:
    values = np.array([[1.0, 2.0], [3.0, 5.0]], "float32")
    for name in ("Mean", "Sum"):
        theirs, ours = (getattr(k.metrics, name)() for k in (keras, layerkit))
        for weight in (None, np.array([1.0, 3.0], "float32"), np.array([[1, 0], [0, 2]], "float32")):
            close(ours(values, weight), theirs(values, weight))
    theirs, ours = (k.metrics.MeanMetricWrapper(k.losses.huber, delta=0.5) for k in (keras, layerkit))
    close(ours(values, values + 2), theirs(values, values + 2))


def test_the_same_metrics_arguments_and_functions() -> None:
    for name in dir(keras.metrics):
        theirs = getattr(keras.metrics, name)
        if name.startswith("_") or inspect.ismodule(theirs) or name in ("Metric", "get", "deserialize", "serialize"):
            continue
        ours = getattr(layerkit.metrics, name)
        wanted = [(p.name, p.default) for p in inspect.signature(theirs).parameters.values() if p.name != "kwargs"]
        assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == wanted, name
        if inspect.isclass(ours) and not any(d is inspect.Parameter.empty for _, d in wanted):
            first = theirs().name
            assert ours().name == (first.rstrip("_0123456789") if theirs().name != first else first), name


if __name__ == "__main__":
    np.savez(sys.argv[1], **{k: v for number in range(len(CASES)) for k, v in results(keras, number).items()})


NEEDED = {
    "IoU": {"num_classes": 2, "target_class_ids": [0]}, "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
    "MeanIoU": {"num_classes": 2}, "OneHotMeanIoU": {"num_classes": 2}, "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5}, "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5}, "MeanMetricWrapper": {"fn": lambda y, p: p},
}  # fmt: skip


def test_metrics_are_better_in_keras_direction():
    kinds = {
        n: c for n, c in vars(keras.metrics).items() if isinstance(c, type) and issubclass(c, keras.metrics.Metric)
    }
    assert len(kinds) > 30
    for name, theirs in kinds.items():
        if name != "Metric":
            assert getattr(layerkit.metrics, name)._direction == getattr(
                theirs(**NEEDED.get(name, {})), "_direction", None
            ), name
