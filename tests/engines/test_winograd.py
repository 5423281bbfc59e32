"""Convolutions by Winograd's transforms: the matrices are exact, and results agree with the plain sum in float64."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import ops
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.tiles import winograd
from layerkit.engines.llvm.tiles.conv import Geometry
from layerkit.engines.llvm.tiles.toom import scheme
from layerkit.functions import function, value_and_grad

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("taps", [1, 3, 4, 5])
def test_transforms_are_exact(taps):
    s = scheme(taps)
    numbers = [Fraction(i * i - 7, i + 2) for i in range(s.products)]
    window = [Fraction(3 * i - 4, 5) for i in range(taps)]

    def times(matrix: Any, x: Any) -> Any:
        return [sum(a * b for a, b in zip(row, x, strict=True)) for row in matrix]

    made = [a * b for a, b in zip(times(s.kernel, window), times(s.inputs, numbers), strict=True)]
    plain = [sum(window[j] * numbers[i + j] for j in range(taps)) for i in range(s.results)]
    assert times(s.outputs, made) == plain


CASES = {
    "square": ((3, 8, 8, 16), 16, (3, 3), "same"),
    "valid": ((2, 7, 9, 16), 32, (3, 3), "valid"),
    "odd channels": ((3, 13, 11, 24), 41, (3, 3), "same"),
    "five": ((2, 14, 14, 32), 64, (5, 5), "same"),
    "four by three": ((2, 9, 10, 17), 33, (4, 3), "same"),
    "small images": ((9, 4, 4, 64), 48, (3, 3), "same"),
    "series": ((5, 1, 40, 32), 48, (1, 5), "valid"),
    "column": ((3, 20, 1, 16), 16, (3, 1), "same"),
    "bands": ((2, 60, 58, 16), 16, (3, 3), "same"),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_plain_sum(case):
    (shape, filters, window, padding) = CASES[case]
    x = RNG.standard_normal(shape).astype("float32")
    kernel = RNG.standard_normal((*window, shape[-1], filters)).astype("float32")
    kernel /= np.sqrt(np.prod(kernel.shape[:-1]))

    def step(x: Any, kernel: Any, weight: Any) -> Any:
        y = ops.conv(x, kernel, padding=padding)
        _, grads = value_and_grad(lambda x, k: ops.sum(ops.conv(x, k, padding=padding) * weight), (0, 1))(x, kernel)
        return y, *grads

    weight = RNG.standard_normal(np.shape(ops.conv(x, kernel, padding=padding))).astype("float32")
    inputs = x, kernel, weight
    got = function(step, engine="llvm")(*inputs)
    exact = function(step, engine="reference")(*(a.astype("float64") for a in inputs))
    for a, b in zip(got, exact, strict=True):
        assert np.abs(a - b).max() <= 3e-5 * np.std(b)


def test_is_used_where_it_saves_and_only_there():
    def found(**changes: Any) -> Any:
        fields = {"sizes": (14, 14), "out": (14, 14), "window": (3, 3), "strides": (1, 1), "dilation": (1, 1), "before": (1, 1),
                  "channels": 32, "filters": 32, "groups": 1}  # fmt: skip
        return winograd.tiling(host(), "float", Geometry(**{**fields, **changes}))

    assert found().saving > 2
    for other in ({"strides": (2, 2), "out": (7, 7)}, {"dilation": (2, 2), "out": (12, 12)}, {"channels": 8}, {"filters": 3},
                  {"groups": 2}, {"window": (1, 1)}, {"window": (2, 2)}, {"sizes": (2, 2), "out": (2, 2)}):  # fmt: skip
        assert found(**other) is None, other


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(threads):
    model = layerkit.Sequential(
        [layerkit.Input((12, 12, 16)), layerkit.layers.Conv2D(16, 3, padding="same"), layerkit.layers.Conv2D(24, 5)]
    )
    layerkit.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    x, y = (
        rng.standard_normal((13, 12, 12, 16)).astype("float32"),
        rng.standard_normal((13, 8, 8, 24)).astype("float32"),
    )
    weights = [np.random.default_rng(2).standard_normal(w.shape).astype("float32") / 20 for w in model.get_weights()]
    results = []
    for count in (1, threads):
        model.set_weights(weights)
        model.compile("sgd", "mse")
        layerkit.set_threads(count)
        try:
            model.fit(x, y, batch_size=13, epochs=2, shuffle=False, verbose=0)
        finally:
            layerkit.set_threads(None)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)
