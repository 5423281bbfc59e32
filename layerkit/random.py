"""Random tensors, repeatable: the same seed gives the same numbers on every engine (``layerkit.ops.random``).

In a layer, keep a ``SeedGenerator`` and pass it as ``seed``; inside a program its numbers depend on the seed, the place
of the draw in the function and the number of the run, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit.dtypes import canonical
from layerkit.ir import Array, Size, apply
from layerkit.ops import concatenate
from layerkit.ops.random import Random
from layerkit.trace import current, draw_seed, stream

_GOLDEN = 0x9E3779B9


class SeedGenerator:
    """A source of keys: every call gives another.

    Args:
        seed: a whole number, for numbers that do not depend on the model's seed; None for those that do.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self.path: Callable[[], str] = str  # where it is in its model; the layer that holds it sets it
        self._calls = 0
        self._own: int | None = seed

    def next(self) -> Any:
        """A key of four words: u32[4]."""
        trace = current()
        if trace is not None and not trace.is_eager:
            run = trace.random_key()
            draw = trace.draws[self] = trace.draws.get(self, 0) + 1
            first = run[0:1] if self.seed is None else np.array([self.seed & 0xFFFFFFFF], "uint32")
            place = stream(self.path()) if self.seed is None else 0
            return concatenate([first, np.array([place], "uint32"), run[1:2], np.array([draw], "uint32")])
        if self._own is None:
            self._own = draw_seed()
        self._calls += 1
        return np.array([self._own & 0xFFFFFFFF, 0, self._calls & 0xFFFFFFFF, 0], "uint32")


_GLOBAL = SeedGenerator()


def _key(seed: Any) -> Any:
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is None:
        trace = current()
        if trace is None or trace.is_eager:
            return np.array([draw_seed(), _GOLDEN, 0, 0], "uint32")
        return _GLOBAL.next()
    return np.array([int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF, 0, 0], "uint32")


def uniform(
    shape: Sequence[Size], minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Any:
    """Numbers spread evenly over [minval, maxval)."""
    kind = canonical(dtype or "float32")
    numbers = apply(Random("uniform", tuple(shape), kind), _key(seed))
    return numbers if (minval, maxval) == (0.0, 1.0) else numbers * (maxval - minval) + minval


def normal(
    shape: Sequence[Size], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Any:
    """Normally distributed numbers."""
    numbers = apply(Random("normal", tuple(shape), canonical(dtype or "float32")), _key(seed))
    return numbers if (mean, stddev) == (0.0, 1.0) else numbers * stddev + mean


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Array:
    """Normally distributed numbers; those further than two standard deviations from the mean are drawn again."""
    count = int(np.prod(shape, dtype=np.int64))
    key, found = np.array(_key(seed), "uint32"), np.empty(0, "float64")
    while found.size < count:
        key[3] += 1
        drawn = Random("normal", (count + count // 8 + 16,), "float64").reference(key)
        found = np.concatenate([found, drawn[np.abs(drawn) < 2]])
    return (found[:count] * stddev + mean).astype(canonical(dtype or "float32")).reshape(tuple(shape))


def bernoulli(shape: Sequence[Size], p: float, seed: Any = None) -> Any:
    """Truth values that are true with probability ``p``."""
    return uniform(shape, seed=seed) < p


__all__ = ["SeedGenerator", "bernoulli", "normal", "truncated_normal", "uniform"]
