"""Single layers against Keras 3.15 on JAX, called directly: outputs, five steps of learning, batch of one, float64.

A case is a function that makes the layer from either library, and its input. Keras's weights are copied. The outputs agree
to 1e-5, on both engines; then weights and input follow the gradient of a loss five times, and agree to 1e-4. No model is
built, and Keras compiles one program for each group of cases.
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
from layerkit import ops
from layerkit.functions import value_and_grad

RNG = np.random.default_rng(11)
RATE = 0.1  # of learning


def series(rows: int = 3, time: int = 7, features: int = 3) -> np.ndarray:
    return RNG.standard_normal((rows, time, features)).astype("float32")


def images(rows: int = 2, height: int = 7, width: int = 5, channels: int = 2) -> np.ndarray:
    return RNG.standard_normal((rows, height, width, channels)).astype("float32")


def volumes(rows: int = 2, depth: int = 3, height: int = 5, width: int = 4, channels: int = 2) -> np.ndarray:
    return RNG.standard_normal((rows, depth, height, width, channels)).astype("float32")


def flat(rows: int = 3, features: int = 5) -> np.ndarray:
    return RNG.standard_normal((rows, features)).astype("float32")


def first(x: np.ndarray) -> np.ndarray:
    """The same with channels before the spatial axes."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


Make = Callable[[Any], Any]
FIRST = {"data_format": "channels_first"}

CONVOLUTIONS: dict[str, tuple[Make, Any]] = {
    "conv1d": (lambda L: L.Conv1D(6, 3), series()),
    "conv1d-same-strides": (lambda L: L.Conv1D(6, 3, 3, "same"), series()),
    "conv1d-dilation": (lambda L: L.Conv1D(6, 3, dilation_rate=2), series()),
    "conv1d-groups": (lambda L: L.Conv1D(6, 3, groups=3), series()),
    "conv2d": (lambda L: L.Conv2D(8, 3), images(channels=4)),
    "conv2d-same": (lambda L: L.Conv2D(8, 3, padding="same", activation="relu"), images(channels=4)),
    "conv2d-same-strides": (lambda L: L.Conv2D(8, 3, 2, "same"), images(channels=4)),
    "conv2d-strides": (lambda L: L.Conv2D(8, (2, 3), (2, 1)), images(channels=4)),
    "conv2d-dilation": (lambda L: L.Conv2D(8, 3, dilation_rate=2), images(channels=4)),
    "conv2d-same-dilation": (lambda L: L.Conv2D(8, 3, padding="same", dilation_rate=(1, 2)), images(channels=4)),
    "conv2d-groups": (lambda L: L.Conv2D(8, 3, padding="same", groups=2), images(channels=4)),
    "conv2d-depthwise": (lambda L: L.Conv2D(8, 3, padding="same", groups=4, use_bias=False), images(channels=4)),
    "conv2d-1x1": (lambda L: L.Conv2D(8, 1), images(channels=4)),
    "depthwise-conv2d": (lambda L: L.DepthwiseConv2D(3, activation="relu"), images()),
    "depthwise-conv2d-multiplier": (lambda L: L.DepthwiseConv2D((2, 3), 2, "same", 3, use_bias=False), images()),
    "depthwise-conv2d-dilation": (lambda L: L.DepthwiseConv2D(3, dilation_rate=2), images()),
    "conv1d-causal": (lambda L: L.Conv1D(4, 3, padding="causal"), series()),
    "conv1d-causal-dilation": (lambda L: L.Conv1D(4, 2, padding="causal", dilation_rate=3, groups=1), series()),
    "conv1d-causal-strides": (lambda L: L.Conv1D(3, 3, 2, "causal", activation="tanh"), series()),
    "conv1d-first": (lambda L: L.Conv1D(4, 3, 2, "causal", **FIRST), first(series())),
    "conv2d-first": (lambda L: L.Conv2D(4, (3, 2), 2, "same", **FIRST), first(images())),
    "conv3d": (lambda L: L.Conv3D(3, (2, 3, 2)), volumes()),
    "conv3d-same-strides": (lambda L: L.Conv3D(4, 2, (1, 2, 2), "same", groups=2, activation="relu"), volumes()),
    "conv3d-dilation": (lambda L: L.Conv3D(2, (1, 2, 2), dilation_rate=(1, 2, 1), use_bias=False), volumes()),
    "conv3d-first": (lambda L: L.Conv3D(2, 2, **FIRST), first(volumes())),
    "depthwise-conv1d": (lambda L: L.DepthwiseConv1D(3, 2, "same", 2, activation="relu"), series()),
    "depthwise-conv1d-dilation": (lambda L: L.DepthwiseConv1D(2, dilation_rate=2, use_bias=False), series()),
    "depthwise-conv2d-first": (lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, **FIRST), first(images())),
    "separable-conv1d": (lambda L: L.SeparableConv1D(4, 3, 2, depth_multiplier=2), series()),
    "separable-conv1d-dilation": (lambda L: L.SeparableConv1D(4, 2, 1, "same", dilation_rate=2), series()),
    "separable-conv2d": (lambda L: L.SeparableConv2D(4, (3, 2), padding="same", activation="tanh"), images()),
    "separable-conv2d-first": (lambda L: L.SeparableConv2D(3, 2, 2, use_bias=False, **FIRST), first(images())),
    "conv1d-transpose": (lambda L: L.Conv1DTranspose(4, 3), series()),
    "conv1d-transpose-same": (lambda L: L.Conv1DTranspose(2, 4, 3, "same"), series()),
    "conv1d-transpose-dilation": (lambda L: L.Conv1DTranspose(2, 3, 1, "same", dilation_rate=2), series()),
    "conv1d-transpose-wide": (lambda L: L.Conv1DTranspose(2, 2, 4, output_padding=3), series()),
    "conv2d-transpose": (lambda L: L.Conv2DTranspose(3, (3, 2), (2, 3), use_bias=False), images()),
    "conv2d-transpose-same": (lambda L: L.Conv2DTranspose(3, 3, 2, "same", activation="relu"), images()),
    "conv2d-transpose-output": (lambda L: L.Conv2DTranspose(3, (4, 3), 2, "same", (0, 1)), images()),
    "conv2d-transpose-first": (lambda L: L.Conv2DTranspose(3, 3, 2, **FIRST), first(images())),
    "conv3d-transpose": (lambda L: L.Conv3DTranspose(2, 2, (1, 2, 2), "same"), volumes()),
    "conv3d-transpose-output": (lambda L: L.Conv3DTranspose(2, (1, 2, 3), 2, output_padding=1), volumes()),
}

