"""Layers that change images, against Keras 3.15 on JAX: where a factor leaves no choice, both do the same."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import keras
import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit.errors import LayerkitError, ShapeError
from layerkit.functions import Function, RandomState

RNG = np.random.default_rng(4)
IMAGES = RNG.uniform(0, 255, (2, 5, 7, 2)).astype("float32")
PICTURES = np.concatenate([IMAGES, 255 - IMAGES[..., :1]], -1)
PICTURES[0, 0, 0], PICTURES[0, 1, 1] = 7.0, 0.0  # a grey pixel and a black one
FIRST = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
Make = Callable[[Any], Any]

CASES: dict[str, tuple[Make, np.ndarray]] = {
    **{f"resizing-{how}": (lambda L, how=how: L.Resizing(3, 9, how), IMAGES)
       for how in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")},
    "resizing-antialias": (lambda L: L.Resizing(2, 3, antialias=True), IMAGES),
    "resizing-antialias-bicubic": (lambda L: L.Resizing(2, 3, "bicubic", antialias=True), IMAGES),
    "resizing-cut": (lambda L: L.Resizing(4, 4, crop_to_aspect_ratio=True), IMAGES),
    "resizing-padded": (lambda L: L.Resizing(3, 6, pad_to_aspect_ratio=True, fill_value=7.0), IMAGES),
    "resizing-padded-rows": (lambda L: L.Resizing(6, 3, pad_to_aspect_ratio=True), IMAGES),
    "resizing-whole-numbers": (lambda L: L.Resizing(3, 4), IMAGES.astype("uint8")),
    "resizing-one": (lambda L: L.Resizing(3, 4), IMAGES[0]),
    "resizing-first": (lambda L: L.Resizing(3, 4, data_format="channels_first"), FIRST),
    "center-crop": (lambda L: L.CenterCrop(2, 4), IMAGES),
    "center-crop-larger": (lambda L: L.CenterCrop(6, 3), IMAGES),
    "center-crop-whole-numbers": (lambda L: L.CenterCrop(3, 3), IMAGES.astype("uint8")),
    **{f"translation-{mode}-{how}": (lambda L, m=mode, h=how: L.RandomTranslation((-0.3, -0.3), (0.35, 0.35), m, h, fill_value=3.0), IMAGES)
       for mode in ("reflect", "wrap", "nearest", "constant") for how in ("nearest", "bilinear")},
    "translation-far": (lambda L: L.RandomTranslation((0.9, 0.9), (-1.0, -1.0)), IMAGES),
    "rotation": (lambda L: L.RandomRotation((0.1, 0.1)), IMAGES),
    "rotation-quarter": (lambda L: L.RandomRotation((-0.25, -0.25), "constant", fill_value=1.0), IMAGES),
    "rotation-nearest": (lambda L: L.RandomRotation((0.07, 0.07), interpolation="nearest"), IMAGES),
    "rotation-first": (lambda L: L.RandomRotation((0.1, 0.1), data_format="channels_first"), FIRST),
    "rotation-one": (lambda L: L.RandomRotation((0.3, 0.3)), IMAGES[0]),
    "zoom-out": (lambda L: L.RandomZoom((0.5, 0.5), (0.2, 0.2), "constant"), IMAGES),
    "zoom-in": (lambda L: L.RandomZoom((-0.4, -0.4)), IMAGES),
    "contrast-none": (lambda L: L.RandomContrast((0.0, 0.0)), IMAGES),
    "brightness": (lambda L: L.RandomBrightness((0.3, 0.3)), IMAGES),
    "brightness-range": (lambda L: L.RandomBrightness((-0.3, -0.3), (0.0, 1.0)), IMAGES / 255),
    **{f"saturation-{f}": (lambda L, f=f: L.RandomSaturation((f, f)), PICTURES) for f in (0.0, 0.3, 0.5)},
    "hue-half-a-turn": (lambda L: L.RandomHue((1.0, 1.0)), PICTURES),
    "hue-none": (lambda L: L.RandomHue((0.0, 0.0), (0, 1)), PICTURES / 255),
    **{f"degeneration-{f}": (lambda L, f=f: L.RandomColorDegeneration((f, f)), PICTURES) for f in (0.3, 1.0)},
    **{f"sharpness-{f}": (lambda L, f=f: L.RandomSharpness((f, f)), PICTURES) for f in (0.0, 0.3, 1.0)},
    "grayscale": (lambda L: L.RandomGrayscale(1.0), PICTURES),
    "invert": (lambda L: L.RandomInvert((1.0, 1.0)), PICTURES),
    "invert-first": (lambda L: L.RandomInvert((1.0, 1.0), (0, 1), data_format="channels_first"), FIRST / 255),
    "posterization": (lambda L: L.RandomPosterization(1), PICTURES),
    "blur": (lambda L: L.RandomGaussianBlur((1.0, 1.0), 5, (0.7, 0.7)), PICTURES),
    "auto-contrast": (lambda L: L.AutoContrast(), PICTURES),
    "auto-contrast-range": (lambda L: L.AutoContrast((0, 1)), PICTURES[1] / 255),
    "solarization": (lambda L: L.Solarization(), PICTURES),
    "jitter": (lambda L: L.RandomColorJitter((0, 255), (0.2, 0.2), None, (0.3, 0.3)), PICTURES),
}  # fmt: skip


@cache
def theirs() -> dict[str, Any]:
    """What Keras makes of all cases, in one program."""
    layers = {name: make(keras.layers) for name, (make, _) in CASES.items()}
    for name, layer in layers.items():
        layer.build(CASES[name][1].shape)

    def run(xs: Any) -> Any:
        return {
            name: layer.stateless_call([], [v.value for v in layer.non_trainable_variables], xs[name], training=True)[0]
            for name, layer in layers.items()
        }

    found: dict[str, Any] = jax.jit(run)({name: x for name, (_, x) in CASES.items()})
    return found


@pytest.mark.parametrize("name", CASES)
def test_images(name: str) -> None:
    make, x = CASES[name]
    ours = make(L)
    expected = np.asarray(theirs()[name])
    tolerance = 1e-3 if expected.dtype == "float32" else 1  # numbers are up to 255; halves are rounded up or down
    for found in (ours(x), layerkit.function(lambda x: ours(x, training=True))(x)):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape == ours.compute_output_shape(x.shape)
        np.testing.assert_allclose(found.astype("float64"), expected.astype("float64"), rtol=1e-5, atol=tolerance)
    if not isinstance(ours, L.Resizing | L.CenterCrop | L.AutoContrast | L.Solarization):
        np.testing.assert_array_equal(ours(x, training=False), x.astype("float32"))


MANY = np.repeat(IMAGES[:1], 200, axis=0)


def trained(layer: Any, x: np.ndarray, seed: int = 0) -> np.ndarray:
    run = Function(lambda x: layer(x, training=True), symbolic_batch=True, random=RandomState(seed))
    return np.asarray(run(x))


def test_flips_are_drawn_for_each_image_and_direction() -> None:
    found = trained(L.RandomFlip(seed=1), MANY)
    ways = [IMAGES[0], IMAGES[0][:, ::-1], IMAGES[0][::-1], IMAGES[0][::-1, ::-1]]
    counts = [sum(np.array_equal(y, way) for y in found) for way in ways]
    assert sum(counts) == 200
    assert min(counts) > 25
    assert {y.tobytes() for y in trained(L.RandomFlip("vertical"), MANY)} == {
        ways[0].tobytes(),
        ways[2].copy().tobytes(),
    }


def test_contrast_keeps_the_mean_of_each_channel() -> None:
    x = MANY / 255 * 0.2 + 0.4
    found = trained(L.RandomContrast((0.4, 0.2), (0.0, 1.0), seed=1), x)
    np.testing.assert_allclose(found.mean((1, 2)), x.mean((1, 2)), atol=1e-4)
    scale = found.std((1, 2)) / x.std((1, 2))
    np.testing.assert_allclose(scale[:, 0], scale[:, 1], rtol=1e-3)
    assert (scale + 1e-3 >= 0.6).all()
    assert (scale - 1e-3 <= 1.2).all()
    assert scale.std() > 0.1


def test_draws_fill_their_range() -> None:
    x = np.zeros((400, 3, 3, 1), "float32") + 100
    added = trained(L.RandomBrightness((-0.2, 0.3), seed=2), x)[:, 0, 0, 0] - 100
    assert -51 - 1e-3 <= added.min() < -45
    assert 70 < added.max() <= 76.5 + 1e-3
    np.testing.assert_array_equal(trained(L.RandomBrightness(0.5), x), trained(L.RandomBrightness(0.5), x))


def test_random_crop_takes_a_part_and_the_middle_when_not_training() -> None:
    layer = L.RandomCrop(3, 4, seed=1)
    places = set()
    for seed in range(12):
        found = trained(L.RandomCrop(3, 4), IMAGES, seed)
        match = [(i, j) for i in range(3) for j in range(4) if np.array_equal(IMAGES[:, i : i + 3, j : j + 4], found)]
        places |= set(match)
        assert len(match) == 1
    assert len(places) > 3
    still = layer(IMAGES, training=False)
    expected = keras.layers.CenterCrop(5, 6)(IMAGES)  # as much of the middle as has these proportions
    np.testing.assert_allclose(still, keras.layers.Resizing(3, 4)(expected), rtol=1e-5)
    assert L.RandomCrop(9, 9)(IMAGES, training=True).shape == (2, 9, 9, 2)


def test_in_a_model_they_act_in_training_only(tmp_path: Any) -> None:
    x = L.Input((5, 7, 2))
    h = L.RandomZoom(0.2)(L.RandomTranslation(0.2, 0.2)(L.RandomRotation(0.1)(L.RandomFlip()(x))))
    h = L.RandomBrightness(0.1)(L.RandomContrast(0.1)(h))
    model = layerkit.Model(x, L.Dense(1)(L.Flatten()(L.CenterCrop(3, 3)(L.Rescaling(1 / 255)(h)))))
    plain = model.predict(IMAGES, verbose=0)
    dense = model.layers[-1].get_weights()
    middle = IMAGES[:, 1:4, 2:5].reshape(2, -1) / 255
    np.testing.assert_allclose(plain, middle @ dense[0] + dense[1], rtol=1e-4, atol=1e-5)
    model.compile("sgd", "mse")
    model.fit(IMAGES, np.ones((2, 1)), epochs=2, verbose=0)
    model.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.RandomRotation(1.5),
        lambda: L.RandomContrast(-0.1),
        lambda: L.RandomFlip("both"),
        lambda: L.RandomZoom((0.1, 0.2, 0.3)),
        lambda: L.RandomTranslation(0.1, 0.1, fill_mode="edge"),
        lambda: L.Resizing(2, 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)(IMAGES),
        lambda: L.Resizing(2, 2)(IMAGES[0, 0]),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any) -> None:
    with pytest.raises(LayerkitError):
        make()
    with pytest.raises(ShapeError, match="height and width"):
        L.Resizing(2, 2)(L.Input((None, None, 3)))


def test_hues_turn_to_either_side() -> None:
    red = np.zeros((60, 1, 1, 3), "float32") + np.array([255, 0, 0], "float32")
    found = trained(L.RandomHue((2 / 3, 2 / 3), seed=1), red).reshape(-1, 3)  # a third of the circle
    green, blue = ((np.abs(found - c).max(1) < 0.1).sum() for c in ([0, 255, 0], [0, 0, 255]))
    assert green + blue == 60
    assert min(green, blue) > 15


def test_erasing_fills_a_rectangle_of_the_size_that_was_asked_for() -> None:
    x = np.ones((100, 10, 20, 1), "float32")
    found = trained(L.RandomErasing((1.0, 1.0), (0.5, 0.5), fill_value=9.0, seed=1), x)[..., 0] == 9.0
    rows, columns = found.any(2).sum(1), found.any(1).sum(1)
    assert set(rows.tolist()) == {5}
    assert set(columns.tolist()) == {10}
    np.testing.assert_array_equal(found.sum((1, 2)), rows * columns)
    assert len({y.tobytes() for y in found}) > 20
    np.testing.assert_array_equal(trained(L.RandomErasing(scale=(0.0, 0.0)), x), x)
    some = trained(L.RandomErasing((0.3, 0.3), fill_value=9.0, seed=1), x)
    assert 15 < (some == 9.0).any((1, 2, 3)).sum() < 45


def test_shear_moves_rows_to_either_side() -> None:
    x = np.zeros((60, 3, 9, 1), "float32")
    x[:, :, 4] = 1.0
    found = trained(L.RandomShear((1.0, 1.0), fill_mode="constant", interpolation="nearest", seed=1), x)[..., 0]
    assert {tuple(y.argmax(1).tolist()) for y in found} == {(4, 3, 2), (4, 5, 6)}


@pytest.mark.parametrize("mix", [L.MixUp(1.0, seed=1), L.CutMix(seed=1)])
def test_labels_are_mixed_as_images_are(mix: Any) -> None:
    classes = np.eye(4, dtype="float32")[np.arange(40) % 4]
    images = np.broadcast_to(classes[:, None, None], (40, 8, 6, 4))
    run = Function(lambda d: mix(d, training=True), symbolic_batch=True, random=RandomState(0))
    found = run({"images": images, "labels": classes})
    np.testing.assert_allclose(np.mean(found["images"], (1, 2)), found["labels"], atol=1e-5)
    np.testing.assert_allclose(np.sum(found["labels"], 1), 1.0, atol=1e-5)
    assert (np.max(found["labels"], 1) < 0.9).sum() > 8
    same = mix({"images": images, "labels": classes}, training=False)
    np.testing.assert_array_equal(same["labels"], classes)
    with pytest.raises(LayerkitError, match="images and what goes with them"):
        mix({"labels": classes})
    alone = run(images)
    assert alone.shape == images.shape
    assert not np.array_equal(alone, images)


def test_masks_are_mixed_by_parts() -> None:
    images = np.broadcast_to(np.arange(8, dtype="float32").reshape(8, 1, 1, 1), (8, 4, 5, 1))
    mix = L.CutMix(seed=2)
    found = mix({"images": images, "segmentation_masks": images.astype("int32")}, training=True)
    np.testing.assert_array_equal(found["segmentation_masks"], found["images"].astype("int32"))
    assert found["segmentation_masks"].dtype == np.int32
    with pytest.raises(LayerkitError, match="images and what goes with them"):
        L.MixUp()({"images": images, "segmentation_masks": images}, training=True)


def test_images_among_other_data() -> None:
    data = {"images": IMAGES, "labels": np.ones(2), "segmentation_masks": IMAGES[..., :1]}
    found = L.RandomInvert((1.0, 1.0))(data, training=True)
    np.testing.assert_allclose(found["images"], 255 - IMAGES, atol=1e-4)
    np.testing.assert_array_equal(found["segmentation_masks"], data["segmentation_masks"])
    with pytest.raises(LayerkitError, match="images alone"):
        L.RandomFlip()(data, training=True)
    assert L.Resizing(3, 4)({"images": IMAGES, "labels": np.ones(2)})["images"].shape == (2, 3, 4, 2)
    for make in (
        lambda: L.RandomBrightness(0.1, "wide"),
        lambda: L.RandomBrightness(0.1, [10]),
        lambda: L.RandomHue(1.5),
    ):
        with pytest.raises(LayerkitError):
            make()
