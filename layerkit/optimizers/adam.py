"""Adam and its family: running means of gradients and of their squares (or largest values), both without their bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit import ops
from layerkit.fields import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat
from layerkit.ops.core import dtype_of
from layerkit.optimizers.base import OPTIMIZERS, Optimizer, slot
from layerkit.optimizers.schedules import LearningRate
from layerkit.trace import Weight


def unbiased(beta: float, step: Any) -> Any:
    """1 - beta^step: what a running mean that began at 0 is short of."""
    kind = dtype_of(step)
    return np.asarray(1.0, kind) - ops.power(np.asarray(beta, kind), step)


def means(g: Any, m: Any, v: Any, beta_1: float, beta_2: float) -> tuple[Any, Any]:
    """The running means of gradients and of their squares, moved on."""
    return m + (g - m) * (1.0 - beta_1), v + (ops.square(g) - v) * (1.0 - beta_2)


def correction(beta_1: float, beta_2: float, step: Any) -> Any:
    """What Adam's step is multiplied by so that neither mean is biased."""
    return ops.sqrt(unbiased(beta_2, step)) / unbiased(beta_1, step)


@OPTIMIZERS.add
class Adam(Optimizer):
    """Adam, with Keras's epsilon (added after the bias correction). Source: Kingma and Ba 2014, arXiv:1412.6980.

    Args:
        beta_1: the share of the old mean of gradients in the new one.
        beta_2: the share of the old mean of squares in the new one.
        epsilon: a small number that is added to the divisor.
        amsgrad: whether the largest mean of squares so far divides. Source: arXiv:1904.09237.
    """

    learning_rate: LearningRate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7
    amsgrad: bool = False

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        names = ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")
        return {n: slot(w, n) for n in names}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        step = ops.cast(self.iterations + 1, dtype_of(g))
        m, v = means(g, slots["momentum"], slots["velocity"], self.beta_1, self.beta_2)
        new = {"momentum": m, "velocity": v}
        if self.amsgrad:
            v = new["velocity_hat"] = ops.maximum(slots["velocity_hat"], v)
        return w - m * (lr * correction(self.beta_1, self.beta_2, step)) / (ops.sqrt(v) + self.epsilon), new


@OPTIMIZERS.add
class AdamW(Adam):
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter 2017, arXiv:1711.05101."""

    learning_rate: LearningRate = 0.001
    weight_decay: NonNegativeFloat = 0.004
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7
    amsgrad: bool = False


@OPTIMIZERS.add
class ScheduleFreeAdamW(Optimizer):
    """Adam on a sequence z, whose mean x replaces a schedule; weights are in between: (1 - beta_1) z + beta_1 x.

    Only z is kept: x follows from it and the weights. All steps count alike in the mean. Source: Defazio et al. 2024,
    arXiv:2405.15682, algorithm 1.

    Args:
        beta_1: how near weights are to the mean.
        beta_2: the share of the old mean of squares in the new one.
        epsilon: a small number that is added to the divisor.
        warmup_steps: steps in which the learning rate grows from 0, evenly.
    """

    learning_rate: LearningRate = 0.0025
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-8
    warmup_steps: NonNegativeInt = 0

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        z = slot(w, "momentum", initial=lambda shape, dtype, seed: w.array)
        return {"momentum": z, "velocity": slot(w, "velocity")}

    def begin_update(self) -> None:
        for slots in self.slots.values():
            _ = slots["momentum"].value  # z begins as what weights are before the first step, and before they decay

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        step = ops.cast(self.iterations + 1, dtype_of(g))
        if self.warmup_steps:
            lr = lr * ops.minimum(step / float(self.warmup_steps), 1.0)
        z, v, near = slots["momentum"], slots["velocity"], self.beta_1
        v = v + (ops.square(g) - v) * (1.0 - self.beta_2)
        after = z - lr * g / (ops.sqrt(v / unbiased(self.beta_2, step)) + self.epsilon)
        share = 1.0 / step
        w = (1.0 - share) * (w - (1.0 - near) * z) + (1.0 - near + near * share) * after
        return w, {"momentum": after, "velocity": v}


@OPTIMIZERS.add
class Adamax(Optimizer):
    """Adam by the largest gradient instead of the mean of squares. Source: arXiv:1412.6980, section 7.

    Args:
        beta_1: the share of the old mean of gradients in the new one.
        beta_2: how fast the largest gradient is forgotten.
        epsilon: a small number that is added to the divisor.
    """

    slot_names = ("momentum", "norm")

    learning_rate: LearningRate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        step = ops.cast(self.iterations + 1, dtype_of(g))
        m = slots["momentum"] + (g - slots["momentum"]) * (1.0 - self.beta_1)
        u = ops.maximum(self.beta_2 * slots["norm"], ops.abs(g))
        return w - m * (lr / unbiased(self.beta_1, step)) / (u + self.epsilon), {"momentum": m, "norm": u}


@OPTIMIZERS.add
class Nadam(Optimizer):
    """Adam with Nesterov's momentum. Source: Dozat 2015, cs229.stanford.edu/proj2015/054_report.pdf.

    Args:
        beta_1: the share of the old mean of gradients in the new one, at the end of its own warm-up.
        beta_2: the share of the old mean of squares in the new one.
        epsilon: a small number that is added to the divisor.
    """

    slot_names = ("momentum", "velocity")

    learning_rate: LearningRate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._product = self.add_scalar("beta_product", 1.0)

    def begin_update(self) -> None:
        step = ops.cast(self.iterations + 1, "float32")
        self._now, self._next = self._beta(step), self._beta(step + 1.0)
        self._product.assign(self._product * self._now)

    def _beta(self, step: Any) -> Any:
        return self.beta_1 * (1.0 - 0.5 * ops.power(np.float32(0.96), step))

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        kind = dtype_of(g)
        now, later, product = (ops.cast(x, kind) for x in (self._now, self._next, self._product.value))
        m, v = means(g, slots["momentum"], slots["velocity"], self.beta_1, self.beta_2)
        mean = m * (later / (1.0 - product * later)) + g * ((1.0 - now) / (1.0 - product))
        size = ops.sqrt(v / unbiased(self.beta_2, ops.cast(self.iterations + 1, kind))) + self.epsilon
        return w - lr * mean / size, {"momentum": m, "velocity": v}


Nadam.__init__._is_declared = True  # type: ignore[attr-defined]


@OPTIMIZERS.add
class Lamb(Optimizer):
    """Adam with steps as long as the weights are, for large batches. Source: arXiv:1904.00962.

    Args:
        beta_1: the share of the old mean of gradients in the new one.
        beta_2: the share of the old mean of squares in the new one.
        epsilon: a small number that is added to the divisor.
    """

    slot_names = ("momentum", "velocity")

    learning_rate: LearningRate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        m, v = means(g, slots["momentum"], slots["velocity"], self.beta_1, self.beta_2)
        t = ops.cast(self.iterations + 1, dtype_of(g))
        step = m / unbiased(self.beta_1, t) / (ops.sqrt(v / unbiased(self.beta_2, t)) + self.epsilon)
        size, length = (ops.sqrt(ops.sum(ops.square(x))) for x in (w, step))
        both = ops.logical_and(ops.greater(size, 0.0), ops.greater(length, 0.0))
        ratio = ops.where(both, size / ops.where(both, length, ops.ones_like(length)), ops.ones_like(length))
        return w - step * (lr * ratio), {"momentum": m, "velocity": v}