POOLING: dict[str, tuple[Make, Any]] = {
    "max-pooling1d": (lambda L: L.MaxPooling1D(2, 1), series()),
    "max-pooling2d": (lambda L: L.MaxPooling2D(2), images()),
    "max-pooling2d-same": (lambda L: L.MaxPooling2D(3, 2, "same"), images()),
    "average-pooling1d": (lambda L: L.AveragePooling1D(3, 2), series()),
    "average-pooling2d-same": (lambda L: L.AveragePooling2D(2, padding="same"), images()),
    "global-average-1d": (lambda L: L.GlobalAveragePooling1D(keepdims=True), series()),
    "global-average-2d": (lambda L: L.GlobalAveragePooling2D(), images()),
    "global-max-2d": (lambda L: L.GlobalMaxPooling2D(), images()),
    "max-pooling1d-first": (lambda L: L.MaxPooling1D(2, 1, **FIRST), first(series())),
    "max-pooling2d-first": (lambda L: L.MaxPooling2D((3, 2), 2, "same", **FIRST), first(images())),
    "max-pooling3d": (lambda L: L.MaxPooling3D(), volumes()),
    "max-pooling3d-same": (lambda L: L.MaxPooling3D((2, 3, 2), (1, 2, 3), "same"), volumes()),
    "average-pooling1d-first": (lambda L: L.AveragePooling1D(3, 2, "same", **FIRST), first(series())),
    "average-pooling3d": (lambda L: L.AveragePooling3D(2, 1), volumes()),
    "average-pooling3d-same": (lambda L: L.AveragePooling3D((2, 3, 2), padding="same"), volumes()),
    "global-average-1d-first": (lambda L: L.GlobalAveragePooling1D(**FIRST, keepdims=True), first(series())),
    "global-average-2d-first": (lambda L: L.GlobalAveragePooling2D(**FIRST, keepdims=True), first(images())),
    "global-average-3d": (lambda L: L.GlobalAveragePooling3D(), volumes()),
    "global-max-1d": (lambda L: L.GlobalMaxPooling1D(keepdims=True), series()),
    "global-max-3d": (lambda L: L.GlobalMaxPooling3D(**FIRST), first(volumes())),
    "adaptive-average-1d": (lambda L: L.AdaptiveAveragePooling1D(3), series()),
    "adaptive-average-2d": (lambda L: L.AdaptiveAveragePooling2D((3, 4)), images()),
    "adaptive-average-3d": (lambda L: L.AdaptiveAveragePooling3D(2, **FIRST), first(volumes())),
    "adaptive-max-1d": (lambda L: L.AdaptiveMaxPooling1D(3), series()),
    "adaptive-max-2d": (lambda L: L.AdaptiveMaxPooling2D((3, 2), **FIRST), first(images())),
    "adaptive-max-3d": (lambda L: L.AdaptiveMaxPooling3D((2, 3, 1)), volumes()),
}

