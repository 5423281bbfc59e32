"""Attention against Keras 3.15, called directly: masks, axes, groups, gates, scores; learning is in ``test_five_steps_keras.py``."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import numpy as np
import pytest

import layerkit

RNG = np.random.default_rng(13)
Q = RNG.standard_normal((2, 3, 4)).astype("float32")
V = RNG.standard_normal((2, 5, 4)).astype("float32")
K = RNG.standard_normal((2, 5, 4)).astype("float32")
GRID = RNG.standard_normal((2, 3, 4, 5)).astype("float32")
Q_MASK = np.array([[1, 1, 0], [1, 1, 1]], bool)
V_MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
ALLOWED = RNG.integers(0, 2, (2, 3, 5)).astype(bool)
SCORES = {"return_attention_scores": True}

CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "mha-cross": (lambda L: L.MultiHeadAttention(2, 3), (Q, V, K), {}),
    "mha-scores": (lambda L: L.MultiHeadAttention(2, 3, value_dim=2, use_bias=False), (Q, V), SCORES),
    "mha-masks": (
        lambda L: L.MultiHeadAttention(2, 3),
        (Q, V, K),
        {"query_mask": Q_MASK, "value_mask": V_MASK, "attention_mask": ALLOWED, **SCORES},
    ),
    "mha-key-mask": (lambda L: L.MultiHeadAttention(1, 2), (Q, V), {"key_mask": V_MASK, "use_causal_mask": True}),
    "mha-2d-mask": (lambda L: L.MultiHeadAttention(2, 3), (Q, V), {"attention_mask": ALLOWED[0]}),
    "mha-causal-window": (lambda L: L.MultiHeadAttention(2, 3, sliding_window=2), (V, V), {"use_causal_mask": True}),
    "mha-window": (lambda L: L.MultiHeadAttention(2, 3, sliding_window=2), (V, V), SCORES),
    "mha-output-gate": (lambda L: L.MultiHeadAttention(2, 3, output_shape=(2, 3), use_gate=True), (Q, V), {}),
    "mha-one-axis": (lambda L: L.MultiHeadAttention(2, 3, attention_axes=2), (GRID, GRID), SCORES),
    "mha-all-axes": (lambda L: L.MultiHeadAttention(2, 3), (GRID, GRID), SCORES),
    "mha-batch-of-one": (lambda L: L.MultiHeadAttention(3, 1, flash_attention=False), (Q[:1, :1], V[:1]), {}),
    "gqa": (lambda L: L.GroupQueryAttention(3, 4, 2, use_bias=False), (Q, V, K), {"attention_mask": ALLOWED}),
    "gqa-scores": (lambda L: L.GroupQueryAttention(2, 4, 1), (Q, V), {"value_mask": V_MASK, **SCORES}),
    "gqa-causal-gate": (
        lambda L: L.GroupQueryAttention(2, 2, 2, sliding_window=3, use_gate=True),
        (V, V),
        {"use_causal_mask": True},
    ),
    "attention": (lambda L: L.Attention(), ([Q, V],), SCORES),
    "attention-scaled-masked": (
        lambda L: L.Attention(use_scale=True),
        ([Q, V, K],),
        {"mask": [Q_MASK, V_MASK], "use_causal_mask": True, **SCORES},
    ),
    "attention-concat": (lambda L: L.Attention(True, "concat"), ([Q, V],), {"mask": [None, V_MASK]}),
    "additive": (lambda L: L.AdditiveAttention(), ([Q, V, K],), {"mask": [Q_MASK, None], **SCORES}),
    "additive-plain": (lambda L: L.AdditiveAttention(use_scale=False), ([Q, V],), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_attention(name: str, agree: Any) -> None:
    make, args, kwargs = CASES[name]
    agree(make, *args, **kwargs)


HEADS = RNG.standard_normal((3, 2, 5, 4, 3)).astype("float32")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"is_causal": True, "scale": 0.3},
        {"bias": RNG.standard_normal((2, 4, 5, 5)).astype("float32")},
        {"mask": RNG.integers(0, 2, (2, 1, 5, 5)).astype(bool)},
    ],
    ids=["plain", "causal", "bias", "mask"],
)
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_dot_product_attention(groups: int, settings: dict[str, Any]) -> None:
    import keras

    q, k, v = HEADS[0], HEADS[1][:, :, :groups], HEADS[2][:, :, :groups]
    expected = np.asarray(keras.ops.dot_product_attention(q, k, v, **settings))
    np.testing.assert_allclose(layerkit.ops.dot_product_attention(q, k, v, **settings), expected, rtol=1e-5, atol=1e-6)
    compiled = layerkit.function(lambda *a: layerkit.ops.dot_product_attention(*a, **settings))(q, k, v)
    np.testing.assert_allclose(compiled, expected, rtol=1e-5, atol=1e-6)
