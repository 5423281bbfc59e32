"""Attention and normalisation: what is masked, what training keeps, and what is said when something does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit as keras
from layerkit import layers
from layerkit.errors import ArgumentError, LayerkitError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 5, 4)).astype("float32")


def test_masks_of_an_embedding_reach_attention() -> None:
    tokens = np.array([[1, 2, 3, 0, 0]])
    embedding, attention = layers.Embedding(4, 4, mask_zero=True), layers.MultiHeadAttention(2, 3)
    x = embedding(tokens)
    y = attention(x, x)
    cut = np.array(x[:, :3])
    np.testing.assert_allclose(y[:, :3], attention(cut, cut), rtol=1e-5, atol=1e-6)
    inputs = keras.Input((5,), dtype="int32")
    h = embedding(inputs)
    np.testing.assert_allclose(keras.Model(inputs, attention(h, h)).predict(tokens), y, rtol=1e-5, atol=1e-6)


def test_a_causal_model_does_not_see_what_comes() -> None:
    attention = layers.GroupQueryAttention(3, 4, 2)
    later = X.copy()
    later[:, 3:] = 9
    a, b = (attention(x, x, use_causal_mask=True) for x in (X, later))
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert np.abs(a[:, 3:] - b[:, 3:]).max() > 1e-3


@pytest.mark.parametrize(
    "layer", [layers.MultiHeadAttention(1, 4, dropout=0.5), layers.Attention(dropout=0.5)], ids=["heads", "one"]
)
def test_dropout_of_scores_in_training_alone(layer: Any) -> None:
    def run(training: bool) -> Any:
        both = (X, X) if isinstance(layer, layers.MultiHeadAttention) else ([X, X],)
        return layer(*both, training=training)

    np.testing.assert_array_equal(run(False), run(False))
    assert np.abs(run(True) - run(True)).max() > 1e-3


def test_spectral_normalization_brings_the_largest_singular_value_to_one() -> None:
    layer = layers.SpectralNormalization(layers.Dense(6), power_iterations=30)
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile({"SGD": {"learning_rate": 0.0}}, "mse")
    layer.layer.kernel.array = RNG.standard_normal((4, 6)) * 3
    model.fit(X[:, 0], np.zeros((2, 6), "float32"), verbose=0)
    assert np.linalg.svd(layer.layer.kernel.numpy())[1][0] == pytest.approx(1, rel=1e-3)


def test_an_embedding_begins_with_the_weights_it_is_given() -> None:
    table = RNG.standard_normal((5, 2)).astype("float32")
    layer = layers.Embedding(5, 2, weights=table)
    np.testing.assert_array_equal(layer(np.array([[4, 0]])), table[[[4, 0]]])
    assert layer.get_config()["weights"] is None


@pytest.mark.parametrize("sizes", [(2, 0, 5, 3, 2), (0, 5, 5, 3, 2), (1, 6, 6, 0, 2), (1, 6, 6, 2100, 1)])
def test_attention_of_nothing_and_with_very_large_heads(sizes: tuple[int, ...]) -> None:
    batch, rows, columns, size, values = sizes
    q, k, v = (np.ones((batch, *s), "float32") for s in ((rows, 1, size), (columns, 1, size), (columns, 1, values)))
    y = keras.function(lambda *a: keras.ops.dot_product_attention(*a, scale=1.0))(q, k, v)
    np.testing.assert_allclose(y, np.ones((batch, rows, 1, values)), rtol=1e-6)


BAD: dict[str, tuple[Any, type[LayerkitError], str]] = {
    "heads": (lambda: layers.GroupQueryAttention(3, 4, 3)(X, X), ArgumentError, "num_query_heads that 3 divides"),
    "mask": (
        lambda: layers.MultiHeadAttention(2, 3)(X, X, attention_mask=np.ones(5, bool)),
        ShapeError,
        "(batch, query positions, key positions)",
    ),
    "no-list": (lambda: layers.Attention()(X), ArgumentError, "[query, value], or [query, value, key]"),
    "groups": (lambda: layers.GroupNormalization(3)(X), ArgumentError, "groups that divide the channels, or -1"),
    "clipping": (
        lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"max": 3}),
        ArgumentError,
        "a mapping of rmin, rmax and dmax, with 0 <= rmin <= rmax and dmax >= 0",
    ),
    "clipping-order": (
        lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmin": 2, "rmax": 1}),
        ArgumentError,
        "a mapping of rmin, rmax and dmax, with 0 <= rmin <= rmax and dmax >= 0",
    ),
    "no-groups": (lambda: layers.GroupNormalization(0), ArgumentError, "a whole number > 0, or -1"),
    "no-axis": (lambda: layers.LayerNormalization({"axis": 1}), ArgumentError, "a whole number, or a list of them"),
    "axis-twice": (lambda: layers.LayerNormalization([-1, 2])(X), ShapeError, "different axes of 3"),
    "output-shape": (lambda: layers.MultiHeadAttention(2, 3, output_shape=8.0), ArgumentError, "a list of sizes"),
    "no-list-to-build": (
        lambda: layers.AdditiveAttention()(X),
        ArgumentError,
        "[query, value], or [query, value, key]",
    ),
    "no-kernel": (
        lambda: layers.SpectralNormalization(layers.ReLU())(X),
        ArgumentError,
        "a layer with kernel or embeddings",
    ),
    "no-heads": (lambda: keras.ops.dot_product_attention(X, X, X), ShapeError, "(batch, positions, heads, size)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_said(name: str) -> None:
    make, kind, expected = BAD[name]
    with pytest.raises(kind) as caught:
        make()
    assert caught.value.expected == expected


def test_batch_normalization_where_no_step_counts() -> None:
    layer = layers.BatchNormalization(scale=False, center=False)
    y = layer(np.zeros((4, 5)), mask=np.zeros(4), training=True)
    assert y.tolist() == np.zeros((4, 5)).tolist()
    assert layer.moving_mean.numpy().tolist() == [0.0] * 5


def test_renormalization_starts_from_the_deviations_that_belong_to_the_variances() -> None:
    layer = layers.BatchNormalization(renorm=True, moving_variance_initializer=keras.initializers.Constant(4.0))
    layer.build((None, 3))
    assert layer.moving_stddev.numpy().tolist() == layer.renorm_stddev.numpy().tolist() == [2.0, 2.0, 2.0]


def test_output_shapes_of_attention_from_shapes() -> None:
    grouped, single = layers.GroupQueryAttention(3, 4, 2), layers.Attention()
    assert grouped.compute_output_shape((2, 3, 4), (2, 5, 4), None) == (2, 3, 4)
    query, value = keras.Input((3, 4)), keras.Input((5, 4))
    assert single.compute_output_shape([query.shape, value.shape]) == (None, 3, 4)


def test_attention_says_the_mask_of_its_output() -> None:
    mask = np.array([True, False])
    for layer in (layers.Attention(), layers.AdditiveAttention()):
        assert layer.compute_mask([X, X], mask=[mask, None]) is mask
        assert layer.compute_mask([X, X], mask=None) is None
        with pytest.raises(ArgumentError):
            layer.compute_mask([X, X], mask=[mask])