SHAPES: dict[str, tuple[Make, Any]] = {
    "flatten-first": (lambda L: L.Flatten("channels_first"), first(images())),
    "permute": (lambda L: L.Permute((3, 1, 2)), images()),
    "repeat-vector": (lambda L: L.RepeatVector(3), flat()),
    "zero-padding1d-first": (lambda L: L.ZeroPadding1D((1, 2), **FIRST), first(series())),
    "zero-padding3d": (lambda L: L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))), volumes()),
    "zero-padding3d-first": (lambda L: L.ZeroPadding3D((1, 0, 2), **FIRST), first(volumes())),
    "cropping1d": (lambda L: L.Cropping1D(), series()),
    "cropping1d-uneven": (lambda L: L.Cropping1D((0, 2)), series()),
    "cropping2d": (lambda L: L.Cropping2D(((1, 2), (0, 1))), images()),
    "cropping2d-first": (lambda L: L.Cropping2D((1, 2), **FIRST), first(images())),
    "cropping3d": (lambda L: L.Cropping3D(), volumes()),
    "up-sampling1d": (lambda L: L.UpSampling1D(3), series()),
    **{
        f"up-sampling2d-{how}": (lambda L, how=how: L.UpSampling2D((2, 3), interpolation=how), images())
        for how in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
    },
    "up-sampling2d-first": (lambda L: L.UpSampling2D((2, 3), **FIRST, interpolation="bilinear"), first(images())),
    "up-sampling3d": (lambda L: L.UpSampling3D((2, 1, 3)), volumes()),
    "up-sampling3d-first": (lambda L: L.UpSampling3D(2, **FIRST), first(volumes())),
    "identity": (lambda L: L.Identity(), series()),
}

ACTIVATIONS: dict[str, tuple[Make, Any]] = {
    "leaky-relu": (lambda L: L.LeakyReLU(), flat()),
    "leaky-relu-slope": (lambda L: L.LeakyReLU(0.1), series()),
    "prelu": (lambda L: L.PReLU("ones"), series()),
    "prelu-shared": (lambda L: L.PReLU(shared_axes=[1, 2]), images()),
    "elu": (lambda L: L.ELU(0.7), flat()),
    "relu-all": (lambda L: L.ReLU(1.0, 0.2, 0.3), series()),
    "softmax": (lambda L: L.Softmax(), flat()),
    "softmax-axes": (lambda L: L.Softmax((1, 2)), images()),
}

