"""Activation functions, initializers, regularizers and constraints against Keras 3.15 on JAX."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import layerkit
from layerkit import ops
from layerkit.functions import value_and_grad

RNG = np.random.default_rng(11)


def flat(rows: int = 3, features: int = 5) -> np.ndarray:
    return RNG.standard_normal((rows, features)).astype("float32")


def close(found: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=tolerance, atol=tolerance)


def factor_of(shape: Any) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


FUNCTIONS = [
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh",
    "tanh_shrink",
]  # fmt: skip


POINTS = np.concatenate([flat(3, 6) * 2, np.array([[0.0, -0.5, 0.5, 1.0, -1.0, 3.0]], "float32")])


@cache
def their_functions() -> dict[str, Any]:
    """Values and slopes of Keras's activation functions, in one program."""

    def one(name: str, x: Any) -> Any:
        function = keras.activations.get(name)
        return function(x), jax.grad(lambda x: jnp.sum(function(x) * factor_of(function(x).shape)))(x)

    return jax.jit(lambda x: {name: one(name, x) for name in FUNCTIONS})(POINTS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_function(name: str) -> None:
    expected, slope = their_functions()[name]
    ours = layerkit.activations.get(name)
    (_, y), found = value_and_grad(lambda x: (ops.sum(ours(x) * factor_of(expected.shape)), ours(x)), has_aux=True)(
        POINTS
    )
    close(y, expected, 1e-5)
    close(ours(POINTS), expected, 1e-5)
    close(found[:3], slope[:3], 1e-5)  # the last row has the kinks, where any slope between the two sides will do


def test_sparsemax_is_the_nearest_point() -> None:
    """By bisection, for Keras's own takes the sums of all rows together: its rows do not add up to 1."""
    x = flat(4, 6) * 2
    low, high = x.min(1, keepdims=True) - 1, x.max(1, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        is_much = np.maximum(x - middle, 0).sum(1, keepdims=True) > 1
        low, high = np.where(is_much, middle, low), np.where(is_much, high, middle)
    close(layerkit.activations.sparsemax(x), np.maximum(x - low, 0), 1e-5)
    close(layerkit.function(lambda x: layerkit.activations.sparsemax(x, 0))(x.T), np.maximum(x - low, 0).T, 1e-5)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal_regularizer(mode: str) -> None:
    x = flat(4, 5)  # Keras's own "columns" divides columns by the lengths of rows, and fails unless there are as many
    expected = keras.regularizers.OrthogonalRegularizer(0.3)(x if mode == "rows" else x.T)
    close(layerkit.regularizers.OrthogonalRegularizer(0.3, mode)(x), expected, 1e-5)


@pytest.mark.parametrize("name", ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"])
@pytest.mark.parametrize("axis", [0, (0, 1)])
def test_constraint(name: str, axis: Any) -> None:
    arguments = {} if name == "NonNeg" else {"axis": axis}
    x = flat() * 2
    close(getattr(layerkit.constraints, name)(**arguments)(x), getattr(keras.constraints, name)(**arguments)(x), 1e-5)


@pytest.mark.parametrize(
    "arguments",
    [("real",), ("imag", "hann", "spectrum", True), ("real", "hamming", None), ("imag", None, "density", True)],
)
def test_stft_initializer(arguments: Any) -> None:
    close(layerkit.initializers.STFT(*arguments)((9, 1, 5)), keras.initializers.STFT(*arguments)((9, 1, 5)), 1e-5)


SPREAD = ["VarianceScaling", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"]


@pytest.mark.parametrize("axes", [{}, {"input_axes": (0, 1), "output_axes": (2, 3)}])
@pytest.mark.parametrize("name", SPREAD)
def test_initializers_spread_as_far(name: str, axes: dict[str, Any]) -> None:
    shape = (5, 20, 10, 7)
    theirs = np.asarray(getattr(keras.initializers, name)(seed=1, **axes)(shape))
    ours = getattr(layerkit.initializers, name)(seed=1, **axes)(shape)
    assert abs(ours.mean()) < 0.03 * ours.std()
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.03)
    np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.03)
