"""What weights are before training. Names, defaults and distributions are Keras's.

An initializer is called with shape, dtype and seed words; the same seed and shape give the same numbers everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from layerkit.errors import ArgumentError
from layerkit.fields import Configurable, OneOf, PositiveFloat
from layerkit.ops.random import Random
from layerkit.registry import Registry, named
from layerkit.registry import serialize as registry_serialize
from layerkit.trace import draw_seed

INITIALIZERS = Registry("initializer")


class Initializer(Configurable):
    """Base of all: ``__call__(shape, dtype, seed)``.

    Args:
        seed: a number, for numbers that do not depend on the model's seed.
    """

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
    """All ``value``, a number or an array that is repeated to fit."""

    value: Any = 0.0

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        try:
            return np.full(shape, self.value)
        except ValueError as error:
            raise ArgumentError(
                "the array is not repeated to that shape.",
                expected=f"a shape that fits {shape}",
                got=str(np.shape(self.value)),
            ) from error


_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


def _uniform(shape: tuple[int, ...], key: Any, low: float, high: float) -> Any:
    return Random("uniform", shape, "float64").reference(key) * (high - low) + low


def _normal(shape: tuple[int, ...], key: Any) -> Any:
    return Random("normal", shape, "float64").reference(key)


def _truncated(shape: tuple[int, ...], key: Any) -> Any:
    """Normal numbers; those further than two standard deviations from the mean are drawn again."""
    count = math.prod(shape)
    key, found = np.array([key[0], key[1], 0, 0], "uint32"), np.empty(0)
    while found.size < count:
        key[3] += 1
        drawn = Random("normal", (count + count // 8 + 16,), "float64").reference(key)
        found = np.concatenate([found, drawn[np.abs(drawn) < 2]])
    return found[:count].reshape(shape)


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


def _fans(shape: Sequence[int], input_axes: Any, output_axes: Any) -> tuple[float, float]:
    """``fans``, or the products of the sizes along the axes that are named."""
    fan_in, fan_out = fans(shape)
    if input_axes is not None:
        fan_in = math.prod(shape[a] for a in input_axes)
    if output_axes is not None:
        fan_out = math.prod(shape[a] for a in output_axes)
    return fan_in, fan_out


@INITIALIZERS.add
class VarianceScaling(Initializer):
    """Variance ``scale`` / number of inputs, outputs or their mean.

    Args:
        scale: the variance of a sum over all inputs (or outputs) of a unit.
        mode: what the variance is divided by: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: a number, for numbers that do not depend on the model's seed.
        input_axes: axes of the weight that count inputs; by default all but the last.
        output_axes: axes of the weight that count outputs; by default all but the last but one.
    """

    scale: PositiveFloat = 1.0
    mode: Annotated[str, OneOf(("fan_in", "fan_out", "fan_avg"))] = "fan_in"
    distribution: Annotated[str, OneOf(_DISTRIBUTIONS)] = "truncated_normal"
    seed: int | None = None
    input_axes: Any = None
    output_axes: Any = None

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        fan_in, fan_out = _fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return _uniform(shape, key, -limit, limit)
        if self.distribution == "untruncated_normal":
            return _normal(shape, key) * math.sqrt(variance)
        return _truncated(shape, key) * math.sqrt(variance) / 0.87962566103423978  # deviation of what is left


class _Scaled(Initializer):
    """``VarianceScaling`` with settings that have a name."""

    seed: int | None = None
    input_axes: Any = None
    output_axes: Any = None

    settings: ClassVar[tuple[float, str, str]]

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        axes = {"input_axes": self.input_axes, "output_axes": self.output_axes}
        return VarianceScaling(*self.settings, **axes).draw(shape, dtype, key)


@INITIALIZERS.add
class GlorotUniform(_Scaled):
    """Variance 2 / (inputs + outputs), evenly spread. Source: Glorot and Bengio 2010."""

    settings = (1.0, "fan_avg", "uniform")


@INITIALIZERS.add
class GlorotNormal(_Scaled):
    """Variance 2 / (inputs + outputs), normal. Source: Glorot and Bengio 2010."""

    settings = (1.0, "fan_avg", "truncated_normal")


@INITIALIZERS.add
class HeUniform(_Scaled):
    """Variance 2 / inputs, evenly spread. Source: He et al. 2015, arXiv:1502.01852."""

    settings = (2.0, "fan_in", "uniform")


@INITIALIZERS.add
class HeNormal(_Scaled):
    """Variance 2 / inputs, normal. Source: He et al. 2015, arXiv:1502.01852."""

    settings = (2.0, "fan_in", "truncated_normal")


@INITIALIZERS.add
class LecunUniform(_Scaled):
    """Variance 1 / inputs, evenly spread. Source: LeCun et al. 1998."""

    settings = (1.0, "fan_in", "uniform")


@INITIALIZERS.add
class LecunNormal(_Scaled):
    """Variance 1 / inputs, normal. Source: LeCun et al. 1998."""

    settings = (1.0, "fan_in", "truncated_normal")


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
        if len(shape) != 2:
            raise ArgumentError("an identity is a matrix.", expected="2 axes", got=str(shape))
        return self.gain * np.eye(*shape)


@_positional("stft", "STFTInitializer")
class STFT(Initializer):
    """Waves of all frequencies as the kernel of a Conv1D, which then takes the short-time Fourier transform.

    Shapes:
        (window, 1, frequencies); the transform is over 2 * (frequencies - 1) steps
    Args:
        side: "real" for cosines, "imag" for sines turned round.
        window: the weights of the steps: "hann", "hamming", an array, or None for all 1.
        scaling: "density" or "spectrum" divides as a power density or power spectrum needs it, None does not; nor is it done without a window.
        periodic: whether the window is one of a row of windows, the first step of the next being its end.
    """

    side: Annotated[str, OneOf(("real", "imag"))] = "real"
    window: Any = "hann"
    scaling: Annotated[Any, OneOf(("density", "spectrum", None))] = "density"
    periodic: bool = False

    def draw(self, shape: tuple[int, ...], dtype: str, key: Any) -> Any:
        steps, _, frequencies = shape
        angles = 2 * np.pi * np.outer(np.arange(steps), np.arange(frequencies)) / (2 * (frequencies - 1))
        waves = np.cos(angles) if self.side == "real" else -np.sin(angles)
        weights = self._weights(steps)
        if self.scaling is not None and self.window is not None:
            total = np.sum(weights**2) if self.scaling == "density" else np.sum(weights) ** 2
            weights = weights / np.sqrt(total)
        return (waves * weights[:, None]).reshape(steps, 1, frequencies)

    def _weights(self, steps: int) -> Any:
        if self.window is None:
            return np.ones(steps)
        if not isinstance(self.window, str):
            return np.asarray(self.window, "float64")
        names = {"hann": np.hanning, "hamming": np.hamming}
        if self.window not in names:
            raise ArgumentError("there is no such window.", expected=" or ".join(names), got=repr(self.window))
        make = names[self.window]
        return make(steps + 1)[:-1] if self.periodic else make(steps)


def get(identifier: Any) -> Any:
    """The initializer that a name, a mapping, an object or a function of (shape, dtype) stands for."""
    identifier = named(identifier)
    if identifier is None or (callable(identifier) and not isinstance(identifier, type | Initializer)):
        return identifier
    if isinstance(identifier, bool | int | float):
        return Constant(float(identifier))
    if hasattr(identifier, "shape"):
        return Constant(identifier)
    return INITIALIZERS.make(identifier)


def starting(identifier: Any) -> Callable[[tuple[int, ...], str, tuple[int, int]], Any]:
    """``get`` as a weight takes it: a function of shape, dtype and seed words."""
    found = get(identifier)
    if isinstance(found, Initializer):
        return found
    return lambda shape, dtype, seed: found(shape, dtype=dtype)


constant, zeros, ones, identity, orthogonal, stft = Constant, Zeros, Ones, Identity, Orthogonal, STFT
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
serialize, deserialize = registry_serialize, INITIALIZERS.make