MERGING: dict[str, tuple[Make, Any]] = {
    **{name.lower(): (lambda L, n=name: getattr(L, n)(), [series(), series(), series()])
       for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")},
    "subtract": (lambda L: L.Subtract(), [series(), series()]),
    "add-ranks": (lambda L: L.Add(), [series(), flat(3, 3)]),
    "multiply-repeated": (lambda L: L.Multiply(), [series(), series(3, 1)]),
    "concatenate": (lambda L: L.Concatenate(1), [series(), series(3, 2)]),
    "dot": (lambda L: L.Dot(2), [series(), series(3, 4)]),
    "dot-axes": (lambda L: L.Dot((1, 2)), [series(), series(3, 4, 7)]),
    "dot-vectors": (lambda L: L.Dot(-1, normalize=True), [flat(), flat()]),
    "dot-mixed": (lambda L: L.Dot((3, 1)), [images(), series(2, 2)]),
}  # fmt: skip

EINSUM: dict[str, tuple[Make, Any]] = {
    "einsum-matrix": (lambda L: L.EinsumDense("ab,bc->ac", 4, "tanh", "c"), flat()),
    "einsum-last": (lambda L: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"), series()),
    "einsum-any-front": (lambda L: L.EinsumDense("...x,xy->...y", 5, bias_axes="y"), series()),
    "einsum-heads": (lambda L: L.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="d"), series()),
    "einsum-joined": (lambda L: L.EinsumDense("abcd,cde->abe", (None, 3), bias_axes="e"), images()),
    "einsum-any-back": (lambda L: L.EinsumDense("ab...,bc->ac...", (5, None), bias_axes="c"), series()),
    "einsum-each-step": (lambda L: L.EinsumDense("abc,bcd->abd", (7, 2), bias_axes="bd"), series()),
    "einsum-bare": (lambda L: L.EinsumDense("ab,bc->ac", (4,), activation="relu"), flat()),
}

GROUPS = [CONVOLUTIONS, POOLING, SHAPES, ACTIVATIONS, MERGING, EINSUM]


def shapes(x: Any) -> Any:
    return [shapes(a) for a in x] if isinstance(x, list) else tuple(x.shape)


def rows(x: Any, count: int) -> Any:
    return [a[:count] for a in x] if isinstance(x, list) else x[:count]


def close(found: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=tolerance, atol=tolerance)


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


def weights_of(layer: Any) -> list[np.ndarray]:
    """Weights that are no defaults."""
    rng = np.random.default_rng(3)
    return [(rng.uniform(0.1, 0.6, w.shape) * rng.choice([1, 1, -1], w.shape)).astype("float32") for w in layer.weights]


def factor_of(shape: Any) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def follow(step: Callable[[Any], Any], state: Any) -> tuple[Any, list[Any], Any]:
    """The first outputs, the losses of five steps down the gradient, and where they lead."""
    outputs, losses = [], []
    for _ in range(5):
        (loss, y), slopes = step(state)
        outputs.append(y)
        losses.append(loss)
        state = jax.tree.map(lambda a, g: np.asarray(a - RATE * np.asarray(g)), state, slopes)
    return outputs[0], losses, state


@cache
def theirs(number: int) -> tuple[dict[str, Any], Any]:
    """Keras's layers of a group, and what ``follow`` finds: all in one program, for compiling is what takes time."""
    layers, state = {}, {}
    for name, (make, x) in GROUPS[number].items():
        layers[name] = make(keras.layers)
        layers[name].build(shapes(x))
        state[name] = weights_of(layers[name]), x

    def loss(name: str, state: Any) -> Any:
        y, _ = layers[name].stateless_call(state[0], [], state[1])
        return jnp.sum(y * factor_of(y.shape)) * 0.1 + 0.05 * jnp.sum(y * y), y

    def step(states: Any) -> Any:
        found = {n: jax.value_and_grad(partial(loss, n), has_aux=True)(s) for n, s in states.items()}
        values = {n: v[0] for n, (v, _) in found.items()}
        return (values, {n: v[1] for n, (v, _) in found.items()}), {n: g for n, (_, g) in found.items()}

    return layers, follow(jax.jit(step), state)


@pytest.mark.parametrize(("group", "name"), [(i, name) for i, group in enumerate(GROUPS) for name in group])
def test_outputs_and_five_steps(group: int, name: str) -> None:
    make, x = GROUPS[group][name]
    layers, (outputs, losses, end) = theirs(group)
    ours, expected = make(layerkit.layers), np.asarray(outputs[name])
    assert ours.compute_output_shape(shapes(x)) == expected.shape
    weights = weights_of(layers[name])
    assert [w.shape for w in weights] == [w.shape for w in ours.weights]

    def loss(state: Any) -> Any:
        for weight, value in zip(ours.trainable_weights, state[0], strict=True):
            weight.assign(value)
        y = ours(state[1])
        return ops.sum(y * factor_of(expected.shape)) * 0.1 + 0.05 * ops.sum(y * y), y

    found, our_losses, our_end = follow(value_and_grad(loss, has_aux=True), (weights, x))
    close(found, expected, 1e-5)
    close(our_losses, [v[name] for v in losses], 1e-4)
    for a, b in zip(jax.tree.leaves(our_end), jax.tree.leaves(end[name]), strict=True):
        close(a, b, 1e-4)
    ours.set_weights(weights)
    close(layerkit.function(ours, symbolic_batch=True)(rows(x, 1)), expected[:1], 1e-5)
    wide = type(ours).from_config({**ours.get_config(), "dtype": "float64"})  # on the reference engine
    wide.compute_output_shape(shapes(x))
    wide.set_weights(weights)
    y = wide(x)
    assert y.dtype == "float64"
    close(y, expected, 1e-5)


# Layers without weights to learn, or with inputs that have no gradient -----------------------------------------------

WHOLE = RNG.integers(0, 5, (3, 4)).astype("int32")
MASK = RNG.random((3, 7, 3)) < 0.6
MASK[0, 0] = False  # nothing counts

OUTPUTS: dict[str, tuple[Make, Any, dict[str, Any]]] = {
    "rescaling": (lambda L: L.Rescaling(0.5, offset=[1.0, 2.0, 3.0]), series(), {}),
    "rescaling-whole": (lambda L: L.Rescaling(1 / 255), WHOLE, {}),
    "normalization-given": (lambda L: L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.0]), series(), {}),
    "normalization-one": (lambda L: L.Normalization(None, 1.0, 4.0, invert=True), series(), {}),
    "softmax-mask": (lambda L: L.Softmax(), series(), {"mask": MASK}),
    "softmax-axes-mask": (lambda L: L.Softmax((1, 2)), series(), {"mask": MASK}),
    **{
        f"category-encoding-{mode}-{x.ndim}d": (lambda L, m=mode: L.CategoryEncoding(5, m), x, {})
        for mode in ("one_hot", "multi_hot", "count")
        for x in (WHOLE, WHOLE[:, :1], WHOLE[:, 0])
    },
    "category-encoding-weights": (
        lambda L: L.CategoryEncoding(5, "count"), WHOLE, {"count_weights": np.linspace(0, 1, 12).reshape(3, 4)}
    ),
    **{
        f"discretization-{mode}": (lambda L, m=mode: L.Discretization([-0.5, 0.0, 0.7], output_mode=m), flat(), {})
        for mode in ("int", "one_hot", "multi_hot", "count")
    },
    **{
        f"{name}-{training}": (lambda L, n=name: getattr(L, n)(0.0), volumes() if "3D" in name else images(), {"training": training})
        for name in ("GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout2D")
        for training in (False, True)
    },
    "lambda": (lambda L: L.Lambda(lambda x, by: x * by, arguments={"by": 3.0}), flat(), {}),
}  # fmt: skip


