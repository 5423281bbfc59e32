"""Random tensors, repeatable: the same seed gives the same numbers on every engine (``layerkit.ops.random``).

In a layer, keep a ``SeedGenerator`` and pass it as ``seed``; inside a program its numbers depend on the seed, the place
of the draw in the function and the number of the run, and on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit import ops
from layerkit.dtypes import canonical, is_floating
from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import Size, Value
from layerkit.ops.core import Tensor, apply, axis_of, dtype_of, operand, operands
from layerkit.ops.random import Random
from layerkit.trace import current, draw_seed, stream

_GOLDEN = 0x9E3779B9


class SeedGenerator:
    """A source of keys: every call gives another.

    Args:
        seed: a whole number, for numbers that do not depend on the model's seed; None for those that do.
        name: what it is called.
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ArgumentError("a seed is a whole number.", expected="an int or None", got=repr(seed))
        self.seed, self.name = seed, name or "seed_generator"
        self.path: Callable[[], str] = str  # where it is in its model; the layer that holds it sets it
        self._calls = 0
        self._own: int | None = seed

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """One with these arguments."""
        return cls(**config)

    def next(self) -> Any:
        """A key of four words: u32[4]."""
        trace = current()
        if trace is not None and not trace.is_eager:
            run = trace.random_key()
            draw = trace.draws[self] = trace.draws.get(self, 0) + 1
            first = run[0:1] if self.seed is None else np.array([self.seed & 0xFFFFFFFF], "uint32")
            place = stream(self.path()) if self.seed is None else 0
            return ops.concatenate([first, np.array([place], "uint32"), run[1:2], np.array([draw], "uint32")])
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


def _part(key: Any, i: int) -> Any:
    """A key for the i-th of several draws that share one."""
    salt = np.array([0, (i * _GOLDEN) & 0xFFFFFFFF, 0, 0], "uint32")
    return ops.bitwise_xor(key, salt)


def _draw(distribution: str, shape: Sequence[Size], dtype: str, key: Any) -> Any:
    return apply(Random(distribution, tuple(shape), dtype), key)


def _float(op: str, dtype: str | None) -> str:
    kind = canonical(dtype or "float32")
    if not is_floating(kind):
        raise ArgumentError(f"'{op}' draws floating numbers.", expected="a float dtype", got=kind)
    return kind


# Continuous ----------------------------------------------------------------------------------------------------------


