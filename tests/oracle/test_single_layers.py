"""Single layers against Keras 3.15 on JAX, called directly: outputs, five steps of learning, batch of one, float64, masks.

A case is a function that makes the layer from either library, and its input. Keras's weights are copied. The outputs agree
to 1e-5, on both engines; then weights and input follow the gradient of a loss (regularizers included) five times, weights
are brought back by their constraints, and all agree to 1e-4. No model is built, and Keras compiles one program for each
group of cases. ``python tests/oracle/test_single_layers.py`` prints which options of which layers the cases have; the last
test says that they have all of them.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
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
from layerkit.fields import OneOf, fields, signature
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


def padded(x: np.ndarray) -> np.ndarray:
    """The same, with steps at the ends of the rows that a ``Masking`` leaves out."""
    return x * (np.arange(x.shape[1])[None, :, None] < RNG.integers(1, x.shape[1] + 1, (len(x), 1, 1)))


def first(x: np.ndarray) -> np.ndarray:
    """The same with channels before the spatial axes."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


Make = Callable[[Any], Any]
FIRST = {"data_format": "channels_first"}

CONVOLUTIONS: dict[str, tuple[Make, Any]] = {
    "conv1d": (lambda L: L.Conv1D(6, 3), series()),
    "conv1d-same-strides": (lambda L: L.Conv1D(6, 3, 3, "same"), series()),
    "conv1d-dilation": (lambda L: L.Conv1D(6, 3, dilation_rate=2), series()),
    "conv1d-groups": (lambda L: L.Conv1D(6, 3, groups=3, use_bias=False), series()),
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
    "separable-conv1d-dilation": (
        lambda L: L.SeparableConv1D(4, 2, 1, "same", dilation_rate=2, use_bias=False, activation="relu"),
        series(),
    ),
    "separable-conv2d": (lambda L: L.SeparableConv2D(4, (3, 2), padding="same", activation="tanh"), images()),
    "separable-conv2d-first": (lambda L: L.SeparableConv2D(3, 2, 2, use_bias=False, **FIRST), first(images())),
    "separable-conv1d-first": (lambda L: L.SeparableConv1D(2, 3, **FIRST), first(series())),
    "separable-conv2d-dilation": (lambda L: L.SeparableConv2D(2, 2, dilation_rate=2, depth_multiplier=2), images()),
    "depthwise-conv1d-first": (lambda L: L.DepthwiseConv1D(2, **FIRST), first(series())),
    "conv1d-transpose-first": (
        lambda L: L.Conv1DTranspose(2, 3, 2, **FIRST, use_bias=False, activation="tanh"),
        first(series()),
    ),
    "conv2d-transpose-dilation": (lambda L: L.Conv2DTranspose(2, 2, padding="same", dilation_rate=(2, 1)), images()),
    "conv3d-transpose-first": (
        lambda L: L.Conv3DTranspose(2, 2, **FIRST, use_bias=False, activation="tanh"),
        first(volumes()),
    ),
    "conv3d-transpose-dilation": (lambda L: L.Conv3DTranspose(2, 2, dilation_rate=(1, 1, 2)), volumes()),
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
    "max-pooling1d": (lambda L: L.MaxPooling1D(2, 1, "same"), series()),
    "max-pooling2d": (lambda L: L.MaxPooling2D(2), images()),
    "max-pooling2d-same": (lambda L: L.MaxPooling2D(3, 2, "same"), images()),
    "average-pooling1d": (lambda L: L.AveragePooling1D(3, 2), series()),
    "average-pooling2d-same": (lambda L: L.AveragePooling2D(2, (2, 1), "same", **FIRST), first(images())),
    "global-average-1d": (lambda L: L.GlobalAveragePooling1D(keepdims=True), series()),
    "global-average-2d": (lambda L: L.GlobalAveragePooling2D(), images()),
    "global-max-2d": (lambda L: L.GlobalMaxPooling2D(), images()),
    "max-pooling1d-first": (lambda L: L.MaxPooling1D(2, 1, **FIRST), first(series())),
    "max-pooling2d-first": (lambda L: L.MaxPooling2D((3, 2), 2, "same", **FIRST), first(images())),
    "max-pooling3d": (lambda L: L.MaxPooling3D(), volumes()),
    "max-pooling3d-same": (lambda L: L.MaxPooling3D((2, 3, 2), (1, 2, 3), "same", **FIRST), first(volumes())),
    "average-pooling1d-first": (lambda L: L.AveragePooling1D(3, 2, "same", **FIRST), first(series())),
    "average-pooling3d": (lambda L: L.AveragePooling3D(2, 1), volumes()),
    "average-pooling3d-same": (lambda L: L.AveragePooling3D((2, 3, 2), padding="same", **FIRST), first(volumes())),
    "global-average-1d-first": (lambda L: L.GlobalAveragePooling1D(**FIRST, keepdims=True), first(series())),
    "global-average-2d-first": (lambda L: L.GlobalAveragePooling2D(**FIRST, keepdims=True), first(images())),
    "global-average-3d": (lambda L: L.GlobalAveragePooling3D(), volumes()),
    "global-max-1d": (lambda L: L.GlobalMaxPooling1D(**FIRST, keepdims=True), first(series())),
    "global-max-2d-first": (lambda L: L.GlobalMaxPooling2D(**FIRST, keepdims=True), first(images())),
    "global-average-3d-first": (lambda L: L.GlobalAveragePooling3D(**FIRST, keepdims=True), first(volumes())),
    "global-max-3d": (lambda L: L.GlobalMaxPooling3D(**FIRST, keepdims=True), first(volumes())),
    "adaptive-average-1d": (lambda L: L.AdaptiveAveragePooling1D(3, **FIRST), first(series())),
    "adaptive-average-2d": (lambda L: L.AdaptiveAveragePooling2D((3, 4), **FIRST), first(images())),
    "adaptive-average-3d": (lambda L: L.AdaptiveAveragePooling3D(2, **FIRST), first(volumes())),
    "adaptive-max-1d": (lambda L: L.AdaptiveMaxPooling1D(3, **FIRST), first(series())),
    "adaptive-max-2d": (lambda L: L.AdaptiveMaxPooling2D((3, 2), **FIRST), first(images())),
    "adaptive-max-3d": (lambda L: L.AdaptiveMaxPooling3D((2, 3, 1)), volumes()),
    "adaptive-max-3d-first": (lambda L: L.AdaptiveMaxPooling3D(2, **FIRST), first(volumes())),
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
    "cropping3d": (lambda L: L.Cropping3D((1, 2, 1), **FIRST), first(volumes())),
    "up-sampling1d": (lambda L: L.UpSampling1D(3), series()),
    **{
        f"up-sampling2d-{how}": (lambda L, how=how: L.UpSampling2D((2, 3), interpolation=how), images())
        for how in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
    },
    "up-sampling2d-first": (lambda L: L.UpSampling2D((2, 3), **FIRST, interpolation="bilinear"), first(images())),
    "up-sampling3d": (lambda L: L.UpSampling3D((2, 1, 3)), volumes()),
    "up-sampling3d-first": (lambda L: L.UpSampling3D(2, **FIRST), first(volumes())),
    "zero-padding2d-first": (lambda L: L.ZeroPadding2D((1, 2), **FIRST), first(images())),
    "reshape": (lambda L: L.Reshape((5, -1)), images()),
    "identity": (lambda L: L.Identity(), series()),
}

