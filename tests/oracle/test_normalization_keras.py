"""Normalisation layers and Embedding against Keras 3.15: axes, masks, what is kept in training."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import numpy as np
import pytest

RNG = np.random.default_rng(17)
FLAT = RNG.standard_normal((5, 6)).astype("float32") * 2 + 1
IMAGE = RNG.standard_normal((2, 3, 5, 6)).astype("float32")
SERIES = RNG.standard_normal((3, 4, 6)).astype("float32")
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], bool)
TOKENS = RNG.integers(0, 6, (3, 4)).astype("int32")
TRAIN = {"training": True}
CLIPPED = {"rmax": 1.2, "rmin": 0.9, "dmax": 0.1}

CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "layer-axes": (lambda L: L.LayerNormalization(axis=[3, 1], epsilon=0.1), (IMAGE,), {}),
    "layer-plain": (lambda L: L.LayerNormalization(center=False, scale=False), (FLAT[:1],), {}),
    "layer-no-beta": (lambda L: L.LayerNormalization(axis=1, center=False), (SERIES,), {}),
    "rms": (lambda L: L.RMSNormalization(), (FLAT,), {}),
    "rms-axes": (lambda L: L.RMSNormalization(axis=(1, 2), epsilon=0.2), (SERIES,), {}),
    "group": (lambda L: L.GroupNormalization(3), (IMAGE,), {}),
    "group-first": (lambda L: L.GroupNormalization(2, axis=1, scale=False), (SERIES,), {}),
    "group-instance": (lambda L: L.GroupNormalization(-1, epsilon=0.01), (IMAGE,), {}),
    "unit": (lambda L: L.UnitNormalization(), (np.array([[0, 0], [3e-7, 4e-7], [3, 4]], "float32"),), {}),
    "unit-axes": (lambda L: L.UnitNormalization(axis=[1, 2]), (SERIES,), {}),
    "batch": (lambda L: L.BatchNormalization(momentum=0.7, epsilon=0.01), (IMAGE,), TRAIN),
    "batch-first": (lambda L: L.BatchNormalization(axis=1, center=False), (IMAGE,), TRAIN),
    "batch-masked": (lambda L: L.BatchNormalization(), (SERIES,), {"mask": MASK, **TRAIN}),
    "batch-moving": (lambda L: L.BatchNormalization(renorm=True, scale=False), (FLAT,), {}),
    "batch-renorm": (lambda L: L.BatchNormalization(renorm=True, momentum=0.9, renorm_momentum=0.8), (FLAT,), TRAIN),
    "batch-renorm-clipped": (
        lambda L: L.BatchNormalization(renorm=True, renorm_clipping=CLIPPED, epsilon=0.01),
        (IMAGE,),
        TRAIN,
    ),
    "spectral-dense": (lambda L: L.SpectralNormalization(L.Dense(4), power_iterations=2), (FLAT,), TRAIN),
    "spectral-conv": (lambda L: L.SpectralNormalization(L.Conv2D(4, 2)), (IMAGE,), TRAIN),
    "spectral-at-rest": (lambda L: L.SpectralNormalization(L.Dense(3)), (SERIES,), {}),
    "reversible": (lambda L: L.ReversibleEmbedding(6, 3, mask_zero=True), (TOKENS,), {}),
    "reversible-back": (lambda L: L.ReversibleEmbedding(5, 6, logit_soft_cap=0.5), (SERIES,), {"reverse": True}),
    "reversible-apart": (lambda L: L.ReversibleEmbedding(5, 6, tie_weights=False), (SERIES,), {"reverse": True}),
    "embedding-weights": (
        lambda L: L.Embedding(6, 3, weights=np.arange(18.0).reshape(6, 3), embeddings_constraint="max_norm"),
        (TOKENS,),
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_normalization(name: str, agree: Any) -> None:
    make, args, kwargs = CASES[name]
    theirs, ours = agree(make, *args, gradients=name == "reversible-back", **kwargs)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert a.trainable == b.trainable
