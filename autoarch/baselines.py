"""What a model has to beat: the most frequent class or the mean, and a linear model, on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.data import DataSet
from layerkit.ir import Array

EPOCHS, BATCH = 60, 32

Scores = dict[str, float]


def baselines(dataset: DataSet, seed: int) -> dict[str, Scores]:
    """For each baseline its accuracy, or mean squared error in a regression, on the validation and the test part.

    Empty where there is no one input and target that is read whole.
    """
    parts = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    if not dataset.in_memory or not all(isinstance(a, np.ndarray) for part in parts.values() for a in part):
        return {}
    x, y = parts["train"]
    flat = x.reshape(len(x), -1).astype("float64")
    mean, deviation = flat.mean(0), np.maximum(flat.std(0), 1e-6)
    rows = {
        n: ((p[0].reshape(len(p[0]), -1) - mean) / deviation, p[1].reshape(len(p[1]), -1)) for n, p in parts.items()
    }
    if dataset.task == "classification":
        return _classes(rows, len(dataset.classes or ()), seed) if y.size == len(y) else {}
    return _numbers(rows)


def _classes(rows: dict[str, Any], count: int, seed: int) -> dict[str, Scores]:
    from layerkit import Input, Sequential, layers
    from layerkit.optimizers import Adam
    from layerkit.utils import set_random_seed

    x, y = rows["train"]
    most = int(np.bincount(y.ravel()).argmax())
    set_random_seed(seed)
    model = Sequential([Input((x.shape[1],)), layers.Dense(count, activation="softmax")])
    model.compile(Adam(1e-3), "sparse_categorical_crossentropy")
    model.fit(x.astype("float32"), y, epochs=EPOCHS, batch_size=BATCH, verbose=0)

    def linear(x: Array) -> Array:
        return np.asarray(model.predict(x.astype("float32"), verbose=0)).argmax(-1)

    held_out = {n: rows[n] for n in ("validation", "test")}
    return {
        "majority": {n: float(np.mean(y.ravel() == most)) for n, (_, y) in held_out.items()},
        "linear": {n: float(np.mean(y.ravel() == linear(x))) for n, (x, y) in held_out.items()},
    }


def _numbers(rows: dict[str, Any]) -> dict[str, Scores]:
    x, y = rows["train"]
    mean = y.mean(0)
    weights = np.linalg.lstsq(x, y - mean, rcond=None)[0]
    held_out = {n: rows[n] for n in ("validation", "test")}
    return {
        "mean": {n: float(np.mean((y - mean) ** 2)) for n, (_, y) in held_out.items()},
        "linear": {n: float(np.mean((y - mean - x @ weights) ** 2)) for n, (x, y) in held_out.items()},
    }
