"""Random tensors: moments of their distributions, the same numbers on arrays and in programs, independence of draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import random
from layerkit.errors import ArgumentError, ShapeError

COUNT = 60_000

# (draw, mean, variance) from the textbook
MOMENTS: dict[str, tuple[Callable[[], Any], float, float]] = {
    "uniform": (lambda: random.uniform((COUNT,), -1.0, 3.0, seed=1), 1.0, 16 / 12),
    "normal": (lambda: random.normal((COUNT,), 2.0, 3.0, seed=1), 2.0, 9.0),
    "truncated_normal": (lambda: random.truncated_normal((COUNT,), seed=1), 0.0, 0.7737),
    "gamma small": (lambda: random.gamma((COUNT,), 0.5, seed=1), 0.5, 0.5),
    "gamma large": (lambda: random.gamma((COUNT,), 3.5, seed=1), 3.5, 3.5),
    "beta": (lambda: random.beta((COUNT,), 2.0, 3.0, seed=1), 0.4, 0.04),
    "binomial few": (lambda: random.binomial((COUNT,), 10.0, 0.3, seed=1), 3.0, 2.1),
    "binomial many": (lambda: random.binomial((COUNT,), 1000.0, 0.2, seed=1), 200.0, 160.0),
    "binomial sure": (lambda: random.binomial((COUNT,), 40.0, 1.0, seed=1), 40.0, 0.0),
    "randint": (lambda: random.randint((COUNT,), -3, 4, seed=1), 0.0, 4.0),
    "categorical": (lambda: random.categorical(np.log([[0.2, 0.3, 0.5]]), COUNT, seed=1), 1.3, 0.61),
    "dropout": (lambda: random.dropout(np.ones(COUNT, "float32"), 0.25, seed=1), 1.0, 1 / 3),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name: str) -> None:
    draw, mean, variance = MOMENTS[name]
    numbers = np.asarray(draw(), "float64")
    assert abs(numbers.mean() - mean) <= 5 * np.sqrt(variance / COUNT)
    assert abs(numbers.var() - variance) <= 0.05 * variance


DRAWS: dict[str, Callable[[Any], Any]] = {
    "uniform": lambda s: random.uniform((7,), seed=s),
    "truncated_normal": lambda s: random.truncated_normal((7,), seed=s),
    "gamma": lambda s: random.gamma((7,), 1.5, seed=s),
    "beta": lambda s: random.beta((3, 2), 1.5, 0.7, seed=s),
    "binomial": lambda s: random.binomial((7,), 50.0, 0.4, seed=s),
    "randint": lambda s: random.randint((7,), 0, 100, seed=s),
    "categorical": lambda s: random.categorical(np.zeros((2, 5), "float32"), 4, seed=s),
    "shuffle": lambda s: random.shuffle(np.arange(9), seed=s),
}


@pytest.mark.parametrize("name", DRAWS)
def test_programs_draw_what_arrays_draw(name: str) -> None:
    traced = layerkit.function(lambda x: DRAWS[name](3) + x * 0)
    expected = DRAWS[name](3)
    np.testing.assert_allclose(traced(np.zeros((), expected.dtype)), expected, rtol=1e-5, atol=1e-6)


def test_draws_in_one_program_differ() -> None:
    source = random.SeedGenerator(5)
    a, b = layerkit.function(lambda x: (random.gamma((50,), x, seed=source), random.gamma((50,), x, seed=source)))(
        np.float32(2.0)
    )
    assert not np.array_equal(a, b)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.5


def test_shuffle_moves_whole_slices() -> None:
    x = np.arange(12).reshape(3, 4)
    moved = random.shuffle(x, axis=1, seed=2)
    assert sorted(map(tuple, moved.T.tolist())) == sorted(map(tuple, x.T.tolist()))
    assert not np.array_equal(moved, x)


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError):
        random.uniform((2,), dtype="int32")
    with pytest.raises(ArgumentError):
        random.randint((2,), 0, 5, dtype="float32")
    with pytest.raises(ArgumentError):
        random.dropout(np.ones(3), 1.5)
    with pytest.raises(ShapeError):
        random.categorical(np.zeros(3), 2)
    with pytest.raises(ArgumentError):
        random.SeedGenerator("x")  # type: ignore[arg-type]
