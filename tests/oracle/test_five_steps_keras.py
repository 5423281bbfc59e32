"""Recurrent, attention and normalisation layers against Keras 3.15 on JAX: outputs, five steps of learning, float64, batch of one.

As in ``test_single_layers.py``, for layers that are called with masks, states, several tensors, or in training: Keras's
weights are copied, then weights and inputs follow the gradient of a loss (regularizers included) five times, and weights are
brought back by their constraints. Keras compiles one program for each group of cases.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import layerkit
from layerkit import ops, tree
from layerkit.functions import value_and_grad

RNG = np.random.default_rng(7)
RATE = 0.1  # of learning
Case = tuple[Callable[[Any], Any], tuple[Any, ...], dict[str, Any]]


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


def full(L: Any, name: str, *args: Any, parts: tuple[str, ...] = ("kernel", "recurrent", "bias"), **more: Any) -> Any:
    """A layer with penalties and constraints on all of its weights."""
    for part in parts:
        back = "non_neg" if part in ("bias", "beta") else "unit_norm"
        more |= {f"{part}_regularizer": "l2", f"{part}_constraint": back}
    return getattr(L, name)(*args, **more)


X, H, C = draw(3, 5, 3), draw(3, 4), draw(3, 4)
MASK = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool)
ALL = {"return_sequences": True, "return_state": True}
ODD = {"activation": "relu", "recurrent_activation": "hard_sigmoid", "use_bias": False}

RECURRENT: dict[str, Case] = {
    **{name: (lambda L, n=name: getattr(L, n)(4), (X,), {}) for name in ("SimpleRNN", "GRU", "LSTM")},
    "SimpleRNN-options": (lambda L: full(L, "SimpleRNN", 4), (X,), {}),
    **{f"{name}-options": (lambda L, n=name: full(L, n, 4, activity_regularizer="l2"), (X,), {}) for name in ("GRU", "LSTM")},
    **{f"{name}-masked": (lambda L, n=name: getattr(L, n)(4, go_backwards=True, **ALL), (X,), {"mask": MASK})
       for name in ("SimpleRNN", "GRU", "LSTM")},
    "SimpleRNN-odd": (lambda L: L.SimpleRNN(1, "sigmoid", use_bias=False, return_sequences=True), (draw(2, 1, 5),), {}),
    "GRU-odd": (lambda L: L.GRU(3, reset_after=False, **ODD), (X,), {}),
    "GRU-before": (lambda L: L.GRU(4, reset_after=False, **ALL), (X,), {"initial_state": H, "mask": MASK}),
    "LSTM-odd": (lambda L: L.LSTM(3, unit_forget_bias=False, **ODD), (X,), {}),
    "LSTM-states": (lambda L: L.LSTM(4, **ALL), (X,), {"initial_state": [H, C]}),
    "RNN": (lambda L: L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)], return_sequences=True), (X,), {"mask": MASK}),
    "Bidirectional": (lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True)), (X,), {"mask": MASK}),
    "Bidirectional-apart": (lambda L: L.Bidirectional(L.GRU(3), merge_mode=None), (X,), {}),
    "Bidirectional-mul": (lambda L: L.Bidirectional(L.SimpleRNN(3), "mul"), (X,), {}),
    "TimeDistributed": (lambda L: L.TimeDistributed(L.Dense(2, "tanh")), (X,), {}),
    "ConvLSTM1D": (lambda L: full(L, "ConvLSTM1D", 2, 2, strides=2, return_sequences=True), (draw(2, 3, 5, 2),), {}),
    "ConvLSTM2D": (lambda L: L.ConvLSTM2D(2, (2, 3), padding="same", **ALL), (draw(2, 3, 3, 4, 1),), {}),
    "ConvLSTM2D-dilated": (lambda L: L.ConvLSTM2D(2, 2, dilation_rate=2, go_backwards=True, **ODD), (draw(1, 2, 4, 3, 2),), {}),
    "ConvLSTM3D": (lambda L: L.ConvLSTM3D(2, 2), (draw(1, 2, 2, 3, 2, 1),), {}),
}  # fmt: skip

Q, V, K, GRID = draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 4), draw(2, 3, 2, 5)
V_MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
ALLOWED = RNG.integers(0, 2, (2, 3, 5)).astype(bool) | (np.arange(5) == 1)
PLAIN = {"parts": ("kernel", "bias")}

ATTENTION: dict[str, Case] = {
    "MultiHeadAttention": (lambda L: L.MultiHeadAttention(2, 3), (Q, V, K), {}),
    "MultiHeadAttention-options": (
        lambda L: full(L, "MultiHeadAttention", 2, 3, use_gate=True, activity_regularizer="l2", **PLAIN), (Q, V), {}
    ),  # Keras on JAX fails with another value_dim, but where scores are asked for
    "MultiHeadAttention-masks": (
        lambda L: L.MultiHeadAttention(3, 2, use_bias=False), (Q, V, K), {"value_mask": V_MASK, "attention_mask": ALLOWED}
    ),
    "MultiHeadAttention-causal": (lambda L: L.MultiHeadAttention(1, 5, sliding_window=2), (V, V), {"use_causal_mask": True}),
    "MultiHeadAttention-shape": (lambda L: L.MultiHeadAttention(2, 3, output_shape=(2, 3)), (Q, V), {}),
    "MultiHeadAttention-axis": (lambda L: L.MultiHeadAttention(2, 3, attention_axes=(2,)), (GRID, GRID), {}),
    "GroupedQueryAttention": (lambda L: L.GroupQueryAttention(3, 4, 2), (Q, V, K), {"value_mask": V_MASK}),
    "GroupedQueryAttention-options": (
        lambda L: full(L, "GroupQueryAttention", 2, 3, 1, use_gate=True, sliding_window=3, **PLAIN), (V, V), {"use_causal_mask": True}
    ),
    "Attention": (lambda L: L.Attention(), ([Q, V, K],), {}),
    "Attention-scaled": (lambda L: L.Attention(use_scale=True), ([Q, V],), {"mask": [None, V_MASK], "use_causal_mask": True}),
    "Attention-concat": (lambda L: L.Attention(True, "concat"), ([Q, V, K],), {}),
    "AdditiveAttention": (lambda L: L.AdditiveAttention(), ([Q, V, K],), {"mask": [None, V_MASK]}),
    "AdditiveAttention-plain": (lambda L: L.AdditiveAttention(use_scale=False), ([Q, V],), {}),
}  # fmt: skip

FLAT, IMAGE, SERIES = draw(5, 6) * 2 + 1, draw(2, 3, 5, 6), draw(3, 5, 6)
TRAIN = {"training": True}
SCALED = {"parts": ("gamma", "beta")}

NORMALIZATION: dict[str, Case] = {
    **{f"{name}-options": (lambda L, n=name, a=args: full(L, n, *a, **SCALED), (SERIES,), TRAIN if name[0] == "B" else {})
       for name, args in (("BatchNormalization", ()), ("LayerNormalization", ()), ("GroupNormalization", (3,)))},
    "BatchNormalization": (lambda L: L.BatchNormalization(momentum=0.7, epsilon=0.01), (IMAGE,), TRAIN),
    "BatchNormalization-axis": (lambda L: L.BatchNormalization(axis=1, center=False), (IMAGE,), TRAIN),
    "BatchNormalization-masked": (lambda L: L.BatchNormalization(scale=False), (SERIES,), {"mask": MASK, **TRAIN}),
    "BatchNormalization-renorm": (lambda L: L.BatchNormalization(renorm=True, renorm_clipping={"rmax": 1.2, "dmax": 0.5}), (FLAT,), TRAIN),
    "BatchNormalization-at-rest": (lambda L: L.BatchNormalization(), (FLAT,), {}),
    "LayerNormalization": (lambda L: L.LayerNormalization(axis=[1, 3], epsilon=0.1), (IMAGE,), {}),
    "LayerNormalization-bare": (lambda L: L.LayerNormalization(center=False, scale=False), (FLAT,), {}),
    "RMSNormalization": (lambda L: L.RMSNormalization(), (FLAT,), {}),
    "RMSNormalization-axes": (lambda L: L.RMSNormalization(axis=(1, 2), epsilon=0.2), (SERIES,), {}),
    "GroupNormalization": (lambda L: L.GroupNormalization(2, epsilon=0.01), (IMAGE,), {}),
    "GroupNormalization-first": (lambda L: L.GroupNormalization(-1, axis=1, scale=False), (SERIES,), {}),
    "UnitNormalization": (lambda L: L.UnitNormalization(axis=[1, 2]), (SERIES,), {}),
    "SpectralNormalization": (lambda L: L.SpectralNormalization(L.Dense(4), power_iterations=2), (FLAT,), TRAIN),
    "SpectralNormalization-conv": (lambda L: L.SpectralNormalization(L.Conv2D(4, 2)), (IMAGE,), TRAIN),
}  # fmt: skip

GROUPS = [RECURRENT, ATTENTION, NORMALIZATION]
WRAPPERS = (
    "Bidirectional",
    "TimeDistributed",
    "SpectralNormalization",
    "RNN",
)  # whose dtype is not that of what they hold


def close(found: Any, expected: Any, tolerance: float) -> None:
    found, expected = (jax.tree.leaves(jax.tree.map(np.asarray, x)) for x in (found, expected))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def numbers_for(layer: Any) -> list[np.ndarray]:
    """Weights that are no defaults; variances and their like are positive."""
    rng = np.random.default_rng(3)
    found = [rng.uniform(0.1, 0.6, w.shape) * rng.choice([1, 1, -1], w.shape) for w in layer.weights]
    return [
        np.asarray(np.abs(a) if "varia" in w.path or "stddev" in w.path else a, "float32")
        for a, w in zip(found, layer.weights, strict=True)
    ]


def total(outputs: Any, added: Any, sums: Any) -> Any:
    """The loss: each output with weights of its own, its squares, and what layers add."""
    result = sum(added)
    for i, y in enumerate(outputs):
        factor = np.random.default_rng(i).uniform(0.5, 1.5, y.shape).astype("float32")
        result = result + 0.1 * sums(y * factor) + 0.05 * sums(y * y)
    return result


def follow(step: Callable[[Any], Any], state: Any, back: Callable[[Any], Any]) -> tuple[Any, list[Any], Any]:
    """The first outputs, the losses of five steps down the gradient, and where they lead."""
    outputs, losses = [], []
    for _ in range(5):
        (loss, y), slopes = step(state)
        outputs.append(y)
        losses.append(loss)
        state = back(jax.tree.map(lambda a, g: np.asarray(a - RATE * np.asarray(g), "float32"), state, slopes))
    return outputs[0], losses, state


def brought_back(layer: Any, state: Any) -> Any:
    """The state with its weights as their constraints want them."""
    pairs = zip(layer.trainable_weights, state[0], strict=True)
    return [np.asarray(a if w.constraint is None else w.constraint(a)) for w, a in pairs], state[1]


@cache
def theirs(number: int) -> tuple[dict[str, Any], Any]:
    """Keras's numbers for the weights of a group, and what ``follow`` finds: all in one program, for compiling takes time."""
    layers, begin, state, kept = {}, {}, {}, {}
    for name, (make, args, kwargs) in GROUPS[number].items():
        layer = layers[name] = make(keras.layers)
        layer(*jax.tree.map(lambda a: keras.KerasTensor(a.shape, "float32"), args), **kwargs)
        begin[name] = numbers_for(layer)
        layer.set_weights(begin[name])
        state[name] = [np.asarray(w) for w in layer.trainable_weights], args
        kept[name] = [v.value for v in layer.non_trainable_variables]

    def loss(name: str, state: Any) -> Any:
        layer, kwargs = layers[name], GROUPS[number][name][2]
        y, _, added = layer.stateless_call(state[0], kept[name], *state[1], return_losses=True, **kwargs)
        outputs = jax.tree.leaves(y)
        if layer.activity_regularizer is not None:  # which is added by what calls stateless_call
            added = [*added, layer.activity_regularizer(outputs[0]) / len(outputs[0])]
        return total(outputs, added, jnp.sum), outputs

    def step(states: Any) -> Any:
        found = {n: jax.value_and_grad(partial(loss, n), has_aux=True)(s) for n, s in states.items()}
        values = {n: v[0] for n, (v, _) in found.items()}
        return (values, {n: v[1] for n, (v, _) in found.items()}), {n: g for n, (_, g) in found.items()}

    return begin, follow(jax.jit(step), state, lambda s: {n: brought_back(layers[n], v) for n, v in s.items()})


