"""Learning rates that depend on the step; computed inside the program."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import Configurable, PositiveInt, Resolved
from layerkit.registry import Registry

SCHEDULES = Registry("schedule")


class LearningRateSchedule(Configurable):
    """Base class: the learning rate at a step, a float32 scalar."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError


@SCHEDULES.add
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps), in whole stairs with ``staircase``.

    Example:
        >>> float(ExponentialDecay(1.0, 10, 0.5)(20))
        0.25
    """

    initial_learning_rate: float
    decay_steps: PositiveInt
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def __call__(self, step: Any) -> Any:
        p = _share(step, self.decay_steps)
        return self.initial_learning_rate * ops.power(
            np.float32(self.decay_rate), ops.floor(p) if self.staircase else p
        )


@SCHEDULES.add
class PiecewiseConstantDecay(LearningRateSchedule):
    """The first of ``values`` up to the first of ``boundaries``, the second up to the second, ..., then the last.

    Example:
        >>> decay = PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.25])
        >>> [float(decay(step)) for step in (10, 11, 21)]
        [1.0, 0.5, 0.25]
    """

    boundaries: Any
    values: Any
    name: str = "PiecewiseConstant"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                "PiecewiseConstantDecay needs one value more than boundaries.", layer=type(self).__name__,
                expected=f"{len(self.boundaries) + 1} values", got=str(len(self.values)),
            )  # fmt: skip

    def __call__(self, step: Any) -> Any:
        step, rate = ops.cast(step, "float32"), np.float32(self.values[-1])
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1]), strict=True):
            rate = ops.where(ops.less_equal(step, float(boundary)), np.float32(value), rate)
        return rate


PiecewiseConstantDecay.__init__._is_declared = True  # type: ignore[attr-defined]


@SCHEDULES.add
class PolynomialDecay(LearningRateSchedule):
    """Down to ``end_learning_rate`` by (1 - step / decay_steps) ** power; with ``cycle`` again and again, ever longer.

    Example:
        >>> float(PolynomialDecay(1.0, 10, 0.5)(5))
        0.75
    """

    initial_learning_rate: float
    decay_steps: PositiveInt
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"

    def __call__(self, step: Any) -> Any:
        done = _share(step, self.decay_steps)
        done = done / ops.maximum(ops.ceil(done), 1.0) if self.cycle else ops.minimum(done, 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * ops.power(1.0 - done, np.float32(self.power)) + self.end_learning_rate


@SCHEDULES.add
class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps), in whole stairs with ``staircase``.

    Example:
        >>> float(InverseTimeDecay(1.0, 10, 0.5)(20))
        0.5
    """

    initial_learning_rate: float
    decay_steps: PositiveInt
    decay_rate: float
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def __call__(self, step: Any) -> Any:
        p = _share(step, self.decay_steps)
        return self.initial_learning_rate / (1.0 + self.decay_rate * (ops.floor(p) if self.staircase else p))


@SCHEDULES.add
class CosineDecay(LearningRateSchedule):
    """Down a cosine to ``alpha`` of the start, after a linear warm-up. Source: arXiv:1608.03983.

    Example:
        >>> decay = CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4)
        >>> [round(float(decay(step)), 3) for step in (0, 2, 4, 9, 14)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    initial_learning_rate: float
    decay_steps: PositiveInt
    alpha: float = 0.0
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        if self.warmup_target is None:
            return self._decay(step, self.initial_learning_rate)
        done = ops.minimum(step / max(self.warmup_steps, 1), 1.0)
        warm = self.initial_learning_rate + done * (self.warmup_target - self.initial_learning_rate)
        return ops.where(
            ops.less(step, float(self.warmup_steps)), warm, self._decay(step - self.warmup_steps, self.warmup_target)
        )

    def _decay(self, step: Any, start: float) -> Any:
        return start * ((1.0 - self.alpha) * _cosine(ops.clip(_share(step, self.decay_steps), 0.0, 1.0)) + self.alpha)


@SCHEDULES.add
class CosineDecayRestarts(LearningRateSchedule):
    """Down a cosine, then from the top again: each time ``t_mul`` as long and ``m_mul`` as high. Source: arXiv:1608.03983.

    Example:
        >>> decay = CosineDecayRestarts(1.0, 10)
        >>> [round(float(decay(step)), 3) for step in (0, 5, 10, 20)]
        [1.0, 0.5, 1.0, 0.5]
    """

    initial_learning_rate: float
    first_decay_steps: PositiveInt
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = "SGDRDecay"

    def __call__(self, step: Any) -> Any:
        done, t = _share(step, self.first_decay_steps), self.t_mul
        if t == 1.0:
            restarts = ops.floor(done)
            done = done - restarts
        else:
            restarts = ops.floor(ops.log(1.0 - done * (1.0 - t)) / math.log(t))
            done = (done - (1.0 - ops.power(np.float32(t), restarts)) / (1.0 - t)) / ops.power(np.float32(t), restarts)
        top = ops.power(np.float32(self.m_mul), restarts)
        return self.initial_learning_rate * ((1.0 - self.alpha) * top * _cosine(done) + self.alpha)


def _share(step: Any, steps: int) -> Any:
    return ops.cast(step, "float32") / float(steps)


def _cosine(done: Any) -> Any:
    """From 1 down to 0 as ``done`` goes from 0 to 1."""
    return 0.5 * (1.0 + ops.cos(math.pi * done))


def get(identifier: Any) -> Any:
    """The schedule that a mapping or an object stands for."""
    return SCHEDULES.make(identifier)


def as_rate(value: Any) -> Any:
    """A learning rate as it is kept: a finite number >= 0, a function that returns one, or a schedule; ``{name: arguments}`` is one."""
    if isinstance(value, dict):
        return get(value)
    is_number = isinstance(value, int | float | np.number | np.ndarray) and not isinstance(value, bool)
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    if is_number and 0 <= float(value) < math.inf:
        return value
    raise ValueError


LearningRate = Annotated[Any, Resolved(as_rate, "a finite number >= 0, or a schedule", SCHEDULES)]
