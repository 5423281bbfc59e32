"""What every layer must hold: it comes back from its config, its gradients are right, in float64 and twice, it refuses
wrong arguments, and a model with it learns.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit import ops
from layerkit.errors import ArgumentError, LayerkitError
from layerkit.functions import value_and_grad
from layerkit.models.config import model_config, model_from_config

FLAT, SERIES, IMAGE, VOLUME, TOKENS, PICTURE = (6,), (5, 3), (6, 6, 2), (3, 4, 3, 2), "tokens", (4, 5, 3)
RANGE = {"value_range": (-9, 9)}
CASES: dict[str, tuple[Any, Any]] = {
    "Dense": (lambda **k: L.Dense(4, activation="tanh", **k), FLAT),
    "EinsumDense": (lambda **k: L.EinsumDense("abc,cde->abde", (None, 2, 3), "tanh", "de", **k), SERIES),
    "Activation": (lambda **k: L.Activation("gelu", **k), FLAT),
    "ReLU": (lambda **k: L.ReLU(1.5, 0.1, 0.2, **k), FLAT),
    "Embedding": (lambda **k: L.Embedding(9, 3, **k), TOKENS),
    "ReversibleEmbedding": (lambda **k: L.ReversibleEmbedding(9, 3, **k), TOKENS),
    "PositionEmbedding": (lambda **k: L.PositionEmbedding(9, **k), SERIES),
    "SinePositionEncoding": (lambda **k: _Added(L.SinePositionEncoding(**k), **k), SERIES),
    "Masking": (lambda **k: L.Masking(**k), SERIES),
    "Conv1D": (lambda **k: L.Conv1D(4, 3, strides=2, padding="same", **k), SERIES),
    "Conv2D": (lambda **k: L.Conv2D(4, (3, 2), dilation_rate=2, activation="sigmoid", **k), IMAGE),
    "DepthwiseConv2D": (lambda **k: L.DepthwiseConv2D((3, 2), 2, "same", 2, activation="tanh", **k), IMAGE),
    "Conv1DTranspose": (lambda **k: L.Conv1DTranspose(3, 3, 2, output_padding=1, **k), SERIES),
    "Conv2DTranspose": (lambda **k: L.Conv2DTranspose(2, (3, 2), (2, 1), "same", activation="tanh", **k), IMAGE),
    "Conv3D": (lambda **k: L.Conv3D(2, 2, (1, 2, 1), "same", data_format="channels_first", **k), VOLUME),
    "Conv3DTranspose": (lambda **k: L.Conv3DTranspose(2, (2, 1, 2), (1, 2, 1), **k), VOLUME),
    "DepthwiseConv1D": (lambda **k: L.DepthwiseConv1D(2, 1, "same", 2, activation="tanh", **k), SERIES),
    "SeparableConv1D": (lambda **k: L.SeparableConv1D(4, 3, depth_multiplier=2, **k), SERIES),
    "SeparableConv2D": (lambda **k: L.SeparableConv2D(4, (3, 2), 2, "same", **k), IMAGE),
    "UpSampling1D": (lambda **k: L.UpSampling1D(3, **k), SERIES),
    "UpSampling3D": (lambda **k: L.UpSampling3D((1, 2, 3), **k), VOLUME),
    "UpSampling2D": (lambda **k: L.UpSampling2D((2, 3), interpolation="bicubic", **k), IMAGE),
    "MaxPooling1D": (lambda **k: L.MaxPooling1D(2, **k), SERIES),
    "MaxPooling2D": (lambda **k: L.MaxPooling2D((3, 2), 1, "same", **k), IMAGE),
    "AveragePooling1D": (lambda **k: L.AveragePooling1D(3, 1, "same", **k), SERIES),
    "AveragePooling2D": (lambda **k: L.AveragePooling2D(2, **k), IMAGE),
    "MaxPooling3D": (lambda **k: L.MaxPooling3D((2, 1, 2), 1, **k), VOLUME),
    "AveragePooling3D": (lambda **k: L.AveragePooling3D(2, padding="same", **k), VOLUME),
    "AdaptiveAveragePooling1D": (lambda **k: L.AdaptiveAveragePooling1D(3, **k), SERIES),
    "AdaptiveAveragePooling2D": (lambda **k: L.AdaptiveAveragePooling2D((2, 4), **k), IMAGE),
    "AdaptiveAveragePooling3D": (lambda **k: L.AdaptiveAveragePooling3D(2, **k), VOLUME),
    "AdaptiveMaxPooling1D": (lambda **k: L.AdaptiveMaxPooling1D(3, **k), SERIES),
    "AdaptiveMaxPooling2D": (lambda **k: L.AdaptiveMaxPooling2D((2, 4), **k), IMAGE),
    "AdaptiveMaxPooling3D": (lambda **k: L.AdaptiveMaxPooling3D(2, **k), VOLUME),
    "GlobalAveragePooling3D": (lambda **k: L.GlobalAveragePooling3D(**k), VOLUME),
    "GlobalMaxPooling3D": (lambda **k: L.GlobalMaxPooling3D(keepdims=True, **k), VOLUME),
    "GlobalAveragePooling1D": (lambda **k: L.GlobalAveragePooling1D(**k), SERIES),
    "GlobalAveragePooling2D": (lambda **k: L.GlobalAveragePooling2D(keepdims=True, **k), IMAGE),
    "GlobalMaxPooling1D": (lambda **k: L.GlobalMaxPooling1D(**k), SERIES),
    "GlobalMaxPooling2D": (lambda **k: L.GlobalMaxPooling2D(**k), IMAGE),
    "Flatten": (lambda **k: L.Flatten(**k), IMAGE),
    "Reshape": (lambda **k: L.Reshape((3, -1), **k), FLAT),
    "ZeroPadding1D": (lambda **k: L.ZeroPadding1D((2, 1), **k), SERIES),
    "ZeroPadding2D": (lambda **k: L.ZeroPadding2D(((1, 0), (2, 1)), **k), IMAGE),
    "ZeroPadding3D": (lambda **k: L.ZeroPadding3D((1, 0, 2), **k), VOLUME),
    "Cropping1D": (lambda **k: L.Cropping1D((1, 0), **k), SERIES),
    "Cropping2D": (lambda **k: L.Cropping2D(((1, 0), (2, 1)), **k), IMAGE),
    "Cropping3D": (lambda **k: L.Cropping3D(((1, 0), (1, 1), (0, 1)), **k), VOLUME),
    "Permute": (lambda **k: L.Permute((2, 3, 1), **k), IMAGE),
    "RepeatVector": (lambda **k: L.RepeatVector(3, **k), FLAT),
    "Identity": (lambda **k: L.Identity(**k), FLAT),
    "LeakyReLU": (lambda **k: L.LeakyReLU(0.1, **k), FLAT),
    "PReLU": (lambda **k: L.PReLU(shared_axes=[1], **k), SERIES),
    "ELU": (lambda **k: L.ELU(0.5, **k), FLAT),
    "Softmax": (lambda **k: L.Softmax((1, 2), **k), SERIES),
    "SpatialDropout1D": (lambda **k: L.SpatialDropout1D(0.3, seed=3, **k), SERIES),
    "SpatialDropout2D": (lambda **k: L.SpatialDropout2D(0.3, seed=3, **k), IMAGE),
    "SpatialDropout3D": (lambda **k: L.SpatialDropout3D(0.3, seed=3, **k), VOLUME),
    "GaussianNoise": (lambda **k: L.GaussianNoise(0.1, seed=3, **k), FLAT),
    "GaussianDropout": (lambda **k: L.GaussianDropout(0.1, seed=3, **k), FLAT),
    "AlphaDropout": (lambda **k: L.AlphaDropout(0.1, seed=3, **k), FLAT),
    "ActivityRegularization": (lambda **k: L.ActivityRegularization(0.0, 0.001, **k), FLAT),
    "Rescaling": (lambda **k: L.Rescaling([0.5, 2.0, 1.5], 1.0, **k), SERIES),
    "Normalization": (lambda **k: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], **k), SERIES),
    "CategoryEncoding": (lambda **k: L.CategoryEncoding(9, "count", **k), TOKENS),
    "Discretization": (lambda **k: L.Discretization([-1.0, 0.5], output_mode="count", **k), FLAT),
    "MelSpectrogram": (lambda **k: _Heard(L.MelSpectrogram(8, 2, sampling_rate=8000, num_mel_bins=2, **k), **k), FLAT),
    "Resizing": (lambda **k: L.Resizing(4, 9, "bicubic", **k), IMAGE),
    "CenterCrop": (lambda **k: L.CenterCrop(3, 7, **k), IMAGE),
    "RandomCrop": (lambda **k: L.RandomCrop(3, 4, **k), IMAGE),
    "RandomFlip": (lambda **k: L.RandomFlip("horizontal", **k), IMAGE),
    "RandomTranslation": (lambda **k: L.RandomTranslation((0.1, 0.1), (0.3, 0.3), **k), IMAGE),
    "RandomRotation": (lambda **k: L.RandomRotation((0.1, 0.1), "constant", **k), IMAGE),
    "RandomZoom": (lambda **k: L.RandomZoom((-0.3, -0.3), (0.2, 0.2), "wrap", **k), IMAGE),
    "RandomShear": (lambda **k: L.RandomShear((0.1, 0.1), (0.3, 0.3), **k), IMAGE),
    "RandomSaturation": (lambda **k: L.RandomSaturation((0.3, 0.3), **RANGE, **k), PICTURE),
    "RandomHue": (lambda **k: L.RandomHue((0.3, 0.3), **RANGE, **k), PICTURE),
    "RandomColorJitter": (lambda **k: L.RandomColorJitter((-9, 9), 0.1, saturation_factor=0.4, **k), PICTURE),
    "RandomGrayscale": (lambda **k: L.RandomGrayscale(1.0, **k), PICTURE),
    "RandomColorDegeneration": (lambda **k: L.RandomColorDegeneration((0.3, 0.3), **RANGE, **k), PICTURE),
    "RandomInvert": (lambda **k: L.RandomInvert((1.0, 1.0), **RANGE, **k), PICTURE),
    "RandomSharpness": (lambda **k: L.RandomSharpness((0.8, 0.8), **RANGE, **k), PICTURE),
    "RandomGaussianBlur": (lambda **k: L.RandomGaussianBlur((1.0, 1.0), 5, (0.7, 0.7), **RANGE, **k), PICTURE),
    "RandomPosterization": (lambda **k: L.RandomPosterization(3, **RANGE, **k), PICTURE),
    "RandomErasing": (lambda **k: L.RandomErasing(scale=(0.5, 0.5), **RANGE, **k), PICTURE),
    "Solarization": (lambda **k: L.Solarization((0.1, 0.1), (0.5, 0.5), **RANGE, **k), PICTURE),
    "AutoContrast": (lambda **k: L.AutoContrast(**RANGE, **k), PICTURE),
    "MixUp": (lambda **k: _Pictures(L.MixUp(1.0, **k), **k), PICTURE),
    "CutMix": (lambda **k: _Pictures(L.CutMix(**k), **k), PICTURE),
    "RandomContrast": (lambda **k: L.RandomContrast((0.0, 0.0), (-9, 9), **k), IMAGE),
    "RandomBrightness": (lambda **k: L.RandomBrightness((0.1, 0.1), (-9, 9), **k), IMAGE),
    "Dropout": (lambda **k: L.Dropout(0.4, seed=3, **k), FLAT),
    "BatchNormalization": (lambda **k: L.BatchNormalization(**k), IMAGE),
    "GroupNormalization": (lambda **k: L.GroupNormalization(-1, **k), IMAGE),
    "RMSNormalization": (lambda **k: L.RMSNormalization(**k), SERIES),
    "UnitNormalization": (lambda **k: L.UnitNormalization((1, 2), **k), SERIES),
    "SpectralNormalization": (lambda **k: L.SpectralNormalization(L.Dense(3, **k), **k), FLAT),
    "LayerNormalization": (lambda **k: L.LayerNormalization(axis=(1, 2), **k), SERIES),
    "SimpleRNN": (lambda **k: L.SimpleRNN(4, return_sequences=True, **k), SERIES),
    "GRU": (lambda **k: L.GRU(4, go_backwards=True, **k), SERIES),
    "LSTM": (lambda **k: L.LSTM(4, return_sequences=True, **k), SERIES),
    "RNN": (lambda **k: L.RNN([L.LSTMCell(3, **k), L.GRUCell(2, **k)], go_backwards=True, **k), SERIES),
    "ConvLSTM1D": (lambda **k: _Framed(L.ConvLSTM1D(2, 2, padding="same", **k), (6,), **k), SERIES),
    "ConvLSTM2D": (lambda **k: _Framed(L.ConvLSTM2D(2, 2, return_sequences=True, **k), (2, 3), **k), SERIES),
    "ConvLSTM3D": (lambda **k: _Framed(L.ConvLSTM3D(2, (1, 2, 1), **k), (1, 2, 3), **k), SERIES),
    "Bidirectional": (lambda **k: L.Bidirectional(L.LSTM(3, **k), **k), SERIES),
    "TimeDistributed": (lambda **k: L.TimeDistributed(L.Dense(3, activation="tanh", **k), **k), SERIES),
    "MultiHeadAttention": (lambda **k: _SelfAttention(L.MultiHeadAttention(2, 3, use_gate=True, **k), **k), SERIES),
    "GroupedQueryAttention": (lambda **k: _SelfAttention(L.GroupedQueryAttention(3, 4, 2, **k), **k), SERIES),
    "Attention": (lambda **k: _Listed(L.Attention(True, **k), **k), SERIES),
    "AdditiveAttention": (lambda **k: _Listed(L.AdditiveAttention(**k), **k), SERIES),
    "Add": (lambda **k: _Merged(L.Add(**k), **k), FLAT),
    "Subtract": (lambda **k: _Merged(L.Subtract(**k), **k), FLAT),
    "Multiply": (lambda **k: _Merged(L.Multiply(**k), **k), FLAT),
    "Average": (lambda **k: _Merged(L.Average(**k), **k), FLAT),
    "Maximum": (lambda **k: _Merged(L.Maximum(**k), **k), FLAT),
    "Minimum": (lambda **k: _Merged(L.Minimum(**k), **k), FLAT),
    "Dot": (lambda **k: _Merged(L.Dot(1, normalize=True, **k), **k), SERIES),
    "Concatenate": (lambda **k: _Merged(L.Concatenate(**k), **k), FLAT),
}

RANDOM = {n for n in CASES if "Dropout" in n or "Noise" in n} | {
    "BatchNormalization",
    "CutMix",
    "MixUp",
    "RandomColorJitter",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomHue",
    "RandomPosterization",
    "RandomShear",
    "SpectralNormalization",
}
"""Layers whose numbers in training are not a function of their input alone."""


class _Merged(L.Layer):
    """Two tensors made of one, merged."""

    def __init__(self, merge: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.merge = merge

    def call(self, inputs: Any) -> Any:
        return self.merge([inputs, ops.sin(inputs) * 2.0])


class _Added(L.Layer):
    """What a layer makes of its input, added to it."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, inputs: Any) -> Any:
        return inputs + self.layer(inputs)


