"""Recurrent layers against Keras 3.15, called directly: states, masks, stacks, both directions; learning is in ``test_five_steps_keras.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

RNG = np.random.default_rng(11)
X = RNG.standard_normal((3, 5, 3)).astype("float32")
MASK = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool)
H = RNG.standard_normal((3, 4)).astype("float32")
C = RNG.standard_normal((3, 4)).astype("float32")
ALL = {"return_sequences": True, "return_state": True}


def frames(*sizes: int) -> np.ndarray:
    return RNG.standard_normal((2, 3, *sizes, 2)).astype("float32")


CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "simple-rnn-states": (lambda L: L.SimpleRNN(4, **ALL), (X,), {"initial_state": H}),
    "gru-states-masked": (lambda L: L.GRU(4, **ALL), (X,), {"initial_state": [H], "mask": MASK}),
    "gru-before-backwards": (lambda L: L.GRU(4, reset_after=False, go_backwards=True, **ALL), (X,), {"mask": MASK}),
    "lstm-states": (lambda L: L.LSTM(4, go_backwards=True, **ALL), (X,), {"initial_state": [H, C]}),
    "lstm-zero-output": (lambda L: L.LSTM(4, zero_output_for_mask=True, **ALL), (X,), {"mask": MASK}),
    "lstm-one-step": (lambda L: L.LSTM(4, unroll=True), (X[:1, :1],), {}),
    "rnn-of-cells": (lambda L: L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)], **ALL), (X,), {"mask": MASK}),
    "rnn-of-cells-states": (
        lambda L: L.RNN(L.StackedRNNCells([L.GRUCell(4), L.LSTMCell(4)]), return_state=True),
        (X,),
        {"initial_state": [[H], [C, H]]},
    ),
    "bidirectional-states": (lambda L: L.Bidirectional(L.LSTM(4, **ALL)), (X,), {"initial_state": [H, C, C, H]}),
    "bidirectional-apart": (lambda L: L.Bidirectional(L.GRU(4, **ALL), merge_mode=None), (X,), {"mask": MASK}),
    "bidirectional-masked": (
        lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum"),
        (X,),
        {"mask": MASK},
    ),
    "bidirectional-last": (lambda L: L.Bidirectional(L.SimpleRNN(4), merge_mode="mul"), (X,), {"mask": MASK}),
    "bidirectional-stack": (lambda L: L.Bidirectional(L.RNN([L.GRUCell(2), L.LSTMCell(3)])), (X,), {}),
    "bidirectional-own-backward": (
        lambda L: L.Bidirectional(L.LSTM(4), "ave", backward_layer=L.LSTM(4, "relu", go_backwards=True)),
        (X,),
        {},
    ),
    "time-distributed-lstm": (lambda L: L.TimeDistributed(L.LSTM(2)), (frames(4),), {}),
    "conv-lstm-1d": (lambda L: L.ConvLSTM1D(2, 2, 2, **ALL), (frames(5),), {}),
    "conv-lstm-2d": (
        lambda L: L.ConvLSTM2D(2, (2, 3), padding="same", **ALL),
        (frames(3, 4),),
        {},
    ),  # Keras on JAX fails with a mask
    "conv-lstm-2d-dilated": (
        lambda L: L.ConvLSTM2D(2, 2, dilation_rate=2, use_bias=False, go_backwards=True),
        (frames(4, 4),),
        {},
    ),
    "conv-lstm-2d-first": (
        lambda L: L.ConvLSTM2D(2, 2, 2, data_format="channels_first", **ALL),
        (frames(2, 4, 3)[..., 0],),
        {"initial_state": [np.moveaxis(frames(2, 1)[:, 0], -1, 1), np.moveaxis(frames(2, 1)[:, 1], -1, 1)]},
    ),
    "conv-lstm-3d": (lambda L: L.ConvLSTM3D(2, 2, recurrent_activation="hard_sigmoid"), (frames(3, 3, 2),), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_recurrent_layer(name: str, agree: Any) -> None:
    make, args, kwargs = CASES[name]
    agree(make, *args, **kwargs)


def test_stacked_cells_alone(agree: Any) -> None:
    states = [[H, C], [H]]
    theirs, ours = agree(lambda L: L.StackedRNNCells([L.LSTMCell(4), L.GRUCell(4)]), X[:, 0], states)
    assert (ours.state_size, ours.output_size) == (theirs.state_size, theirs.output_size) == ([[4, 4], 4], 4)


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_stateful_calls_follow_each_other(layer: str, agree: Any) -> None:
    theirs, ours = agree(lambda L: getattr(L, layer)(4, stateful=True, return_sequences=True), X, stateful=True)
    for a, b in zip(ours.states, theirs.states, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-5, atol=1e-6)
    ours.reset_state()
    assert not any(s.numpy().any() for s in ours.states)