@cache
def their_outputs() -> dict[str, Any]:
    """What Keras makes of all cases, in one program."""
    layers = {name: make(keras.layers) for name, (make, _, _) in OUTPUTS.items()}
    for name, layer in layers.items():
        layer.build(OUTPUTS[name][1].shape)

    def output(name: str, x: Any) -> Any:
        layer = layers[name]
        return layer.stateless_call([], [v.value for v in layer.non_trainable_variables], x, **OUTPUTS[name][2])[0]

    found: dict[str, Any] = jax.jit(lambda xs: {n: output(n, x) for n, x in xs.items()})(
        {name: x for name, (_, x, _) in OUTPUTS.items()}
    )
    return found


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_alone(name: str) -> None:
    make, x, call = OUTPUTS[name]
    ours, expected = make(layerkit.layers), np.asarray(their_outputs()[name])
    assert ours(x).shape == expected.shape
    close(ours(x, **call), expected, 1e-5)
    close(layerkit.function(lambda x: ours(x, **call))(x), expected, 1e-5)


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2)])
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_adapts(axis: Any, invert: bool) -> None:
    data, x = series(9) * 3 + 1, series(2)
    theirs, ours = (k.layers.Normalization(axis, invert=invert) for k in (keras, layerkit))
    theirs.adapt(data)
    ours.adapt(data)
    close(ours(x), theirs(x), 1e-5)
    close(ours.mean, theirs.mean, 1e-5)
    for a, b in zip(ours.get_weights()[:2], theirs.get_weights()[:2], strict=True):
        close(a, b, 1e-5)
    batches = layerkit.layers.Normalization(axis, invert=invert)
    batches.adapt(iter([data[:4], data[4:5], data[5:]]))
    close(batches(x), theirs(x), 1e-5)


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
