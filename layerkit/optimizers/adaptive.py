"""Rules with a learning rate of its own for each element, from sums or running means of squared gradients."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import ops
from layerkit.fields import Fraction, NonNegativeFloat, Number, PositiveFloat
from layerkit.ops.core import dtype_of
from layerkit.optimizers.base import OPTIMIZERS, Optimizer, slot
from layerkit.optimizers.schedules import LearningRate
from layerkit.trace import Weight


@OPTIMIZERS.add
class RMSprop(Optimizer):
    """Gradients divided by a running root mean square. Source: Hinton 2012, lecture 6e.

    Args:
        rho: the share of the old mean of squares in the new one.
        momentum: the share of the last step that is taken again.
        epsilon: a small number that is added to the divisor.
        centered: whether the mean of the gradients is taken off their squares.
    """

    learning_rate: LearningRate = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: PositiveFloat = 1e-7
    centered: bool = False

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        wanted = {"velocity": True, "momentum": bool(self.momentum), "average_gradient": self.centered}
        return {n: slot(w, n) for n, is_wanted in wanted.items() if is_wanted}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        v = self.rho * slots["velocity"] + (1.0 - self.rho) * ops.square(g)
        new = {"velocity": v}
        if self.centered:
            new["average_gradient"] = self.rho * slots["average_gradient"] + (1.0 - self.rho) * g
            v = v - ops.square(new["average_gradient"])
        step = lr * g / ops.sqrt(v + self.epsilon)
        if self.momentum:
            step = new["momentum"] = self.momentum * slots["momentum"] + step
        return w - step, new


@OPTIMIZERS.add
class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares. Source: Duchi, Hazan, Singer 2011, JMLR 12.

    Args:
        initial_accumulator_value: what the sums begin with.
        epsilon: a small number that is added to the divisor.
    """

    learning_rate: LearningRate = 0.001
    initial_accumulator_value: NonNegativeFloat = 0.1
    epsilon: PositiveFloat = 1e-7

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        return {"accumulator": slot(w, "accumulator", value=self.initial_accumulator_value)}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        total = slots["accumulator"] + ops.square(g)
        return w - lr * g / ops.sqrt(total + self.epsilon), {"accumulator": total}


@OPTIMIZERS.add
class Adadelta(Optimizer):
    """Steps in the unit of the weights: by running means of squared gradients and squared steps. Source: arXiv:1212.5701.

    Args:
        rho: the share of the old means in the new ones.
        epsilon: a small number that is added below the roots.
    """

    slot_names = ("accumulated_grad", "accumulated_delta_var")

    learning_rate: LearningRate = 0.001
    rho: Fraction = 0.95
    epsilon: PositiveFloat = 1e-7

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        squares = self.rho * slots["accumulated_grad"] + (1.0 - self.rho) * ops.square(g)
        steps = slots["accumulated_delta_var"]
        step = -ops.sqrt(steps + self.epsilon) * g / ops.sqrt(squares + self.epsilon)
        new = {
            "accumulated_grad": squares,
            "accumulated_delta_var": self.rho * steps + (1.0 - self.rho) * ops.square(step),
        }
        return w + lr * step, new


@OPTIMIZERS.add
class Adafactor(Optimizer):
    """Running means of squared gradients of matrices as means of rows and columns: little memory. Source: arXiv:1804.04235.

    Args:
        beta_2_decay: the share of the old means is 1 - step^beta_2_decay.
        epsilon_1: a small number that is added to squares.
        epsilon_2: the least size of a weight, to which steps are relative.
        clip_threshold: the largest root mean square of a step before the learning rate.
        relative_step: without effect: the learning rate is at most 1 / sqrt(step) either way, as in Keras 3.15.
    """

    learning_rate: LearningRate = 0.001
    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        if w.ndim < 2:
            return {"v": slot(w, "v")}
        return {"r": slot(w, "r", w.shape[:-1]), "c": slot(w, "c", (*w.shape[:-2], w.shape[-1]))}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        step = ops.cast(self.iterations + 1, dtype_of(g))
        rate = ops.minimum(lr, 1.0 / ops.sqrt(step)) * ops.maximum(_root_mean_square(w), self.epsilon_2)
        share = 1.0 - ops.power(step, self.beta_2_decay)
        squares = ops.square(g) + self.epsilon_1
        if "v" in slots:
            v = share * slots["v"] + (1.0 - share) * squares
            new, scale = {"v": v}, 1.0 / ops.sqrt(v)
        else:
            r = share * slots["r"] + (1.0 - share) * ops.mean(squares, -1)
            c = share * slots["c"] + (1.0 - share) * ops.mean(squares, -2)
            v = ops.expand_dims(r / ops.mean(r, -1, keepdims=True), -1) * ops.expand_dims(c, -2)
            new, scale = {"r": r, "c": c}, 1.0 / ops.sqrt(v)
        u = g * scale
        return w - u * (rate / ops.maximum(1.0, _root_mean_square(u) / self.clip_threshold)), new


def _root_mean_square(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))


@OPTIMIZERS.add
class Ftrl(Optimizer):
    """Follow the regularized leader: sparse weights for sparse, wide models. Source: McMahan et al. 2013, KDD.

    Args:
        learning_rate_power: how the rate falls with the sum of squares; 0 keeps it.
        initial_accumulator_value: what the sums of squares begin with.
        l1_regularization_strength: weights whose pull is below it are 0.
        l2_regularization_strength: pulls weights towards 0.
        l2_shrinkage_regularization_strength: pulls weights towards 0 by their size, through the gradient.
        beta: more of the second kind, less with larger learning rates.
    """

    learning_rate: LearningRate = 0.001
    learning_rate_power: Annotated[float, Number(float, None, 0)] = -0.5
    initial_accumulator_value: NonNegativeFloat = 0.1
    l1_regularization_strength: NonNegativeFloat = 0.0
    l2_regularization_strength: NonNegativeFloat = 0.0
    l2_shrinkage_regularization_strength: NonNegativeFloat = 0.0
    beta: float = 0.0

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        start = self.initial_accumulator_value
        return {"accumulator": slot(w, "accumulator", value=start), "linear": slot(w, "linear")}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        pull = g + 2.0 * self.l2_shrinkage_regularization_strength * w
        before, after = slots["accumulator"], slots["accumulator"] + ops.square(g)
        old, new = (ops.power(n, -self.learning_rate_power) for n in (before, after))
        z = slots["linear"] + pull - (new - old) / lr * w
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength + self.beta / (2.0 * lr)
        w = (ops.clip(z, -l1, l1) - z) / (new / lr + 2.0 * l2)
        return w, {"accumulator": after, "linear": z}
