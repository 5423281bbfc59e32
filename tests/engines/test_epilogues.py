"""Loops that become part of the product before them: fewer kernels, the same numbers."""

from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import layers, ops
from layerkit.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    Input,
    ReLU,
)


def dense(units: int) -> layerkit.Model:
    x = Input((7,))
    y = Dense(units, "relu")(x)
    z = Add()([Dense(units)(y), y])
    return layerkit.Model(x, ReLU(6.0)(z))


def convolutional(filters: int, strides: int, **options: Any) -> layerkit.Model:
    x = Input((9, 8, 16))
    y = ReLU()(BatchNormalization()(Conv2D(filters, 3, strides, padding="same", use_bias=False, **options)(x)))
    z = BatchNormalization()(Conv2D(filters, 3, padding="same", **options)(y))
    return layerkit.Model(x, Activation("relu")(Add()([z, y])))


def series() -> layerkit.Model:
    x = Input((12, 3))
    y = Conv1D(20, 5, activation="relu")(x)
    y = Conv1D(20, 3, activation="relu", dilation_rate=2)(y)
    return layerkit.Model(x, Dense(3)(Flatten()(y)))


def transposed() -> layerkit.Model:
    x = Input((5, 4, 3))
    return layerkit.Model(x, Conv2DTranspose(18, 3, 2, activation="relu")(x))


MODELS = {
    "dense-5": lambda: dense(5), "dense-70": lambda: dense(70), "winograd": lambda: convolutional(16, 1),
    "winograd-odd": lambda: convolutional(21, 1), "strides": lambda: convolutional(24, 2), "groups": lambda: convolutional(32, 1, groups=2),
    "dilation": lambda: convolutional(17, 1, dilation_rate=2), "series": series, "transposed": transposed,
}  # fmt: skip


def program(model: layerkit.Model, x: np.ndarray) -> Any:
    function = model._function("predict")
    return function.trace([x], layerkit.tree.flatten((x,))[1]).program


@pytest.mark.parametrize("name", MODELS)
def test_predictions_agree_with_the_reference(name: str) -> None:
    rng = np.random.default_rng(5)
    found = []
    for engine in ("reference", "llvm"):
        layerkit.utils.set_random_seed(2)
        model = MODELS[name]()
        model.compile(engine=engine)
        rng = np.random.default_rng(5)
        model.set_weights([rng.uniform(0.1, 1.0, w.shape) * rng.choice([-0.3, 1.0]) for w in model.get_weights()])
        for layer in model.layers:
            if isinstance(layer, BatchNormalization):
                layer.moving_variance.assign(np.abs(layer.moving_variance.numpy()) + 0.5)
        x = rng.standard_normal((7, *model.inputs[0].shape[1:])).astype("float32")
        found.append([model.predict(x[:n], verbose=0) for n in (1, 3, 7)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4 * np.abs(a).max())


@pytest.mark.parametrize(
    ("name", "most"), [("dense-5", 3), ("winograd", 2), ("strides", 2), ("dilation", 2), ("series", 4)]
)
def test_only_products_are_left(name: str, most: int) -> None:
    model = MODELS[name]()
    x = np.zeros((2, *model.inputs[0].shape[1:]), "float32")
    model.predict(x, verbose=0)
    lowered = program(model, x).compilation.lowered()
    late = [k for phase in lowered.schedule.phases[lowered.schedule.prologue :] for s in phase for k in s.kernels]
    assert len(late) <= most, [k.what for k in late]


def test_what_others_read_stays() -> None:
    """Sums that are read twice, that are returned, or read at another place."""

    class Odd(layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight((shape[-1], 6), name="kernel")

        def call(self, x: Any) -> Any:
            sums = ops.matmul(x, self.kernel)
            turned = ops.flip(sums, -1)
            return sums, ops.relu(sums) + turned, ops.relu(ops.matmul(x, self.kernel * 2.0)) * ops.mean(x)

    found = []
    for engine in ("reference", "llvm"):
        layerkit.utils.set_random_seed(4)
        x = Input((5,))
        model = layerkit.Model(x, Odd()(x))
        model.compile(engine=engine)
        found.append(model.predict(np.arange(15, dtype="float32").reshape(3, 5) - 7, verbose=0))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
