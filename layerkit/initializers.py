"""What weights are before training. Names, defaults and distributions are Keras's.

An initializer is called with shape, dtype and seed words; the same seed and shape give the same numbers everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError
from layerkit.fields import Configurable
from layerkit.ops.random import Random
from layerkit.registry import Registry
from layerkit.trace import draw_seed

INITIALIZERS = Registry("initializer")


class Initializer(Configurable):
    """Base of all: ``__call__(shape, dtype, seed)``."""

    seed: int | None = None

    def __call__(self, shape: Sequence[int], dtype: str | None = None, seed: tuple[int, int] | None = None) -> Any:
        """Numbers of that shape; ``seed`` counts where the initializer has none of its own."""
        words = (self.seed, 0) if self.seed is not None else seed or (draw_seed(), 0)
        return self.draw(tuple(shape), dtype or "float32", np.array([words[0] & 0xFFFFFFFF, words[1], 0, 0], "uint32"))

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        """Numbers of that shape from a key u32[4]."""
        raise NotImplementedError


@INITIALIZERS.add
class Zeros(Initializer):
    """All 0."""

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return np.zeros(shape)


@INITIALIZERS.add
class Ones(Initializer):
    """All 1."""

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return np.ones(shape)


@INITIALIZERS.add
class Constant(Initializer):
    """All ``value``."""

    value: float = 0.0

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return np.full(shape, self.value)


def _uniform(shape: tuple[int, ...], key: Any, low: float, high: float) -> Any:
    return Random("uniform", shape, "float64").reference(key) * (high - low) + low


def _normal(shape: tuple[int, ...], key: Any) -> Any:
    return Random("normal", shape, "float64").reference(key)


def _truncated(shape: tuple[int, ...], key: Any) -> Any:
    from layerkit.random import truncated_normal

    return truncated_normal(shape, dtype="float64", seed=int(key[0]) | int(key[1]) << 32)


def _positional(name: str, *aliases: str) -> Callable[[type], type]:
    return lambda cls: INITIALIZERS.add(cls, name, *aliases)


@_positional("random_uniform", "uniform")
class RandomUniform(Initializer):
    """Evenly spread over [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return _uniform(shape, key, self.minval, self.maxval)


@_positional("random_normal", "normal")
class RandomNormal(Initializer):
    """Normally distributed."""

    mean: float = 0.0
    stddev: float = 0.05

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return _normal(shape, key) * self.stddev + self.mean


@INITIALIZERS.add
class TruncatedNormal(Initializer):
    """Normally distributed, no further than two standard deviations from the mean."""

    mean: float = 0.0
    stddev: float = 0.05

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return _truncated(shape, key) * self.stddev + self.mean


def fans(shape: Sequence[int]) -> tuple[float, float]:
    """How many inputs reach, and how many outputs leave, one unit of a kernel of that shape."""
    if len(shape) < 1:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@INITIALIZERS.add
class VarianceScaling(Initializer):
    """Variance ``scale`` / number of inputs, outputs or their mean."""

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        fan_in, fan_out = fans(shape)
        modes = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        if self.mode not in modes:
            raise ArgumentError("unknown mode of VarianceScaling.", expected=" or ".join(modes), got=self.mode)
        variance = self.scale / max(1.0, modes[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return _uniform(shape, key, -limit, limit)
        if self.distribution == "untruncated_normal":
            return _normal(shape, key) * math.sqrt(variance)
        return _truncated(shape, key) * math.sqrt(variance) / 0.87962566103423978  # deviation of what is left


def _scaled(name: str, doc: str, scale: float, mode: str, distribution: str) -> type[Initializer]:
    def draw(self: Any, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        return VarianceScaling(scale, mode, distribution).draw(shape, dtype, key)

    cls = type(name, (Initializer,), {"__doc__": doc, "__module__": __name__, "draw": draw})
    return INITIALIZERS.add(cls)


GlorotUniform = _scaled("GlorotUniform", "Glorot and Bengio 2010, evenly spread.", 1.0, "fan_avg", "uniform")
GlorotNormal = _scaled("GlorotNormal", "Glorot and Bengio 2010, normal.", 1.0, "fan_avg", "truncated_normal")
HeUniform = _scaled("HeUniform", "He et al. 2015, evenly spread.", 2.0, "fan_in", "uniform")
HeNormal = _scaled("HeNormal", "He et al. 2015, normal.", 2.0, "fan_in", "truncated_normal")
LecunUniform = _scaled("LecunUniform", "LeCun et al. 1998, evenly spread.", 1.0, "fan_in", "uniform")
LecunNormal = _scaled("LecunNormal", "LeCun et al. 1998, normal.", 1.0, "fan_in", "truncated_normal")


@_positional("orthogonal", "OrthogonalInitializer")
class Orthogonal(Initializer):
    """Orthogonal rows or columns. Source: Saxe et al. 2014, arXiv:1312.6120."""

    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        if len(shape) < 2:
            raise ArgumentError("an orthogonal initializer needs a matrix.", expected="at least 2 axes", got=str(shape))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        a = _normal((max(rows, columns), min(rows, columns)), key)
        q, r = np.linalg.qr(a)
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@_positional("identity", "IdentityInitializer")
class Identity(Initializer):
    """``gain`` on the diagonal, 0 elsewhere."""

    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        rows, columns = shape
        return self.gain * np.eye(rows, columns)


def get(identifier: Any) -> Any:
    """The initializer that a name, a mapping, an object or a function of (shape, dtype) stands for."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type | Initializer)):
        return identifier
    if isinstance(identifier, bool | int | float):
        return Constant(float(identifier))
    return INITIALIZERS.make(identifier)
