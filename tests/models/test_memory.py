"""The predicted memory of a training step against what Python's allocator measures."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit.models.cost import training_cost

RNG = np.random.default_rng(0)
MODELS = {
    "mlp": ([L.Input((784,)), L.Dense(512, activation="relu"), L.Dense(3, activation="softmax")], 128),
    "cnn": ([L.Input((16, 16, 3)), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D(), L.BatchNormalization(), L.Conv2D(16, 3),
             L.Flatten(), L.Dropout(0.2), L.Dense(3, activation="softmax")], 32),
    "lstm": ([L.Input((50, 8)), L.LSTM(64), L.Dense(3, activation="softmax")], 64),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["reference", "llvm"])
@pytest.mark.parametrize("name", MODELS)
def test_predicted_memory_is_within_15_percent(name, engine):
    stack, batch_size = MODELS[name]
    model = layerkit.Sequential(stack)
    model.compile("adam", "sparse_categorical_crossentropy", engine=engine)
    x = RNG.standard_normal((batch_size, *stack[0].shape[1:])).astype("float32")
    y = RNG.integers(0, 3, batch_size).astype("int32")
    model.train_on_batch(x[:2], y[:2])  # compile first: what is measured is a step
    predicted = training_cost(model, batch_size).peak_bytes
    tracemalloc.start()
    model.train_on_batch(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = x.nbytes + sum(w.array.nbytes for w in model.weights)
    held += sum(slot.array.nbytes for slots in model.optimizer.slots.values() for slot in slots.values())
    assert predicted == pytest.approx(held + peak, rel=0.15)