ACTIVATIONS: dict[str, tuple[Make, Any]] = {
    "activation": (lambda L: L.Activation("gelu"), flat()),
    "activity-regularization": (lambda L: L.ActivityRegularization(0.1, 0.2), series()),
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

WHOLE = RNG.integers(0, 5, (3, 4)).astype("int32")


def full(L: Any, name: str, *args: Any, parts: tuple[str, ...] = ("kernel", "bias"), **more: Any) -> Any:
    """A layer with all that can be asked of its weights."""
    for part in parts:
        penalty, back = ("l1", "non_neg") if part == "bias" else ("l2", "unit_norm")
        more |= {f"{part}_initializer": "ones", f"{part}_regularizer": penalty, f"{part}_constraint": back}
    return getattr(L, name)(*args, **more)


def there_and_back(L: Any, **settings: Any) -> Any:
    """Numbers to vectors, and these compared with all rows of the table."""

    class ThereAndBack(L.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = L.ReversibleEmbedding(5, 3, **settings)

        def build(self, input_shape: Any) -> None:
            self.table.build(input_shape)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.table(self.table(x), reverse=True)

    return ThereAndBack()


ACTIVITY = {"activity_regularizer": "l2"}
DEPTHWISE, SEPARABLE = {"parts": ("depthwise", "bias")}, {"parts": ("depthwise", "pointwise", "bias")}
TABLE = {"parts": ("embeddings",)}

OPTIONS: dict[str, tuple[Make, Any]] = {
    "dense": (lambda L: L.Dense(4, "relu", use_bias=False), series()),
    "embedding": (lambda L: L.Embedding(5, 3, mask_zero=True), WHOLE),
    "embedding-options": (lambda L: full(L, "Embedding", 5, 3, **TABLE), WHOLE),
    "embedding-reversible": (lambda L: L.ReversibleEmbedding(5, 3, mask_zero=True, reverse_dtype="float32", logit_soft_cap=9.0), WHOLE),
    "embedding-back": (lambda L: there_and_back(L, logit_soft_cap=0.5), WHOLE),
    "embedding-back-untied": (lambda L: there_and_back(L, tie_weights=False), WHOLE),
    "embedding-untied": (lambda L: L.ReversibleEmbedding(5, 3, tie_weights=False), WHOLE),
    "embedding-reversible-options": (lambda L: full(L, "ReversibleEmbedding", 5, 3, **TABLE), WHOLE),
    "dense-options": (lambda L: full(L, "Dense", 4, **ACTIVITY), flat()),
    "einsum-options": (lambda L: full(L, "EinsumDense", "ab,bc->ac", 4, bias_axes="c"), flat()),
    "prelu-options": (lambda L: full(L, "PReLU", shared_axes=[1], parts=("alpha",)), series()),
    **{f"{name.lower()}-options": (lambda L, n=name: full(L, n, 2, 2, **ACTIVITY), x) for name, x in (
        ("Conv1D", series()), ("Conv2D", images()), ("Conv3D", volumes()), ("Conv1DTranspose", series(2, 3)),
        ("Conv2DTranspose", images(2, 3, 2)), ("Conv3DTranspose", volumes(1, 2, 2, 2)),
    )},
    **{f"{name.lower()}-options": (lambda L, n=name: full(L, n, 2, **DEPTHWISE, **ACTIVITY), x) for name, x in (
        ("DepthwiseConv1D", series()), ("DepthwiseConv2D", images()),
    )},
    **{f"{name.lower()}-options": (lambda L, n=name: full(L, n, 2, 2, **SEPARABLE, **ACTIVITY), x) for name, x in (
        ("SeparableConv1D", series()), ("SeparableConv2D", images()),
    )},
}  # fmt: skip


def masked(L: Any, name: str, **settings: Any) -> Any:
    """A layer on what ``Masking`` puts out, and the mean over the steps that count after it."""

    class Masked(L.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.mask, self.pool, self.inner = L.Masking(), L.GlobalAveragePooling1D(), getattr(L, name)(**settings)

        def build(self, input_shape: Any) -> None:
            self.built = True

        def call(self, x: Any) -> Any:
            return self.pool(self.inner([self.mask(v) for v in x] if isinstance(x, list) else self.mask(x)))

    return Masked()


STEPS = [padded(series()), padded(series())]

MASKED: dict[str, tuple[Make, Any]] = {
    **{f"masked-{name.lower()}": (lambda L, n=name: masked(L, n), STEPS)
       for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")},
    "masked-mean": (lambda L: masked(L, "Identity"), STEPS[0]),
    "masked-relu": (lambda L: masked(L, "ReLU"), STEPS[0]),
    "masked-concatenate-steps": (lambda L: masked(L, "Concatenate", axis=1), STEPS),
    "masked-concatenate-features": (lambda L: masked(L, "Concatenate"), STEPS),
    "masking": (lambda L: L.Masking(0.0), STEPS[0]),
}  # fmt: skip

GROUPS = [CONVOLUTIONS, POOLING, SHAPES, ACTIVATIONS, MERGING, EINSUM, OPTIONS, MASKED]


def shapes(x: Any) -> Any:
    return [shapes(a) for a in x] if isinstance(x, list) else tuple(x.shape)


def rows(x: Any, count: int) -> Any:
    return [a[:count] for a in x] if isinstance(x, list) else x[:count]


def close(found: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=tolerance, atol=tolerance)


def weights_of(layer: Any) -> list[np.ndarray]:
    """Weights that are no defaults."""
    rng = np.random.default_rng(3)
    return [(rng.uniform(0.1, 0.6, w.shape) * rng.choice([1, 1, -1], w.shape)).astype("float32") for w in layer.weights]


def factor_of(shape: Any) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def learned(x: Any) -> list[np.ndarray]:
    """What of an input follows the gradient: whole numbers do not."""
    return [a for a in (x if isinstance(x, list) else [x]) if a.dtype.kind == "f"]


def again(x: Any, floats: Any) -> Any:
    """An input like ``x`` with other numbers in it."""
    return list(floats) if isinstance(x, list) else floats[0] if len(floats) else x


def follow(step: Callable[[Any], Any], state: Any, back: Callable[[Any], Any]) -> tuple[Any, list[Any], Any]:
    """The first outputs, the losses of five steps down the gradient, and where they lead."""
    outputs, losses = [], []
    for _ in range(5):
        (loss, y), slopes = step(state)
        outputs.append(y)
        losses.append(loss)
        state = back(jax.tree.map(lambda a, g: np.asarray(a - RATE * np.asarray(g)), state, slopes))
    return outputs[0], losses, state


def brought_back(layer: Any, state: Any) -> Any:
    """The state with its weights as their constraints want them."""
    pairs = zip(layer.trainable_weights, state[0], strict=True)
    return [np.asarray(a) if w.constraint is None else np.asarray(w.constraint(a)) for w, a in pairs], state[1]


@cache
def theirs(number: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Keras's layers of a group, their first weights, and what ``follow`` finds: all in one program, for compiling takes time."""
    layers, begin, state = {}, {}, {}
    for name, (make, x) in GROUPS[number].items():
        layers[name] = make(keras.layers)
        layers[name].build(shapes(x))
        begin[name] = layers[name].get_weights()
        state[name] = weights_of(layers[name]), learned(x)

    def loss(name: str, state: Any) -> Any:
        x = again(GROUPS[number][name][1], state[1])
        y, _, added = layers[name].stateless_call(state[0], [], x, return_losses=True)
        if layers[name].activity_regularizer is not None:  # which is added by what calls stateless_call
            added.append(layers[name].activity_regularizer(y) / len(y))
        return jnp.sum(y * factor_of(y.shape)) * 0.1 + 0.05 * jnp.sum(y * y) + sum(added), y

    def step(states: Any) -> Any:
        found = {n: jax.value_and_grad(partial(loss, n), has_aux=True)(s) for n, s in states.items()}
        values = {n: v[0] for n, (v, _) in found.items()}
        return (values, {n: v[1] for n, (v, _) in found.items()}), {n: g for n, (_, g) in found.items()}

    return layers, begin, follow(jax.jit(step), state, lambda s: {n: brought_back(layers[n], v) for n, v in s.items()})


@pytest.mark.parametrize(("group", "name"), [(i, name) for i, group in enumerate(GROUPS) for name in group])
def test_outputs_and_five_steps(group: int, name: str) -> None:
    make, x = GROUPS[group][name]
    layers, begin, (outputs, losses, end) = theirs(group)
    ours, expected = make(layerkit.layers), np.asarray(outputs[name])
    assert ours.compute_output_shape(shapes(x)) == expected.shape
    weights = weights_of(layers[name])
    assert [w.shape for w in weights] == [w.shape for w in ours.weights]
    if name.endswith("options"):  # all initializers are given
        for a, b in zip(ours.get_weights(), begin[name], strict=True):
            np.testing.assert_array_equal(a, b)

    def loss(state: Any) -> Any:
        for weight, value in zip(ours.trainable_weights, state[0], strict=True):
            weight.assign(value)
        y = ours(again(x, state[1]))
        return ops.sum(y * factor_of(expected.shape)) * 0.1 + 0.05 * ops.sum(y * y) + sum(ours.losses), y

    step = value_and_grad(loss, has_aux=True)
    found, our_losses, our_end = follow(step, (weights, learned(x)), partial(brought_back, ours))
    close(found, expected, 1e-5)
    close(our_losses, [v[name] for v in losses], 1e-4)
    for a, b in zip(jax.tree.leaves(our_end), jax.tree.leaves(end[name]), strict=True):
        close(a, b, 1e-4)
    ours.set_weights(weights)
    close(layerkit.function(ours, symbolic_batch=True)(rows(x, 1)), expected[:1], 1e-5)
    if not type(ours).is_own:
        return
    wide = type(ours).from_config({**ours.get_config(), "dtype": "float64"})  # on the reference engine
    wide.compute_output_shape(shapes(x))
    wide.set_weights(weights)
    y = wide(x)
    assert y.dtype == "float64"
    close(y, expected, 1e-5)


# Layers without weights to learn, or with inputs that have no gradient -----------------------------------------------

MASK = RNG.random((3, 7, 3)) < 0.6
MASK[0, 0] = False  # nothing counts

SOUND = series(2, 200, 1)[..., 0]

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
    **{  # what is drawn at random differs: only that nothing is, where nothing should be
        f"{name}-at-rest": (lambda L, n=name, a=arguments: getattr(L, n)(0.3, *a, seed=3), x, {"training": False})
        for name, arguments, x in (
            ("Dropout", [(1, None, 3)], series()), ("AlphaDropout", [(1, None, 3)], series()),
            ("GaussianDropout", [], flat()), ("GaussianNoise", [], flat()), ("SpatialDropout1D", [], series()),
            ("SpatialDropout2D", ["channels_first"], images()), ("SpatialDropout3D", ["channels_first"], volumes()),
        )
    },
    "mel": (lambda L: L.MelSpectrogram(64, 16, num_mel_bins=9), SOUND, {}),
    "mel-one": (lambda L: L.MelSpectrogram(64, 16, num_mel_bins=9, top_db=10.0), SOUND[0], {}),
    "mel-options": (
        lambda L: L.MelSpectrogram(64, 25, 50, "hamming", 8000, 5, 100.0, 3000.0, True, 80.0, 1.0, 1e-6, 2.0), SOUND, {}
    ),
    "mel-powers": (lambda L: L.MelSpectrogram(64, 32, window=None, num_mel_bins=4, power_to_db=False, mag_exp=1.0), SOUND, {}),
    "lambda-all": (lambda L: L.Lambda(lambda x: x + 1, output_shape=(5,), mask=None), flat(), {}),
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


# Which options of which layers the cases have ------------------------------------------------------------------------

FILES = (
    "activation",
    "conv",
    "dense",
    "einsum",
    "function",
    "merging",
    "pooling",
    "regularization",
    "reshaping",
    "upsampling",
)
LAYERS = sorted(
    n for n, c in vars(layerkit.layers).items()
    if inspect.isclass(c) and c.__name__ == n and c.__module__.removeprefix("layerkit.layers.") in FILES
)  # fmt: skip
ELSEWHERE = {
    "weights": "tests/layers/test_keras_api.py",
    "lora_rank": "to come", "lora_alpha": "to come", "quantization_config": "to come", "gptq_unpacked_column_size": "to come",
}  # fmt: skip


class _Asked:
    """``layers``, noting what they are asked for."""

    Layer = layerkit.layers.Layer

    def __init__(self) -> None:
        self.cases: dict[str, int] = dict.fromkeys(LAYERS, 0)
        self.values: dict[tuple[str, str], set[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        cls = getattr(layerkit.layers, name)

        def make(*args: Any, **kwargs: Any) -> Any:
            self.cases[name] = self.cases.get(name, 0) + 1
            for argument, value in signature(cls).bind(*args, **kwargs).arguments.items():
                self.values.setdefault((name, argument), set()).add(str(value))
            return cls(*args, **kwargs)

        return make


def wanted(name: str) -> dict[str, set[str]]:
    """The options of a layer of Keras, and the values that each has to have had: all words, both truths, else any."""
    theirs = list(inspect.signature(getattr(keras.layers, name).__init__).parameters.values())[1:]
    own, found = fields(getattr(layerkit.layers, name)), {}
    for p in theirs:
        if p.kind is not p.VAR_KEYWORD and p.name not in ("name", "dtype", *ELSEWHERE):
            check = own[p.name].check if p.name in own else None
            choices = set(check.choices) if isinstance(check, OneOf) else set()
            choices |= {True, False} if isinstance(p.default, bool) else set()
            found[p.name] = {str(c) for c in choices - {p.default, None, "channels_last"}}
    return found


@cache
def asked() -> _Asked:
    seen = _Asked()
    for make, *_ in [case for group in (*GROUPS, OUTPUTS) for case in group.values()]:
        make(seen)
    return seen


def lacking(name: str) -> list[str]:
    """The options, and their values, that no case has."""
    seen = asked().values
    return [o for o in wanted(name) if (name, o) not in seen] + [
        f"{o}={v}" for o, values in wanted(name).items() for v in sorted(values - seen.get((name, o), set()))
    ]


def table() -> str:
    lines = [f"{'layer':28}cases  options"]
    for name in LAYERS:
        missing = lacking(name)
        count = sum(max(1, len(values)) for values in wanted(name).values())
        lines.append(f"{name:28}{asked().cases[name]:5}  {count - len(missing)} of {count}  {' '.join(missing)}")
    return "\n".join([*lines, "elsewhere", *(f"    {name:26} {where}" for name, where in ELSEWHERE.items())])


def test_cases_have_all_options() -> None:
    print(table())
    assert {name: found for name in LAYERS if (found := lacking(name))} == {}
    assert all(asked().cases.values())


if __name__ == "__main__":
    print(table())