@pytest.mark.parametrize(("group", "name"), [(i, name) for i, group in enumerate(GROUPS) for name in group])
def test_outputs_and_five_steps(group: int, name: str) -> None:
    make, args, kwargs = GROUPS[group][name]
    begin, (outputs, losses, end) = theirs(group)
    weights, expected = begin[name], outputs[name]
    ours = make(layerkit.layers)
    ours(*args, **kwargs)
    ours.set_weights(weights)
    kept = [w.numpy() for w in ours.non_trainable_weights]

    def loss(state: Any) -> Any:
        for weight, value in zip(
            [*ours.trainable_weights, *ours.non_trainable_weights], [*state[0], *kept], strict=True
        ):
            weight.assign(value)
        y = tree.leaves(ours(*state[1], **kwargs))
        return total(y, ours.losses, ops.sum), y

    start = [w.numpy() for w in ours.trainable_weights], args
    found, our_losses, our_end = follow(value_and_grad(loss, has_aux=True), start, partial(brought_back, ours))
    close(found, expected, 1e-5)
    close(our_losses, [v[name] for v in losses], 1e-4)
    close(our_end, end[name], 1e-4)
    ours.set_weights(weights)
    if "training" not in kwargs:
        one = jax.tree.map(lambda a: a[:1] if isinstance(a, np.ndarray) else a, (args, kwargs))
        run = layerkit.function(lambda a: ours(*a, **one[1]))
        close(tree.leaves(run(one[0])), [y[:1] for y in expected], 1e-5)
    if not name.startswith(WRAPPERS):
        wide = type(ours).from_config({**ours.get_config(), "dtype": "float64"})
        wide(*args, **kwargs)
        wide.set_weights(weights)
        y = tree.leaves(wide(*args, **kwargs))
        assert {v.dtype.name for v in y} == {"float64"}
        close(y, expected, 1e-5)
