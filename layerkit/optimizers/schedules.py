"""Learning rates that depend on the step; computed inside the program."""

from __future__ import annotations

import math
from typing import Any

from layerkit import ops
from layerkit.fields import Configurable, PositiveInt
from layerkit.registry import Registry

SCHEDULES = Registry("schedule")


class LearningRateSchedule(Configurable):
    """Base class: the learning rate at a step, a float32 scalar."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError


@SCHEDULES.add
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps), in whole stairs with ``staircase``."""

    initial_learning_rate: float
    decay_steps: PositiveInt
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def __call__(self, step: Any) -> Any:
        p = ops.cast(step, "float32") / float(self.decay_steps)
        return self.initial_learning_rate * ops.power(self.decay_rate, ops.floor(p) if self.staircase else p)


@SCHEDULES.add
class CosineDecay(LearningRateSchedule):
    """Down a cosine to ``alpha`` of the start, after a linear warm-up. Source: arXiv:1608.03983."""

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
        done = ops.clip(step / float(self.decay_steps), 0.0, 1.0)
        cosine = 0.5 * (1.0 + ops.cos(math.pi * done))
        return start * ((1.0 - self.alpha) * cosine + self.alpha)


def get(identifier: Any) -> Any:
    """The schedule that a mapping or an object stands for."""
    return SCHEDULES.make(identifier)