class _Pictures(L.Layer):
    """Pictures that are mixed with their labels, of which there is one."""

    def __init__(self, mix: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mix = mix

    def call(self, inputs: Any) -> Any:
        return self.mix({"images": inputs, "labels": ops.mean(inputs, (1, 2))})["images"]


class _Heard(L.Layer):
    """Numbers as a sound."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, inputs: Any) -> Any:
        return self.layer(ops.concatenate([inputs, ops.sin(inputs), ops.cos(inputs)], -1))


class _Framed(L.Layer):
    """A series of vectors, each folded into frames of one channel for a layer over frames."""

    def __init__(self, layer: Any, frame: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer, self.frame = layer, frame

    def call(self, inputs: Any) -> Any:
        twice = ops.concatenate([inputs, inputs * 0.5], -1)
        return self.layer(ops.reshape(twice, (*inputs.shape[:2], *self.frame, 1)))


class _SelfAttention(L.Layer):
    """A series that attends to itself."""

    def __init__(self, attention: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = attention

    def call(self, inputs: Any) -> Any:
        return self.attention(inputs, inputs, use_causal_mask=True)


class _Listed(_SelfAttention):
    """The same, with query and value as a list."""

    def call(self, inputs: Any) -> Any:
        return self.attention([inputs, ops.sin(inputs)], use_causal_mask=True)


def batch(shape: Any, dtype: str = "float64", rows: int = 4) -> np.ndarray:
    rng = np.random.default_rng(2)
    if shape == TOKENS:
        return rng.integers(0, 9, (rows, 5)).astype("int32")
    return rng.permutation(np.linspace(-2, 2, rows * int(np.prod(shape)))).reshape(rows, *shape).astype(dtype)


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_finite_differences_twice(name: str) -> None:
    make, shape = CASES[name]
    layer = make(dtype="float64")
    x = batch(shape)
    layer(x)
    rng = np.random.default_rng(3)
    for weight in layer.weights:
        weight.array = rng.uniform(0.2, 0.9, weight.shape)
    weights = layer.trainable_weights
    given = ([] if x.dtype.kind == "i" else [x]) + [w.array for w in weights]
    direction = [rng.standard_normal(a.shape) for a in given]

    def loss(values: Any) -> Any:
        rest = list(values)
        inputs = rest.pop(0) if x.dtype.kind != "i" else x
        for weight, value in zip(weights, rest, strict=True):
            weight.assign(value)
        y = layer(inputs, training=name not in RANDOM)
        factor = np.random.default_rng(0).uniform(0.5, 1.5, tuple(y.shape))
        return ops.sum(y * factor) + 0.3 * ops.sum(y * y)

    def slope(values: Any) -> Any:
        _, grads = value_and_grad(loss)(values)
        return sum((ops.sum(g * d) for g, d in zip(grads, direction, strict=True)), start=0.0)

    if not given or name == "Discretization":  # no gradient flows
        return
    kept = [w.array for w in weights]

    def at(function: Any, step: float) -> float:
        found = layerkit.function(function)([a + step * d for a, d in zip(given, direction, strict=True)])
        for weight, array in zip(weights, kept, strict=True):
            weight.array = array
        return float(found)

    for function, derivative in ((loss, slope), (slope, None)):
        numeric = (at(function, 1e-5) - at(function, -1e-5)) / 2e-5
        if derivative is not None:
            np.testing.assert_allclose(at(derivative, 0.0), numeric, rtol=1e-6, atol=1e-7)
        else:

            def curve(values: Any) -> Any:
                _, grads = value_and_grad(slope)(values)
                return sum((ops.sum(g * d) for g, d in zip(grads, direction, strict=True)), start=0.0)

            np.testing.assert_allclose(at(curve, 0.0), numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("_")])
def test_a_model_with_it_learns_and_comes_back_from_its_config(name: str) -> None:
    make, shape = CASES[name]
    layerkit.utils.set_random_seed(0)
    x = batch(shape, "float32", 32)
    inputs = L.Input(x.shape[1:], dtype=str(x.dtype))
    body = inputs if shape == TOKENS else L.Dense(3)(inputs)
    h = make()(body)
    h = L.LSTM(3)(h) if name == "Masking" else h  # a mask has to be used, or its end is warned of
    model = layerkit.Model(inputs, L.Dense(2)(L.Flatten()(h)))
    custom = {c.__name__: c for c in (_Added, _Framed, _Heard, _Listed, _Merged, _Pictures, _SelfAttention)}
    copy = model_from_config(model_config(model), custom)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(x), model.predict(x))
    model.compile({"Adam": {"learning_rate": 0.01}}, "mse")
    target = np.stack([x.reshape(32, -1).mean(1), x.reshape(32, -1)[:, 0]], 1).astype("float32")
    losses = model.fit(x, target / max(1, np.abs(target).max()), epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("cls", sorted({c for c in L.LAYERS.classes.values() if c.is_own}, key=lambda c: c.__name__))
def test_unknown_arguments_are_refused_with_the_nearest(cls: Any) -> None:
    with pytest.raises(LayerkitError):
        cls(nmae="x")


def test_every_layer_has_a_case() -> None:
    own = {n for n, c in L.LAYERS.classes.items() if c.is_own and not n.startswith("_")}
    own -= {n for n in own if L.LAYERS.classes[n].is_host or L.LAYERS.classes[n].is_python_only}  # see test_texts
    assert own - set(CASES) == {
        "GRUCell",
        "InputLayer",
        "LSTMCell",
        "Model",
        "Sequential",
        "SimpleRNNCell",
        "StackedRNNCells",
        "Wrapper",
    }


def test_dropout_of_one_layer_does_not_depend_on_another() -> None:
    x = np.ones((64, 8), "float32")

    def dropped(first: bool) -> np.ndarray:
        layerkit.utils.set_random_seed(0)
        inputs = L.Input((8,))
        h = L.Dropout(0.5, name="other")(inputs) * 0.0 if first else inputs * 0.0
        model = layerkit.Model(inputs, L.Dropout(0.5, name="mine")(h + 1.0))
        model.random_state.runs = 0
        return layerkit.functions.Function(lambda v: model(v, training=True), random=model.random_state)(x)

    a, b = dropped(True), dropped(False)
    np.testing.assert_array_equal(a, b)
    assert 0.35 < (a == 0).mean() < 0.65
    assert set(np.unique(a)) == {0.0, 2.0}


class Gate(L.Layer):
    Kind = Literal["open", "shut"]
    kind: Kind = "open"

    def call(self, inputs):
        return inputs


def test_an_annotation_may_name_what_stands_in_the_class():
    assert Gate(kind="shut").config == {"kind": "shut"}
    with pytest.raises(ArgumentError, match="'kind' of Gate cannot be 'ajar'"):
        Gate(kind="ajar")
