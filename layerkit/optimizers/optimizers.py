"""Optimizers: rules by which gradients change weights, written in ops, so that they are part of the step's graph.

A rule is ``update(g, w, lr, slots) -> (new w, new slots)``. The base clips gradients, decays weights, keeps the slots (one
tensor of the weight's shape for each name), counts steps and applies constraints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError, StateError
from layerkit.fields import Configurable, Fraction, NonNegativeFloat, PositiveFloat
from layerkit.ops.core import dtype_of
from layerkit.optimizers.schedules import LearningRateSchedule
from layerkit.optimizers.schedules import get as get_schedule
from layerkit.registry import Registry, snake_case
from layerkit.trace import Weight

OPTIMIZERS = Registry("optimizer")


class Optimizer(Configurable):
    """Base class of optimizers.

    Args:
        weight_decay: share of each weight that is taken away at each step, times the learning rate.
        clipnorm: largest norm of the gradient of one weight.
        clipvalue: largest absolute value of an element of a gradient.
        global_clipnorm: largest norm of all gradients together.
        name: its name.
    """

    slot_names: ClassVar[tuple[str, ...]] = ()

    _: KW_ONLY
    weight_decay: NonNegativeFloat | None = None
    clipnorm: PositiveFloat | None = None
    clipvalue: PositiveFloat | None = None
    global_clipnorm: PositiveFloat | None = None
    name: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.name or snake_case(type(self).__name__)
        if sum(v is not None for v in (self.clipnorm, self.clipvalue, self.global_clipnorm)) > 1:
            raise ArgumentError(
                "gradients are clipped in one way.", layer=type(self).__name__, expected="one of clipnorm, clipvalue, global_clipnorm",
                got=repr(self),
            )  # fmt: skip
        self.iterations = Weight((), "int64", trainable=False, name="iterations")
        self._rate: Any = None
        rate = vars(self).pop("_learning_rate_given", self._config.get("learning_rate", type(self).learning_rate))
        self.learning_rate = rate  # type: ignore[assignment]
        self.slots: dict[Weight, dict[str, Weight]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "learning_rate":
            object.__setattr__(self, name, value)
            return
        if isinstance(value, dict):
            value = get_schedule(value)
        if isinstance(value, LearningRateSchedule):
            object.__setattr__(self, "_rate", value)
        elif "_rate" not in vars(self) or not isinstance(self._rate, Weight):
            weight = Weight((), "float32", trainable=False, name="learning_rate")
            weight.array = _rate_of(self, value)
            object.__setattr__(self, "_rate", weight)
        else:
            self._rate.array = _rate_of(self, value)

    def __getattribute__(self, name: str) -> Any:
        if name == "learning_rate":
            return object.__getattribute__(self, "_rate")
        return object.__getattribute__(self, name)

    learning_rate: Any = 0.01

    def build(self, weights: Sequence[Weight]) -> None:
        """Make the slots for these weights; those that exist are kept."""
        for w in weights:
            if w not in self.slots:
                self.slots[w] = {n: _slot(w, n) for n in self.slot_names}

    def state(self) -> dict[str, Weight]:
        """All that it keeps, by path."""
        found = {"iterations": self.iterations}
        if isinstance(self._rate, Weight):
            found["learning_rate"] = self._rate
        return found | {f"{w.path}/{n}": slot for w, slots in self.slots.items() for n, slot in slots.items()}

    def apply(self, gradients: Sequence[Any], weights: Sequence[Weight]) -> None:
        """One step: assign new values to ``weights``."""
        missing = [w for w in weights if w not in self.slots]
        if missing:
            raise StateError(
                "the optimizer has not seen these weights.", got=missing[0].path, fix="call optimizer.build(weights)"
            )
        rate = self._rate(self.iterations.value) if isinstance(self._rate, LearningRateSchedule) else self._rate.value
        for g, w in zip(self._clip(list(gradients)), weights, strict=True):
            value, kind = w.value, w.dtype
            lr = ops.cast(rate, kind)
            if self.weight_decay:
                value = value - value * self.weight_decay * lr
            new, slots = self.update(g, value, lr, {n: s.value for n, s in self.slots[w].items()})
            w.assign(new if w.constraint is None else w.constraint(new))
            for n, v in slots.items():
                self.slots[w][n].assign(v)
        self.iterations.assign(self.iterations + 1)

    def apply_gradients(self, grads_and_weights: Sequence[tuple[Any, Weight]]) -> None:
        """``apply`` for pairs, as in Keras."""
        pairs = list(grads_and_weights)
        self.build([w for _, w in pairs])
        self.apply([g for g, _ in pairs], [w for _, w in pairs])

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The new weight and the new slots."""
        raise NotImplementedError

    def _clip(self, gradients: list[Any]) -> list[Any]:
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [_to_norm(g, ops.sum(ops.square(g)), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            total: Any = 0.0
            for g in gradients:
                total = total + ops.cast(ops.sum(ops.square(g)), "float32")
            return [_to_norm(g, ops.cast(total, dtype_of(g)), self.global_clipnorm) for g in gradients]
        return gradients


Optimizer.__init__._is_declared = True  # type: ignore[attr-defined]


def _slot(w: Weight, name: str) -> Weight:
    return Weight(w.shape, w.dtype, trainable=False, path=lambda: f"{w.path}/{name}", name=name)


def _rate_of(optimizer: Any, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number | np.ndarray) or not float(value) >= 0:
        raise ArgumentError(
            "a learning rate is a number.",
            layer=type(optimizer).__name__,
            expected="a number >= 0, or a schedule",
            got=repr(value),
        )
    return np.float32(value)


def _to_norm(g: Any, square: Any, norm: float) -> Any:
    """``g`` scaled down to ``norm`` where it is longer."""
    longer = ops.greater(square, norm * norm)
    length = ops.sqrt(ops.where(longer, square, ops.ones_like(square)))
    return ops.where(longer, g * (norm / length), g)


@OPTIMIZERS.add
class SGD(Optimizer):
    """w - lr * g; with momentum v' = momentum * v - lr * g and w + v', or w + momentum * v' - lr * g (Nesterov)."""

    slot_names = ("momentum",)

    learning_rate: Any = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False

    def build(self, weights: Sequence[Weight]) -> None:
        """Make the slots; without momentum there are none."""
        for w in weights:
            self.slots.setdefault(w, {"momentum": _slot(w, "momentum")} if self.momentum else {})

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if not self.momentum:
            return w - lr * g, {}
        v = slots["momentum"] * self.momentum - lr * g
        return (w + v * self.momentum - lr * g if self.nesterov else w + v), {"momentum": v}


@OPTIMIZERS.add
class Adam(Optimizer):
    """Adam, with Keras's epsilon (added after the bias correction). Source: Kingma and Ba 2014, arXiv:1412.6980."""

    slot_names = ("momentum", "velocity")

    learning_rate: Any = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7
    amsgrad: bool = False

    def build(self, weights: Sequence[Weight]) -> None:
        """Make the slots; ``amsgrad`` needs one more."""
        names = (*self.slot_names, "velocity_hat") if self.amsgrad else self.slot_names
        for w in weights:
            if w not in self.slots:
                self.slots[w] = {n: _slot(w, n) for n in names}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        kind = dtype_of(g)
        step = ops.cast(self.iterations + 1, kind)
        one = np.asarray(1.0, kind)
        correction = ops.sqrt(one - ops.power(np.asarray(self.beta_2, kind), step)) / (
            one - ops.power(np.asarray(self.beta_1, kind), step)
        )
        m = slots["momentum"] + (g - slots["momentum"]) * (1.0 - self.beta_1)
        v = slots["velocity"] + (ops.square(g) - slots["velocity"]) * (1.0 - self.beta_2)
        new = {"momentum": m, "velocity": v}
        if self.amsgrad:
            v = new["velocity_hat"] = ops.maximum(slots["velocity_hat"], v)
        return w - m * (lr * correction) / (ops.sqrt(v) + self.epsilon), new


@OPTIMIZERS.add
class AdamW(Adam):
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter 2017, arXiv:1711.05101."""

    learning_rate: Any = 0.001
    weight_decay: NonNegativeFloat | None = 0.004
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7
    amsgrad: bool = False


@OPTIMIZERS.add
class RMSprop(Optimizer):
    """Gradients divided by a running root mean square. Source: Hinton 2012, lecture 6e."""

    slot_names = ("velocity", "momentum", "average_gradient")

    learning_rate: Any = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: PositiveFloat = 1e-7
    centered: bool = False

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        v = self.rho * slots["velocity"] + (1.0 - self.rho) * ops.square(g)
        a = self.rho * slots["average_gradient"] + (1.0 - self.rho) * g if self.centered else slots["average_gradient"]
        step = lr * g / ops.sqrt((v - ops.square(a) if self.centered else v) + self.epsilon)
        m = self.momentum * slots["momentum"] + step if self.momentum else slots["momentum"]
        return w - (m if self.momentum else step), {"velocity": v, "momentum": m, "average_gradient": a}


def get(identifier: Any) -> Optimizer:
    """The optimizer that a name, a mapping or an object stands for."""
    found: Optimizer = OPTIMIZERS.make(identifier)
    return found
