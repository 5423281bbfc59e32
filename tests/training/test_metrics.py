"""Metrics in compiled steps: as on arrays, on each engine, state and all; and in models."""

from __future__ import annotations

import numpy as np
import pytest

import layerkit
from layerkit import Sequential, metrics
from layerkit.layers import Dense, Input

ARGUMENTS = {
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 4, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 4},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "MeanMetricWrapper": {"fn": metrics.huber, "delta": 0.3},
    "Precision": {"top_k": 2},
    "AUC": {"multi_label": True, "curve": "PR"},
    "FBetaScore": {"average": "weighted", "threshold": 0.5},
}
OF_CLASSES = ("Sparse", "IoU", "MeanIoU")  # take class numbers as targets
NAMES = [n for n in metrics.METRICS.classes if n not in ("Mean", "Sum")]


def made(name: str) -> metrics.Metric:
    return metrics.METRICS.classes[name](**ARGUMENTS.get(name, {}))


@pytest.mark.parametrize("group", [NAMES[i::4] for i in range(4)], ids=range(4))
def test_compiled_steps_equal_metrics_on_arrays(group: list[str]) -> None:
    rng = np.random.default_rng(0)
    batches = [
        (
            rng.integers(0, 2, (n, 4)).astype("float32"),
            rng.random((n, 4)).astype("float32"),
            rng.integers(0, 3, n).astype("int32"),
            rng.random(n).astype("float32"),
        )
        for n in (8, 3)
    ]
    found = {}
    for engine in (None, "reference", "llvm"):
        own = {name: made(name) for name in group}

        def step(y, p, classes, weight, own=own):
            for name, metric in own.items():
                if name in ("IoU", "MeanIoU"):
                    metric.update_state(classes, layerkit.ops.argmax(p[:, :3], -1), weight)
                else:
                    metric.update_state(classes if name.startswith("Sparse") else y, p, weight)
            return {name: metric.result() for name, metric in own.items()}

        call = step if engine is None else layerkit.function(step, engine=engine, symbolic_batch=True)
        found[engine] = [call(*batch) for batch in batches][-1]
        for name, metric in own.items():
            metric.reset_state()
            assert not any(np.any(v.array) for v in metric.variables), name
    for engine in ("reference", "llvm"):
        for name, value in found[engine].items():
            np.testing.assert_allclose(value, found[None][name], rtol=1e-4, atol=1e-5, err_msg=f"{name}, {engine}")


X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


def test_names_in_logs() -> None:
    model = Sequential([Input((4,)), Dense(1, activation="sigmoid")])
    model.compile(
        "sgd",
        "bce",
        metrics=[
            "AUC",
            "accuracy",
            "huber",
            metrics.Precision(),
            metrics.Precision(thresholds=0.9),
            metrics.Recall(name="r"),
        ],
    )
    logs = model.evaluate(X, Y, return_dict=True, verbose=0)
    assert list(logs) == ["loss", "AUC", "accuracy", "huber", "precision", "precision_1", "r"]
    assert model.metrics_names == list(logs)


def test_several_numbers_are_a_list_in_the_logs() -> None:
    model = Sequential([Input((4,)), Dense(3, activation="softmax")])
    model.compile(
        "sgd",
        "categorical_crossentropy",
        engine="reference",
        metrics=[metrics.F1Score(), metrics.Recall(thresholds=[0.2, 0.4])],
    )
    y = np.eye(3, dtype="float32")[np.arange(20) % 3]
    history = model.fit(X, y, verbose=2, validation_data=(X, y)).history
    logs = model.evaluate(X, y, verbose=0, return_dict=True)
    assert np.shape(logs["f1_score"]) == (3,)
    assert np.shape(history["val_recall"]) == (1, 2)


class Largest(metrics.Metric):
    """Written as for Keras."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.top = self.add_weight(shape=(), initializer="ones", name="top")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.top.assign(layerkit.ops.maximum(self.top, layerkit.ops.max(y_pred)))

    def result(self):
        return self.top


def test_a_metric_of_ones_own() -> None:
    model = Sequential([Input((4,)), Dense(1)])
    model.compile("sgd", "mse", metrics=[Largest()], engine="reference")
    big = 100 * np.abs(X) + 100
    expected = float(model.predict(big, verbose=0).max())
    logs = model.evaluate(big, Y, verbose=0, return_dict=True)
    assert logs["largest"] == pytest.approx(max(expected, 1.0), rel=1e-5)
    model.reset_metrics()
    assert float(model.metrics[-1].result()) == 1.0


def test_metrics_that_layers_hold_are_found_whenever_they_come() -> None:
    class Watched(layerkit.layers.Dense):
        def call(self, inputs):
            y = super().call(inputs)
            if hasattr(self, "size"):
                self.size.update_state(layerkit.ops.abs(y))
            return y

    model = layerkit.Sequential([layerkit.Input((3,)), Watched(2)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    assert list(model.train_on_batch(x, y, return_dict=True)) == ["loss"]
    model.layers[0].size = layerkit.metrics.Mean(name="size")
    model.compile("sgd", "mse")
    logs = model.train_on_batch(x, y, return_dict=True)
    assert list(logs) == ["loss", "size"]
    assert logs["size"] > 0
    assert model.train_on_batch(np.zeros_like(x), y, return_dict=True)["size"] < logs["size"]  # each batch alone
    deeper = Watched(2)
    deeper.size = layerkit.metrics.Mean(name="deeper")
    model.add(deeper)
    model.compile("sgd", "mse")
    assert list(model.train_on_batch(x, y, return_dict=True)) == ["loss", "size", "deeper"]
