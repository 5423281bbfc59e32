"""What layers refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerkit import layers as L
from layerkit.errors import ArgumentError, LayerkitError, ShapeError

SERIES, IMAGES = np.ones((2, 6, 4), "float32"), np.ones((2, 6, 5, 4), "float32")

CASES: list[tuple[Any, Any, type[LayerkitError], str]] = [
    (lambda: L.Conv1D(3, 2), IMAGES, ShapeError, "(batch, time, channels)"),
    (lambda: L.Conv3D(3, 2), IMAGES, ShapeError, "(batch, ..., channels)"),
    (lambda: L.Conv2D(3, 2, padding="causal"), IMAGES, ArgumentError, "'valid' or 'same', or 'causal' for series"),
    (lambda: L.Conv2D(3, 2, groups=3), IMAGES, ArgumentError, "channels that 3 divides"),
    (lambda: L.Conv2D(4, 2, groups=3), IMAGES, ArgumentError, "filters that 3 divides"),
    (lambda: L.Conv2D(3, 2, 2, dilation_rate=2), IMAGES, ArgumentError, "one of them 1"),
    (lambda: L.Conv2D(3, 9), IMAGES, ShapeError, "at least 9 along the axis"),
    (lambda: L.Conv2DTranspose(3, 2, 2, output_padding=2), IMAGES, ArgumentError, "less than the strides, 2"),
    (lambda: L.Conv2D(3, 2, data_format="first"), IMAGES, ArgumentError, "None or 'channels_last' or 'channels_first'"),
    (lambda: L.SeparableConv1D(3, 2, padding="causal"), SERIES, ArgumentError, "'valid' or 'same'"),
    (lambda: L.MaxPooling3D(), IMAGES, ShapeError, "(batch, ..., channels)"),
    (lambda: L.Cropping1D(3), SERIES, ShapeError, "more than 6 along axis 1"),
    (lambda: L.ZeroPadding2D((1, 2, 3)), IMAGES, ArgumentError, "a whole number >= 0, one for each axis, or a pair for each axis"),
    (lambda: L.Permute((1, 1)), SERIES, ArgumentError, "the numbers (1, 2) in some order"),
    (lambda: L.RepeatVector(2), SERIES, ShapeError, "(batch, features)"),
    (lambda: L.GaussianDropout(1.0), SERIES, ArgumentError, "a number >= 0 and < 1"),
    (lambda: L.LeakyReLU(-1.0), SERIES, ArgumentError, "a number >= 0"),
    (lambda: L.SpatialDropout2D(0.5), None, LayerkitError, ""),
    (lambda: L.EinsumDense("ab,bc", 3), SERIES, ArgumentError, '"ab,bc->ac", perhaps with "..." in inputs and result'),
    (lambda: L.EinsumDense("ab,bc->ac", 3), SERIES, ShapeError, "ab"),
    (lambda: L.EinsumDense("abc,cd->abd", (None, 3), bias_axes="c"), SERIES, ArgumentError, "names of abd"),
    (lambda: L.EinsumDense("abc,xy->abc", (None, 4)), SERIES, ArgumentError, "names that stand elsewhere too"),
    (lambda: L.Dot(1), [SERIES, SERIES[:, :3]], ShapeError, "axis 1 of size 6"),
    (lambda: L.Dot(0), [SERIES, SERIES], ShapeError, "axis 0 of size 2"),
    (lambda: L.Minimum(), [SERIES, SERIES[:, :3]], ShapeError, "(2, 6, 4)"),
    (lambda: L.Subtract(), [SERIES], ArgumentError, "2"),
    (lambda: L.CategoryEncoding(3, "int"), SERIES, ArgumentError, "'one_hot' or 'multi_hot' or 'count'"),
    (lambda: L.Normalization(mean=1.0), SERIES, ArgumentError, "both or neither"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_mistake_says_what_is_expected(number: int) -> None:
    make, x, error, expected = CASES[number]
    if x is None:
        with pytest.raises(error):
            make()(SERIES, training=True)
        return
    with pytest.raises(error) as caught:
        make()(x)
    assert str(caught.value.expected) == expected


def test_unknown_sizes_are_named_where_they_matter() -> None:
    images = L.Input((None, None, 3))
    assert L.Conv2DTranspose(4, 3, 2)(L.Conv2D(3, 3, 2)(images)).shape[-1] == 4
    assert L.GlobalMaxPooling2D()(images).shape[-1] == 3
    for layer in (
        L.AdaptiveMaxPooling2D(2),
        L.UpSampling2D(2, interpolation="bilinear"),
        L.PReLU(),
        L.CenterCrop(2, 2),
    ):
        with pytest.raises(ShapeError) as caught:
            layer(images)
        assert "Input(shape=...)" in str(caught.value.fix)
    assert L.PReLU(shared_axes=(1, 2))(images).shape[-1] == 3
    with pytest.raises(ShapeError):
        L.Conv2D(3, 2)(L.Input((4, 4, None)))


def test_positions_need_sizes():
    with pytest.raises(ShapeError, match="more positions than there are vectors"):
        L.PositionEmbedding(3)(L.Input((4, 2)))
    with pytest.raises(ShapeError, match="known length"):
        L.SinePositionEncoding()(L.Input((None, 2)))


def test_attention_needs_positions():
    flat = L.Input((4,))
    for layer in (L.Attention(), L.AdditiveAttention()):
        with pytest.raises(ShapeError, match="series of vectors"):
            layer([flat, flat])
