"""Callbacks of the learning rate against Keras 3.15: the same logs, the same rates."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import layerkit

LOSSES = [1.0, 0.8, 0.8, 0.79999, 0.81, 0.7, 0.9, 0.9, 0.9, 0.9, 0.65, 0.66, 0.66, 0.66, 0.66]


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 2},
        {"patience": 1, "factor": 0.5, "cooldown": 2, "min_lr": 0.03},
        {"patience": 2, "mode": "max", "min_delta": 0.05},
        {"patience": 1, "monitor": "accuracy", "factor": 0.3, "mode": "max"},
    ],
)
def test_reduce_lr_on_plateau(arguments: dict[str, Any]) -> None:
    rates = []
    for library in (keras, layerkit):
        model = SimpleNamespace(optimizer=library.optimizers.SGD(0.1), metrics=[])
        callback = library.callbacks.ReduceLROnPlateau(**{"monitor": "loss", **arguments})
        callback.set_model(model)
        callback.on_train_begin()
        found = []
        for epoch, loss in enumerate(LOSSES):
            logs = {"loss": loss, "accuracy": loss}
            callback.on_epoch_end(epoch, logs)
            found.append((float(logs["learning_rate"]), float(model.optimizer.learning_rate)))
        rates.append(found)
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-6)


class Watched:
    """What a callback asks of a model."""

    metrics = ()
    stop_training = False

    def get_weights(self):
        return []

    def set_weights(self, weights):
        pass


def test_early_stopping_ends_at_keras_epoch():
    def run(made, values):
        made.set_model(model := Watched())
        made.on_train_begin()
        for epoch, value in enumerate(values):
            made.on_epoch_end(epoch, {"val_loss": value})
            if model.stop_training:
                break
        return model.stop_training, made.stopped_epoch, made.wait, made.best_epoch, made.best

    rng = np.random.default_rng(0)
    for number in range(300):
        values = (rng.integers(1, 8, 10) / 10).tolist()
        values = sorted(values, reverse=True) if number % 2 else values
        options = {
            "patience": int(rng.integers(4)), "min_delta": [0, 0.15][rng.integers(2)], "baseline": [None, 0.25][rng.integers(2)],
            "start_from_epoch": [0, 2][rng.integers(2)], "restore_best_weights": bool(rng.integers(2)),
        }  # fmt: skip
        theirs, ours = (library.callbacks.EarlyStopping(**options) for library in (keras, layerkit))
        assert run(ours, values) == run(theirs, values), (values, options)
