"""Predicted memory and time of a step: what must hold of them on any machine. How near they come is measured, not tested."""

from __future__ import annotations

import pytest

import layerkit
from layerkit import layers as L
from layerkit.models.cost import training_cost


def model(units: int = 64) -> layerkit.Sequential:
    made = layerkit.Sequential([L.Input((64,)), L.Dense(units, activation="relu"), L.Dense(units), L.Dense(10)])
    made.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def test_more_work_costs_more(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path))
    small, wide = training_cost(model(), 32), training_cost(model(512), 32)
    many = training_cost(model(), 512)
    assert small is not None
    assert small.seconds < wide.seconds
    assert small.peak_bytes < wide.peak_bytes
    assert small.seconds < many.seconds
    assert small.peak_bytes < many.peak_bytes
    weights = 64 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert wide.peak_bytes == pytest.approx(
        4 * (4 * weights + 32 * 64), rel=0.1
    )  # weights, gradients, two moments, the batch


def test_what_was_predicted_once_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path))
    first = training_cost(model(), 32)
    monkeypatch.setattr("layerkit.engines.llvm.runtime.cost.seconds", None)  # not called again
    assert training_cost(model(), 32) == first
    with pytest.raises(TypeError):
        training_cost(model(), 33)
    frozen = model()
    frozen.layers[0].trainable = False
    with pytest.raises(TypeError):
        training_cost(frozen, 32)


def test_the_reference_engine_knows_memory_alone():
    made = model()
    made.compile("adam", "mse", engine="reference")
    cost = training_cost(made, 8)
    assert cost is not None
    assert cost.seconds is None
    assert cost.peak_bytes > 0