def uniform(
    shape: Sequence[Size], minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Any:
    """Numbers spread evenly over [minval, maxval).

    Example:
        >>> uniform((2,), seed=1).dtype
        dtype('float32')
    """
    numbers = _draw("uniform", shape, _float("uniform", dtype), _key(seed))
    is_plain = isinstance(minval, float | int) and isinstance(maxval, float | int) and (minval, maxval) == (0, 1)
    return numbers if is_plain else numbers * (maxval - minval) + minval


def normal(
    shape: Sequence[Size], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Any:
    """Normally distributed numbers."""
    numbers = _draw("normal", shape, _float("normal", dtype), _key(seed))
    is_plain = isinstance(mean, float | int) and isinstance(stddev, float | int) and (mean, stddev) == (0, 1)
    return numbers if is_plain else numbers * stddev + mean


def truncated_normal(
    shape: Sequence[Size], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Any:
    """Normally distributed numbers no further than two standard deviations from the mean: by the inverse distribution."""
    kind = _float("truncated_normal", dtype)
    inside = math.erf(math.sqrt(2.0))  # the share of normal numbers that lies within two standard deviations
    even = _draw("uniform", shape, kind, _key(seed)) * (2.0 * inside) - inside
    return ops.clip(ops.erfinv(even) * math.sqrt(2.0), -2.0, 2.0) * stddev + mean


_ROUNDS = 12  # of rejection, each of which accepts at least 95 %: 1 number in 10^15 is left to the last


def gamma(shape: Sequence[Size], alpha: Tensor, dtype: str | None = None, seed: Any = None) -> Any:
    """Numbers of the gamma distribution with exponent ``alpha`` and scale 1; no gradient flows to alpha.

    Source: Marsaglia and Tsang 2000, "A simple method for generating gamma variables".

    Example:
        >>> bool((gamma((3,), 2.0, seed=1) > 0).all())
        True
    """
    return _gamma(shape, alpha, _float("gamma", dtype), _key(seed))


def _gamma(shape: Sequence[Size], alpha: Tensor, kind: str, key: Any) -> Any:
    alpha = ops.stop_gradient(operand(alpha, kind))
    is_small = alpha < 1.0
    d = ops.where(is_small, alpha + 1.0, alpha) - 1.0 / 3.0
    z = _draw("normal", (_ROUNDS, *shape), kind, _part(key, 1))
    u = _draw("uniform", (_ROUNDS, *shape), kind, _part(key, 2))
    root = 1.0 + z / ops.sqrt(9.0 * d)
    v = root * root * root
    safe = ops.where(v > 0.0, v, 1.0)
    fits = (v > 0.0) & (ops.log(1.0 - u) < 0.5 * z * z + d - d * safe + d * ops.log(safe))
    chosen = safe[_ROUNDS - 1]
    for i in reversed(range(_ROUNDS - 1)):  # the first that is accepted
        chosen = ops.where(fits[i], safe[i], chosen)
    boost = ops.power(1.0 - _draw("uniform", shape, kind, _part(key, 3)), 1.0 / ops.where(is_small, alpha, 1.0))
    return ops.stop_gradient(d * chosen * ops.where(is_small, boost, 1.0))


def beta(shape: Sequence[Size], alpha: Tensor, beta: Tensor, dtype: str | None = None, seed: Any = None) -> Any:
    """Numbers in (0, 1) of the beta distribution: a / (a + b) of two numbers of gamma distributions."""
    return _beta(shape, alpha, beta, _float("beta", dtype), _key(seed))


def _beta(shape: Sequence[Size], alpha: Tensor, beta: Tensor, kind: str, key: Any) -> Any:
    a = _gamma(shape, alpha, kind, _part(key, 4))
    b = _gamma(shape, beta, kind, _part(key, 8))
    return ops.divide_no_nan(a, a + b)


# Whole numbers -------------------------------------------------------------------------------------------------------


def randint(shape: Sequence[Size], minval: Tensor, maxval: Tensor, dtype: str = "int32", seed: Any = None) -> Any:
    """Whole numbers spread evenly over [minval, maxval).

    Example:
        >>> bool((randint((100,), 2, 5, seed=1) < 5).all())
        True
    """
    kind = canonical(dtype)
    if is_floating(kind):
        raise ArgumentError("'randint' draws whole numbers.", expected="an integer dtype", got=kind)
    low, high = operand(minval, "float64"), operand(maxval, "float64")
    place = ops.floor(_draw("uniform", shape, "float64", _key(seed)) * (high - low)) + low
    return ops.cast(ops.minimum(place, high - 1.0), kind)


_DIRECT = 16  # trials that are drawn one by one


def binomial(
    shape: Sequence[Size], counts: Tensor, probabilities: Tensor, dtype: str | None = None, seed: Any = None
) -> Any:
    """How many of ``counts`` trials succeed, each with its probability.

    Many trials are halved: the one in the middle, by size of the uniform numbers that decide them, has a beta
    distribution and says which half is still open. Source: Relles 1972, "A simple algorithm for binomial variables".
    """
    kind = _float("binomial", dtype)
    key = _key(seed)
    zero = ops.zeros(shape, kind)
    n, p = ops.floor(operand(counts, kind)) + zero, operand(probabilities, kind) + zero
    is_known = not isinstance(operand(counts), Value)
    most = float(np.max(operand(counts), initial=1.0)) if is_known else 2.0**24
    total = zero
    for i in range(max(0, math.ceil(math.log2(max(most, 1.0) / _DIRECT)) + 1)):
        is_many = n >= float(_DIRECT)
        middle = 1.0 + ops.floor(n * 0.5)
        x = _beta(
            shape,
            ops.where(is_many, middle, 1.0),
            ops.where(is_many, n + 1.0 - middle, 1.0),
            kind,
            _part(key, 100 + 16 * i),
        )
        is_below = x >= p  # the middle trial fails, and all above it
        new_n = ops.where(is_below, middle - 1.0, n - middle)
        new_p = ops.where(is_below, ops.divide_no_nan(p, x), ops.divide_no_nan(p - x, 1.0 - x))
        total = total + ops.where(is_many & ~is_below, middle, 0.0)
        n, p = ops.where(is_many, new_n, n), ops.where(is_many, new_p, p)
    u = _draw("uniform", (_DIRECT, *shape), kind, _part(key, 1))
    place = ops.reshape(np.arange(_DIRECT).astype(kind), (-1, *(1 for _ in shape)))
    return total + ops.sum(ops.cast((u < p) & (place < n), kind), 0)


def categorical(logits: Tensor, num_samples: int, dtype: str = "int32", seed: Any = None) -> Any:
    """Classes drawn with probabilities softmax(logits): (batch, classes) -> (batch, num_samples).

    Source: Gumbel 1954: the largest of logits plus Gumbel noise.
    """
    (logits,) = operands(logits, floating=True)
    if logits.ndim != 2:
        raise ShapeError("'categorical' draws for each row.", expected="(batch, classes)", got=str(tuple(logits.shape)))
    batch, classes = logits.shape
    u = _draw("uniform", (batch, num_samples, classes), dtype_of(logits), _key(seed))
    wait = ops.maximum(-ops.log(1.0 - u), 2.0**-26)  # of u = 0 as of the least u that is not 0, not for ever
    noise = -ops.log(wait)
    return ops.cast(ops.argmax(ops.expand_dims(logits, 1) + noise, -1), dtype)


def bernoulli(shape: Sequence[Size], p: float, seed: Any = None) -> Any:
    """Truth values that are true with probability ``p``."""
    return uniform(shape, seed=seed) < p


# Of tensors ----------------------------------------------------------------------------------------------------------


def dropout(inputs: Tensor, rate: float, noise_shape: Sequence[Size | None] | None = None, seed: Any = None) -> Any:
    """``inputs`` of which a share ``rate`` is set to 0, the others divided by 1 - rate.

    Args:
        inputs: the tensor.
        rate: the share, in [0, 1].
        noise_shape: shape of the choice; sizes of 1 drop along that axis together, None is the size of the axis.
        seed: a number or a SeedGenerator.
    """
    (inputs,) = operands(inputs, floating=True)
    if not 0 <= rate <= 1:
        raise ArgumentError("a rate is a share.", expected="a number in [0, 1]", got=repr(rate))
    given = noise_shape or (None,) * inputs.ndim
    shape = tuple(own if n is None else n for n, own in zip(given, inputs.shape, strict=True))
    keep = uniform(shape, seed=seed) >= rate
    return ops.where(keep, inputs / (1.0 - rate) if rate < 1 else inputs * 0.0, 0.0)


def shuffle(x: Tensor, axis: int = 0, seed: Any = None) -> Any:
    """``x`` with its slices along ``axis`` in random order.

    Example:
        >>> sorted(shuffle(np.array([1, 2, 3]), seed=1).tolist())
        [1, 2, 3]
    """
    x = operand(x)
    axis = axis_of(axis, x.ndim, "shuffle")
    order = ops.argsort(_draw("uniform", (x.shape[axis],), "float64", _key(seed)))
    return ops.take(x, order, axis)


__all__ = [
    "SeedGenerator", "bernoulli", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
    "truncated_normal", "uniform",
]  # fmt: skip
